package conformance

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// command runs a program to its end and returns what it wrote.
func command(t *testing.T, name string, args ...string) (stdout, stderr []byte) {
	t.Helper()
	need(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes(), errs.Bytes()
}

// ffmpeg (and with it OpenCV, go2rtc and VLC's fallback) wants a boundary before
// the first part, CRLF, and Content-Length.
func TestFFmpeg(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, path := range []string{"/stream", "/stream.mjpg", "/?action=stream"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			covers(t, "ffmpeg", "decodes "+path+" without a complaint")
			_, log := command(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-stats", "-i", p.url+path, "-frames:v", "100", "-f", "null", "-")
			stats := strings.TrimSpace(string(log))
			if i := strings.LastIndexAny(stats, "\r\n"); i >= 0 {
				if first := strings.TrimSpace(stats[:i]); !strings.HasPrefix(first, "frame=") {
					t.Errorf("ffmpeg complained:\n%s", stats)
				}
				stats = stats[i+1:]
			}
			if !strings.Contains(stats, "frame=  100") {
				t.Errorf("ffmpeg decoded: %s", stats)
			}
		})
	}
}

// ffmpeg takes the closing boundary of a stopping server for the end of the
// file, not for an error.
func TestFFmpegAtTheEnd(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	covers(t, "ffmpeg", "takes a stopping camera for the end of the file, not for an error")
	p := start(t)
	cmd := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-f", "mpjpeg", "-i", p.url+"/stream", "-f", "null", "-")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.await("30 frames sent", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent >= 30 })
	p.stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("ffmpeg: %v\n%s", err, log.Bytes())
	}
}

// curl stands for scripts.
func TestCurl(t *testing.T) {
	t.Parallel()
	p := start(t)
	t.Run("snapshot", func(t *testing.T) {
		covers(t, "curl", "a snapshot")
		body, _ := command(t, "curl", "--silent", "--show-error", "--fail", p.url+"/snapshot.jpg")
		img, err := jpeg.Decode(bytes.NewReader(body))
		if err != nil || img.Bounds().Dx() != 1280 || img.Bounds().Dy() != 720 {
			t.Errorf("not a 1280×720 JPEG: %v", err)
		}
	})
	t.Run("stream", func(t *testing.T) {
		covers(t, "curl", "a stream, which the strict parser reads through it")
		need(t, "curl")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := exec.CommandContext(ctx, "curl", "--silent", "--no-buffer", "--include", p.url+"/stream")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		frames, err := pushertest.NewStreamReader(out)
		if err != nil {
			t.Fatal(err)
		}
		readFrames(t, frames, 30)
		cancel()
		cmd.Wait() // its error is that it was killed
	})
	t.Run("script that wants a session", func(t *testing.T) {
		covers(t, "curl", "a session's id, as a page of another site gets it")
		id, _ := command(t, "curl", "--silent", "--header", "Origin: http://page.test", p.url+"/stream")
		if len(id) != 15 {
			t.Errorf("the session's id is %q", id)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		covers(t, "curl", "HEAD of a stream ends")
		head, _ := command(t, "curl", "--silent", "--head", p.url+"/stream")
		if !bytes.Contains(head, []byte("multipart/x-mixed-replace; boundary=frame\r\n")) {
			t.Errorf("HEAD /stream: %s", head)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		covers(t, "curl", "a snapshot by HTTP/1.0")
		body, _ := command(t, "curl", "--silent", "--http1.0", "--fail", p.url+"/snapshot")
		if _, err := jpeg.DecodeConfig(bytes.NewReader(body)); err != nil {
			t.Error(err)
		}
	})
}

// readFrames reads n frames with the strict parser: in order, each newer than
// the one before.
func readFrames(t *testing.T, s *pushertest.StreamReader, n int) {
	t.Helper()
	var last pushertest.Part
	for range n {
		p, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p.Seq <= last.Seq || !p.Capture.After(last.Capture) {
			t.Fatalf("frame %d of %v came after frame %d of %v", p.Seq, p.Capture, last.Seq, last.Capture)
		}
		last = p
	}
}

// Go's mime/multipart stands for the strict parsers (py-mjpeg PR 2): it takes
// the boundary from the header by its letters.
func TestGoMultipart(t *testing.T) {
	t.Parallel()
	covers(t, "Go", "mime/multipart: the boundary of the header is that of the parts, and the stream's end is one")
	p := start(t)
	resp, err := http.Get(p.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(resp.Body, params["boundary"])
	for range 30 {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jpeg.Decode(part); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	for {
		if _, err := parts.NextPart(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("at the stream's end: %v", err)
		}
	}
}
