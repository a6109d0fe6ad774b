package pusher

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
)

// testFrame is the smallest thing that passes for a JPEG on the wire.
func testFrame(seq uint64) *camera.Frame {
	return &camera.Frame{
		JPEG: append([]byte{0xff, 0xd8, byte(seq)}, 0xff, 0xd9),
		Seq:  seq, Time: time.Now(), Width: 64, Height: 48,
	}
}

// next waits for the part after p, as a snapshot does, and returns it.
func next(t *testing.T, h *Hub, p *part) *part {
	t.Helper()
	w := newWaiter(nil)
	w.last = p.n
	if !h.park(t.Context(), &w) {
		t.Fatal("the test ended before the next part")
	}
	return h.newest.Load()
}

func TestHubKeepsOnlyTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(nil)
		p, leave := h.watch()
		defer leave()
		if p.frame != nil {
			t.Fatal("a hub without frames gave one")
		}
		for seq := range uint64(3) {
			h.Publish(testFrame(seq + 1))
		}
		newest := next(t, h, p)
		if newest.frame.Seq != 3 || newest.n-p.n != 3 {
			t.Errorf("newest is frame %d, %d parts on; want 3 and 3", newest.frame.Seq, newest.n-p.n)
		}
	})
}

func TestHubDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []bool
		h := NewHub(func(on bool) { calls = append(calls, on) })
		_, leave1 := h.watch()
		_, leave2 := h.watch()
		leave1()
		leave1() // counts once
		_, leave3 := h.watch()
		leave2()
		leave3()
		_, leave4 := h.watch()
		leave4()
		if diff := cmp.Diff([]bool{true, false, true, false}, calls); diff != "" {
			t.Errorf("demand (-want +got):\n%s", diff)
		}
	})
}

// What a newcomer sees first.
func TestHubFirstPart(t *testing.T) {
	down := errors.New("unplugged")
	tests := []struct {
		name string
		do   func(h *Hub)
		want uint64 // the frame's Seq, 0 for none
	}{
		{"nothing yet", func(h *Hub) {}, 0},
		{"a frame just now", func(h *Hub) { h.Publish(testFrame(1)) }, 1},
		{"a frame of an hour ago", func(h *Hub) { h.Publish(testFrame(1)); time.Sleep(time.Hour) }, 0},
		{"a placeholder in force", func(h *Hub) { h.ShowPlaceholder(testFrame(9), down, 1); time.Sleep(time.Hour) }, 9},
		{"a placeholder that is over", func(h *Hub) { h.ShowPlaceholder(testFrame(9), down, 1); h.Up() }, 0},
		{"a frame after a placeholder", func(h *Hub) { h.ShowPlaceholder(testFrame(9), down, 1); h.Publish(testFrame(2)) }, 2},
		{"a placeholder that was drawn too slowly", func(h *Hub) { h.Publish(testFrame(2)); h.ShowPlaceholder(testFrame(9), down, 1) }, 2},
		{"the last frame of a camera that was closed", func(h *Hub) { h.Publish(testFrame(1)); h.Forget(down) }, 0},
		{"a frame on its way then", func(h *Hub) { h.Publish(testFrame(2)); h.Forget(down); h.Publish(testFrame(1)) }, 0},
		{"the placeholder that was drawn by then", func(h *Hub) { h.ShowPlaceholder(testFrame(9), down, 1); h.Forget(down) }, 9},
		{"a frame from before a placeholder", func(h *Hub) { h.ShowPlaceholder(testFrame(9), down, 2); h.Publish(testFrame(2)) }, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHub(nil)
				tt.do(h)
				p, leave := h.watch()
				defer leave()
				var got uint64
				if p.frame != nil {
					got = p.frame.Seq
				}
				if got != tt.want {
					t.Errorf("first part is frame %d, want %d", got, tt.want)
				}
			})
		})
	}
}

// A camera without a battery for its clock draws placeholders in 1970: when the clock
// has been set, they have the time that it was, for newcomers and for those who watch.
func TestHubPlaceholderOfAnUnsetClock(t *testing.T) {
	t.Attr("fault", "system | the clock jumps from 1970 to today | pictures that say why there is none have the time that it was | at once")
	drawn := time.Now()
	f := testFrame(1)
	f.Time = onUnsetClock(t, drawn)
	h := NewHub(nil)
	h.ShowPlaceholder(f, errors.New("unplugged"), 0)
	newcomer, leave := h.watch()
	defer leave()
	h.newest.Load().since = drawn.Add(-resendAfter)
	h.repeat()
	for who, p := range map[string]*part{"a newcomer": newcomer, "who watches": h.newest.Load()} {
		_, rest, _ := bytes.Cut(p.head, []byte("X-Timestamp: "))
		stamp, _, _ := bytes.Cut(rest, []byte("\r"))
		got, err := strconv.ParseFloat(string(stamp), 64)
		// Package time has taken both clocks one after the other, not at the same time.
		if err != nil || math.Abs(got-float64(drawn.UnixMicro())/1e6) > 3600 {
			t.Errorf("%s gets %q for a picture of %v", who, stamp, drawn)
		}
	}
}

// onUnsetClock is a time as it was taken before the clock was set, which moved it by
// decades and left the monotonic clock alone. Package time has no way to say that.
func onUnsetClock(t *testing.T, at time.Time) time.Time {
	t.Helper()
	const years = 20 * 365 * 24 * time.Hour
	before := at
	wall := (*uint64)(unsafe.Pointer(&before)) // its first field: seconds above 30 bits
	*wall -= uint64(years/time.Second) << 30
	if moved, since := at.Round(0).Sub(before.Round(0)), at.Sub(before); moved != years || since != 0 {
		t.Fatalf("the time was moved by %v, and by %v on the monotonic clock", moved, since)
	}
	return before
}

// Covers the players that show each frame when the next one comes.
func TestHubRepeatsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(nil)
		h.Publish(testFrame(1))
		time.Sleep(10 * time.Second)
		if n := h.newest.Load().n; n != 1 {
			t.Errorf("the frame was repeated %d times with nobody watching", n-1)
		}
		_, leave := h.watch()
		h.Publish(testFrame(2))
		start := time.Now()
		p := h.newest.Load()
		for p.n < 5 {
			p = next(t, h, p)
		}
		if took := time.Since(start); took != 3*resendAfter || p.frame.Seq != 2 {
			t.Errorf("frame %d was repeated 3 times in %v, want frame 2 in %v", p.frame.Seq, took, 3*resendAfter)
		}
		leave()
		n := h.newest.Load().n
		time.Sleep(10 * time.Second)
		if h.newest.Load().n != n {
			t.Error("the frame is repeated for nobody")
		}
	})
}

// A camera that takes more than a second to start must not make the picture of
// an hour ago look new, nor a placeholder that is over.
func TestHubDoesNotRepeatHistory(t *testing.T) {
	for name, before := range map[string]func(h *Hub){
		"frame":       func(h *Hub) { h.Publish(testFrame(1)); time.Sleep(time.Hour) },
		"placeholder": func(h *Hub) { h.ShowPlaceholder(testFrame(1), errors.New("unplugged"), 0); h.Up() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHub(nil)
				before(h)
				p, leave := h.watch()
				defer leave()
				time.Sleep(5 * time.Second)
				if h.newest.Load().n != p.n {
					t.Error("it was sent to who came later")
				}
				h.Publish(testFrame(2))
				if f := next(t, h, p).frame; f.Seq != 2 {
					t.Errorf("the first picture is frame %d, want 2", f.Seq)
				}
			})
		})
	}
}

// A camera at 0.1 fps repeats its last frame until the next one.
func TestHubRepeatsOfASlowCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(nil)
		p, leave := h.watch()
		defer leave()
		h.Publish(testFrame(1))
		time.Sleep(9500 * time.Millisecond)
		if parts := h.newest.Load().n - p.n; parts != 10 {
			t.Errorf("%d parts in 9.5 s, want 10", parts)
		}
	})
}

func TestPartHead(t *testing.T) {
	f := &camera.Frame{JPEG: make([]byte, 1234), Seq: 7}
	tests := []struct {
		name  string
		time  time.Time
		stamp string
	}{
		{"now", time.Unix(1700000000, 1234567), "1700000000.001234"},
		{"clock not set", time.Unix(3, 999999999), "3.999999"},
		{"before 1970", time.Unix(-5, 0), "0.000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.Time = tt.time
			want := "Content-Type: image/jpeg\r\nContent-Length: 1234\r\nX-Timestamp: " + tt.stamp + "\r\nX-Frame: 7\r\n\r\n"
			if diff := cmp.Diff(want, string(partHead(f)[len(lineEnd):])); diff != "" {
				t.Errorf("part header (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPublishDoesNotTouchTheFrame(t *testing.T) {
	h := NewHub(nil)
	f := testFrame(1)
	before := bytes.Clone(f.JPEG)
	h.Publish(f)
	if got := h.newest.Load().frame; got != f || !bytes.Equal(got.JPEG, before) {
		t.Error("the hub copied or changed the frame")
	}
}

// A frame that was on its way when the camera was lost comes behind the picture
// that says so, and is not shown any more.
func TestHubLateFrame(t *testing.T) {
	t.Attr("fault", "camera | a frame that comes when its camera is lost already | it is not shown | –")
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(nil)
		if w, h := h.Size(); w != 0 || h != 0 {
			t.Errorf("before the first frame it has %d×%d", w, h)
		}
		h.Publish(testFrame(7))
		gone := errors.New("gone")
		h.ShowPlaceholder(testFrame(0), gone, 8)
		h.Publish(testFrame(8))
		if _, why := h.currentPlaceholder(); why != gone {
			t.Errorf("behind a late frame the reason is %v, want %v", why, gone)
		}
		if f := h.lastFrame(); f != nil {
			t.Errorf("a late frame is shown as the camera's last: %d", f.Seq)
		}
		if w, h := h.Size(); w != 64 || h != 48 {
			t.Errorf("the last frame has %d×%d, want 64×48", w, h)
		}
		h.Publish(testFrame(9))
		if f := h.lastFrame(); f == nil || f.Seq != 9 {
			t.Errorf("the first frame behind the placeholder is %v, want number 9", f)
		}
	})
}
