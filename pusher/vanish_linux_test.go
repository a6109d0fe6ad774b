package pusher

import (
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
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
	server := &Server{Hub: NewHub(nil), Camera: new(fakeCamera), ViewerTimeout: time.Second}
	itself := NewMemoryListener()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() {
		if err := server.Serve(ctx, l, itself); err != nil {
			t.Error(err)
		}
	})
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
	network := func(state string) {
		t.Helper()
		if out, err := exec.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	watch()
	network("down")
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
	network("up")
	watch()
}
