package testcard

import (
	"bytes"
	"image"
	"math"
	"testing"
	"time"
)

// noon is when frame 0 of the tests is drawn.
var noon = time.Date(2026, 5, 9, 12, 0, 0, 0, time.UTC)

func newCard(t testing.TB, size image.Point) *Card {
	t.Helper()
	c, err := New(Config{Width: size.X, Height: size.Y, FPS: 30, Quality: 80, Caption: "no camera attached"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// at is when frame n is drawn.
func at(n uint64) time.Time { return noon.Add(time.Duration(n) * time.Second / 30) }

// frame draws frame n at its time.
func frame(t testing.TB, c *Card, n uint64) []byte {
	t.Helper()
	b, err := c.Frame(at(n), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCard compares frames that were made by redrawing what changed with what
// image/jpeg makes of the canvas, and the canvas with that of a card on which
// nothing else was ever drawn.
func TestCard(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.String(), func(t *testing.T) {
			card := newCard(t, size)
			for _, n := range []uint64{0, 1, 7_654_321} {
				wantSame(t, decode(t, frame(t, card, n)), whole(t, card.mosaic))
				fresh := newCard(t, size)
				fresh.update(at(n), n)
				if !bytes.Equal(card.mosaic.canvas.Pix, fresh.mosaic.canvas.Pix) {
					t.Fatalf("frame %d shows something of the frames before it", n)
				}
			}
		})
	}
}

// TestCardAnySize draws at all sizes at which one thing or another may not fit.
func TestCardAnySize(t *testing.T) {
	for w := 1; w <= 400; w += 19 {
		for _, h := range []int{1, 9, 50, 97, 200} {
			got := decode(t, frame(t, newCard(t, image.Pt(w, h)), 5)).Rect
			if want := image.Rect(0, 0, w, h); got != want {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
}

func TestCardShows(t *testing.T) {
	tests := []struct {
		name           string
		now            time.Time
		n              uint64
		clock, counter string
	}{
		{"first", noon, 1, "12:00:00.000", "frame 00000001"},
		{"leading zeros", noon.Add(-12*time.Hour + 7*time.Millisecond), 1234, "00:00:00.007", "frame 00001234"},
		{"all digits", noon.Add(-time.Nanosecond), 99_999_999, "11:59:59.999", "frame 99999999"},
		{"begins anew", noon, 100_000_000, "12:00:00.000", "frame 00000000"},
	}
	card := newCard(t, image.Pt(640, 480))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := card.Frame(tt.now, tt.n); err != nil {
				t.Fatal(err)
			}
			if got := string(card.clock.shown); got != tt.clock {
				t.Errorf("time %q, want %q", got, tt.clock)
			}
			if got := string(card.counter.shown); got != tt.counter {
				t.Errorf("number %q, want %q", got, tt.counter)
			}
		})
	}
}

// TestCardElements checks from which size on an element is there.
func TestCardElements(t *testing.T) {
	tests := []struct {
		size           image.Point
		clock, counter bool
	}{
		{image.Pt(1280, 720), true, true},
		{image.Pt(320, 240), true, true},
		{image.Pt(160, 120), true, false},
		{image.Pt(64, 48), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.size.String(), func(t *testing.T) {
			card := newCard(t, tt.size)
			if got := card.clock.face != nil; got != tt.clock {
				t.Errorf("clock: %v, want %v", got, tt.clock)
			}
			if got := card.counter.face != nil; got != tt.counter {
				t.Errorf("counter: %v, want %v", got, tt.counter)
			}
		})
	}
}

// TestBall follows the ball over its track: it moves by the same distance in
// each frame, and turns round at the ends.
func TestBall(t *testing.T) {
	m := newMosaic(640, 480, 80)
	b := newBall(image.Rect(20, 100, 620, 140), 30)
	if got, want := b.perFrame*30*ballTime, b.way(); math.Abs(got-want) > 1e-9 {
		t.Fatalf("%v pixels in %d s, want %v", got, ballTime, want)
	}
	var rightmost, leftAgain int
	last := 0
	for n := range uint64(2 * 30 * ballTime) {
		b.show(m, n)
		if !b.last.In(b.track) {
			t.Fatalf("frame %d: the ball at %v is outside its track %v", n, b.last, b.track)
		}
		if n > 0 {
			step := b.last.Min.X - last
			if d := math.Abs(math.Abs(float64(step)) - b.perFrame); d > 1 && n != 30*ballTime && n != 30*ballTime+1 {
				t.Errorf("frame %d: a step of %d pixels, want %.1f", n, step, b.perFrame)
			}
		}
		last = b.last.Min.X
		rightmost = max(rightmost, b.last.Max.X)
		leftAgain = last
	}
	if rightmost < 618 || leftAgain > 45 {
		t.Errorf("the ball came from the left as far as %d, and back to %d", rightmost, leftAgain)
	}
}

func TestQuality(t *testing.T) {
	last := 0
	for _, quality := range []int{1, 30, 60, 80, 95, 100} {
		card, err := New(Config{Width: 320, Height: 240, FPS: 30, Quality: quality})
		if err != nil {
			t.Fatal(err)
		}
		n := len(frame(t, card, 1))
		if n <= last {
			t.Errorf("%d bytes in quality %d, %d in the one below", n, quality, last)
		}
		last = n
	}
}

func TestCaption(t *testing.T) {
	canvas := func(caption string) []byte {
		c, err := New(Config{Width: 640, Height: 480, FPS: 30, Quality: 80, Caption: caption})
		if err != nil {
			t.Fatal(err)
		}
		return c.mosaic.canvas.Pix
	}
	none, short := canvas(""), canvas("no camera attached")
	if bytes.Equal(none, short) {
		t.Error("the caption is not there")
	}
	long := bytes.Repeat([]byte("no camera at all "), 1000)
	two := canvas(string(long))
	if bytes.Equal(short, two) {
		t.Error("the long caption is not there")
	}
	// It stays below the moving parts.
	if n := 640 * 4 * 360; !bytes.Equal(none[:n], two[:n]) {
		t.Error("a long caption covers the upper three quarters")
	}
}
