package pusher

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// The bytes on the wire, one for one: what players choke on is not visible
// behind a parser. Blink and WebKit show a part when they have the next one's
// header, which therefore goes ahead of its frame.
func TestStreamOnTheWire(t *testing.T) {
	const (
		head = "HTTP/1.0 200 OK\r\n" +
			"Connection: close\r\n" +
			"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n" +
			"Cache-Control: no-store, no-cache, must-revalidate, private, max-age=0\r\n" +
			"Pragma: no-cache\r\n" +
			"X-Accel-Buffering: no\r\n" +
			"\r\n" +
			"--frame\r\n"
		partHead = "Content-Type: image/jpeg\r\nContent-Length: 5\r\nX-Timestamp: 1700000000.000042\r\nX-Frame: 5\r\n\r\n"
		frame    = "\xff\xd8\x05\xff\xd9"
		tail     = "\r\n--frame\r\n"
		ahead    = "Content-Type: image/jpeg\r\n\r\n"
	)
	const (
		gecko  = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
		webkit = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/60.5 Safari/605.1.15"
		blink  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	)
	plain, early := [2]string{head, partHead + frame + tail}, [2]string{head + ahead, frame + tail + ahead}
	for _, tt := range []struct {
		name, path, accept, agent string
		want                      [2]string // the stream's beginning, and a part
	}{
		{"player", "/stream", "*/*", "", plain},
		{"program that wants pictures", "/stream", "image/jpeg", "tool/1.0", plain},
		{"Java", "/stream", "text/html, image/gif, image/jpeg, */*; q=0.2", "Java/17.0.15", plain},
		{"Firefox", "/stream", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", gecko, plain},
		{"WebKit's img", "/stream?once=1", "image/webp,image/avif,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", webkit, early},
		{"WebKit's script", "/stream?once=1", "*/*", webkit, plain},
		{"Chrome's img", "/stream", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", blink, early},
		{"Chrome's address bar", "/stream", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8", blink, early},
		{"relay that asks for it", "/stream?advance_headers=1", "*/*", "", early},
		{"browser that asks not to", "/stream?advance_headers=0", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", blink, plain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				conn := r.request("GET", tt.path, "Accept: "+tt.accept, "User-Agent: "+tt.agent)
				expect := func(what, want string) {
					t.Helper()
					b := make([]byte, len(want))
					if _, err := io.ReadFull(conn, b); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, string(b)); diff != "" {
						t.Fatalf("%s (-want +got):\n%s", what, diff)
					}
				}
				expect("head", tt.want[0])
				synctest.Wait()
				f := testFrame(5)
				f.Time = time.Unix(1700000000, 42000)
				r.server.Hub.Publish(f)
				expect("part", tt.want[1])
				go r.stop()
				expect("end", "\r\n--frame--\r\n")
				if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("behind the end: %d bytes, %v; want EOF", n, err)
				}
			})
		})
	}
}

func TestStreamPaths(t *testing.T) {
	for _, path := range []string{"/stream", "/stream.mjpg", "/?action=stream", "/webcam/?action=stream", "/stream?1700000000"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.film()
				s, _ := r.stream(path)
				var seqs []uint64
				for range 5 {
					seqs = append(seqs, r.next(s).Seq)
				}
				for i, seq := range seqs {
					if seq != seqs[0]+uint64(i) {
						t.Fatalf("frames %v are not in order without gaps", seqs)
					}
				}
				if h := s.Header; h.Get("Transfer-Encoding") != "" || h.Get("Content-Length") != "" {
					t.Errorf("a stream's header has a length or a transfer encoding: %v", h)
				}
			})
		})
	}
}

// ?fps=N is exact on average, whatever the camera's rate is, and shows the
// newest frame in each interval.
func TestStreamFPSLimit(t *testing.T) {
	for _, tt := range []struct {
		fps    string
		frames int // in 10 s at 30 fps
	}{{"1", 10}, {"7", 70}, {"20", 200}, {"29.97", 300}, {"30", 300}, {"60", 300}} {
		t.Run(tt.fps, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.film()
				s, conn := r.stream("/stream?fps=" + tt.fps)
				first := r.next(s)
				start, n := time.Now(), 1
				var oldest time.Duration
				for time.Since(start) < 10*time.Second {
					p := r.next(s)
					oldest = max(oldest, time.Since(p.Capture))
					n++
				}
				conn.Close()
				if n < tt.frames-2 || n > tt.frames+2 {
					t.Errorf("%d frames in 10 s, want %d", n, tt.frames)
				}
				if oldest > time.Second/30+time.Millisecond {
					t.Errorf("a frame was %v old, want the newest", oldest)
				}
				if first.Seq == 0 {
					t.Error("the first frame has no number")
				}
			})
		})
	}
}

func TestStreamBadAdvanceHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if a := r.do("GET", "/stream?advance_headers=yes"); a.Code != http.StatusBadRequest || !strings.Contains(a.Body, `"yes"`) {
			t.Errorf("%d %s", a.Code, a.Body)
		}
	})
}

func TestStreamBadFPS(t *testing.T) {
	for _, fps := range []string{"x", "0", "-1", "NaN", "Inf", "1e9", "30fps", "0.001"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			a := r.do("GET", "/stream?fps="+fps)
			if a.Code != http.StatusBadRequest || !strings.Contains(a.Body, "fps") || !strings.Contains(a.Body, fps) {
				t.Errorf("fps=%s: %d %s", fps, a.Code, a.Body)
			}
		})
	}
}

// A viewer that stops reading is gone after the viewer timeout; the others do
// not notice.
func TestStalledViewerIsDropped(t *testing.T) {
	t.Attr("fault", "network | a viewer that stops reading | the others do not notice | it is gone after 10 s, and its memory with it")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		healthy, _ := r.stream("/stream")
		stalled, _ := r.stream("/stream")
		r.next(stalled)
		start := time.Now()
		var last uint64
		for time.Since(start) < 11*time.Second {
			p := r.next(healthy)
			if last != 0 && p.Seq != last+1 {
				t.Fatalf("the healthy viewer got frame %d after %d", p.Seq, last)
			}
			last = p.Seq
		}
		r.server.mu.Lock()
		n := len(r.server.viewers)
		r.server.mu.Unlock()
		if n != 1 {
			t.Errorf("%d viewers after 11 s, want only the healthy one", n)
		}
		if _, err := drain(stalled); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stalled viewer's stream ended with %v", err)
		}
	})
}

func TestTooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places atomic.Int64
		places.Store(2)
		r := newRig(t, func(s *Server) { s.Limits = func() Limits { return Limits{MaxViewers: int(places.Load())} } })
		stopFilm := r.film()
		_, first := r.stream("/stream")
		r.stream("/stream")
		a := r.do("GET", "/stream")
		if a.Code != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "2 places") {
			t.Errorf("third viewer: %d %v %s", a.Code, a.Header, a.Body)
		}
		first.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		third, _ := r.stream("/stream")
		places.Store(1) // whoever is there stays
		if a := r.do("GET", "/stream"); a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body, "1 places") {
			t.Errorf("with fewer places: %d %s", a.Code, a.Body)
		}
		r.next(third)
		places.Store(3)
		r.stream("/stream")
		stopFilm()
	})
}

// Streams stay open over a loss of the camera: they carry a picture that says
// so, then frames again.
func TestPlaceholderInStream(t *testing.T) {
	t.Attr("fault", "camera | the camera is lost while others watch | streams stay open, with a picture that says so | the next frame")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, _ := r.stream("/stream")
		synctest.Wait()
		r.server.Hub.Publish(testFrame(1))
		r.next(s)
		r.server.Hub.ShowPlaceholder(placeholderFrame(), errUnplugged, 1)
		for range 3 { // it is repeated while it holds
			if p := r.next(s); !strings.Contains(string(p.JPEG), "no camera") {
				t.Fatalf("viewers see %q while there is no camera", p.JPEG)
			}
		}
		synctest.Wait()
		r.server.Hub.Publish(testFrame(2))
		if p := r.next(s); p.Seq != 2 {
			t.Errorf("after the camera came back: frame %d, want 2", p.Seq)
		}
		if m := r.do("GET", "/metrics").Body; !strings.Contains(m, "pushcam_frame_age_seconds_sum 0\npushcam_frame_age_seconds_count 2\n") {
			t.Errorf("the ages are not those of the camera's two frames, sent at once:\n%s", m)
		}
	})
}

func TestStopEndsStreams(t *testing.T) {
	t.Attr("fault", "system | SIGTERM while others watch | each stream gets its closing boundary | –")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		healthy, _ := r.stream("/stream")
		r.next(healthy)
		stalled, _ := r.stream("/stream")
		r.next(stalled)
		time.Sleep(time.Second)
		start := time.Now()
		stopped := make(chan error)
		go func() { stopped <- r.stop() }()
		if _, err := drain(healthy); !errors.Is(err, pushertest.ErrClosed) {
			t.Errorf("a healthy stream ended with: %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if took := time.Since(start); took > stopTimeout {
			t.Errorf("stopping took %v, the bound is %v", took, stopTimeout)
		}
	})
}

// closesHalf is a connection whose client may be told that nothing more comes.
type closesHalf struct{ net.Conn }

func (closesHalf) CloseWrite() error { return nil }

// The end waits neither for those who take nothing nor for those who send nothing.
func TestStopUnderLoad(t *testing.T) {
	t.Attr("fault", "system | SIGTERM while many watch, ask and stall | nobody is waited for | ended within 0.6 s")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 20 {
			r.stream("/stream")
			r.request("GET", "/snapshot")
			r.request("GET", "/")
			r.request("POST", "/sessions", "Content-Length: 100")
			r.dial()
		}
		stopFilm := r.film()
		time.Sleep(time.Second)
		stopFilm()
		refused, server := net.Pipe() // and says nothing more itself
		defer refused.Close()
		r.server.connections.refuse(closesHalf{server}, "")
		start := time.Now()
		if err := r.stop(); err != nil || time.Since(start) > stopTimeout {
			t.Errorf("Serve returned %v after %v", err, time.Since(start))
		}
	})
}

func TestDemandFollowsViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		if r.camera.demand.Load() {
			t.Fatal("demand without viewers")
		}
		s, conn := r.stream("/stream")
		r.next(s)
		if !r.camera.demand.Load() {
			t.Fatal("no demand with a viewer")
		}
		conn.Close()
		time.Sleep(time.Second)
		if r.camera.demand.Load() {
			t.Error("demand after the viewer left")
		}
	})
}
