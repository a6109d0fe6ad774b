package testcard

import (
	"bytes"
	"image"
	"math"
)

// cells show a line of text whose characters change one by one, each in a cell
// of its own. There is none when it has no face.
type cells struct {
	face  *face
	box   image.Rectangle // of all cells
	ink   image.Image
	shown []byte
}

// newCells makes n cells in the middle of box, or none when they do not fit.
func newCells(f *face, box image.Rectangle, ink image.Image, n int) cells {
	if f == nil || n*f.advance > box.Dx() {
		return cells{}
	}
	left := (box.Min.X + box.Max.X - n*f.advance) / 2
	box.Min.X, box.Max.X = left, left+n*f.advance
	return cells{face: f, box: box, ink: ink, shown: bytes.Repeat([]byte{' '}, n)}
}

// show writes text, ASCII of as many characters as there are cells.
func (c *cells) show(m *mosaic, text []byte) {
	if c.face == nil {
		return
	}
	for i, is := range text {
		was := c.shown[i]
		if was == is {
			continue
		}
		c.shown[i] = is
		cell := c.box
		cell.Min.X += i * c.face.advance
		cell.Max.X = cell.Min.X + c.face.advance
		pen := image.Pt(cell.Min.X, (c.box.Min.Y+c.box.Max.Y+c.face.ascent)/2)
		fill(m.canvas, cell, black)
		c.face.text(m.canvas, cell, pen, c.ink, string(rune(is)))
		touched := c.face.glyph(rune(was)).at.Union(c.face.glyph(rune(is)).at)
		m.changed(touched.Add(pen).Intersect(cell))
	}
}

// ballTime is how long the ball needs from one end of its track to the other,
// in seconds.
const ballTime = 2

// A ball runs to and fro along a track at constant speed.
type ball struct {
	track    image.Rectangle
	radius   float64
	perFrame float64         // pixels
	last     image.Rectangle // where it is drawn
}

func newBall(track image.Rectangle, fps float64) ball {
	b := ball{track: track, radius: float64(track.Dy()) / 2 * 0.7}
	b.perFrame = b.way() / ballTime / fps
	return b
}

// way is how far the ball's centre moves, in pixels.
func (b *ball) way() float64 { return float64(b.track.Dx()) - 2*b.radius - 2 }

// show draws the ball where it is in frame n.
func (b *ball) show(m *mosaic, n uint64) {
	way := b.way()
	if way <= 0 || b.radius < 1 {
		return
	}
	x := math.Mod(float64(n)*b.perFrame, 2*way)
	if x > way {
		x = 2*way - x
	}
	x += float64(b.track.Min.X) + b.radius + 1
	y := float64(b.track.Min.Y+b.track.Max.Y) / 2

	b.drawTrack(m.canvas, b.last)
	m.changed(b.last)
	b.last = image.Rect(
		int(x-b.radius)-1, int(y-b.radius)-1,
		int(x+b.radius)+2, int(y+b.radius)+2).Intersect(b.track)
	for py := b.last.Min.Y; py < b.last.Max.Y; py++ {
		for px := b.last.Min.X; px < b.last.Max.X; px++ {
			dx, dy := float64(px)+0.5-x, float64(py)+0.5-y
			blend(m.canvas, px, py, amber, b.radius-math.Sqrt(dx*dx+dy*dy))
		}
	}
	m.changed(b.last)
}

// drawTrack draws the part of the empty track that is within clip: a line with a
// mark at every eighth of the ball's way.
func (b *ball) drawTrack(dst *image.RGBA, clip image.Rectangle) {
	clip = clip.Intersect(b.track)
	fill(dst, clip, black)
	y := (b.track.Min.Y + b.track.Max.Y) / 2
	fill(dst, image.Rect(b.track.Min.X, y, b.track.Max.X, y+1).Intersect(clip), pale)
	for i := range 9 {
		x := b.track.Min.X + int(b.radius+1+b.way()*float64(i)/8)
		half := b.track.Dy() / 8
		if i%4 == 0 {
			half *= 2
		}
		fill(dst, image.Rect(x, y-half, x+1, y+half+1).Intersect(clip), pale)
	}
}
