package pusher

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// A viewer whose computer loses its network says nothing any more, not even that it
// leaves.
func TestViewerVanishes(t *testing.T) {
	t.Attr("fault", "network | a viewer's network is gone: no FIN, no reset, no answer | its place is free after the viewer timeout | the next viewer watches at once")
	const camera, viewer = "10.99.0.1", "10.99.0.2"
	if !inNetwork(t, camera, viewer) {
		return
	}
	l, err := net.Listen("tcp", camera+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), Limits: fixed(Limits{ViewerTimeout: time.Second})}
	itself := NewMemoryListener()
	ctx, all := serving(t, server, l, itself)
	all.Go(func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			f := *testFrame(seq)
			f.Time = time.Now()
			server.Hub.Publish(&f)
			time.Sleep(20 * time.Millisecond)
		}
	})
	watch := func() {
		t.Helper()
		conn, err := dialFrom(viewer, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n")
		s, err := pushertest.NewStreamReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	watch()
	setLink(t, "down")
	web := itself.Client()
	for {
		resp, err := web.Get("http://localhost/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\npushcam_viewers 0\n") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	setLink(t, "up")
	watch()
}

// setLink sets the only link of the test's network up or down. Nothing is told of what is
// lost while it is down.
func setLink(t *testing.T, state string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// What an owner's page listens to is written now and then, and never read by who is gone.
func TestListenerVanishes(t *testing.T) {
	t.Attr("fault", "network | the network of a page that listens to events is gone | its place among the 16 is free after the viewer timeout | its connection is ended")
	const camera, page = "10.99.0.1", "10.99.0.2"
	if !inNetwork(t, camera, page) {
		return
	}
	l, err := net.Listen("tcp", camera+":0")
	if err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan struct{}), make(chan struct{})
	server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), Limits: fixed(Limits{ViewerTimeout: time.Second})}
	withOwner(map[string]http.Handler{"/events": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		close(began)
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				io.WriteString(w, ":\n\n") // who is gone is no error here, but ends the request
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})})(server)
	serving(t, server, l)
	conn, err := dialFrom(page, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: 10.99.0.1\r\n"+basic(ownersPassword)+"\r\n\r\n")
	<-began
	setLink(t, "down")
	select {
	case <-ended:
	case <-time.After(20 * time.Second): // the kernel alone takes a quarter of an hour
		t.Error("the request goes on without its client")
	}
}

// This computer's own queue refuses what is too much for it, and the kernel counts that as
// sent all the same. Programs get their frames there, too.
func TestOwnQueueOverflows(t *testing.T) {
	t.Attr("fault", "network | this computer's own queue refuses packets | viewers get their frames | nothing has to be done")
	const camera, viewers, frames = "10.99.0.1", 4, 6
	if !inNetwork(t, camera) {
		return
	}
	tbf := strings.Fields("qdisc add dev lo root tbf rate 80mbit burst 70k limit 66k")
	if out, err := exec.Command("tc", tbf...).CombinedOutput(); err != nil {
		t.Fatalf("tc: %v: %s", err, out)
	}
	l, err := net.Listen("tcp", camera+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera)}
	ctx, all := serving(t, server, l)
	all.Go(func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			server.Hub.Publish(bigFrame(seq, 1<<20))
			time.Sleep(20 * time.Millisecond)
		}
	})
	for range viewers {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\n")
		s, err := pushertest.NewStreamReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		for n := range frames {
			if _, err := s.Next(); err != nil {
				t.Fatalf("after %d frames: %v", n, err)
			}
		}
		conn.Close()
	}
}

// A frame may need longer than the viewer timeout, as long as its viewer takes some of it.
func TestLargeFrameUnderTLS(t *testing.T) {
	const timeout = 2 * time.Second // a reader that is late by less is none that takes nothing
	s := serveSecured(t, testCertificate(t), func(s *Server) { s.Limits = fixed(Limits{ViewerTimeout: timeout}) })
	s.Hub.Publish(bigFrame(1, 16<<20))
	raw, err := net.Dial("tcp", s.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetReadBuffer(64 << 10)
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	fmt.Fprintf(conn, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for began := time.Now(); time.Since(began) < timeout*3/2; time.Sleep(timeout / 100) {
		if _, err := io.CopyN(io.Discard, conn, 32<<10); err != nil {
			t.Fatalf("after %v: %v; it says %s", time.Since(began), err, s.said)
		}
	}
	for end := time.Now().Add(time.Minute); s.Watching() > 0; time.Sleep(timeout / 100) { // it takes nothing any more
		if time.Now().After(end) {
			t.Fatal("it is still a viewer, although it takes nothing")
		}
	}
}
