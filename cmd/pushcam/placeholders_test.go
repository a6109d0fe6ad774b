package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// OpenCV and recorders go on with the last picture when the size of a stream
// changes, as if it were live: a picture that says why there is none has the size
// of the camera's last one, and that of -size only before the first one.
func TestPlaceholderSize(t *testing.T) {
	const asked = "640x480"
	var picture bytes.Buffer
	last := image.Rect(0, 0, 320, 240)
	if err := jpeg.Encode(&picture, image.NewGray(last), nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		frames bool // before there are none
		want   image.Point
	}{
		{"before the first frame", false, image.Pt(640, 480)},
		{"after frames", true, last.Size()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "1.jpg")
			if tt.frames {
				if err := os.WriteFile(file, picture.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			greeting, _ := start(t, "-listen", "127.0.0.1:0", "-source", "replay:"+dir, "-size", asked)
			address := strings.TrimSuffix(greeting[strings.Index(greeting, "http://")+len("http://"):], "/\n")
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "GET /stream HTTP/1.0\r\n\r\n")
			s, err := pushertest.NewStreamReader(conn)
			if err != nil {
				t.Fatal(err)
			}
			for {
				part, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				if part.Seq > 0 {
					os.Remove(file)
					continue
				}
				got, err := jpeg.DecodeConfig(bytes.NewReader(part.JPEG))
				if err != nil || got.Width != tt.want.X || got.Height != tt.want.Y {
					t.Errorf("the placeholder is %d×%d, want %v (%v)", got.Width, got.Height, tt.want, err)
				}
				snapshot, err := http.Get("http://" + address + "/snapshot.jpg")
				if err != nil {
					t.Fatal(err)
				}
				snapshot.Body.Close()
				if why := snapshot.Header.Get("X-Error"); why == "" || strings.Contains(why, dir) {
					t.Errorf("viewers are told %q, which names a folder or nothing", why)
				}
				return
			}
		})
	}
}
