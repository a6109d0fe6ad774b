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
	look := func() (net.Conn, uint64) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET /stream HTTP/1.0\r\n\r\n")
		s, err := pushertest.NewStreamReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		part, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		return conn, part.Seq
	}
	for range 5 {
		first, seq := look()
		for seq == 0 { // what said that it was closed
			first.Close()
			first, seq = look()
		}
		p.ask("POST", "/api/actions/privacy", `{"on":true}`)
		late, seq := look()
		first.Close()
		late.Close()
		if seq > 0 {
			t.Errorf("frame %d was shown after the camera was closed", seq)
		}
		p.ask("POST", "/api/actions/privacy", `{"on":false}`)
	}
}
