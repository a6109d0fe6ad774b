// Package testcard draws the pictures that pushcam makes itself, the test
// pattern and the placeholders, and encodes them as JPEG fast enough for a slow
// computer.
package testcard

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"time"
)

// Config says what a card is to show.
type Config struct {
	Width, Height int // pixels, from 1
	FPS           float64
	Quality       int    // JPEG quality, 1 to 100
	Caption       string // one or two lines at the bottom, "" for none
}

// A Card is a test card in the manner of the Philips PM5544: a grid with marked
// edges, and a disc with colour bars, gratings of 8 to 1 pixels, and steps and a
// ramp of grey. In it run the time of day and a frame number, to see latency
// and drops, and a ball, to see whether the picture moves smoothly.
//
// Elements that would be too small to read are left out.
type Card struct {
	mosaic  *mosaic
	clock   cells
	counter cells
	ball    ball
	text    []byte
}

// New draws the parts of a card that stay.
func New(c Config) (*Card, error) {
	font, err := newTypeface()
	if err != nil {
		return nil, err
	}
	card := &Card{mosaic: newMosaic(c.Width, c.Height, c.Quality)}
	if err := card.draw(font, c); err != nil {
		return nil, err
	}
	return card, nil
}

// Frame returns the card as JPEG, with the time now, as frame number n. The ball
// is where it belongs when frames are numbered without a gap at the card's
// rate. The bytes are the caller's.
func (c *Card) Frame(now time.Time, n uint64) ([]byte, error) {
	c.update(now, n)
	return c.mosaic.encode()
}

// update draws what moves.
func (c *Card) update(now time.Time, n uint64) {
	c.text = now.AppendFormat(c.text[:0], clockLayout)
	c.clock.show(c.mosaic, c.text)

	c.text = fmt.Appendf(c.text[:0], counterLabel+"%0*d", counterDigits, n%100_000_000)
	c.counter.show(c.mosaic, c.text)

	c.ball.show(c.mosaic, n)
}

const (
	clockLayout   = "15:04:05.000"
	counterLabel  = "frame "
	counterDigits = 8
)

// The colours of the card.
var (
	white  = ink(235, 235, 235)
	black  = ink(16, 16, 16)
	ground = ink(92, 96, 102)
	pale   = ink(176, 180, 186)
	yellow = ink(amber.R, amber.G, amber.B)
	amber  = color.RGBA{250, 208, 60, 255}

	// Colour bars of 75 %.
	bars = []image.Image{
		ink(191, 191, 191), ink(191, 191, 0), ink(0, 191, 191), ink(0, 191, 0),
		ink(191, 0, 191), ink(191, 0, 0), ink(0, 0, 191),
	}
)

// draw paints what stays, and says where the moving parts are.
func (c *Card) draw(font *typeface, cfg Config) error {
	size := image.Pt(cfg.Width, cfg.Height)
	radius := float64(min(size.X, size.Y)) * 0.455
	grid := max(4, int(math.Round(radius/6.5)))
	canvas := c.mosaic.canvas
	drawGround(canvas, size, grid)

	// The disc is drawn as the square around it, which is then cut out.
	r := int(math.Ceil(radius))
	square := image.NewRGBA(image.Rect(0, 0, 2*r, 2*r))
	centre := size.Div(2)
	corner := centre.Sub(image.Pt(r, r))
	// band is a part of the square, in radiuses from its centre.
	band := func(x0, y0, x1, y1 float64) image.Rectangle {
		at := func(v float64) int { return r + int(math.Round(v*radius)) }
		return image.Rect(at(x0), at(y0), at(x1), at(y1))
	}
	px := func(v float64) int { return int(v * radius) }

	top := band(-1.1, -1.1, 1.1, -0.52)
	middle := band(-1.1, -0.24, 1.1, 0.36)
	bottom := band(-1.1, 0.68, 1.1, 1.1)
	fill(square, top, white)
	drawBars(square, band(-1.0, -0.52, 1.0, -0.24))
	fill(square, middle, black)
	drawGratings(square, band(-1.0, 0.36, 1.0, 0.52))
	drawSteps(square, band(-0.85, 0.52, 0.85, 0.60))
	drawRamp(square, band(-0.80, 0.60, 0.80, 0.68))
	fill(square, bottom, black)

	title, err := font.size(px(0.17))
	if err != nil {
		return err
	}
	small, err := font.size(px(0.085))
	if err != nil {
		return err
	}
	large, err := font.size(px(0.25))
	if err != nil {
		return err
	}
	title.centred(square, band(-0.6, -0.90, 0.6, -0.72), black, "pushcam")
	small.centred(square, band(-0.75, -0.70, 0.75, -0.57), black, "test pattern")
	mode := fmt.Sprintf("%d×%d · %.4g fps", cfg.Width, cfg.Height, cfg.FPS)
	small.centred(square, band(-0.66, 0.69, 0.66, 0.80), white, mode)
	cutOut(canvas, square, corner, radius)
	drawCaption(canvas, small, size, grid, cfg.Caption)

	c.clock = newCells(large, band(-0.95, -0.22, 0.95, 0.03).Add(corner), white, len(clockLayout))
	c.counter = newCells(small, band(-0.9, 0.035, 0.9, 0.135).Add(corner), yellow, len(counterLabel)+counterDigits)
	c.ball = newBall(band(-0.9, 0.15, 0.9, 0.35).Add(corner), cfg.FPS)
	fill(canvas, c.ball.track, black)
	c.ball.drawTrack(canvas, c.ball.track)
	return nil
}

// drawGround covers a picture of the given size with a grid that is centred in
// it, and marks its edges so that it shows when some of it is cut off.
func drawGround(dst *image.RGBA, size image.Point, grid int) {
	fill(dst, dst.Rect, ground)
	line := max(1, grid/24)
	first := func(middle int) int { return middle%grid - grid - line/2 }
	for x := first(size.X / 2); x < dst.Rect.Max.X; x += grid {
		fill(dst, image.Rect(x, 0, x+line, dst.Rect.Max.Y), pale)
	}
	for y := first(size.Y / 2); y < dst.Rect.Max.Y; y += grid {
		fill(dst, image.Rect(0, y, dst.Rect.Max.X, y+line), pale)
	}
	edge := max(1, grid/4)
	inks := [2]image.Image{black, white}
	for i, x := 0, size.X/2%grid-grid; x < size.X; i, x = i+1, x+grid {
		fill(dst, image.Rect(x, 0, x+grid, edge), inks[i%2])
		fill(dst, image.Rect(x, size.Y-edge, x+grid, dst.Rect.Max.Y), inks[(i+1)%2])
	}
	for i, y := 0, size.Y/2%grid-grid; y < size.Y; i, y = i+1, y+grid {
		fill(dst, image.Rect(0, max(y, edge), edge, min(y+grid, size.Y-edge)), inks[i%2])
		fill(dst, image.Rect(size.X-edge, max(y, edge), dst.Rect.Max.X, min(y+grid, size.Y-edge)), inks[(i+1)%2])
	}
}

// maxCaption is how many lines a caption may have.
const maxCaption = 2

// drawCaption writes text above the lower edge of a picture of the given size.
func drawCaption(dst *image.RGBA, f *face, size image.Point, grid int, text string) {
	if f == nil {
		return
	}
	room := (size.X - 2*grid) / f.advance
	rows := wrap(cut(text, maxTextLength), max(1, room))
	if len(rows) > maxCaption {
		rows = rows[:maxCaption]
		rows[maxCaption-1] = cut(rows[maxCaption-1]+"…", room)
	}
	height := f.ascent * 8 / 5
	bottom := size.Y - grid*3/4 - height*(maxCaption-len(rows))/2
	box := image.Rect(0, bottom-height*len(rows), size.X, bottom-height*(len(rows)-1))
	for _, row := range rows {
		width := f.width(row) + 2*f.advance
		fill(dst, image.Rect((size.X-width)/2, box.Min.Y, (size.X+width)/2, box.Max.Y), black)
		f.centred(dst, box, yellow, row)
		box = box.Add(image.Pt(0, height))
	}
}

// split returns the i-th of n parts of r, side by side.
func split(r image.Rectangle, i, n int) image.Rectangle {
	return image.Rect(r.Min.X+r.Dx()*i/n, r.Min.Y, r.Min.X+r.Dx()*(i+1)/n, r.Max.Y)
}

func drawBars(dst *image.RGBA, r image.Rectangle) {
	for i, c := range bars {
		fill(dst, split(r, i, len(bars)), c)
	}
}

// drawGratings draws vertical lines of 8 pixels down to 1.
func drawGratings(dst *image.RGBA, r image.Rectangle) {
	fill(dst, r, black)
	widths := []int{8, 6, 4, 3, 2, 1, 1, 2, 3, 4, 6, 8}
	for i, w := range widths {
		part := split(r, i, len(widths))
		for x := part.Min.X + w; x < part.Max.X; x += 2 * w {
			fill(dst, image.Rect(x, r.Min.Y, min(x+w, part.Max.X), r.Max.Y), white)
		}
	}
}

// drawSteps draws eleven greys from black to white.
func drawSteps(dst *image.RGBA, r image.Rectangle) {
	const steps = 11
	for i := range steps {
		v := uint8(16 + 219*i/(steps-1))
		fill(dst, split(r, i, steps), ink(v, v, v))
	}
}

// drawRamp draws all greys from white to black.
func drawRamp(dst *image.RGBA, r image.Rectangle) {
	for x := r.Min.X; x < r.Max.X; x++ {
		v := uint8(235 - 219*(x-r.Min.X)/max(1, r.Dx()-1))
		fill(dst, image.Rect(x, r.Min.Y, x+1, r.Max.Y), ink(v, v, v))
	}
}

// cutOut puts the disc of the given radius in the middle of square onto dst, the
// square's corner at corner, with a smooth edge.
func cutOut(dst, square *image.RGBA, corner image.Point, radius float64) {
	middle := float64(square.Rect.Dx()) / 2
	for y := range square.Rect.Dy() {
		dy := float64(y) + 0.5 - middle
		chord := func(r float64) image.Rectangle {
			half := math.Sqrt(max(0, r*r-dy*dy))
			return image.Rect(int(middle-half), y, int(middle+half), y+1)
		}
		inner, outer := chord(radius-1), chord(radius+1)
		draw.Draw(dst, inner.Add(corner), square, inner.Min, draw.Src)
		for x := outer.Min.X; x <= outer.Max.X; x++ {
			if x == inner.Min.X {
				x = inner.Max.X
			}
			dx := float64(x) + 0.5 - middle
			blend(dst, corner.X+x, corner.Y+y, square.RGBAAt(x, y), radius-math.Sqrt(dx*dx+dy*dy))
		}
	}
}

// blend puts a pixel into dst when it is inside a shape, the edge of which is
// so many pixels away, and mixes it when it is on the edge.
func blend(dst *image.RGBA, x, y int, c color.RGBA, inside float64) {
	switch cover := inside + 0.5; {
	case cover <= 0:
	case cover >= 1:
		dst.SetRGBA(x, y, c)
	default:
		under := dst.RGBAAt(x, y)
		mix := func(from, to uint8) uint8 {
			return uint8(math.Round(float64(from)*(1-cover) + float64(to)*cover))
		}
		dst.SetRGBA(x, y, color.RGBA{mix(under.R, c.R), mix(under.G, c.G), mix(under.B, c.B), 255})
	}
}
