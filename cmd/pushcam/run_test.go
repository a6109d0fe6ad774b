package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the program as main does and returns its greeting and what ends it.
func start(t *testing.T, args ...string) (greeting string, stop func() error) {
	t.Helper()
	return startOn(t, noSystem, append([]string{"-state-dir", t.TempDir()}, args...)...)
}

// startOn does so on the system whose files are below root.
func startOn(t *testing.T, root device.Root, args ...string) (greeting string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, root, args, noEnv, in, t.Output())
		in.CloseWithError(io.EOF)
		done <- err
	}()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { stop() })
	greeting, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no greeting: %v; the program ended with: %v", err, stop())
	}
	return greeting, stop
}

func TestRun(t *testing.T) {
	greeting, stop := start(t, "-listen", "127.0.0.1:0", "-source", "pattern", "-size", "320x240")
	url := strings.TrimSpace(greeting[strings.Index(greeting, "http"):])
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /stream HTTP/1.0\r\n\r\n")
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	var web http.Client
	defer web.CloseIdleConnections()
	resp, err := web.Get(url + "healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", resp.Status)
	}
	if err := stop(); err != nil {
		t.Errorf("the program ended with: %v", err)
	}
	for {
		if _, err := s.Next(); errors.Is(err, pushertest.ErrClosed) {
			return
		} else if err != nil {
			t.Fatalf("the stream ended with: %v", err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, listen, want string }{
		{"port in use", "127.0.0.1:" + port, "port " + port + " is in use"},
		{"no port", "127.0.0.1", "not an address with a port"},
		{"not our address", "192.0.2.1:8080", "does not have the address"},
		{"file in the way of a socket", "unix:" + file, "in the way"},
		{"folder of a socket is missing", "unix:" + dir + "/no/socket", "cannot listen on unix:" + dir + "/no/socket"},
		{"socket without a path", "unix:", "needs a path"},
		{"socket with a long path", "unix:/" + strings.Repeat("a", 200), "needs a path of 1 to 103 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t.Context(), noSystem, []string{"-listen", tt.listen}, noEnv, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || exitCode(err) != 1 {
				t.Errorf("error %v, want one line with %q", err, tt.want)
			}
		})
	}
}

// A socket that a killed program left is replaced; one that is served is not.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := listenOn(t.Context(), "-listen", "unix:"+path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenOn(t.Context(), "-listen", "unix:"+path, false); err == nil || !strings.Contains(err.Error(), "another program serves") {
		t.Errorf("a served socket: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	l, err = listenOn(t.Context(), "-listen", "unix:"+path, false)
	if err != nil {
		t.Fatalf("a socket that was left: %v", err)
	}
	l.Close()
}

// systemd opens the socket and starts the program with it as descriptor 3. A
// shell stands for systemd: LISTEN_PID must be the program's own.
func TestSocketActivation(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		greeting, _ := start(t, "-source", "pattern", "-listen", "127.0.0.1:1")
		fmt.Print(greeting)
		return
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skipf("skipped: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -test.run=TestSocketActivation`, os.Args[0])
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.Output()
	if want := "pushcam is at http://" + l.Addr().String() + "/"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, output %q, want %q", err, out, want)
	}
}

// Whoever reads the log may leave, or stop to read it, and the program goes on. At the
// end it waits neither for that, nor for clients that hang.
func TestBrokenStderr(t *testing.T) {
	t.Attr("fault", "system | nobody reads the log any more: the pipe is closed, or full | streams go on, and the program ends when it is told to | what is missing is counted in the log")
	const inside = "PUSHCAM_TEST_MAIN"
	if os.Getenv(inside) != "" {
		os.Args = []string{"pushcam", "-source", "pattern", "-size", "320x240", "-listen", "127.0.0.1:0", "-state-dir", os.Getenv(inside)}
		main()
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, read, write *os.File)
	}{
		{"closed", func(t *testing.T, read, _ *os.File) { read.Close() }},
		{"full", fillPipe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			defer write.Close()
			tt.spoil(t, read, write)
			cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenStderr$")
			cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
			cmd.Stderr = write
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }).Stop()
			greeting, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("no greeting: %v, %v", err, cmd.Wait())
			}
			out.Close() // nobody reads that either
			address := strings.TrimSuffix(strings.TrimSpace(greeting[strings.Index(greeting, "//")+2:]), "/")
			for i, request := range []string{ // each viewer is logged when it comes, and when it leaves
				"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
				"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
				"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
				"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n",
				"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
			} {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatalf("%v: %v", err, cmd.Wait())
				}
				defer conn.Close() // those behind the first stay until the program ends
				io.WriteString(conn, request)
				if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
					t.Fatalf("%v: %v", err, cmd.Wait())
				}
				if i == 0 {
					conn.Close()
				}
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Errorf("the program ended with: %v", err)
			}
		})
	}
}

// fillPipe writes into a pipe until it takes no more.
func fillPipe(t *testing.T, _, write *os.File) {
	write.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := write.Write(make([]byte, 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the pipe took %d bytes, %v", n, err)
	}
}

func TestGreeting(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "pushcam is at http://127.0.0.1:8080/",
		"[::1]:80":       "pushcam is at http://[::1]/",
		"[::]:80":        "pushcam is at http://localhost/",
		"0.0.0.0:8080":   "pushcam is at http://localhost:8080/",
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := greeting(a); !strings.HasPrefix(got, want) {
			t.Errorf("greeting for %s: %q, want %q", address, got, want)
		}
	}
	if got := greeting(&net.UnixAddr{Net: "unix", Name: "/run/x"}); got != "pushcam serves on unix:/run/x" {
		t.Error(got)
	}
}

func TestVersion(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), noSystem, []string{"-version"}, noEnv, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "pushcam ") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
