package relay

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// all lists the parts of a body, each as its stamp, if it has one, and its bytes.
func all(t *testing.T, contentType, body string) (pictures []string, end error) {
	t.Helper()
	p, err := newParts(contentType, iotest.OneByteReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		picture, err := p.next()
		if err != nil {
			return pictures, err
		}
		text := strings.TrimRight(string(picture.jpeg), "\r\n")
		if picture.stamp != 0 {
			text += "@" + string(rune('0'+picture.stamp%10))
		}
		pictures = append(pictures, text)
	}
}

// Multipart as cameras really write it.
func TestParts(t *testing.T) {
	for _, tt := range []struct{ name, contentType, body, want string }{
		{"pushcam", "multipart/x-mixed-replace; boundary=frame",
			"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Timestamp: 1700000000.000042\r\nX-Frame: 5\r\n\r\nabc\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\n\r\nde\r\n--frame\r\n", "abc@2 de"},
		{"ESP32-CAM", "multipart/x-mixed-replace;boundary=123456789000000000000987654321",
			"\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Timestamp: 17.000042\r\n\r\nabc\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\nX-Timestamp: 17.040042\r\n\r\nde", "abc de"},
		{"mjpg-streamer", "multipart/x-mixed-replace;boundary=boundarydonotcross",
			"--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Timestamp: 1700000000.000042\r\n\r\nabc\r\n--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\n\r\nde", "abc de"},
		{"dashes in the type, as Axis and Motion", "multipart/x-mixed-replace; boundary=--myboundary",
			"--myboundary\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\n\r\nabc\r\n--myboundary\r\nContent-Length: 2\r\n\r\nde", "abc de"},
		{"no boundary in the type", "multipart/x-mixed-replace",
			"--x\r\nContent-Length: 3\r\n\r\nabc\r\n--x\r\nContent-Length: 2\r\n\r\nde", "abc de"},
		{"a boundary that no parser likes", "multipart/x-mixed-replace; boundary=a b=c",
			"--a b=c\r\nContent-Length: 3\r\n\r\nabc\r\n--a b=c\r\nContent-Length: 2\r\n\r\nde", "abc de"},
		{"no lengths", "multipart/x-mixed-replace; boundary=frame",
			"--frame\r\nContent-Type: image/jpeg\r\n\r\na\nb--frame\n\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\nde\r\n--frame--\r\n", "a\nb--frame de"},
		{"line feeds only", "multipart/x-mixed-replace; boundary=frame",
			"--frame\nContent-Length: 3\n\nabc\n--frame\ncontent-length:2\n\nde\n--frame\n", "abc de"},
		{"a wrong length", "multipart/x-mixed-replace; boundary=frame",
			"--frame\r\nContent-Length: 2\r\n\r\nabc\r\n--frame\r\nContent-Length: 2\r\n\r\nde", "ab de"},
		{"its end is cut off", "multipart/x-mixed-replace; boundary=frame", "--frame\r\nContent-Length: 3\r\n\r\nab", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := all(t, tt.contentType, tt.body)
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" || !errors.Is(err, io.EOF) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// What is no such stream ends with an error, and not with all of it in memory.
func TestPartsThatAreNone(t *testing.T) {
	const kind, limit = "multipart/x-mixed-replace; boundary=frame", 200_000
	for name, body := range map[string]string{
		"no boundary":      strings.Repeat("x", limit+2),
		"a long line":      "--frame\r\nA: " + strings.Repeat("x", readSize) + "\r\n\r\n",
		"a long header":    "--frame\r\n" + strings.Repeat("A: x\r\n", maxHeader+1) + "\r\n",
		"a long picture":   "--frame\r\nContent-Length: 200001\r\n\r\n",
		"a negative one":   "--frame\r\nContent-Length: -1\r\n\r\n",
		"without its end":  "--frame\r\n\r\n" + strings.Repeat("x", limit+2),
		"not even a count": "--frame\r\nContent-Length: many\r\n\r\n",
	} {
		p, err := newParts(kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		p.limit = limit
		if picture, err := p.next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, error %v", name, len(picture.jpeg), err)
		}
	}
	for _, contentType := range []string{"", "text/html; charset=utf-8", "image/jpeg", "application/json", "multipartial"} {
		if _, err := newParts(contentType, strings.NewReader("")); err == nil {
			t.Errorf("%q counts as a stream", contentType)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add("boundary=frame", "--frame\r\nContent-Length: 3\r\nX-Timestamp: 1700000000.000042\r\nX-Frame: 5\r\n\r\nabc\r\n--frame\r\n\r\nde\r\n--frame--\r\n")
	f.Add("boundary=--x", "junk\r\n--x\nContent-Length:1\n\na\n--x\n")
	f.Add("", "--\r\n\r\n--\r\n\r\n")
	// As an ESP32-CAM, mjpg-streamer and motion send, and one that is cut off in a header.
	f.Add("boundary=123456789000000000000987654321", "\r\n--123456789000000000000987654321\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Timestamp: 12.000345\r\n\r\nabc\r\n--123456789000000000000987654321\r\n")
	f.Add("boundary=boundarydonotcross", "--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\nX-Timestamp: 0.000000\r\n\r\nabc\r\n--boundarydonotcross\r\nContent-Type: image/jpeg\r\n")
	f.Add(`boundary="--BoundaryString"`, "--BoundaryString\r\nContent-type: image/jpeg\r\nContent-Length:     3\r\n\r\nabc\r\n--BoundaryString\r\nContent-Len")
	f.Fuzz(func(t *testing.T, boundary, body string) {
		p, err := newParts("multipart/x-mixed-replace;"+boundary, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for total := 0; ; {
			picture, err := p.next()
			if err != nil {
				return
			}
			if picture.stamp < 0 {
				t.Errorf("captured at %d", picture.stamp)
			}
			if total += len(picture.jpeg); total > len(body) {
				t.Fatalf("%d bytes of %d", total, len(body))
			}
		}
	})
}
