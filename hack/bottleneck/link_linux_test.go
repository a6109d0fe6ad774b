package bottleneck

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newLink returns a link that the test closes. Without root the test is
// skipped, but not in CI.
func newLink(t *testing.T, p Path) *Link {
	t.Helper()
	RealTime()
	l, err := New(p)
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func connect(t *testing.T, l *Link) (server, client net.Conn) {
	t.Helper()
	listener, err := l.Server.Listen(t.Context(), 80)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = l.Client.Dial(t.Context(), listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

// TestLink checks lower bounds of times only: the emulator is never early.
func TestLink(t *testing.T) {
	l := newLink(t, Path{Rate: 8e6, Buffer: 1 << 20, RTT: 40 * ms})
	start := time.Now()
	server, client := connect(t, l)
	if took := time.Since(start); took < 40*ms {
		t.Errorf("connected within %v, less than a round trip", took)
	}

	const size = 200_000 // takes 200 ms and more
	start = time.Now()
	go server.Write(make([]byte, size))
	if _, err := io.CopyN(io.Discard, client, size); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 220*ms {
		t.Errorf("%d bytes arrived within %v", size, took)
	}
	if s := l.Stats(); s.Packets < size/1500 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}

	l.Reset()
	l.Set(Path{RTT: 40 * ms, Loss: 1})
	if _, err := server.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	for l.Stats().Dropped == 0 {
		time.Sleep(ms)
	}
	if err := client.SetReadDeadline(time.Now().Add(60 * ms)); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes although all are lost", n)
	}
}

func TestLinksAreApart(t *testing.T) {
	for range 2 {
		server, client := connect(t, newLink(t, Path{}))
		if _, err := server.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(client, b); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
	}
}

func TestProcessesRunAtTheirEnd(t *testing.T) {
	l := newLink(t, Path{})
	for _, e := range []*End{l.Server, l.Client} {
		var out []byte
		err := e.Do(func() (err error) {
			out, err = exec.Command("cat", "/proc/self/net/fib_trie", "/proc/self/stat").Output()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), e.Addr+"\n") {
			t.Errorf("a process at %s has other addresses:\n%s", e.Addr, out)
		}
		// proc_pid_stat(5): the scheduling policy is field 41; the name, field 2,
		// is the last with a parenthesis.
		_, stat, _ := strings.Cut(string(out), "(cat) ")
		if fields := strings.Fields(stat); len(fields) < 39 || fields[41-3] != "0" {
			t.Errorf("a process at %s has not the ordinary scheduling policy:\n%s", e.Addr, stat)
		}
	}
}
