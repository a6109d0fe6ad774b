package pusher

import (
	"bufio"
	"fmt"
	"net/http"
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
				host := "pushcam.local"
				if tt.keeps {
					host = name
				}
				post := func(path, body string, headers ...string) *http.Response {
					t.Helper()
					head := append([]string{"POST " + path + " HTTP/1.1", "Host: " + host, "Origin: http://" + tt.origin, "X-Forwarded-For: 192.168.1.7",
						"Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(body)), "Connection: close"}, headers...)
					conn := c.send(strings.Join(head, "\r\n") + "\r\n\r\n" + body)
					defer conn.Close()
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					return resp
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
