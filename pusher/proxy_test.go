package pusher

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

// A browser behind a proxy logs in by http, where it sends Origin alone, if the proxy passes
// on the name that it was asked by, and the camera knows that. The owner's changes go there
// the same way.
func TestLoginBehindProxy(t *testing.T) {
	const name = "cam.example:8080"
	for _, tt := range []struct {
		title       string
		keeps       bool   // the proxy passes on the name
		called      string // by its owner
		origin      string
		login, owns int // codes
	}{
		{"as README says", true, "cam.example", name, 303, 200},
		{"another site's page", true, "cam.example", "evil.example", 403, 403},
		{"a name that is not allowed", true, "other.example", name, 403, 403},
		{"the proxy uses the camera's name", false, "cam.example", name, 403, 403},
	} {
		t.Run(tt.title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClosedRig(t, func(s *Server) {
					s.Names = func() []string { return []string{tt.called} }
					s.Owner.Names = func() []string { return []string{"pushcam.local", tt.called} }
				})
				proxy := &httputil.ReverseProxy{
					Rewrite: func(r *httputil.ProxyRequest) {
						r.SetURL(&url.URL{Scheme: "http", Host: "pushcam.local"})
						if tt.keeps {
							r.Out.Host = r.In.Host
						}
					},
					Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c.dial(), nil }},
				}
				post := func(path, body string, headers ...string) *http.Response {
					r := httptest.NewRequestWithContext(t.Context(), "POST", "http://"+name+path, strings.NewReader(body))
					r.Header.Set("Origin", "http://"+tt.origin)
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					for _, h := range headers {
						key, value, _ := strings.Cut(h, ": ")
						r.Header.Set(key, value)
					}
					w := httptest.NewRecorder()
					proxy.ServeHTTP(w, r)
					return w.Result()
				}
				a := post("/login", url.Values{"password": {viewersPassword}}.Encode())
				if a.StatusCode != tt.login || (len(a.Cookies()) == 1) != (tt.login == 303) {
					t.Errorf("the login: %s, %v; want %d", a.Status, a.Header, tt.login)
				}
				if a := post("/own", "", basic(ownersPassword)); a.StatusCode != tt.owns {
					t.Errorf("what is the owner's: %s, want %d", a.Status, tt.owns)
				}
			})
		})
	}
}
