package conformance

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// The age on the page is that of what is drawn, whatever the viewer's clock says, and it is
// known within 50 ms as soon as the camera has answered quickly enough. Page and camera are
// on one computer here, so its clock tells the truth to both.
func TestAgeOnThePage(t *testing.T) {
	for name, tt := range map[string]struct{ hours, rate int }{
		"0 h": {}, "1 h": {hours: 1}, "-1 h": {hours: -1},
		"slow link": {rate: 125_000}, // on which a picture takes longer than the age may be wrong
	} {
		hours := tt.hours
		t.Run(name, func(t *testing.T) {
			tb := chromiumAlone(t, "the age on the page is within 50 ms of what is drawn, also on a slow link, and if the viewer's clock is an hour wrong",
				fmt.Sprintf(`const rightDate = Date, write = Number.prototype.toLocaleString, said = {};
					window.saidAt = text => said[text]; // the right time when the page wrote this number
					Number.prototype.toLocaleString = function (...a) { const text = write.apply(this, a); said[text] = rightDate.now(); return text; };
					Date = class extends rightDate { constructor(...a) { a.length ? super(...a) : super(rightDate.now() + %[1]d); } static now() { return rightDate.now() + %[1]d; } };`, hours*3600_000))
			dir := recording(t)
			if tt.rate > 0 {
				dir = recordingOf(t, 1600, 1200)
			}
			p := start(t, "-source", "replay:"+dir, "-fps", "0.4")
			taken := capturesOf(t, p)
			_, through := passageTo(t, p, tt.rate)
			tb.open(through.url + "/")
			shown(t, tb, "#picture")
			const doubt = `parseFloat(document.getElementById("age").title.replace("± ", ""))`
			until(t, tb, doubt+` <= 0.05`)
			// What is wrong with the clock shows in every reading. A single one can be late by as
			// long as the busy machine kept the browser between the age and its number.
			best := time.Duration(math.MaxInt64)
			for range 5 {
				// As the page has just said the age: what it says, since when, and the picture.
				var said struct {
					Age     string
					Doubt   float64 // seconds
					Now     float64
					Picture []float64
				}
				tb.eval(`new Promise(done => new MutationObserver((_, o) => {
					o.disconnect();
					const picture = document.getElementById("picture");
					const middle = new OffscreenCanvas(1, 1).getContext("2d");
					middle.drawImage(picture, picture.width / 2, picture.height / 2, 1, 1, 0, 0, 1, 1);
					const Picture = [...middle.getImageData(0, 0, 1, 1).data];
					const Age = document.getElementById("age").textContent;
					done({ Age, Doubt: `+doubt+`, Now: saidAt(Age.replace(" s old", "")), Picture });
				}).observe(document.getElementById("age"), { childList: true, characterData: true, subtree: true }))`, &said)
				seconds, err := strconv.ParseFloat(strings.TrimSuffix(said.Age, " s old"), 64)
				if err != nil {
					t.Fatal(err)
				}
				now := time.UnixMilli(int64(said.Now))
				truth := now.Sub(taken(said.Picture, now))
				off := time.Duration(seconds*float64(time.Second)) - truth
				t.Logf("the page says %s ± %v s; it is %v old, which is %v off", said.Age, said.Doubt, truth, off)
				best = min(best, off.Abs())
			}
			if best > 50*time.Millisecond {
				t.Errorf("the age on the page is %v off", best)
			}
		})
	}
}

// capturesOf notes when a recording's pictures leave the camera. The returned function
// tells when the last one of a colour did before a moment.
func capturesOf(t *testing.T, p *program) func(rgba []float64, before time.Time) time.Time {
	t.Helper()
	resp, err := http.Get(p.url + "/stream?name=test")
	if err != nil {
		t.Fatal(err)
	}
	type capture struct {
		colour string
		at     time.Time
	}
	var (
		mu      sync.Mutex
		all     []capture
		reading sync.WaitGroup
	)
	head := "HTTP/1.0 200 OK\r\nContent-Type: " + resp.Header.Get("Content-Type") + "\r\n\r\n"
	frames, err := pushertest.NewStreamReader(bufio.NewReader(io.MultiReader(strings.NewReader(head), resp.Body)))
	if err != nil {
		t.Fatal(err)
	}
	reading.Go(func() {
		for {
			part, err := frames.Next()
			if err != nil {
				return // the test is over
			}
			mu.Lock()
			all = append(all, capture{colour(t, part.JPEG), part.Capture})
			mu.Unlock()
		}
	})
	t.Cleanup(func() { resp.Body.Close(); reading.Wait() })
	return func(rgba []float64, before time.Time) (at time.Time) {
		name := ""
		for _, c := range colours {
			if math.Abs(rgba[0]-float64(c.rgb.R)) < 40 && math.Abs(rgba[1]-float64(c.rgb.G)) < 40 && math.Abs(rgba[2]-float64(c.rgb.B)) < 40 {
				name = c.name
			}
		}
		await(t, func() string { return "a picture that is " + name + ", as on the page" }, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range all {
				if c.colour == name && c.at.Before(before) {
					at = c.at
				}
			}
			return !at.IsZero()
		})
		return at
	}
}

// The age stays within 50 ms for hours although the clocks drift apart, by exchanges of which
// each is late in one direction or the other. Time is the test's own.
func TestAgeOfDriftingClocks(t *testing.T) {
	tb := chromiumAlone(t, "the age on the page stays within 50 ms while the clocks of browser and camera drift apart for hours", "")
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	for _, drift := range []string{"1e-4", "-1e-4"} {
		var worst struct{ Off, Doubt float64 }
		tb.eval(`(async () => {
			const { Clock } = await import("./clock.js");
			let now = 1000, seed = 1, Off = 0, Doubt = 0;
			const random = most => { seed = seed * 48271 % 2147483647; return most * seed / 2147483647; };
			const right = performance.now, camera = t => 5e6 + t * (1 + `+drift+`);
			const clock = new Clock();
			performance.now = () => now;
			try {
				for (let i = 0; i < 2000; i++) {
					const asked = now, there = asked + 1 + random(40), answered = there + 1 + random(40);
					clock.exchange(asked, answered, camera(there));
					for (now = answered; now < answered + (i < 12 ? 500 : 10_000); now += 500) {
						if (i >= 12) Off = Math.max(Off, Math.abs(clock.age(camera(now) - 700) - 700)), Doubt = Math.max(Doubt, clock.doubt / 2);
					}
				}
			} finally { performance.now = right; }
			return { Off, Doubt };
		})()`, &worst)
		t.Logf("drift %s: at most %.1f ms off, and so much in doubt: %.1f ms", drift, worst.Off, worst.Doubt)
		if worst.Off == 0 || worst.Off > 50 {
			t.Errorf("with a drift of %s the age is up to %v ms off", drift, worst.Off)
		}
	}
}
