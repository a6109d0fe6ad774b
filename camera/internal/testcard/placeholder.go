package testcard

import (
	"bytes"
	"image"
	"image/jpeg"
)

const (
	// maxTextLength bounds each text, in characters.
	maxTextLength = 1000
	// placeholderText is how many lines of text the shorter side of a placeholder has
	// room for when they have their full size, which can still be read when the
	// picture is shrunk to the width of a phone.
	placeholderText = 14
)

// Placeholder returns a picture that says something instead of showing something, as
// JPEG: a title, and lines below it. Texts are wrapped, drawn smaller when that
// is not enough, and cut when it would become too small. What is no text is shown
// as replacement characters.
func Placeholder(width, height, quality int, title string, lines ...string) ([]byte, error) {
	font, err := newTypeface()
	if err != nil {
		return nil, err
	}
	size := image.Pt(width, height)
	canvas := image.NewRGBA(image.Rectangle{Max: size})
	short := min(width, height)
	drawGround(canvas, size, max(4, short/14))

	margin := short / 14
	panel := canvas.Rect.Inset(margin)
	fill(canvas, panel, black)
	fill(canvas, image.Rect(panel.Min.X, panel.Min.Y, panel.Max.X, panel.Min.Y+max(1, margin/6)), yellow)

	if err := write(font, canvas, panel.Inset(margin/2), short/placeholderText, title, lines); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, canvas, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

// A row is one line of a placeholder.
type row struct {
	face   *face
	ink    image.Image
	text   string
	gap    int // above it, in pixels
	height int
}

// write puts title and lines into the middle of box, in characters of px pixels
// or, when they need more room than there is, down to half of that.
func write(font *typeface, canvas *image.RGBA, box image.Rectangle, px int, title string, lines []string) error {
	smallest := max(px/2, minText)
	for px = max(px, smallest); ; px = max(px*9/10, smallest) {
		rows, err := layOut(font, box.Dx(), px, title, lines)
		if err != nil {
			return err
		}
		shown, height := 0, 0
		for shown < len(rows) && height+rows[shown].gap+rows[shown].height <= box.Dy() {
			height += rows[shown].gap + rows[shown].height
			shown++
		}
		if shown < len(rows) && px > smallest {
			continue
		}
		if shown > 0 && shown < len(rows) {
			last := &rows[shown-1]
			last.text = cut(last.text+"…", box.Dx()/last.face.advance)
		}
		at := box
		at.Min.Y += (box.Dy() - height) / 2
		for _, r := range rows[:shown] {
			at.Min.Y += r.gap
			at.Max.Y = at.Min.Y + r.height
			r.face.centred(canvas, at, r.ink, r.text)
			at.Min.Y = at.Max.Y
		}
		return nil
	}
}

// layOut breaks the texts into rows that are at most width pixels wide.
func layOut(font *typeface, width, px int, title string, lines []string) ([]row, error) {
	large, err := font.size(px * 3 / 2)
	if err != nil {
		return nil, err
	}
	small, err := font.size(px)
	if err != nil {
		return nil, err
	}
	var rows []row
	add := func(r row) {
		for _, r.text = range wrap(cut(r.text, maxTextLength), max(1, width/r.face.advance)) {
			rows = append(rows, r)
			r.gap = 0
		}
	}
	add(row{large, white, title, 0, px * 2})
	for _, line := range lines {
		add(row{small, pale, line, px / 2, px * 4 / 3})
	}
	return rows, nil
}
