package testcard

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// minText is the height in pixels of the smallest text that can be read.
const minText = 8

// replacement stands for characters that the font does not have.
const replacement = '\ufffd'

// A typeface is the one font of all pictures, Go Mono Bold, in any size.
type typeface struct{ parsed *opentype.Font }

func newTypeface() (*typeface, error) {
	parsed, err := opentype.Parse(gomonobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("reading the font: %w", err)
	}
	return &typeface{parsed}, nil
}

// A face is the font in one size. It draws each character's shape once and then
// keeps it as a bitmap.
type face struct {
	font    *opentype.Font
	face    font.Face
	glyphs  map[rune]glyph
	advance int // from one character to the next, in pixels
	ascent  int // of capitals and digits, above the baseline
	descent int // below the baseline
}

type glyph struct {
	mask *image.Alpha
	at   image.Rectangle // where the mask goes, seen from the pen
}

// size returns the font with characters of px pixels, or nil when that is too
// small to be read.
func (t *typeface) size(px int) (*face, error) {
	if px < minText {
		return nil, nil
	}
	of, err := opentype.NewFace(t.parsed, &opentype.FaceOptions{Size: float64(px), DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("the font at %d pixels: %w", px, err)
	}
	f := &face{font: t.parsed, face: of, glyphs: make(map[rune]glyph)}
	advance, _ := of.GlyphAdvance('0')
	f.advance = advance.Round()
	f.ascent = of.Metrics().CapHeight.Ceil()
	f.descent = of.Metrics().Descent.Ceil()
	return f, nil
}

// glyph returns the shape of r, or of the replacement.
func (f *face) glyph(r rune) glyph {
	g, ok := f.glyphs[r]
	if ok {
		return g
	}
	shape := r
	if n, err := f.font.GlyphIndex(nil, r); n == 0 || err != nil || unicode.IsControl(r) {
		shape = replacement
	}
	at, mask, maskAt, _, ok := f.face.Glyph(fixed.Point26_6{}, shape)
	if ok {
		// The font's mask is used again for its next glyph.
		g = glyph{image.NewAlpha(image.Rectangle{Max: at.Size()}), at}
		draw.Draw(g.mask, g.mask.Rect, mask, maskAt, draw.Src)
	}
	f.glyphs[r] = g
	return g
}

// text writes s from pen, the left end of the baseline, and nothing outside clip.
func (f *face) text(dst *image.RGBA, clip image.Rectangle, pen image.Point, ink image.Image, s string) {
	for _, r := range s {
		if g := f.glyph(r); g.mask != nil {
			to := g.at.Add(pen)
			visible := to.Intersect(clip)
			draw.DrawMask(dst, visible, ink, image.Point{}, g.mask, visible.Min.Sub(to.Min), draw.Over)
		}
		pen.X += f.advance
	}
}

// centred writes s into the middle of box, cut to what fits there.
func (f *face) centred(dst *image.RGBA, box image.Rectangle, ink image.Image, s string) {
	if f == nil {
		return
	}
	s = cut(s, box.Dx()/f.advance)
	pen := image.Pt(
		(box.Min.X+box.Max.X-f.width(s))/2,
		(box.Min.Y+box.Max.Y+f.ascent)/2)
	f.text(dst, box, pen, ink, s)
}

// width is how many pixels wide s is.
func (f *face) width(s string) int { return f.advance * len([]rune(s)) }

// cut shortens s to n characters, the last of which is then an ellipsis.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		if n < 1 {
			return ""
		}
		return strings.TrimRight(string(r[:n-1]), " ") + "…"
	}
	return s
}

// wrap breaks s into lines of at most n > 0 characters, between words where it can.
func wrap(s string, n int) []string {
	var lines []string
	var line []rune
	for _, word := range strings.Fields(s) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > n {
			lines = append(lines, string(line))
			line = nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, w...)
		for len(line) > n {
			lines = append(lines, string(line[:n]))
			line = line[n:]
		}
	}
	if len(line) > 0 {
		lines = append(lines, string(line))
	}
	return lines
}

func fill(dst *image.RGBA, r image.Rectangle, c image.Image) {
	draw.Draw(dst, r, c, image.Point{}, draw.Src)
}

func ink(r, g, b uint8) *image.Uniform { return image.NewUniform(color.RGBA{r, g, b, 255}) }
