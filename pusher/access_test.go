package pusher

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Viewing is opened and closed while the server runs. To close it ends what nobody has
// shown a password for, and nothing else.
func TestSetOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t, func(s *Server) { s.Viewing.Open = true })
		c.film()
		cookie := c.logIn(ownersPassword)
		if code := c.code("GET", "/state"); code != 200 {
			t.Fatalf("an open camera answers %d", code)
		}
		if a := c.do("GET", "/signed?path=stream"); a.Code != 403 {
			t.Errorf("who has shown nothing has a URL signed: %+v", a)
		}
		ended := make(chan string, 2)
		for name, header := range map[string][]string{"a stranger": nil, "the owner": {cookie}} {
			s, _ := c.stream("/stream", header...)
			go func() { drain(s); ended <- name }()
		}
		synctest.Wait()
		c.server.SetOpen(false)
		time.Sleep(time.Second)
		if len(ended) != 1 || <-ended != "a stranger" {
			t.Error("not only the stranger's stream has ended")
		}
		if code := c.code("GET", "/stream"); code != 401 {
			t.Errorf("a closed camera answers %d", code)
		}
		if a := c.do("GET", "/", cookie); !strings.Contains(a.Body, `action="logout"`) {
			t.Error("the page of a closed camera has no button to log out")
		}
		c.server.SetOpen(true)
		if code := c.code("GET", "/stream"); code != 200 {
			t.Errorf("a camera that is open again answers %d", code)
		}
		if len(ended) > 0 {
			t.Error("to open it has ended a stream")
		}
	})
}

// To close viewing before the server runs is to begin with it closed.
func TestSetOpenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t, func(s *Server) {
			s.Viewing.Open = true
			s.SetOpen(false)
		})
		if code := c.code("GET", "/state"); code != 401 {
			t.Errorf("a closed camera answers %d", code)
		}
	})
}

// A stranger who waits for a picture while viewing is closed gets none.
func TestClosedWhileASnapshotIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t, func(s *Server) { s.Viewing.Open = true })
		codes := make(chan int)
		go func() { codes <- c.code("GET", "/snapshot") }()
		synctest.Wait()
		c.server.SetOpen(false)
		synctest.Wait()
		c.film() // the camera has started
		if code := <-codes; code != http.StatusForbidden {
			t.Errorf("it is answered with %d", code)
		}
	})
}

// Another viewers' password ends what the one before has opened, and not what a token or the
// owner has.
func TestSetViewersPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		c.film()
		viewer, token := c.logIn(viewersPassword), c.token("wall")
		byViewer, byOwner := c.sign("/snapshot", basic(viewersPassword)), c.sign("/snapshot", basic(ownersPassword))
		ended := make(chan string, 4)
		for name, request := range map[string][]string{
			"cookie": {"/stream", viewer}, "password": {"/stream", basic(viewersPassword)},
			"token": {"/stream?token=" + token}, "owner": {"/stream", basic(ownersPassword)},
		} {
			s, _ := c.stream(request[0], request[1:]...)
			go func() { drain(s); ended <- name }()
		}
		synctest.Wait()
		c.server.SetViewersPassword(func(password string) bool { return password == "another one" })
		time.Sleep(time.Second)
		got := make(map[string]bool)
		for range len(ended) {
			got[<-ended] = true
		}
		if !maps.Equal(got, map[string]bool{"cookie": true, "password": true}) {
			t.Errorf("the streams by %v have ended", got)
		}
		for header, want := range map[string]int{viewer: 401, basic(viewersPassword): 401, basic("another one"): 200, basic(ownersPassword): 200} {
			if code := c.code("GET", "/state", header); code != want {
				t.Errorf("%s is answered with %d, want %d", header, code, want)
			}
		}
		if a, b := c.code("GET", byViewer), c.code("GET", byOwner); a != 403 || b != 200 {
			t.Errorf("URLs that the viewers' password and the owner's have signed are answered with %d and %d", a, b)
		}
		c.server.SetViewersPassword(nil)
		time.Sleep(time.Minute) // the wrong ones are forgiven
		if code := c.code("GET", "/state", basic("another one")); code != 401 {
			t.Errorf("a password that is gone is answered with %d", code)
		}
	})
}

// Who sends the viewers' password while the owner replaces it does not stay: to verify it
// takes a while.
func TestReplacedWhileVerified(t *testing.T) {
	for _, byPage := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newClosedRig(t)
			c.film()
			after := make(chan func() int, 1) // asked when the password is replaced
			go func() {
				if byPage {
					viewer := c.logIn(viewersPassword)
					after <- func() int { return c.code("GET", "/state", viewer) }
					return
				}
				s, _ := c.stream("/stream", basic(viewersPassword))
				drain(s)
				after <- fixed(http.StatusUnauthorized)
			}()
			time.Sleep(verifyTime + verifyTime/2) // it is not the owner's, and now the viewers' hash is made
			c.server.SetViewersPassword(func(password string) bool { return password == "another one" })
			select {
			case ask := <-after:
				if code := ask(); code != http.StatusUnauthorized {
					t.Errorf("a login by the password of before is answered with %d", code)
				}
			case <-time.After(time.Minute):
				t.Error("a stream by the password of before goes on")
			}
		})
	}
}

// A script of the page logs in without a form of its own to be led to, and is told in JSON.
func TestLoginByScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own")}))
		const script = "Accept: application/json"
		a := r.form("POST", "/login", url.Values{"password": {ownersPassword}}, aBrowser, script)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.Code != 204 || cookie == "" {
			t.Fatalf("%+v", a)
		}
		if a := r.do("GET", "/own", "Cookie: "+cookie); a.Code != 200 {
			t.Errorf("%+v", a)
		}
		if a := r.form("POST", "/login", url.Values{"password": {"wrong"}}, aBrowser, script); a.Code != 401 || !strings.HasPrefix(a.Body, `{`) {
			t.Errorf("%+v", a)
		}
		if a := r.do("GET", "/own", aBrowser, script); a.Code != 401 || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Cookie ") {
			t.Errorf("a script's request: %+v", a)
		}
		r.form("POST", "/logout", nil, "Cookie: "+cookie)
		if a := r.do("GET", "/own", "Cookie: "+cookie); a.Code != 401 {
			t.Errorf("after the logout: %+v", a)
		}
	})
}
