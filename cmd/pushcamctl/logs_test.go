package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/identity"
)

// attic is a network in memory with one web server at 192.0.2.7, called
// attic.local, which speaks TLS at the usual port and none at the other. It can be
// unplugged.
type attic struct {
	key    *identity.Key
	id     string // that its certificate has
	old    bool   // it is of before it could speak TLS
	answer http.HandlerFunc
	server *http.Server
	conns  chan net.Conn
	closed chan struct{} // nobody accepts any more
	served chan struct{}

	mu     sync.Mutex
	gone   error // why nobody can be connected with
	dialed []string
}

func newAttic(t *testing.T, answer http.HandlerFunc) *attic {
	key, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	a := &attic{key: key, answer: answer, conns: make(chan net.Conn), closed: make(chan struct{}), served: make(chan struct{})}
	a.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(w, r) })}
	go func() { defer close(a.served); a.server.Serve(a) }()
	t.Cleanup(func() { a.server.Close(); <-a.served })
	return a
}

func (a *attic) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.closed:
		return nil, net.ErrClosed
	}
}

func (a *attic) Close() error   { close(a.closed); return nil }
func (a *attic) Addr() net.Addr { return &net.UnixAddr{Name: "attic", Net: "pipe"} }

func (a *attic) dial(ctx context.Context, _, address string) (net.Conn, error) {
	a.mu.Lock()
	gone := a.gone
	a.dialed = append(a.dialed, address)
	a.mu.Unlock()
	switch {
	case gone != nil:
		return nil, gone
	case address == "192.0.2.7:80":
		ours, theirs := net.Pipe()
		return ours, a.connect(theirs)
	case address == "192.0.2.7:443" && !a.old:
		cert, err := a.key.Certificate(a.id)
		if err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		return &curt{Conn: ours}, a.connect(tls.Server(&curt{Conn: theirs}, &tls.Config{Certificates: []tls.Certificate{cert}}))
	case address == "192.0.2.9:443": // switched off
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}

// connect waits until the connection is accepted. At the end of a test a request may still
// be under way.
func (a *attic) connect(c net.Conn) error {
	select {
	case a.conns <- c:
		return nil
	case <-a.closed:
		return syscall.ECONNREFUSED
	}
}

// curt is a connection on which TLS says no goodbye, for which it sets a deadline. On a
// net.Pipe it would wait with a lock held until somebody listens, and in a bubble the time
// stands still while somebody else waits for that lock.
type curt struct {
	net.Conn
	over atomic.Bool
}

func (c *curt) SetWriteDeadline(time.Time) error {
	c.over.Store(true)
	return nil
}

func (c *curt) Write(p []byte) (int, error) {
	if c.over.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (a *attic) unplug(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = why
}

func (a *attic) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "attic.local":
		return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
	case "attic2.local":
		return []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.7")}, nil
	}
	return nil, errors.New("no such host")
}

// program is one that knows the key of the attic, by whatever name.
func (a *attic) program(t *testing.T) *program {
	p := a.stranger(t)
	if err := (knownCameras{p.configDir}).add(a.key.Fingerprint(), "attic", "attic2", "cellar", "shed", "barn", "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	return p
}

// stranger is a program that does not.
func (a *attic) stranger(t *testing.T) *program {
	dir := t.TempDir()
	p := &program{
		configDir: func() (string, error) { return dir, nil },
		lookup:    a.lookup,
		dial:      a.dial,
		browse: func(ctx context.Context) ([]discovery.Found, error) {
			<-ctx.Done()
			return []discovery.Found{{Host: "cellar.local", Port: 80, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}}, nil
		},
	}
	oldPasswordFile(t, dir, "attic", "the owner's\n")
	return p
}

// oldPasswordFile is a password that was kept before there were ids.
func oldPasswordFile(t *testing.T, dir, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "pushcam", name+".password")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guarded answers as a pushcam does, which has lines.
func guarded(w http.ResponseWriter, r *http.Request, run string, first int, lines ...string) bool {
	if _, password, _ := r.BasicAuth(); password != "the owner's" {
		w.Header().Set("WWW-Authenticate", `Basic realm="pushcam", charset="UTF-8"`)
		http.Error(w, "This needs the owner's password", http.StatusUnauthorized)
		return false
	}
	w.Header().Set("Log-Run", run)
	w.Header().Set("Log-From", fmt.Sprint(first))
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	return true
}

func TestLogs(t *testing.T) {
	log := func(w http.ResponseWriter, r *http.Request) {
		guarded(w, r, "r1", 1, "level=INFO msg=hello", "red \x1b[31m, \u202etfel, \xff, a\ttab, Zürich", strings.Repeat("x", maxLogLine+100), "the last")
	}
	shown := "level=INFO msg=hello\n" + "red �[31m, �tfel, �, a�tab, Zürich\n" + strings.Repeat("x", maxLogLine) + "\nthe last\n"
	says := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprintln(w, "A sentence\x1b[2J")
		}
	}
	tests := []struct {
		name           string
		args           []string
		answer         http.HandlerFunc
		gone           error
		code           int
		stdout, stderr string
	}{
		{"by name", []string{"attic"}, log, nil, 0, shown, ""},
		{"nowhere", []string{"nowhere.local"}, log, nil, 1, "", "pushcamctl: there is no nowhere.local on this network; pushcamctl find lists the pushcams that are there\n"},
		{"by its link", []string{"http://attic.local/"}, log, nil, 0, shown, ""},
		{"second address", []string{"attic2", "-password", "the owner's"}, log, nil, 0, shown, ""},
		{"found by mDNS", []string{"cellar", "-password", "the owner's"}, log, nil, 0, shown, ""},
		{"by address", []string{"192.0.2.7", "-password", "the owner's"}, log, nil, 0, shown, ""},
		{"password on the input", []string{"192.0.2.7", "-password", "-"}, log, nil, 0, shown, ""},
		{"no password", []string{"192.0.2.7"}, log, nil, 1, "", "pushcamctl: no password is kept for 192.0.2.7 on this computer, and there is no terminal to ask for it: give it with -password -\n"},
		{"wrong password", []string{"attic", "-password", "wrong"}, log, nil, 1, "", "pushcamctl: the password is wrong: attic has been given another one when its image was made; give that with -password -, or, if it is lost, write a card anew\n"},
		{"no host", nil, log, nil, 2, "", "pushcamctl: which pushcam? Give its name or address; pushcamctl find lists them; pushcamctl logs -h helps\n"},
		{"no name", []string{"../../etc/passwd"}, log, nil, 2, "", `pushcamctl: "../../etc/passwd" is neither a name nor an address, as pushcam, pushcam.local or 192.168.1.20; pushcamctl logs -h helps` + "\n"},
		{"no port", []string{"attic:http"}, log, nil, 2, "", `pushcamctl: the port of "attic:http" is not a number from 1 to 65535; pushcamctl logs -h helps` + "\n"},
		{"nobody there", []string{"attic:81"}, log, nil, 1, "", "pushcamctl: no pushcam is at attic:81 that can prove who it is: nothing is served on port 81 there; pushcamctl find lists the pushcams that are there, and one whose version is too old for that is updated once with -insecure\n"},
		{"switched off", []string{"192.0.2.9", "-password", "x"}, log, nil, 1, "", "pushcamctl: 192.0.2.9 does not answer in time: is it switched on, and in this network?\n"},
		{"no way", []string{"attic"}, log, errors.New("no route"), 1, "", "pushcamctl: attic does not answer: no route; is it switched on, and in this network?\n"},
		{"no owner", []string{"attic"}, says(403), nil, 1, "", "pushcamctl: attic says: A sentence�[2J\n"},
		{"too many tries", []string{"attic"}, says(429), nil, 1, "", "pushcamctl: attic says: A sentence�[2J\n"},
		{"on a PC", []string{"attic"}, says(404), nil, 1, "", "pushcamctl: attic has nothing for an owner: it is not a pushcam, or one that runs on a PC; pushcamctl find lists the pushcams that are there\n"},
		{"a router", []string{"attic"}, says(401, "WWW-Authenticate", `Basic realm="router"`), nil, 1, "", "pushcamctl: attic is not a pushcam: it answers 401 where a pushcam asks for its owner's password; pushcamctl find lists those that are there\n"},
		{"a redirect", []string{"attic"}, says(302, "Location", "http://192.0.2.66/"), nil, 1, "", "pushcamctl: attic is not a pushcam: it answers 302 where a pushcam asks for its owner's password; pushcamctl find lists those that are there\n"},
		{"an open page", []string{"attic"}, says(200), nil, 1, "", "pushcamctl: attic gives what is its owner's to everybody: it is not a pushcam; pushcamctl find lists those that are there\n"},
		{"not a log", []string{"attic"}, func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "no run", 1) }, nil, 1, "",
			"pushcamctl: what attic gives as its log is not a pushcam's; pushcamctl find lists the pushcams that are there\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttic(t, tt.answer)
				a.unplug(tt.gone)
				p := a.program(t)
				p.stdin = strings.NewReader("the owner's\n")
				stdout, stderr, code := try(t, p, append([]string{"logs", "-follow=false"}, tt.args...)...)
				got, want := []any{stdout, stderr, code}, []any{tt.stdout, tt.stderr, tt.code}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// The password is for a pushcam: whoever else has its address does not get it.
func TestLogsKeepsThePassword(t *testing.T) {
	t.Attr("fault", "abuse | a computer that answers by the camera's address | it does not get the password | –")
	for name, header := range map[string]string{"another realm": `Basic realm="router"`, "none": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttic(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "" {
						t.Error("it was told the password")
					}
					w.Header().Set("WWW-Authenticate", header)
					w.WriteHeader(http.StatusUnauthorized)
				})
				if _, _, code := try(t, a.program(t), "logs", "attic"); code != 1 {
					t.Errorf("exit status %d", code)
				}
			})
		})
	}
}

// A typed password is asked for once, and only when a pushcam is there.
func TestLogsAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttic(t, func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "r1", 1, "line") })
		p := a.program(t)
		var prompts []string
		p.askPassword = func(_ context.Context, prompt string) (string, error) {
			prompts = append(prompts, prompt)
			return "the owner's", nil
		}
		if stdout, stderr, code := try(t, p, "logs", "-follow=false", "192.0.2.7"); stdout != "line\n" || stderr != "" || code != 0 {
			t.Errorf("%q, %q, exit status %d", stdout, stderr, code)
		}
		if _, _, code := try(t, p, "logs", "192.0.2.8"); code != 1 {
			t.Errorf("exit status %d", code)
		}
		if diff := cmp.Diff([]string{"The owner's password of 192.0.2.7: "}, prompts); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// The log goes on after the camera was away, where it was; a new run of its
// program begins at its start.
func TestLogsComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var queries []string
		var a *attic
		a = newAttic(t, func(w http.ResponseWriter, r *http.Request) {
			step := len(queries)
			lines := [][]string{{"one", "two"}, {"three"}, {"seven"}, {"first"}}[min(step, 3)]
			if !guarded(w, r, []string{"r1", "r1", "r1", "r2"}[min(step, 3)], []int{1, 3, 7, 1}[min(step, 3)], lines...) {
				return
			}
			queries = append(queries, r.URL.RawQuery)
			switch step {
			case 0: // the cable is pulled in the middle of a line
				io.WriteString(w, "thr")
				http.NewResponseController(w).Flush()
				a.unplug(errors.New("no route"))
				time.AfterFunc(5*time.Second, func() { a.unplug(nil) })
				panic(http.ErrAbortHandler)
			case 3:
				http.NewResponseController(w).Flush()
				time.Sleep(time.Hour) // nothing happens, and nobody hangs up
				stop()
			}
		})
		p := a.program(t)
		var out, errs strings.Builder
		p.stdout, p.stderr = &out, &errs
		start := time.Now()
		if code := p.exitCode(p.run(ctx, []string{"logs", "attic"})); code != 0 {
			t.Errorf("exit status %d", code)
		}
		want := []any{"one\ntwo\nthree\nseven\nfirst\n", `pushcamctl: the connection is lost: unexpected EOF; trying again until Ctrl-C
pushcamctl: connected again
pushcamctl: the connection is lost: the camera has ended it; trying again until Ctrl-C
pushcamctl: connected again
pushcamctl: 3 lines are missing here: they came faster than the connection takes them
pushcamctl: the connection is lost: the camera has ended it; trying again until Ctrl-C
pushcamctl: connected again
pushcamctl: the camera's program has started again
`, []string{"run=&from=0&follow=1", "run=r1&from=3&follow=1", "run=r1&from=4&follow=1", "run=r1&from=8&follow=1"}}
		if diff := cmp.Diff(want, []any{out.String(), errs.String(), queries}); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// It is tried again more and more seldom, and not at all with a password that
// has become wrong.
func TestLogsGivesUpSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		a := newAttic(t, nil)
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/log" {
				http.NotFound(w, r)
				return
			}
			asked++
			if asked > 2 { // it has another card now
				r.Header.Del("Authorization")
			}
			guarded(w, r, "r1", 1, "line")
			if asked == 2 {
				a.unplug(errors.New("no route"))
			}
		}
		p := a.program(t)
		time.AfterFunc(10*time.Minute, func() { a.unplug(nil) })
		stdout, stderr, code := try(t, p, "logs", "attic")
		if stdout != "line\n" || !strings.HasSuffix(stderr, "pushcamctl: the password is wrong: attic has been given another one when its image was made; give that with -password -, or, if it is lost, write a card anew\n") ||
			strings.Count(stderr, "\n") != 2 || code != 1 {
			t.Errorf("%q, %q, exit status %d", stdout, stderr, code)
		}
		if n := len(a.dialed); n < 20 || n > 30 {
			t.Errorf("tried %d times in ten minutes", n)
		}
	})
}

func TestLogsOutputIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttic(t, func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "r1", 1, "line") })
		p := a.program(t)
		var errs strings.Builder
		r, w := io.Pipe()
		r.Close()
		p.stdout, p.stderr = w, &errs
		if code := p.exitCode(p.run(t.Context(), []string{"logs", "attic"})); code != 1 || errs.String() != "pushcamctl: cannot show the log: io: read/write on closed pipe\n" {
			t.Errorf("exit status %d, %q", code, errs.String())
		}
	})
}

func TestParseRemote(t *testing.T) {
	tests := []struct{ text, name, port string }{ // no port: refused
		{"pushcam", "pushcam", "443"},
		{"pushcam.local.", "pushcam.local", "443"},
		{"pushcam:8443", "pushcam:8443", "8443"},
		{"https://pushcam.local:8443/", "pushcam.local:8443", "8443"},
		{"http://pushcam.local/", "pushcam.local", "443"},
		{"http://192.0.2.7:8080/", "192.0.2.7", "443"},
		{"2001:db8::7", "[2001:db8::7]", "443"},
		{"[2001:db8::7]", "[2001:db8::7]", "443"},
		{"[fe80::7%eth0]:81", "[fe80::7%eth0]:81", "81"},
		{"", "", ""},
		{"a b", "", ""},
		{"-a", "", ""},
		{"a..b", "", ""},
		{"pushcam/state", "", ""},
		{"user@pushcam", "", ""},
		{"\x1b[31m", "", ""},
		{"pushcam:0", "", ""},
		{"pushcam:65536", "", ""},
		{strings.Repeat("a", 64), "", ""},
		{strings.Repeat("a.", 127) + "a", "", ""},
	}
	for _, tt := range tests {
		c, err := parseRemote(tt.text)
		if (err != nil) != (tt.port == "") {
			t.Errorf("parseRemote(%q) = %v, %v", tt.text, c, err)
		}
		if err != nil {
			continue
		}
		if port, _ := c.at(); c.String() != tt.name || port != tt.port {
			t.Errorf("parseRemote(%q) = %v at port %s", tt.text, c, port)
		}
	}
}
