//go:build linux

package main

import (
	"bytes"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// measuredGlass is a run of -glass in which every target is met.
func measuredGlass() results {
	r := results{only: glassSections}
	for _, c := range slowCases() {
		r.slow = append(r.slow, slowRun{of: c, gated: []phase{{FPS: c.fps(), P50: c.ideal() + 10}}, plain: []phase{{FPS: c.fps(), P50: 900}}})
	}
	for _, c := range glassCases() {
		run := glassRun{of: c, fps: 30, cores: 0.5, seen: []float64{15, 20, 25}, fresh: []float64{15, 16}}
		if c.how == byImage {
			run.fps, run.cores = 29, 0.5
		}
		r.glass = append(r.glass, run)
	}
	r.pages = []crowdRun{{viewers: crowdPages, cores: 0.1, memory: 19, share: 1}, {viewers: crowdPages, pages: true, cores: 0.102, memory: 25, share: 1}}
	r.many = []crowdRun{{viewers: crowdMany, memory: 60, share: 1, ages: []float64{10, 20}}}
	r.instructions = []insnRun{{1, 1e5}}
	return r
}

func TestGlassTargets(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*results)
		missed int
	}{
		"all are met":                 {func(*results) {}, 0},
		"a slow reader's frames":      {func(r *results) { old(r.slow, 100) }, 1},
		"a reader that starves":       {func(r *results) { starve(r.slow, 100) }, 1},
		"old pictures in Chromium":    {func(r *results) { r.glass[1].seen = []float64{31} }, 1},
		"a screen that shows nothing": {func(r *results) { r.glass[7].seen, r.glass[7].fps = nil, 0 }, 1},
		"a page that costs more":      {func(r *results) { r.glass[1].cores = 0.6 }, 1},
		"pages that cost more":        {func(r *results) { r.pages[1].cores = 0.12 }, 1},
		"pages that get less":         {func(r *results) { r.pages[1].share = 0.9 }, 1},
		"pages that take memory":      {func(r *results) { r.pages[1].memory = 30 }, 1},
		"old pictures for many":       {func(r *results) { r.many[0].ages = []float64{60} }, 1},
	} {
		r := measuredGlass()
		tt.change(&r)
		lines := 0
		var all []target
		for _, section := range glassSections {
			all = append(all, r.glassResults.targets(section)...)
		}
		for _, target := range all {
			if target.verdict != met {
				lines++
			}
		}
		if lines != tt.missed || len(all) != 14 {
			t.Errorf("%s: %d of %d targets are missed, want %d of 14: %+v", name, lines, len(all), tt.missed, all)
		}
	}
}

// old makes the frames of readers at a round trip old.
func old(runs []slowRun, rtt int) {
	for i := range runs {
		if runs[i].of.RTT == rtt {
			runs[i].gated[0].P50 += 30
		}
	}
}

func starve(runs []slowRun, rtt int) {
	for i := range runs {
		if runs[i].of.RTT == rtt {
			runs[i].gated[0].FPS *= 0.85
		}
	}
}

// A picture of the recording is known on a screen, and its stamp tells its number.
func TestCodes(t *testing.T) {
	s := screen{width: pictureWidth, height: pictureHeight, stride: 4 * pictureWidth, lost: true, pixels: make([]byte, 4*pictureWidth*pictureHeight)}
	if _, ok := s.picture(); ok {
		t.Error("an empty screen shows a picture")
	}
	jpg, err := codedPicture(205)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(jpg))
	if err != nil {
		t.Fatal(err)
	}
	for i := range pictureWidth * pictureHeight {
		y, _, _, _ := m.At(i%pictureWidth, i/pictureWidth).RGBA()
		for c := range 3 {
			s.pixels[4*i+c] = byte(y >> 8)
		}
	}
	if n, ok := s.picture(); !ok || n != 205 {
		t.Errorf("the screen shows %d, %v; want 205", n, ok)
	}
	r := frameReader{}
	r.hi = copy(r.buf[:], "Content-Type: image/jpeg\r\nContent-Length: 100\r\nX-Timestamp: 12.5\r\n\r\n")
	r.hi += copy(r.buf[r.hi:], jpg[:100])
	r.src = nothing{}
	if f, n, err := r.numbered(func() int64 { return 1 }); err != nil || n != 206 || f.Captured != 12.5e9 {
		t.Errorf("stamp: frame %+v, number %d, %v", f, n, err)
	}
}

// A picture counts from when it appears: the recording comes again, and a picture that
// stands still must not become young with it.
func TestLook(t *testing.T) {
	var r glassRun
	var l look
	ms := func(n int64) int64 { return n * 1e6 }
	l.see(5, ms(1000), ms(1020)) // while the browser settles
	l.run = &r
	l.see(5, ms(1000), ms(1030))
	l.see(6, 0, ms(1040)) // not known yet
	l.see(6, ms(1033), ms(1045))
	l.see(6, ms(11033), ms(11050)) // the recording has come round
	l.see(7, ms(11066), ms(11080))
	if diff := cmp.Diff([]float64{12, 14}, r.fresh); diff != "" {
		t.Errorf("new pictures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{30, 12, 10017, 14}, r.seen); diff != "" {
		t.Errorf("what stands there (-want +got):\n%s", diff)
	}
}

// A browser that shows nothing, or nothing new, is a result and has a row.
func TestGlassRows(t *testing.T) {
	r := measuredGlass()
	for i := range r.glass {
		switch run := &r.glass[i]; run.of {
		case glassCase{"firefox", byImage, 0.5}:
			run.fps, run.fresh, run.seen = 0, nil, []float64{9000, 12000}
		case glassCase{"firefox", byImage, 0.2}:
			*run = glassRun{of: run.of}
		}
	}
	report := r.part("browsers")
	for _, want := range []string{
		"| firefox | `<img>` | 0.5 | frozen for 8 s | – | 9000/12000 | 0.50 | 0.00 |",
		"| firefox | `<img>` | 0.2 | no picture in 60 s | – | – | 0.00 | 0.00 |",
		"| firefox | page | 0.2 | 30.0 | 15/16 | 20/25 | 0.50 | 0.00 |",
		"20 ms, 30.0 frames a second (`<img>`: no picture in 60 s) | met |",
		"| webkit | memory | all | 30.0 | – | – | 0.50 | 0.00 |",
		"1.00 × (from memory: 1.00 ×) | met |",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q:\n%s", want, report)
		}
	}
	if p := r.glassResults.plot(0.5); len(p.Curves) != 4 {
		t.Errorf("the plot has %d curves, want 4", len(p.Curves))
	}
}

// On a busy machine a target that is missed says nothing of the page, and a browser that
// starves takes little processor time.
func TestGlassOnBusyMachine(t *testing.T) {
	r := measuredGlass()
	for i := range r.glass {
		r.glass[i].others = 1.5
	}
	r.glass[1].seen = []float64{300}
	var got []verdict
	for _, target := range r.glassResults.targets("browsers") {
		got = append(got, target.verdict)
	}
	if diff := cmp.Diff([]verdict{tooBusy, met, met, met, met, met, tooBusy, tooBusy, tooBusy}, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, errNoFrame }
func (nothing) Discard(n int) error      { return nil }

func TestRecord(t *testing.T) {
	r := frameReader{src: nothing{}}
	r.hi = copy(r.buf[:], "\x00\x00\x00\x00............\x00\x00\x00\x03............abc\x00\x00\x00\x02............de")
	for range 2 {
		if f, err := r.record(func() int64 { return 7 }); err != nil || f.Last != 7 {
			t.Errorf("%+v, %v", f, err)
		}
	}
	if r.lo != r.hi {
		t.Errorf("%d bytes are left", r.hi-r.lo)
	}
}
