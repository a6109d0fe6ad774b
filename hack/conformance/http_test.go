package conformance

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// get asks for a stream, as simple clients do, and reads it strictly.
func (p *program) get(t *testing.T, path, version string) *pushertest.StreamReader {
	t.Helper()
	return get(t, strings.TrimPrefix(p.url, "http://"), path, version)
}

func get(t *testing.T, address, path, version string) *pushertest.StreamReader {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/%s\r\nHost: %s\r\n\r\n", path, version, address); err != nil {
		t.Fatal(err)
	}
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The stream and the snapshot have the URLs that are built into Home Assistant,
// OctoPrint, Mainsail, motion, Frigate and ZoneMinder. A stream is not chunked, not
// even for HTTP/1.1 (esphome feature 960), and nothing of it may be cached or held
// back.
func TestURLs(t *testing.T) {
	t.Parallel()
	covers(t, "strict parser", "5 URLs of the stream, HTTP/1.0 and 1.1, IPv4 and IPv6: exact to the byte, not chunked, not to be cached")
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		p := start(t, "-listen", host+":0", "-size", "320x240")
		for _, path := range []string{"/stream", "/stream.mjpg", "/?action=stream", "/webcam/?action=stream", "/webcam?action=stream"} {
			for _, version := range []string{"1.0", "1.1"} {
				t.Run(host+path+" HTTP/"+version, func(t *testing.T) {
					s := p.get(t, path, version)
					for name, want := range map[string]string{
						"Transfer-Encoding": "", "Connection": "close", "X-Accel-Buffering": "no", "Pragma": "no-cache",
						"Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0",
					} {
						if got := s.Header.Get(name); got != want {
							t.Errorf("%s is %q, want %q", name, got, want)
						}
					}
					readFrames(t, s, 5)
				})
			}
		}
	}
}

// A snapshot was captured after it was asked for, because OctoPrint and Octolapse move
// something and then look. Here a cached one would be up to 2 s old. HEAD answers the
// same without the picture.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	covers(t, "Go", "4 URLs of the snapshot, GET and HEAD: captured after the request, Content-Length, Last-Modified, not to be cached")
	p := start(t, "-size", "320x240", "-fps", "2")
	p.get(t, "/stream", "1.1") // keeps the camera running, so that there is something to cache
	for _, path := range []string{"/snapshot", "/snapshot.jpg", "/?action=snapshot", "/webcam/?action=snapshot"} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+" "+path, func(t *testing.T) {
				request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				asked := time.Now()
				resp, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s, %v", resp.Status, err)
				}
				switch img, err := jpeg.DecodeConfig(bytes.NewReader(body)); {
				case method == "HEAD" && len(body) > 0:
					t.Errorf("a body of %d bytes", len(body))
				case method == "GET" && (err != nil || img.Width != 320 || int64(len(body)) != resp.ContentLength):
					t.Errorf("no whole 320×240 JPEG: %v, %d bytes of %d", err, len(body), resp.ContentLength)
				}
				if resp.ContentLength <= 0 || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("Content-Length %d, Cache-Control %q", resp.ContentLength, resp.Header.Get("Cache-Control"))
				}
				stamp, err := strconv.ParseFloat(resp.Header.Get("X-Timestamp"), 64)
				if captured := time.UnixMicro(int64(stamp * 1e6)); err != nil || captured.Before(asked.Truncate(time.Microsecond)) {
					t.Errorf("captured at %v (%v), asked for at %v", captured, err, asked)
				}
				if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err != nil || modified.Before(asked.Truncate(time.Second)) {
					t.Errorf("Last-Modified is %v, %v", modified, err)
				}
			})
		}
	}
}

// Webcams leave the Huffman tables out of their frames, and Safari and other decoders
// do not supply them (go2rtc PR 2439). Go's decoder does not either.
func TestFramesWithoutTables(t *testing.T) {
	t.Parallel()
	covers(t, "Go", "image/jpeg: frames of a webcam without Huffman tables get the standard ones")
	dir := recording(t)
	pictures, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(pictures) == 0 {
		t.Fatal(pictures, err)
	}
	for _, path := range pictures {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bare := withoutTables(t, whole)
		if _, err := jpeg.Decode(bytes.NewReader(bare)); err == nil {
			t.Fatal("this picture decodes without tables: the test shows nothing")
		}
		if err := os.WriteFile(path, bare, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frames := start(t, "-source", "replay:"+dir).get(t, "/stream", "1.1")
	for range 5 {
		part, err := frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		if colour(t, part.JPEG) == "" {
			t.Error("a picture has lost its colour")
		}
	}
}

// withoutTables cuts the segments with Huffman tables out of a JPEG.
func withoutTables(t *testing.T, whole []byte) []byte {
	t.Helper()
	const dht, sos = 0xc4, 0xda
	bare, rest := whole[:2:2], whole[2:]
	for len(rest) > 4 && rest[0] == 0xff {
		n := 2 + int(rest[2])<<8 + int(rest[3])
		if rest[1] == sos {
			return append(bare, rest...)
		}
		if rest[1] != dht {
			bare = append(bare, rest[:n]...)
		}
		rest = rest[n:]
	}
	t.Fatal("a JPEG without a scan")
	return nil
}
