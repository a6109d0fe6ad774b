package pusher

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Whom a foreign domain that leads to our address (DNS rebinding) does not let look in.
func TestHosts(t *testing.T) {
	t.Attr("fault", "abuse | a foreign name that leads to the camera (DNS rebinding) | nothing is shown by it | –")
	tests := map[string]int{ // the answer's code, by the Host
		"192.0.2.7": 200, "192.0.2.7:8080": 200, "[2001:db8::7]": 200, "[fe80::7]:80": 200,
		"pushcam": 200, "anything": 200, "localhost:8080": 200, "PushCam.Local.": 200, "garden.lan": 200,
		"a.b.home.arpa": 200, "cam.internal:81": 200, "x.localhost": 200, "": 200,
		"other.fritz.box": 200, "cam.example.org": 200, "fritz.box": 403,
		"evil.example": 403, "local.evil.example": 403, "pushcam.local.evil.example": 403, "192.0.2.7.evil.example": 403,
		"xcam.example.org": 403, "a.cam.example.org": 403, "evil.localx": 403, "x.notlocal": 403, "..": 403,
	}
	for host, want := range tests {
		t.Run(host, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(s *Server) { s.Names = func() []string { return []string{"", "Cam.Example.org", ".fritz.box"} } })
				r.film()
				for _, path := range []string{"/healthz", "/", "/snapshot.jpg", "/state", "/?action=snapshot"} {
					a := r.ask(host, path)
					if a.Code != want || want == 403 && !strings.Contains(a.Body, "-allow-host "+strings.TrimSuffix(host, ".")) {
						t.Errorf("%s: %d %.100q, want %d", path, a.Code, a.Body, want)
					}
				}
			})
		})
	}
}

// What scripts of other pages may read: session ids and keep-alives. What else viewers
// see, only those of pages that the owner has named.
func TestOrigins(t *testing.T) {
	t.Attr("fault", "abuse | scripts of other pages | they may read nothing that the owner has not allowed | –")
	const named, other = "https://home.example:8123", "http://other.example"
	tests := []struct {
		method, path, origin string
		allow                []string // Server.AllowOrigins
		want                 string
	}{
		{"GET", "/stream", other, nil, "*"}, // a session's id
		{"POST", "/sessions", other, nil, "*"},
		{"GET", "/123456789012345", other, nil, "*"}, // its keep-alive
		{"OPTIONS", "/stream", other, nil, "*"},
		{"OPTIONS", "/state", other, nil, ""},
		{"GET", "/state", other, nil, ""},
		{"GET", "/snapshot.jpg", other, nil, ""},
		{"GET", "/metrics", other, nil, ""},
		{"GET", "/", other, nil, ""},
		{"GET", "/state", other, []string{named}, ""},
		{"GET", "/state", named, []string{named}, named},
		{"OPTIONS", "/state", named, []string{named}, named},
		{"GET", "/snapshot.jpg", named, []string{named}, named},
		{"GET", "/state", other, []string{AnyOrigin}, "*"},
		{"GET", "/own", named, []string{named, AnyOrigin}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path+" for "+tt.origin, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own")}), func(s *Server) { s.AllowOrigins = fixed(tt.allow) })
				r.film()
				a := r.do(tt.method, tt.path, "Origin: "+tt.origin)
				if got := a.Header.Get("Access-Control-Allow-Origin"); got != tt.want || (tt.method == "OPTIONS") != (a.Header.Get("Access-Control-Allow-Methods") != "") && tt.want != "" {
					t.Errorf("%q, want %q; header %v", got, tt.want, a.Header)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // its owner thinks of another while the page is open
		var allowed atomic.Pointer[[]string]
		allowed.Store(new([]string))
		r := newRig(t, func(s *Server) { s.AllowOrigins = func() []string { return *allowed.Load() } })
		for _, now := range [][]string{{other}, {named}, nil} {
			allowed.Store(&now)
			h := r.do("GET", "/state", "Origin: "+named).Header
			want := strings.Join(now, "")
			if got := h.Get("Access-Control-Allow-Origin"); got == named != (want == named) || !strings.HasSuffix(h.Get("Content-Security-Policy"), strings.TrimRight("'self' "+want, " ")) {
				t.Errorf("with %v: %v", now, h)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) { // an <img crossorigin>, for a canvas
		for origin, want := range map[string]string{named: named, other: ""} {
			r := newRig(t, func(s *Server) { s.AllowOrigins = fixed([]string{named}) })
			s, conn := r.stream("/stream.mjpg", "Origin: "+origin)
			if got := s.Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("a stream for %s: %q, want %q", origin, got, want)
			}
			conn.Close()
			r.stop()
		}
	})
}

// No answer is taken for something else, nor run.
func TestProtectedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own")}))
		r.film()
		for _, path := range []string{"/", "/view", "/wall", "/page.js", "/page.css", "/icon.svg", "/frames?fps=0", "/state", "/metrics", "/healthz", "/licenses", "/nowhere", "/snapshot.jpg", "/123456789012345", "/own", "/sessions"} {
			h := r.do("GET", path).Header
			policy := h.Get("Content-Security-Policy")
			framed := strings.Contains(policy, "frame-ancestors 'self'") || path == "/snapshot.jpg"
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || !framed {
				t.Errorf("%s: %v", path, h)
			}
			if path != "/own" && (!strings.HasPrefix(policy, "default-src 'none'") && !strings.HasPrefix(policy, "default-src 'self'") && policy != "" || strings.Contains(policy, "script") || strings.Contains(policy, "unsafe")) {
				t.Errorf("%s lets scripts in a page run: %s", path, policy)
			}
		}
	})
}

// No page has a script or a style in it, or a policy by which one in it would work: what
// gets into a page does not run. Who sees a page is given what it loads.
func TestNoInlineCode(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script>|<style| style=| on[a-z]+=|javascript:`)
	for name, content := range allWebFiles(t) {
		if strings.HasSuffix(name, ".html") && inline.Match(content) {
			t.Errorf("%s has a script or a style in it: %s", name, inline.Find(content))
		}
	}
	loads := regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)"|<script [^>]*src="([^"]+)"`)
	closed := func(s *Server) { s.Viewing = &Viewing{Verify: func(string) bool { return false }} }
	for name, with := range map[string]func(*Server){
		"open":           func(*Server) {},
		"owned":          withOwner(nil),
		"closed":         closed,
		"without owner":  withoutOwner(new(atomic.Value)),
		"closed and new": func(s *Server) { withoutOwner(new(atomic.Value))(s); closed(s) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, with)
			r.film()
			synctest.Wait() // it has its endpoints when it serves
			pages := 0
			for _, path := range append(slices.Collect(maps.Keys(r.server.endpoints)), "/nowhere") {
				if path == sessionPaths {
					path = "/123456789012345"
				}
				a := r.do("GET", path+"?fps=0", "User-Agent: Mozilla/5.0", "Accept: text/html,application/xhtml+xml")
				if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
					continue
				}
				pages++
				policy := a.Header.Get("Content-Security-Policy")
				for _, must := range []string{"default-src '", "base-uri 'none'", "form-action 'self'", "frame-ancestors "} {
					if !strings.Contains(policy, must) {
						t.Errorf("%s, %s: no %s in %q", name, path, must, policy)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script") || inline.MatchString(a.Body) {
					t.Errorf("%s, %s: %q\n%s", name, path, policy, a.Body)
				}
				for _, m := range loads.FindAllStringSubmatch(a.Body, -1) {
					if b := r.do("GET", "/"+m[1]+m[2]); b.Code != http.StatusOK {
						t.Errorf("%s, %s loads %s%s: status %d", name, path, m[1], m[2], b.Code)
					}
				}
			}
			if pages == 0 {
				t.Errorf("%s: there is no page", name)
			}
		})
	}
}
