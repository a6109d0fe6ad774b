// Package scale has what is needed to show one camera to thousands: relays behind an
// ordinary load balancer. Its test tries it in network namespaces.
package scale

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

var viewers = flag.Int("viewers", 0, "try it with so many `viewers`")

const (
	patience = 2 * time.Minute
	fps      = 5
	gateway  = "10.78.0.1" // this computer's, where haproxy is
	camera   = "10.78.0.10"
)

// A host is a computer of its own, as far as the network goes.
type host struct {
	name, address string
	t             *testing.T
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// network makes a cable to each address, and a switch for all.
func network(t *testing.T, addresses ...string) (hosts []*host) {
	t.Helper()
	bridge := fmt.Sprintf("psb%d", os.Getpid()%100000)
	ip(t, "link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { exec.Command("ip", "link", "del", bridge).Run() })
	ip(t, "addr", "add", gateway+"/24", "dev", bridge)
	ip(t, "link", "set", bridge, "up")
	for i, address := range addresses {
		h := &host{name: fmt.Sprintf("%s-%d", bridge, i), address: address, t: t}
		ip(t, "netns", "add", h.name)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", h.name).Run() })
		cable := fmt.Sprintf("%s%d", bridge, i)
		ip(t, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", h.name)
		ip(t, "link", "set", cable, "master", bridge, "up")
		ip(t, "-n", h.name, "addr", "add", address+"/24", "dev", "eth0")
		ip(t, "-n", h.name, "link", "set", "eth0", "up")
		ip(t, "-n", h.name, "link", "set", "lo", "up")
		hosts = append(hosts, h)
	}
	return hosts
}

// run runs a program there until the end of the test, or until stop, which kills it.
func (h *host) run(program string, args ...string) (stop func()) {
	h.t.Helper()
	c := exec.Command("ip", append([]string{"netns", "exec", h.name, program}, args...)...) // exec(3) keeps the process
	c.Stderr = h.t.Output()
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { c.Process.Kill(); c.Wait() })
	h.t.Cleanup(stop)
	return stop
}

// watching is how many the program there serves.
func (h *host) watching() (n int, err error) {
	res, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + h.address + ":8080/state?viewer=nobody")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var state struct {
		Watching int `json:"watching"`
	}
	err = json.NewDecoder(res.Body).Decode(&state)
	return state.Watching, err
}

func await(t *testing.T, what string, ok func() error) {
	t.Helper()
	err := ok()
	for deadline := time.Now().Add(patience); err != nil; err = ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A watcher shows a stream, and connects again when it ends, as a page does.
type watcher struct {
	seen, connected, old atomic.Int64
}

// watch watches until over is closed. A frame that is older than the one before it by
// half of the time between two frames is not the same one again but one out of order.
func (w *watcher) watch(over <-chan struct{}) {
	var last time.Time
	for {
		conn, err := net.DialTimeout("tcp", gateway+":8000", 10*time.Second)
		if err == nil {
			w.stream(conn, over, &last)
			conn.Close()
		}
		select { // it ended, or there was no place: it is tried again
		case <-over:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// stream reads the stream until it ends.
func (w *watcher) stream(conn net.Conn, over <-chan struct{}, last *time.Time) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-over:
			conn.Close()
		case <-done:
		}
	}()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: "+gateway+"\r\n\r\n")
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		return
	}
	w.connected.Add(1)
	for {
		part, err := s.Next()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(patience))
		if part.Seq == 0 {
			continue // a placeholder
		}
		if part.Capture.Before(last.Add(-time.Second / fps / 2)) {
			w.old.Add(1)
		}
		*last = part.Capture
		w.seen.Add(1)
	}
}

// Two relays behind haproxy show one camera to many; one of them is killed, and comes
// back.
func TestRelays(t *testing.T) {
	if *viewers == 0 {
		t.Skip(`skipped: takes a minute: run it with "go test -v ./hack/scale -viewers 1000", as hack/conformance/all does`)
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("skipped: haproxy is not installed")
	}
	program := filepath.Join(t.TempDir(), "pushcam")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/pushcam/pushcam/cmd/pushcam").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hosts := network(t, camera, "10.78.0.11", "10.78.0.12")
	first, relays := hosts[0], hosts[1:]
	first.run(program, "-source", "pattern", "-size", "160x120", "-fps", fmt.Sprint(fps), "-listen", ":8080", "-state-dir", t.TempDir(), "-log-level", "error")
	relay := func(h *host) (stop func()) {
		return h.run(program, "-source", "http://"+camera+":8080/stream", "-listen", ":8080", "-state-dir", t.TempDir(), "-max-viewers", "2400", "-log-level", "error")
	}
	stop := relay(relays[0])
	relay(relays[1])
	await(t, "a picture of each relay", func() error {
		for _, h := range relays {
			res, err := http.Get("http://" + h.address + ":8080/snapshot.jpg")
			if err != nil {
				return err
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", h.address, res.Status)
			}
		}
		return nil
	})
	balancer := exec.Command("haproxy", "-db", "-f", "haproxy.cfg")
	balancer.Stderr = t.Output()
	if err := balancer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { balancer.Process.Kill(); balancer.Wait() })
	await(t, "haproxy", func() error {
		conn, err := net.Dial("tcp", gateway+":8000")
		if err == nil {
			conn.Close()
		}
		return err
	})
	sessionStays(t)

	over := make(chan struct{})
	var watching sync.WaitGroup
	all := make([]watcher, *viewers)
	for i := range all {
		watching.Go(func() { all[i].watch(over) })
	}
	t.Cleanup(func() {
		select {
		case <-over:
		default:
			close(over)
		}
		watching.Wait()
	})
	// progress waits until each has seen ten frames more.
	progress := func(when string) (serves []int) {
		t.Helper()
		began := time.Now()
		before := make([]int64, len(all))
		for i := range all {
			before[i] = all[i].seen.Load()
		}
		await(t, when, func() error {
			waiting := 0
			for i := range all {
				if all[i].seen.Load() < before[i]+10 {
					waiting++
				}
			}
			if waiting > 0 {
				return fmt.Errorf("%d of %d have not ten more frames", waiting, len(all))
			}
			return nil
		})
		for _, h := range relays {
			n, _ := h.watching()
			serves = append(serves, n)
		}
		t.Logf("%s: all %d have ten more frames after %v; the relays serve %v", when, len(all), time.Since(began).Round(100*time.Millisecond), serves)
		return serves
	}
	serves := func(want int) {
		t.Helper()
		await(t, fmt.Sprintf("a camera that serves %d", want), func() error {
			n, err := first.watching()
			if err == nil && n != want {
				err = fmt.Errorf("it serves %d", n)
			}
			return err
		})
	}
	if shares := progress("with both relays"); min(shares[0], shares[1]) < *viewers/3 {
		t.Errorf("of %d viewers the relays serve %d; want about as many each", *viewers, shares)
	}
	serves(2)
	stop()
	progress("after one was killed")
	serves(1)
	relay(relays[0])
	await(t, "viewers of the relay that came back", func() error {
		// New viewers come to it, because it has the fewest.
		res, err := http.Get("http://" + gateway + ":8000/snapshot.jpg")
		if err == nil {
			res.Body.Close()
		}
		n, err := first.watching()
		if err == nil && n != 2 {
			err = fmt.Errorf("the camera serves %d", n)
		}
		return err
	})
	close(over)
	watching.Wait()
	var connected, old int64
	for i := range all {
		connected += all[i].connected.Load()
		old += all[i].old.Load()
	}
	t.Logf("%d connections in all", connected)
	if old > 0 {
		t.Errorf("%d frames came out of order", old)
	}
}

// sessionStays begins push sessions as a script does, and as JPGPusher's page does. Each is
// known wherever haproxy leads its requests.
func sessionStays(t *testing.T) {
	t.Helper()
	ask := func(method, path string, header ...string) (status int, body string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+gateway+":8000"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		res, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(bufio.NewReader(io.LimitReader(res.Body, 1<<10)))
		return res.StatusCode, string(text)
	}
	for range 4 {
		var session struct{ ID string }
		_, text := ask("POST", "/sessions")
		if err := json.Unmarshal([]byte(text), &session); err != nil || len(session.ID) != 15 {
			t.Fatalf("%q: %v", text, err)
		}
		_, byScript := ask("GET", "/stream", "X-Requested-With: XMLHttpRequest", "Accept: */*")
		for _, id := range []string{session.ID, byScript} {
			for range 4 {
				if status, said := ask("POST", "/"+id); status != http.StatusOK {
					t.Errorf("session %q: %d %s", id, status, said)
				}
			}
		}
	}
}
