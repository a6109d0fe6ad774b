package pusher

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/pushcam/pushcam/camera"
)

// A reel makes frames of a size, and counts those that are still in memory.
type reel struct {
	size   int
	frames []weak.Pointer[byte]
}

func (r *reel) frame() *camera.Frame {
	f := bigFrame(uint64(len(r.frames)+1), r.size)
	f.Time = time.Now()
	r.frames = append(r.frames, weak.Make(&f.JPEG[0]))
	return f
}

func (r *reel) inMemory() (n int) {
	runtime.GC()
	for _, f := range r.frames {
		if f.Value() != nil {
			n++
		}
	}
	return n
}

// Clients that stop reading, one after the other, each hold another frame. No more frames
// are in memory than fit, and those who took theirs last go on.
func TestFramesOfStalledClientsFit(t *testing.T) {
	t.Attr("fault", "system | clients that stop reading hold frame after frame (memory) | what they hold fits the budget; who took the last one goes on | at once")
	for _, path := range []string{"/stream", "/snapshot.jpg"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const fit = 5
				r := newRig(t, func(s *Server) { s.Memory, s.Limits = baseMemory+3*fit*200_000, fixed(Limits{MaxViewers: 1000}) })
				film := reel{size: 200_000}
				const clients = 10 * fit
				for i := range clients {
					conn := r.request("GET", path)
					if path == "/stream" {
						conn.Read(make([]byte, len(streamHead(false))+len("\r\n--frame\r\n"))) // the rest waits for a frame
					}
					synctest.Wait()
					time.Sleep(time.Millisecond)
					r.server.Hub.Publish(film.frame())
					synctest.Wait()
					if n, held := film.inMemory(), r.server.frames.held; n > fit+1 || held > r.server.frames.max {
						t.Fatalf("with %d clients %d frames are in memory, and %d bytes held; want %d and the newest", i+1, n, held, fit)
					}
				}
				if n := film.inMemory(); n < fit {
					t.Errorf("only %d frames are in memory: the last clients have lost theirs too", n)
				}
			})
		})
	}
}

// While frames are large, there are fewer places.
func TestPlacesFitFrames(t *testing.T) {
	s := &Server{Limits: fixed(Limits{MaxViewers: 128})}
	for size, want := range map[int]int{100: 128, 256 << 10: 128, 512 << 10: 64, 4 << 20: 8, 64 << 20: 2} {
		if got := s.placesFor(&camera.Frame{JPEG: make([]byte, size)}); got != want {
			t.Errorf("frames of %d bytes: %d places, want %d", size, got, want)
		}
	}
	if got := s.placesFor(nil); got != 128 {
		t.Errorf("without a frame: %d places", got)
	}
	if got := (&Server{Limits: fixed(Limits{MaxViewers: 1})}).placesFor(&camera.Frame{JPEG: make([]byte, 4<<20)}); got != 1 {
		t.Errorf("of one place, %d are left", got)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 4}) })
		film := reel{size: 600_000}
		r.server.Hub.Publish(film.frame())
		r.stream("/stream")
		r.stream("/stream")
		if a := r.do("GET", "/stream"); a.Code != 503 || !strings.Contains(a.Body, "All 2 places") {
			t.Errorf("the third viewer: %+v", a)
		}
	})
}

// A viewer that waits for its next frame keeps none.
func TestWaitingViewerKeepsNoFrame(t *testing.T) {
	a := newAudience(t, 0)
	film := reel{size: 50_000}
	const viewers = 4
	for i := range viewers {
		server, client := pair(t, "tcp", "127.0.0.1:0")
		v := newViewer(server, time.Hour, new(ageHistogram))
		v.interval, v.closing = time.Hour, time.Hour
		a.viewers, a.clients = append(a.viewers, v), append(a.clients, client)
		a.start(v, server)
		go expect(client, film.size)
		a.awaitWatchers(i + 1)
		a.hub.Publish(film.frame())
		for v.sent.Load() == 0 {
			runtime.Gosched()
		}
	}
	a.hub.Publish(film.frame())
	if n := film.inMemory(); n > 2 { // the newest, and one that may be on its way out
		t.Errorf("%d frames are in memory while %d viewers wait for their next ones", n, viewers)
	}
}
