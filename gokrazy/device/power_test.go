//go:build unix

package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// gokrazyRoot is a root folder as gokrazy has it: PID 1, and a socket where
// handler answers (nil: no socket).
func gokrazyRoot(t *testing.T, init string, handler http.HandlerFunc) (root Root) {
	t.Helper()
	root = Root(t.TempDir())
	for _, dir := range []string{"run", "proc/1", "etc", "perm"} {
		if err := os.MkdirAll(root.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if init != "" {
		if err := os.Symlink(init, root.Path("proc/1/exe")); err != nil {
			t.Fatal(err)
		}
	}
	if handler != nil {
		ln, err := net.Listen("unix", root.Path(httpSocket))
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: handler}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-done })
	}
	return root
}

func (r request) String() string { return r.name }

func TestPower(t *testing.T) {
	const gokrazy, systemd = "/gokrazy/init", "/usr/lib/systemd/systemd"
	accept := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "Powering off...") }
	// As in life: the answer does not come before this program has ended.
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	refuse := func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "invalid username/password", http.StatusUnauthorized)
	}
	hangUp := func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	garbage := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Write([]byte("SSH-2.0-hello\r\n" + strings.Repeat("x", 1<<20)))
			conn.Close()
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			defer conn.Close()
			line := []byte("X-Filler: " + strings.Repeat("x", 1000) + "\r\n")
			conn.Write([]byte("HTTP/1.1 200 OK\r\n"))
			for err == nil {
				_, err = conn.Write(line)
			}
		}
	}
	tests := []struct {
		name    string
		init    string
		handler http.HandlerFunc
		signals bool     // PID 1 gets the signal
		want    []string // in the error; none is no error
	}{
		{name: "accepted", init: gokrazy, handler: accept},
		{name: "silent", init: gokrazy, handler: silent},
		{name: "refused", init: gokrazy, handler: refuse, signals: true},
		{name: "hung up", init: gokrazy, handler: hangUp, signals: true},
		{name: "garbage", init: gokrazy, handler: garbage, signals: true},
		{name: "endless", init: gokrazy, handler: endless, signals: true},
		{name: "no socket", init: gokrazy, signals: true},
		{name: "pid 1 unknown, accepted", handler: accept},
		{name: "pid 1 unknown, refused", handler: refuse, want: []string{ErrNotGokrazy.Error(), "401", "invalid username/password"}},
		{name: "laptop", init: systemd, want: []string{ErrNotGokrazy.Error()}},
		{name: "container", want: []string{ErrNotGokrazy.Error()}},
	}
	asks := map[request]func(*Power, context.Context) error{
		{"power off", "/poweroff", syscall.SIGUSR2}: (*Power).Off,
		{"reboot", "/reboot", syscall.SIGTERM}:      (*Power).Reboot,
	}
	for _, tc := range tests {
		for r, ask := range asks {
			t.Run(tc.name+"/"+r.String(), func(t *testing.T) {
				defer goleak.VerifyNone(t)
				t.Run("", func(t *testing.T) {
					requests := make(chan string, 4)
					var handler http.HandlerFunc
					if tc.handler != nil {
						handler = func(w http.ResponseWriter, req *http.Request) {
							requests <- req.Method + " " + req.URL.Path + " " + req.FormValue("wait_per_signal") + req.FormValue("async")
							tc.handler(w, req)
						}
					}
					var signals []string
					p := &Power{
						Root:    gokrazyRoot(t, tc.init, handler),
						silence: time.Minute, // no test waits for it that gets an answer
						kill: func(pid int, sig syscall.Signal) error {
							signals = append(signals, fmt.Sprint(pid, " ", sig))
							return nil
						},
					}
					if tc.name == "silent" {
						p.silence = 10 * time.Millisecond
					}
					err := ask(p, t.Context())
					checkError(t, err, tc.want...)
					if len(tc.want) > 0 && !errors.Is(err, ErrNotGokrazy) {
						t.Errorf("%v is not ErrNotGokrazy", err)
					}
					var want []string
					if tc.signals {
						want = []string{fmt.Sprint("1 ", r.signal)}
					}
					if diff := cmp.Diff(want, signals); diff != "" {
						t.Errorf("signals (-want +got):\n%s", diff)
					}
					if tc.handler != nil {
						if got, want := <-requests, "POST "+r.path+" 2s"; got != want {
							t.Errorf("request %q, want %q", got, want)
						}
					}
					if n := len(requests); n > 0 {
						t.Errorf("%d more requests", n)
					}
				})
			})
		}
	}
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if (err == nil) != (len(want) == 0) {
		t.Fatalf("error %v, want %q in it", err, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}

func TestPowerKnowsThePassword(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{name: "none", want: ""},
		{name: "of the image", files: map[string]string{"etc": "secret\n"}, want: "gokrazy:secret"},
		{name: "changed by the owner", files: map[string]string{"etc": "secret\n", "perm": "mine\n"}, want: "gokrazy:mine"},
		{name: "of an old image", files: map[string]string{"": "secret"}, want: "gokrazy:secret"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			login := make(chan string, 1)
			root := gokrazyRoot(t, "", func(w http.ResponseWriter, r *http.Request) {
				user, password, ok := r.BasicAuth()
				if ok {
					login <- user + ":" + password
				} else {
					login <- ""
				}
			})
			for dir, content := range tc.files {
				if err := os.WriteFile(root.Path(dir, "gokr-pw.txt"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := (&Power{Root: root}).Off(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := <-login; got != tc.want {
				t.Errorf("logged in as %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPowerStaleSocket(t *testing.T) {
	root := gokrazyRoot(t, initPath, nil)
	ln, err := net.Listen("unix", root.Path(httpSocket))
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	var got syscall.Signal
	p := &Power{Root: root, kill: func(_ int, sig syscall.Signal) error { got = sig; return nil }}
	if err := p.Off(t.Context()); err != nil || got != syscall.SIGUSR2 {
		t.Errorf("Off: %v, signal %v", err, got)
	}
}

func TestPowerNothingWorks(t *testing.T) {
	p := &Power{Root: gokrazyRoot(t, initPath, nil), kill: func(int, syscall.Signal) error { return syscall.EPERM }}
	err := p.Reboot(t.Context())
	checkError(t, err, "reboot", "gokrazy-http.sock", "by signal", syscall.EPERM.Error())
	if errors.Is(err, ErrNotGokrazy) {
		t.Errorf("%v is ErrNotGokrazy", err)
	}
}

func TestPowerIsNotAskedWhenItIsTooLate(t *testing.T) {
	p := &Power{
		Root: gokrazyRoot(t, initPath, func(http.ResponseWriter, *http.Request) { t.Error("asked over HTTP") }),
		kill: func(int, syscall.Signal) error { t.Error("sent a signal"); return nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Off(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Off: %v, want context.Canceled", err)
	}
}
