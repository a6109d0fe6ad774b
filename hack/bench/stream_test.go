//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memory is a stream from memory.
type memory struct{ io.Reader }

func (m memory) Discard(n int) error {
	_, err := io.CopyN(io.Discard, m, int64(n))
	return err
}

// stamped is a picture of size bytes, captured at ns, 0 for an empty stamp.
func stamped(size int, ns int64) string {
	b := make([]byte, size)
	copy(b, stampHead)
	putStamp(b, time.Unix(0, ns), 7)
	return string(b)
}

func part(boundary, header, picture string) string {
	return fmt.Sprintf("--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n%s\r\n%s\r\n", boundary, len(picture), header, picture)
}

func TestFrameReader(t *testing.T) {
	const answer = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n"
	const at = 1795229600_261000000
	blank := "\xff\xd8\xff\xe1" + strings.Repeat("x", 3000)
	tests := []struct {
		name, stream string
		captured     []int64
		err          error
	}{
		{"ustreamer", answer + part("boundarydonotcross", "X-Timestamp: 1.5\r\n", stamped(5000, at)) + part("boundarydonotcross", "", stamped(3000, at+1)), []int64{at, at + 1}, io.EOF},
		{"pushcam", answer + part("frame", "X-Timestamp: 1795229600.261000\r\nX-Frame: 3\r\n", stamped(5000, 0)) + part("frame", "X-Timestamp: 2.000001\r\n", stamped(100, 0)), []int64{at, 2_000001000}, io.EOF},
		{"a picture without a stamp is passed over", answer + part("b", "", blank) + part("b", "", stamped(50, at)), []int64{at}, io.EOF},
		{"neither stamp nor header", answer + part("b", "", stamped(50, 0)), nil, errNoFrame},
		{"a broken stamp", answer + part("b", "", string(stampHead)+strings.Repeat("z", 40)), nil, errNoFrame},
		{"no length", answer + "--b\r\nContent-Type: image/jpeg\r\n\r\n", nil, errNoFrame},
		{"negative length", answer + "--b\r\nContent-Length: -1\r\n\r\n", nil, errNoFrame},
		{"endless header", answer + strings.Repeat("x", 5000), nil, errNoFrame},
		{"refused", "HTTP/1.0 503 Service Unavailable\r\n\r\n", nil, errNoFrame},
		{"cut in a picture", answer + part("b", "", stamped(5000, at))[:3000], nil, io.EOF},
	}
	for _, tt := range tests {
		for way, reader := range map[string]io.Reader{
			"at once":       strings.NewReader(tt.stream),
			"byte for byte": iotest.OneByteReader(strings.NewReader(tt.stream)),
		} {
			t.Run(tt.name+" "+way, func(t *testing.T) {
				r := frameReader{src: memory{reader}}
				var got []int64
				clock := int64(0)
				err := r.answer()
				for err == nil {
					var f frame
					f, err = r.next(func() int64 { clock++; return clock })
					if err == nil {
						got = append(got, f.Captured)
						if f.Last != f.First+1 {
							t.Errorf("first byte at %d, last at %d", f.First, f.Last)
						}
					}
				}
				if diff := cmp.Diff(tt.captured, got); diff != "" {
					t.Errorf("captured (-want +got):\n%s", diff)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
			})
		}
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add([]byte("HTTP/1.0 200 OK\r\n\r\n" + part("frame", "X-Timestamp: 1.5\r\n", stamped(200, 0))))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n" + part("frame", "", stamped(90, 0)) + part("frame", "X-Timestamp: 0.000001\r\n", stamped(200, 1))[:150]))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nThere is no picture"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := frameReader{src: memory{bytes.NewReader(stream)}}
		frames := 0
		err := r.answer()
		for err == nil {
			_, err = r.next(func() int64 { return 0 })
			frames++
		}
		if frames*stampEnd > len(stream)+stampEnd {
			t.Errorf("%d frames in %d bytes", frames, len(stream))
		}
	})
}

// A socket skips exactly what it is told to.
func TestSocketDiscard(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wrote := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = conn.Write(append(make([]byte, 300_000), "end"...))
			conn.Close()
		}
		wrote <- err
	}()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := newSocket(conn.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(300_000); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(s)
	if err != nil || string(rest) != "end" {
		t.Errorf("behind it: %q, %v", rest, err)
	}
	if err := s.Discard(1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("behind the end: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
