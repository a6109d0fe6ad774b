package pusher

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The owner's password is changed by who knows it. What began with the one before is over:
// the logins of others, requests under way, signed URLs, and the limiter's knowledge of it.
func TestOwnerChangesThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is, slow := ownersPassword, make(chan struct{})
		c := newClosedRig(t, withOwner(map[string]http.Handler{
			"/own":  says("own"),
			"/slow": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(slow) }),
		}), func(s *Server) {
			s.Owner.Verify = func(password string) (bool, error) { time.Sleep(250 * time.Millisecond); return password == is, nil }
			s.Owner.Change = func(password string) error {
				if len(password) < 8 {
					return ErrUnsuitable
				}
				is = password
				return nil
			}
		})
		mine, other, viewer := c.logIn(ownersPassword), c.logIn(ownersPassword), c.logIn(viewersPassword)
		conn := c.request("GET", "/slow", other)
		defer conn.Close()
		change := func(old, now string, header ...string) answer {
			time.Sleep(time.Minute) // whoever tried a wrong one waits
			return c.form("POST", passwordPath, url.Values{"old": {old}, "new": {now}}, header...)
		}
		for _, refused := range []struct {
			old, now string
			header   []string
			code     int
			says     string
		}{
			{ownersPassword, "a-new-password", nil, 401, "needs the owner's password"},
			{ownersPassword, "a-new-password", []string{viewer}, 401, "logged in as a viewer"},
			{"", "a-new-password", []string{mine}, 422, "as the password of until now"},
			{"guessed", "a-new-password", []string{mine}, 422, "as the password of until now"},
			{viewersPassword, "a-new-password", []string{mine}, 422, "as the password of until now"},
			{ownersPassword, "short", []string{mine}, 422, "not taken"},
		} {
			if a := change(refused.old, refused.now, refused.header...); a.Code != refused.code || !strings.Contains(a.Body, refused.says) {
				t.Errorf("%+v: %d %s", refused, a.Code, a.Body)
			}
		}
		if is != ownersPassword || c.code("GET", "/own", other) != 200 {
			t.Fatal("something was changed")
		}
		signed := c.sign("/stream", basic(ownersPassword))

		a := change(ownersPassword, "a-new-password", mine)
		cookie, attributes, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.Code != http.StatusSeeOther || cookie == "" || "Cookie: "+cookie == mine || !strings.Contains(attributes+";", " Path=/;") { // else it is for /api alone
			t.Fatalf("the change: %+v", a)
		}
		<-slow
		time.Sleep(time.Minute)
		for what, want := range map[string]struct {
			header string
			code   int
		}{
			"the new login":           {"Cookie: " + cookie, 200},
			"the login of before":     {mine, 401},
			"another login of before": {other, 401},
			"the new password":        {basic("a-new-password"), 200},
			"the one before":          {basic(ownersPassword), 401},
		} {
			if code := c.code("GET", "/own", want.header); code != want.code {
				t.Errorf("%s: %d, want %d", what, code, want.code)
			}
		}
		if code := c.code("GET", "/view", viewer); code != 200 {
			t.Errorf("a viewer's login: %d", code)
		}
		if code := c.code("GET", signed); code != 403 {
			t.Errorf("a URL signed with the one before: %d", code)
		}
		if a := change("a-new-password", "another-password", basic("a-new-password")); a.Code != http.StatusNoContent || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("by a program: %+v", a)
		}
		if code := c.code("GET", passwordPath, basic("another-password")); code != 405 {
			t.Errorf("GET: %d", code)
		}
	})
}

// The cookie of a changed password takes the place of the login's, also behind a proxy that has
// the camera at a path of its own, where it is for no other program.
func TestChangedPasswordsCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t, func(s *Server) { s.Owner.Change = func(string) error { return nil } })
		for _, tt := range []struct{ page, path string }{
			{"", "/"},
			{"http://cam.local/panel", "/"},
			{"https://home.example/webcam/panel", "/webcam"},
			{"https://home.example/my%20cams/door/panel?x=/y/", "/my%20cams/door"},
			{"https://home.example", "/"},
			{"%", "/"},
		} {
			a := c.form("POST", passwordPath, url.Values{"old": {ownersPassword}, "new": {"another"}}, c.logIn(ownersPassword), "Referer: "+tt.page)
			cookies := (&http.Response{Header: a.Header}).Cookies()
			if len(cookies) != 1 || cookies[0].Path != tt.path {
				t.Errorf("by %q: %v, want one for %s", tt.page, cookies, tt.path)
			}
		}
	})
}
