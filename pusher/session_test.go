package pusher

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// The headers of the JPGPusher client page's three kinds of requests, from
// another origin over plain http.
var (
	load = []string{"Accept: text/html, */*; q=0.01", "Origin: http://other.local"}
	img  = []string{"Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "Referer: http://other.local/"} // Firefox's, whose parts the strict parser takes
	xhr      = []string{"Accept: */*", "Origin: http://other.local", "Referer: http://other.local/"}
	noHint   = []string{"Accept: */*"}
	localImg = []string{"Accept: */*", "Sec-Fetch-Dest: image"}
	localXHR = []string{"Accept: */*", "Sec-Fetch-Dest: empty"}
)

// newID opens a session as a JPGPusher client does.
func (r *rig) newID() string {
	r.t.Helper()
	a := r.do("GET", "/stream", load...)
	if a.Code != 200 || !isSessionID(a.Body) || a.Header.Get("Content-Type") != "text/plain" ||
		a.Header.Get("Content-Length") != "15" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		r.t.Fatalf("GET /stream by a script: %+v", a)
	}
	return a.Body
}

func TestSessionLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		id := r.newID()
		if r.camera.demand.Load() {
			t.Error("the camera runs before the session is shown")
		}
		s, conn := r.stream("/"+id, img...)
		hits := make(chan answer, 1)
		for range 5 { // 9 s of watching, kept by keep-alives
			for start := time.Now(); time.Since(start) < 1800*time.Millisecond; {
				r.next(s)
			}
			go func() { hits <- r.do("GET", "/"+id, xhr...) }()
			for len(hits) == 0 {
				r.next(s)
			}
			a := <-hits
			if diff := cmp.Diff("{\n  \"expires_in\": 5\n}\n", a.Body); a.Code != 200 || diff != "" ||
				a.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Fatalf("keep-alive: %d %v (-want +got):\n%s", a.Code, a.Header, diff)
			}
		}

		last := time.Now()
		if _, err := drain(s); !errors.Is(err, pushertest.ErrClosed) {
			t.Errorf("without keep-alives the stream ended with: %v", err)
		}
		if took := time.Since(last); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("without keep-alives the stream ended after %v, want 5 s", took)
		}
		conn.Close()
		synctest.Wait()
		if r.camera.demand.Load() || r.server.sessions.count() != 0 {
			t.Errorf("after the session: demand %v, %d sessions", r.camera.demand.Load(), r.server.sessions.count())
		}

		time.Sleep(time.Minute) // the id is still known
		s, conn = r.stream("/"+id, img...)
		r.next(s)
		conn.Close()
		time.Sleep(5*time.Second + remembered + time.Second)
		a := r.do("GET", "/"+id, img...)
		if a.Code != http.StatusNotFound || !a.Close || !strings.Contains(a.Body, "GET /stream") {
			t.Errorf("a forgotten session: %+v", a)
		}
		if n := len(r.server.sessions.byID); n != 0 {
			t.Errorf("%d sessions are kept for nothing", n)
		}
	})
}

// What a hit is, by its headers and by whether the session is shown already.
func TestSessionHits(t *testing.T) {
	tests := []struct {
		name          string
		method        string
		header        []string
		first, second string // what it gets before and while an <img> shows the session
	}{
		{"img", "GET", img, "stream", "stream"},
		{"img on localhost", "GET", localImg, "stream", "stream"},
		{"script of another origin", "GET", xhr, "keep-alive", "keep-alive"},
		{"script on localhost", "GET", localXHR, "keep-alive", "keep-alive"},
		{"no hint", "GET", noHint, "stream", "keep-alive"},
		{"our own page", "POST", noHint, "keep-alive", "keep-alive"},
		{"HEAD", "HEAD", noHint, "keep-alive", "keep-alive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				got := func(id string) string {
					conn := r.request(tt.method, "/"+id, append(tt.header, "Connection: close")...)
					defer conn.Close()
					b := make([]byte, 8)
					if _, err := conn.Read(b); err != nil {
						t.Fatal(err)
					}
					if string(b) == "HTTP/1.0" {
						return "stream"
					}
					return "keep-alive"
				}
				if g := got(r.newID()); g != tt.first {
					t.Errorf("first hit got a %s, want a %s", g, tt.first)
				}
				id := r.newID()
				r.stream("/"+id, img...)
				if g := got(id); g != tt.second {
					t.Errorf("second hit got a %s, want a %s", g, tt.second)
				}
			})
		})
	}
}

// A reloaded page shows its session again: the new connection takes over, the
// old one ends cleanly.
func TestSessionTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		id := r.newID()
		old, _ := r.stream("/"+id, img...)
		ended := make(chan error)
		go func() { _, err := drain(old); ended <- err }()
		s, _ := r.stream("/"+id, img...)
		if err := <-ended; !errors.Is(err, pushertest.ErrClosed) {
			t.Errorf("the older connection ended with: %v", err)
		}
		synctest.Wait()
		r.server.Hub.Publish(testFrame(1))
		r.next(s)
		// The older stream's end must not have detached the newer one.
		if a := r.do("GET", "/"+id, noHint...); !strings.Contains(a.Body, "expires_in") {
			t.Errorf("a hit beside the newer stream got %+v", a)
		}
	})
}

// A reload in a full house keeps its place, and a wrong request ends nothing.
func TestSessionTakeOverInAFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 1}) })
		id := r.newID()
		first, _ := r.stream("/"+id, img...)
		for _, query := range []string{"?fps=x", "?advance_headers=x"} {
			if a := r.do("GET", "/"+id+query, img...); a.Code != http.StatusBadRequest {
				t.Errorf("a wrong request: %+v", a)
			}
		}
		synctest.Wait()
		r.server.Hub.Publish(testFrame(1))
		r.next(first)
		go drain(first)
		second, _ := r.stream("/"+id, img...)
		synctest.Wait()
		r.server.Hub.Publish(testFrame(2))
		r.next(second)
		if a := r.do("GET", "/stream"); a.Code != http.StatusServiceUnavailable {
			t.Errorf("another viewer in a full house: %d", a.Code)
		}
	})
}

// The session's time follows the frame rate and has a floor.
func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{SessionFrames: 300}) })
		var got struct {
			ID        string  `json:"id"`
			URL       string  `json:"url"`
			ExpiresIn float64 `json:"expires_in"`
			Every     float64 `json:"keepalive_every"`
		}
		if err := json.Unmarshal([]byte(r.do("POST", "/sessions").Body), &got); err != nil {
			t.Fatal(err)
		}
		if !isSessionID(got.ID) || got.ExpiresIn < 9.99 || got.ExpiresIn > 10 || got.Every > 5 {
			t.Errorf("session: %+v", got)
		}
		// It is found from where it was asked for, also behind a proxy's /webcam/.
		asked, err := url.Parse("http://proxy/webcam/sessions")
		if err != nil {
			t.Fatal(err)
		}
		if at, err := asked.Parse(got.URL); err != nil || at.Path != "/webcam/"+got.ID {
			t.Errorf("the session's address is %q: %v, %v", got.URL, at, err)
		}
	})
}

func TestTooManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places atomic.Int64
		places.Store(3)
		r := newRig(t, func(s *Server) { s.Limits = func() Limits { return Limits{MaxSessions: int(places.Load())} } })
		first := r.newID()
		time.Sleep(time.Second)
		for range 2 {
			s, _ := r.stream("/"+r.newID(), img...)
			go drain(s)
		}
		if a := r.do("GET", "/stream", load...); a.Code != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("fourth session: %+v", a)
		}
		time.Sleep(4500 * time.Millisecond) // the first one has ended
		r.newID()
		if a := r.do("GET", "/"+first, img...); a.Code != http.StatusServiceUnavailable {
			t.Errorf("an ended session came back into a full house: %+v", a)
		}
		places.Store(4)
		r.newID()
	})
}

// A session's stream that finds all viewer places taken leaves the session
// usable.
func TestSessionWithoutViewerPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 1}) })
		r.film()
		s, conn := r.stream("/stream")
		r.next(s)
		id := r.newID()
		if a := r.do("GET", "/"+id, img...); a.Code != http.StatusServiceUnavailable {
			t.Fatalf("session without a place: %+v", a)
		}
		conn.Close()
		time.Sleep(time.Second)
		s, _ = r.stream("/"+id, img...)
		r.next(s)
	})
}

func TestSessionIDsAreUnguessable(t *testing.T) {
	ss := newSessions(func() int { return 1000 })
	defer ss.close()
	var digits [sessionDigits][10]int
	for range 1000 {
		id, err := ss.open(netip.Addr{}, time.Hour)
		if err != nil || !isSessionID(id) {
			t.Fatalf("id %q, %v", id, err)
		}
		for i, d := range id {
			digits[i][d-'0']++
		}
	}
	for i, counts := range digits {
		for d, n := range counts {
			if n < 40 || n > 180 { // 100 ± 8 standard deviations
				t.Errorf("digit %d is at place %d in %d of 1000 ids", d, i, n)
			}
		}
	}
}

func TestIsSessionID(t *testing.T) {
	for id, want := range map[string]bool{
		"123456789012345": true, "000000000000000": true,
		"": false, "12345678901234": false, "1234567890123456": false,
		"12345678901234x": false, "-12345678901234": false, "１23456789012": false,
	} {
		if got := isSessionID(id); got != want {
			t.Errorf("isSessionID(%q) = %v", id, got)
		}
	}
}

// HEAD tells what GET would answer a script, and begins no session.
func TestHeadBeginsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := r.do("HEAD", "/stream", "X-Requested-With: XMLHttpRequest")
		if a.Code != 200 || a.Header.Get("Content-Type") != "text/plain" || r.server.sessions.count() != 0 {
			t.Errorf("%+v, %d sessions", a, r.server.sessions.count())
		}
	})
}

// A session's stream that is taken over goes on until its client has taken what is under
// way, or for the viewer timeout. So each takeover is one more place that is taken, and
// they have a bound, too.
func TestTakeoversAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 4
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: places, MaxSessions: 4}) })
		r.remote = netip.MustParseAddr("192.168.1.9")
		r.film()
		id := r.newID()
		for range 10 * places {
			conn := r.request("GET", "/"+id, "Accept: image/webp")
			if _, err := io.ReadAtLeast(conn, make([]byte, 700), 100); err != nil { // then it reads no more
				t.Fatal(err)
			}
			time.Sleep(40 * time.Millisecond)
			r.server.mu.Lock()
			viewers, taken := len(r.server.viewers), r.server.places.total
			r.server.mu.Unlock()
			if viewers > places+1 || taken > places+1 {
				t.Fatalf("%d viewers have %d of %d places, and one for a takeover", viewers, taken, places)
			}
		}
	})
}
