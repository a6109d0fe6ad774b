package conformance

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

// film has a server of a test's own, which says what the program says only on an appliance,
// push pictures until the test is over. It returns the URL of its page.
func film(t *testing.T, s *pusher.Server) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 320, 240)), nil); err != nil {
		t.Fatal(err)
	}
	hub := pusher.NewHub(func(bool) {})
	s.Hub, s.Camera, s.Log = hub, films{}, slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error)
	go func() { served <- s.Serve(ctx, l) }()
	var filming sync.WaitGroup
	filming.Go(func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			hub.Publish(&camera.Frame{JPEG: picture.Bytes(), Seq: seq, Time: time.Now(), Width: 320, Height: 240})
			select {
			case <-time.After(time.Second / 10):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		filming.Wait()
		if err := <-served; err != nil && err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String() + "/"
}

// films is a camera that is well.
type films struct{}

func (films) Health() error            { return nil }
func (films) FrameTime() time.Duration { return time.Second / 10 }
