package pusher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	viewersPassword = "look-and-see"
	aBrowser        = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)"
	aPage           = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
)

// closedRig is a camera that only its viewers and its owner may look at.
type closedRig struct {
	*rig
	said     *bytes.Buffer // the log
	verified int           // viewers' passwords
	kept     []Token
}

func newClosedRig(t *testing.T, configure ...func(*Server)) *closedRig {
	c := &closedRig{said: new(bytes.Buffer)}
	closed := func(s *Server) {
		s.Viewing = &Viewing{
			Verify: func(password string) bool {
				c.verified++
				time.Sleep(verifyTime)
				return password == viewersPassword
			},
			KeepTokens: func(all []Token) { c.kept = all },
		}
		s.Log = slog.New(slog.NewTextHandler(c.said, nil))
	}
	c.rig = newRig(t, append([]func(*Server){withOwner(map[string]http.Handler{"/own": says("own")}), closed}, configure...)...)
	synctest.Wait()
	return c
}

// form sends a form.
func (r *rig) form(method, path string, values url.Values, header ...string) answer {
	r.t.Helper()
	conn := r.dial()
	defer conn.Close()
	form := values.Encode()
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: pushcam.local", "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(form))}, header...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"+form); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// code is the status of an answer of which nothing but its head is read.
func (r *rig) code(method, path string, header ...string) int {
	r.t.Helper()
	conn := r.request(method, path, header...)
	defer conn.Close()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode
}

// logIn logs in on the page and returns the cookie as a header.
func (c *closedRig) logIn(password string) string {
	c.t.Helper()
	a := c.form("POST", "/login", url.Values{"password": {password}}, aBrowser)
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(cookie, "pushcam=") {
		c.t.Fatalf("the login: %+v", a)
	}
	return "Cookie: " + cookie
}

// token makes a token.
func (c *closedRig) token(name string) string {
	c.t.Helper()
	a := c.form("POST", "/api/tokens", url.Values{"name": {name}}, basic(ownersPassword))
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || a.Code != http.StatusCreated || made.Token == "" {
		c.t.Fatalf("%v: %+v", err, a)
	}
	return made.Token
}

// sign has a path signed.
func (c *closedRig) sign(path string, header ...string) string {
	c.t.Helper()
	a := c.do("GET", "/signed?path="+url.QueryEscape(path), header...)
	var signed struct{ URL string }
	if err := json.Unmarshal([]byte(a.Body), &signed); err != nil || a.Code != http.StatusOK || !strings.HasPrefix(signed.URL, "./") {
		c.t.Fatalf("%v: %+v", err, a)
	}
	return signed.URL[1:]
}

// kindOf says for each endpoint who may have it while viewing is closed. A new endpoint is
// not in it, so that somebody has to think of it here.
var kindOf = map[string]string{
	"/": "picture", "/view": "look", "/stream": "picture", "/stream.mjpg": "picture", "/frames": "picture",
	"/snapshot": "picture", "/snapshot.jpg": "picture", sessionPaths: "picture", "/sessions": "look",
	"/state": "look", "/clock": "look", "/metrics": "look", "/licenses": "look", "/signed": "sign",
	"/healthz": "public", "/form.css": "public", "/welcome": "public", "/login": "public", "/logout": "public",
	"/own": "owner", "/api/state": "owner", "/api/viewers": "owner", "/api/tokens": "owner",
	"/page.js": "look", "/view.js": "look", "/live.js": "look", "/frames.js": "look", "/clock.js": "look", "/zoom.js": "look", "/words.js": "look",
	"/wall": "look", "/wall.js": "look", "/exif.js": "look", "/en.js": "look", "/de.js": "look",
	"/panel.js": "look", "/settings.js": "look", "/device.js": "look", "/update.js": "look", "/fields.js": "look", "/ask.js": "look", "/panel.css": "look",
	"/icon-192.png": "look", "/page.css": "look", "/icon.svg": "look", "/manifest.webmanifest": "look",
	"/nowhere": "look", // what is not there, is not told either
}

// Each endpoint is tried with each credential.
func TestWhoMayLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		c.film()
		paths := append(slices.Collect(maps.Keys(c.server.endpoints)), slices.Collect(maps.Keys(c.server.Owner.Answers))...)
		paths = append(paths, "/nowhere")
		for path := range kindOf {
			if !slices.Contains(paths, path) {
				t.Errorf("there is no endpoint %s any more", path)
			}
		}
		token, revoked := c.token("one"), c.token("two")
		c.do("DELETE", "/api/tokens?name=two", basic(ownersPassword))
		viewer, owner, ended := c.logIn(viewersPassword), c.logIn(ownersPassword), c.logIn(viewersPassword)
		c.form("POST", "/logout", nil, ended)

		const foreign = "Origin: http://evil.example"
		tests := []struct {
			name   string
			header []string
			query  string // NAME=VALUE
			sign   string // by which header a signature is made, and for what it is
			in     string // the kinds that it opens, besides public
		}{
			{name: "nothing"},
			{name: "the viewers' password", header: []string{basic(viewersPassword)}, in: "look picture sign"},
			{name: "the owner's password", header: []string{basic(ownersPassword)}, in: "look picture sign owner"},
			{name: "a wrong password", header: []string{basic("wrong")}},
			{name: "an empty one", header: []string{basic("")}},
			{name: "the viewers' password by another site's page", header: []string{basic(viewersPassword), foreign}},
			{name: "a token", query: "token=" + token, in: "look picture"},
			{name: "a token by another site's page", query: "token=" + token, header: []string{foreign}, in: "look picture"},
			{name: "a revoked token", query: "token=" + revoked},
			{name: "a token that never was", query: "token=AAAAAAAAAAAAAAAAAAAAAAAAAA"},
			{name: "an empty token", query: "token="},
			{name: "a password as token", query: "token=" + viewersPassword},
			{name: "a revoked token with a good password", query: "token=" + revoked, header: []string{basic(viewersPassword)}},
			{name: "a viewer's cookie", header: []string{viewer}, in: "look picture sign"},
			{name: "the owner's cookie", header: []string{owner}, in: "look picture sign owner"},
			{name: "the owner's cookie by another site's page", header: []string{owner, foreign}},
			{name: "the owner's cookie from another site", header: []string{owner, "Sec-Fetch-Site: cross-site"}},
			{name: "a cookie by another site's page", header: []string{viewer, foreign}},
			{name: "a cookie from another site", header: []string{viewer, "Sec-Fetch-Site: cross-site"}},
			{name: "a cookie that has logged out", header: []string{ended}},
			{name: "a cookie of nobody", header: []string{"Cookie: pushcam=AAAAAAAAAAAAAAAAAAAAAAAAAA"}},
			{name: "two cookies, the second is good", header: []string{"Cookie: pushcam=A; " + strings.TrimPrefix(viewer, "Cookie: ")}, in: "look picture sign"},
			{name: "a signed URL", sign: "this", in: "picture"},
			{name: "a signed URL by another site's page", sign: "this", header: []string{foreign}, in: "picture"},
			{name: "a signed URL of another path", sign: "/stream?fps=1"},
			{name: "an expired signed URL", sign: "late"},
			{name: "a signature of nobody", query: "signature=zzzzzz..AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		}
		for _, path := range paths {
			kind := kindOf[path]
			if kind == "" {
				t.Errorf("who may have %s? Say it in kindOf", path)
			}
			if kind == "" || path == "/welcome" || path == "/logout" { // they have tests of their own
				continue
			}
			method := "GET"
			if m := c.server.endpoints[path].methods; m != nil && m[0] != "GET" {
				method = m[0]
			}
			if path == sessionPaths {
				a := c.form("POST", "/sessions", nil, basic(viewersPassword))
				var s struct{ ID string }
				if err := json.Unmarshal([]byte(a.Body), &s); err != nil || s.ID == "" {
					t.Fatalf("%v: %+v", err, a)
				}
				path = "/" + s.ID
			}
			for _, tt := range tests {
				query := tt.query
				if tt.sign != "" {
					of := "/stream"
					if kind == "picture" && tt.sign != "/stream?fps=1" || path == "/stream" {
						of = path
					}
					if path == "/stream" && tt.sign == "/stream?fps=1" {
						of = "/snapshot"
					}
					_, query, _ = strings.Cut(c.sign(of, viewer), "?")
				}
				if tt.sign == "late" {
					time.Sleep(signedTime + time.Millisecond)
				}
				to := path
				if kind == "sign" {
					to += "?path=stream&" + query
				} else if query != "" {
					to += "?" + query
				}
				code := c.code(method, to, tt.header...)
				in := code != http.StatusUnauthorized && code != http.StatusForbidden && code != http.StatusTooManyRequests
				want := kind == "public" || slices.Contains(strings.Fields(tt.in), kind)
				if in != want {
					t.Errorf("%s %s with %s: status %d, want in: %v", method, path, tt.name, code, want)
				}
			}
		}
		for _, secret := range []string{token, revoked, viewersPassword, ownersPassword, strings.TrimPrefix(viewer, "Cookie: pushcam=")} {
			for name, text := range map[string]string{
				"the log": c.said.String(), "the state": c.do("GET", "/state", viewer).Body, "the owner's state": c.do("GET", "/api/state", basic(ownersPassword)).Body,
				"the metrics": c.do("GET", "/metrics", viewer).Body, "the tokens": c.do("GET", "/api/tokens", basic(ownersPassword)).Body, "what is kept": fmt.Sprint(c.kept),
			} {
				if strings.Contains(text, secret) {
					t.Errorf("a secret is in %s", name)
				}
			}
		}
	})
}

// The program itself looks without a password, so that an update can prove that it is well.
func TestOwnWayIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := NewMemoryListener()
		c := newClosedRig(t)
		ended := make(chan error)
		other := &Server{Hub: c.server.Hub, Camera: c.server.Camera, Viewing: c.server.Viewing, Owner: c.server.Owner}
		go func() { ended <- other.Serve(t.Context(), own) }()
		c.film()
		for _, path := range []string{"/healthz", "/snapshot.jpg"} {
			resp, err := own.Client().Get("http://localhost" + path)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != 200 {
				t.Errorf("%s: %s", path, resp.Status)
			}
		}
		own.Close()
		<-ended
	})
}

// While viewing is always open, only an owner can log in.
func TestOpenHasNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nobodys, owned := newRig(t), newRig(t, withOwner(nil))
		for _, path := range []string{"/login", "/logout", "/signed", "/api/tokens"} {
			if a := nobodys.do("GET", path, basic(ownersPassword)); a.Code != 404 {
				t.Errorf("%s: %+v", path, a)
			}
			want := map[string]int{"/login": 200, "/logout": 405}[path]
			if a := owned.do("GET", path, basic(ownersPassword)); a.Code != want && (want != 0 || a.Code != 404) {
				t.Errorf("%s: %+v", path, a)
			}
		}
		r := owned
		if a := r.do("GET", "/"); strings.Contains(a.Body, "logout") {
			t.Error("the page of an open camera has a button to log out")
		}
	})
}

// A browser that asks for a page gets the one to log in, and never a challenge for which it
// would open a window; all others get one, because ffmpeg, VLC and wget send a password
// only then.
func TestWhoIsAskedHow(t *testing.T) {
	tests := []struct {
		name, path string
		header     []string
		challenge  string // begins with it
		page       bool
	}{
		{"a browser's page", "/", []string{aBrowser, aPage}, "Cookie ", true},
		{"a browser's page of the stream", "/stream", []string{aBrowser, aPage}, "Cookie ", true},
		{"a browser's picture", "/stream", []string{aBrowser, "Accept: image/avif,image/webp,*/*"}, "Cookie ", false},
		{"a page's script", "/state", []string{aBrowser, "Accept: */*"}, "Cookie ", false},
		{"curl", "/snapshot.jpg", []string{"User-Agent: curl/7.88.1", "Accept: */*"}, "Basic ", false},
		{"ffmpeg", "/stream", []string{"User-Agent: Lavf/59.27.100", "Accept: */*"}, "Basic ", false},
		{"VLC", "/stream", []string{"User-Agent: VLC/3.0.18 LibVLC/3.0.18"}, "Basic ", false},
		{"lynx", "/", []string{"User-Agent: Lynx/2.9.0", "Accept: text/html, text/plain"}, "Basic ", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClosedRig(t)
				a := c.do("GET", tt.path, tt.header...)
				if page := strings.Contains(a.Body, `action="login"`); a.Code != 401 || page != tt.page || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), tt.challenge) {
					t.Errorf("%+v", a)
				}
				if len(a.Body) > 5<<10 || strings.Contains(a.Body, "<script") {
					t.Errorf("the page has %d bytes, or a script", len(a.Body))
				}
			})
		})
	}
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		a := c.form("POST", "/login", url.Values{"password": {viewersPassword}}, aBrowser)
		attributes := strings.Split(a.Header.Get("Set-Cookie"), "; ")[1:]
		slices.Sort(attributes)
		if want := []string{"HttpOnly", "Max-Age=604800", "SameSite=Strict"}; !slices.Equal(attributes, want) || a.Header.Get("Location") != "./" {
			t.Errorf("the cookie has %q, want %q; %+v", attributes, want, a)
		}
		for _, tt := range []struct {
			name, password string
			header         []string
			code           int
			says           string
		}{
			{"wrong", "<wrong>", nil, 401, "neither the viewers&#39; password nor the owner&#39;s"},
			{"empty", "", nil, 401, "neither"},
			{"another site's page", viewersPassword, []string{"Origin: http://evil.example"}, 403, "another site"},
			{"too long", strings.Repeat("x", maxForm), nil, 400, "not this page's form"},
		} {
			a := c.form("POST", "/login", url.Values{"password": {tt.password}}, append(tt.header, aBrowser)...)
			if a.Code != tt.code || !strings.Contains(a.Body, tt.says) || a.Header.Get("Set-Cookie") != "" || strings.Contains(a.Body, "<wrong>") {
				t.Errorf("%s: %+v", tt.name, a)
			}
		}
		cookie := c.logIn(ownersPassword)
		if a := c.do("GET", "/", cookie); a.Code != 200 || !strings.Contains(a.Body, `action="logout"`) {
			t.Errorf("%+v", a)
		}
		time.Sleep(loginTime + time.Minute)
		if code := c.code("GET", "/state", cookie); code != 401 {
			t.Errorf("after %v a login is answered with %d", loginTime, code)
		}
	})
}

// What opened a stream ends it: a login that is ended, a token that is revoked. The others
// go on.
func TestRevokedStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		c.film()
		cookie, token := c.logIn(viewersPassword), c.token("nvr")
		open := map[string][]string{
			"cookie":             {"/stream", cookie},
			"signed by it":       {c.sign("/stream?fps=5", cookie)},
			"token":              {"/stream?token=" + token},
			"password":           {"/stream", basic(viewersPassword)},
			"signed by password": {c.sign("/stream", basic(viewersPassword))},
		}
		ended := make(map[string]bool)
		done := make(chan string)
		for name, request := range open {
			s, _ := c.stream(request[0], request[1:]...)
			go func() {
				drain(s)
				done <- name
			}()
		}
		expect := func(when string, names ...string) {
			t.Helper()
			for range names {
				select {
				case name := <-done:
					ended[name] = true
				case <-time.After(time.Second):
				}
			}
			select {
			case name := <-done:
				t.Errorf("%s: %s ended too", when, name)
			case <-time.After(time.Second):
			}
			for _, name := range names {
				if !ended[name] {
					t.Errorf("%s: the stream by %s goes on", when, name)
				}
			}
		}
		expect("at first")
		c.form("POST", "/logout", nil, cookie, "Origin: http://evil.example")
		expect("after another site's logout")
		c.form("POST", "/logout", nil, cookie)
		expect("after the logout", "cookie", "signed by it")
		if code := c.code("DELETE", "/api/tokens?name=nvr", basic(ownersPassword)); code != 204 {
			t.Errorf("the token's end is answered with %d", code)
		}
		expect("after the token's end", "token")
		go c.stop()
		expect("at the program's end", "password", "signed by password")
	})
}

// A password that comes with each request is hashed once in rememberFor.
func TestPasswordIsHashedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		for range 100 {
			if code := c.code("GET", "/state", basic(viewersPassword)); code != 200 {
				t.Fatalf("status %d", code)
			}
		}
		if c.verified != 1 {
			t.Errorf("it was hashed %d times", c.verified)
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t, func(s *Server) {
			s.Viewing.Tokens = []Token{{"kept", tokenHash("of before"), time.Unix(1e9, 0).UTC()}}
		})
		if code := c.code("GET", "/state?token=of+before"); code != 200 {
			t.Errorf("a token that was kept is answered with %d", code)
		}
		for name, want := range map[string]int{"": 400, strings.Repeat("n", 65): 400, "a\nb": 400, "kept": 409, "new": 201} {
			if a := c.form("POST", "/api/tokens", url.Values{"name": {name}}, basic(ownersPassword)); a.Code != want {
				t.Errorf("%q: %+v, want %d", name, a, want)
			}
		}
		if len(c.kept) != 2 || c.kept[0].Name != "kept" || c.kept[1].Name != "new" {
			t.Errorf("kept is %v", c.kept)
		}
		for i := range maxTokens {
			want := 201
			if i >= maxTokens-2 {
				want = 409
			}
			if a := c.form("POST", "/api/tokens", url.Values{"name": {fmt.Sprint(i)}}, basic(ownersPassword)); a.Code != want {
				t.Errorf("%d: %+v, want %d", i, a, want)
			}
		}
		if code := c.code("DELETE", "/api/tokens?name=nobody", basic(ownersPassword)); code != 404 {
			t.Errorf("status %d for what is not there", code)
		}
		if a := c.do("GET", "/view?fit=cover&token=of+before", aBrowser, aPage); a.Code != 303 || a.Header.Get("Location") != "view?fit=cover" || a.Header.Get("Set-Cookie") == "" {
			t.Errorf("%+v", a)
		}
		// A browser that opens the page with a token is logged in for as long as that is
		// good, and does not keep it in its address bar.
		a := c.do("GET", "/?token=of+before", aBrowser, aPage)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.Code != 303 || a.Header.Get("Location") != "./" {
			t.Errorf("%+v", a)
		}
		if code := c.code("GET", "/page.js", "Cookie: "+cookie); code != 200 {
			t.Errorf("the token's login is answered with %d", code)
		}
		c.code("DELETE", "/api/tokens?name=kept", basic(ownersPassword))
		if code := c.code("GET", "/page.js", "Cookie: "+cookie); code != 401 {
			t.Errorf("after the token's end its login is answered with %d", code)
		}
	})
}

// One login more than there may be ends the one that was used least lately.
func TestLoginsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLogins()
		defer ls.closeAll()
		var secrets []string
		for range maxLogins + 1 {
			secrets = append(secrets, ls.open(t.Context(), onlyViewer))
			time.Sleep(time.Second)
			ls.named(loginName(secrets[0]))
		}
		for i, secret := range secrets {
			if good := ls.named(loginName(secret)) != nil; good != (i != 1) {
				t.Errorf("login %d is good: %v", i, good)
			}
		}
		if len(ls.all) != maxLogins {
			t.Errorf("there are %d", len(ls.all))
		}
	})
}

// With both passwords none is refused for longer than 5 s, whoever guesses, from an
// address that is known and from a new one; and guessers get in nowhere.
func TestBothPasswordsUnderAttack(t *testing.T) {
	for _, password := range []string{"right", "viewers"} {
		for _, from := range []string{"desk", "elsewhere"} {
			t.Run(password+" from "+from, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newCountedLogin(t, "right")
					l.loginLimiter = newLoginLimiter(func(password string) (role, error) {
						if who, err := l.verify(password); who != nobody || err != nil || password != "viewers" {
							return who, err
						}
						return onlyViewer, nil
					}, []role{theOwner, onlyViewer}, nil, slog.New(slog.DiscardHandler))
					for _, p := range []string{"right", "viewers"} {
						if got := l.try("desk", p); got != "in" {
							t.Fatal(got)
						}
					}
					for i := range 50 {
						defer l.guessing(fmt.Sprint("stranger ", i), 2)()
					}
					time.Sleep(time.Minute)
					for range 3 {
						began := time.Now()
						if got := l.try(from, password); got != "in" {
							t.Errorf("the right password: %s", got)
						}
						if took := time.Since(began); took > 5*time.Second {
							t.Errorf("it took %v", took)
						}
						time.Sleep(time.Minute)
					}
				})
			})
		}
	}
}

// Whether there is a picture is told to everybody, and why there is none to nobody who may not
// look; and nobody is told what the computer's folders are called.
func TestHealthTellsNoFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		c.camera.err = errors.New("there is nothing at /home/somebody/film")
		for open, want := range map[bool]string{false: "There is no picture\n", true: "there is nothing at film\n"} {
			c.server.SetOpen(open)
			if a := c.do("GET", "/healthz"); a.Code != 503 || a.Body != want {
				t.Errorf("open: %v: %d %q, want %q", open, a.Code, a.Body, want)
			}
		}
	})
}
