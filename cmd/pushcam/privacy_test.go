package main

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// Who comes when the owner has closed the camera sees nothing of it, not even what was there
// a moment before, although the picture that says so is still to be drawn.
func TestPrivacyForNewcomers(t *testing.T) {
	t.Attr("fault", "camera | somebody comes a moment after it was closed | they see that it is closed | at once")
	p := startOwned(t, t.TempDir())
	come := func() (net.Conn, *pushertest.StreamReader) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, "GET /stream HTTP/1.0\r\n\r\n")
		s, err := pushertest.NewStreamReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		return conn, s
	}
	next := func(s *pushertest.StreamReader) uint64 {
		part, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		return part.Seq
	}
	for range 5 {
		first, watching := come()
		for next(watching) == 0 { // what said that it was closed
		}
		p.ask("POST", "/api/actions/privacy", `{"on":true}`)
		late, sees := come()
		if seq := next(sees); seq > 0 {
			t.Errorf("frame %d was shown after the camera was closed", seq)
		}
		first.Close()
		late.Close()
		p.ask("POST", "/api/actions/privacy", `{"on":false}`)
	}
}
