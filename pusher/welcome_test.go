package pusher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// withoutOwner is a server whose camera has no owner yet. The password that was chosen
// goes to chosen.
func withoutOwner(chosen *atomic.Value) func(*Server) {
	return func(s *Server) {
		s.Owner = &Owner{
			Verify: func(password string) (bool, error) {
				if chosen.Load() == nil {
					return false, errors.New("no password on /perm")
				}
				return password == chosen.Load(), nil
			},
			Names:  func() []string { return []string{"pushcam.local"} },
			Free:   func() bool { return chosen.Load() == nil },
			Offers: func() (string, bool) { return "pushcam", true },
			Choose: func(choice Choice) error {
				password := choice.Password
				switch {
				case password == "cannot be kept":
					return errors.New("keep the password: no room")
				case len(password) < 8:
					return fmt.Errorf("%w: it is <short>", ErrUnsuitable)
				}
				chosen.Store(password)
				return nil
			},
			Answers: map[string]http.Handler{"/own": says("own")},
		}
	}
}

// post sends a form to the welcome page.
func (r *rig) post(password, again string, header ...string) answer {
	r.t.Helper()
	conn := r.dial()
	defer conn.Close()
	form := url.Values{"password": {password}, "again": {again}}.Encode()
	head := append([]string{"POST /welcome HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(form))}, header...)
	if !strings.Contains(strings.Join(header, "\n"), "Host:") {
		head = append(head, "Host: pushcam.local")
	}
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"+form); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{Code: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// A camera without an owner asks for a password on its page, gives nobody what is an
// owner's, and belongs to who chooses the password, once.
func TestFirstSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var chosen atomic.Value
		r := newRig(t, withoutOwner(&chosen))
		const form = `action="welcome"`
		if a := r.ask("pushcam.local", "/"); a.Code != 200 || !strings.Contains(a.Body, form) || !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("the page does not ask: %+v", a)
		}
		for _, header := range [][]string{nil, {basic("anything-else")}, {basic("")}} {
			if a := r.ask("pushcam.local:8080", "/own", header...); a.Code != 403 || !strings.Contains(a.Body, "no owner yet: open http://pushcam.local:8080/ in a browser") {
				t.Errorf("what is an owner's, with %q: %+v", header, a)
			}
		}
		const good = "a good password"
		refused := []struct {
			name            string
			password, again string
			header          []string
			code            int
			says            string
		}{
			{"from another site", good, good, []string{"Origin: http://evil.example"}, 403, "another site"},
			{"from no site that it tells", good, good, []string{"Origin: null"}, 403, "another site"},
			{"by a name that is made to lead here", good, good, []string{"Host: evil.example"}, 403, "does not know that it is called"},
			{"by another's name", good, good, []string{"Host: other.local"}, 403, "not for"},
			{"typed differently", good, "a god password", nil, 422, "differ"},
			{"too short", "short", "short", nil, 422, "it is &lt;short&gt;."},
			{"none", "", "", nil, 422, "&lt;short&gt;"},
			{"too much", strings.Repeat("x", maxForm), "", nil, 400, "form"},
			{"not kept", "cannot be kept", "cannot be kept", nil, 500, "no room"},
		}
		for _, tt := range refused {
			a := r.post(tt.password, tt.again, tt.header...)
			if a.Code != tt.code || !strings.Contains(a.Body, tt.says) || chosen.Load() != nil || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %+v, and %v was chosen; want %d with %q", tt.name, a, chosen.Load(), tt.code, tt.says)
			}
			if strings.Contains(a.Body, form) != (tt.code == 422 || tt.code == 500) {
				t.Errorf("%s: the form is shown again, or is not: %s", tt.name, a.Body)
			}
		}
		if a := r.ask("pushcam.local", welcomePath); a.Code != 405 {
			t.Errorf("a GET: %+v", a)
		}
		if a := r.post(good, good, "Origin: http://pushcam.local"); a.Code != 303 || a.Header.Get("Location") != "./" || chosen.Load() != good {
			t.Errorf("%+v, and %v was chosen", a, chosen.Load())
		}
		if a := r.post("that of a thief", "that of a thief"); a.Code != 409 || !strings.Contains(a.Body, "pushcam.txt") || chosen.Load() != good {
			t.Errorf("chosen once more: %+v, %v", a, chosen.Load())
		}
		if a := r.ask("pushcam.local", "/"); a.Code != 200 || strings.Contains(a.Body, form) {
			t.Errorf("the page still asks: %+v", a)
		}
		if a := r.ask("pushcam.local", "/own", basic(good)); a.Code != 200 {
			t.Errorf("the owner: %+v", a)
		}
	})
}

// On a PC there is nothing to own, and a camera that cannot tell has no form either.
func TestNoFirstSight(t *testing.T) {
	for name, with := range map[string]func(*Server){"a PC": func(*Server) {}, "an owner": withOwner(nil)} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, with)
			if a := r.post("a good password", "a good password"); a.Code != 404 {
				t.Errorf("%s: %+v", name, a)
			}
			if a := r.ask("pushcam.local", "/"); strings.Contains(a.Body, "welcome") {
				t.Errorf("%s: the page asks: %s", name, a.Body)
			}
		})
	}
}

// The name of the camera and who may look are chosen with the password, or left as they are.
func TestFirstSightChoices(t *testing.T) {
	const good = "a good password"
	form := func(name, viewing string) url.Values {
		return url.Values{"password": {good}, "again": {good}, "name": {name}, "viewing": {viewing}}
	}
	tests := []struct {
		name   string
		form   url.Values
		code   int
		says   string
		chosen Choice
	}{
		{"both", form("garden", "closed"), 200, `href="http://garden.local/"`, Choice{good, "garden", "closed"}},
		{"the same name", form("pushcam", "open"), 303, "", Choice{good, "", "open"}},
		{"neither", form("", ""), 303, "", Choice{good, "", ""}},
		{"no name", form("not <a> name", "closed"), 422, `value="not &lt;a&gt; name"`, Choice{}},
		{"what was chosen stays", form("not <a> name", "closed"), 422, `value="closed" checked`, Choice{}},
		{"neither open nor closed", form("garden", "ajar"), 400, "open or closed", Choice{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var password atomic.Value
				var chosen Choice
				r := newRig(t, withoutOwner(&password), func(s *Server) {
					choose := s.Owner.Choose
					s.Owner.Choose = func(c Choice) error {
						if c.Name == "not <a> name" {
							return fmt.Errorf("%w: that is no name", ErrUnsuitable)
						}
						chosen = c
						return choose(c)
					}
				})
				if a := r.ask("pushcam.local", "/"); !strings.Contains(a.Body, `value="pushcam"`) || !strings.Contains(a.Body, `value="open" checked`) || strings.Contains(a.Body, "<!--") {
					t.Errorf("the page: %s", a.Body)
				}
				if a := r.form("POST", "/welcome", tt.form); a.Code != tt.code || !strings.Contains(a.Body, tt.says) || chosen != tt.chosen {
					t.Errorf("%+v, and %v was chosen; want %d with %s, and %v", a, chosen, tt.code, tt.says, tt.chosen)
				}
			})
		})
	}
}
