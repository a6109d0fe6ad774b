package usbcam

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// numbered is a JPEG of about 50 kB that differs from all others: n stands in a
// comment after SOI.
func numbered(n int) []byte {
	comment := []byte{0xff, 0xfe, 0, 6, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return slices.Concat(picture()[:2], comment, picture()[2:])
}

var picture = sync.OnceValue(func() []byte {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range len(img.Pix) / 3 {
		img.Pix[i] = byte(i * i >> 12)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
})

func TestWithoutDHT(t *testing.T) {
	jpg := picture()
	bare := WithoutDHT(jpg)
	if _, err := jpeg.Decode(bytes.NewReader(bare)); err == nil {
		t.Error("decodes without Huffman tables")
	}
	dht := bytes.Index(jpg, []byte{0xff, 0xc4})
	end := bytes.Index(jpg, []byte{0xff, 0xda})
	if want := slices.Concat(jpg[:dht], jpg[end:]); !bytes.Equal(bare, want) {
		t.Errorf("%d bytes, want the %d around the tables", len(bare), len(want))
	}
}

// A fakeBus collects what the webcam sends.
type fakeBus struct {
	payloads map[uint64][]byte
}

func (b *fakeBus) Complete(id uint64, data []byte) error {
	b.payloads[id] = data
	return nil
}

// A fakeHost has said all that it says, and takes answers one by one.
type fakeHost struct {
	io.Reader
	answers [][]byte
}

func (h *fakeHost) Write(b []byte) (int, error) {
	h.answers = append(h.answers, b)
	return len(b), nil
}

// commit is a host that is about to stream the defaults.
func commit(t *testing.T, w *Webcam) {
	t.Helper()
	s := setup{0x21, setCur, commitControl << 8, streamingInterface, probeLen}
	if err := w.control(1, s, make([]byte, probeLen), func(_ []byte, ok bool) error {
		if !ok {
			t.Error("commit refused")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func halt(t *testing.T, w *Webcam) {
	t.Helper()
	s := setup{RequestType: 2, Request: reqClearFeature, Index: videoEndpoint}
	if err := w.control(2, s, nil, func([]byte, bool) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func attached(t *testing.T) (*Webcam, *fakeBus) {
	t.Helper()
	w, b := &Webcam{}, &fakeBus{payloads: map[uint64][]byte{}}
	if err := w.attach(b); err != nil {
		t.Fatal(err)
	}
	return w, b
}

func TestPayloads(t *testing.T) {
	w, b := attached(t)
	commit(t, w)
	for id, room := range []int{7, 4, payloadMax, 64, 64, 64} {
		if err := w.submit(uint64(id), room); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Picture{{Data: []byte("abcdefgh")}, {}, {Data: []byte("x"), Error: true}, {Data: []byte("y"), NoEnd: true}} {
		if err := w.Send(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"\x02\x81abcde", "\x02\x81fg", "\x02\x83h", "\x02\x82", "\x02\xc3x", "\x02\x80y"}
	for id, payload := range want {
		if got := string(b.payloads[uint64(id)]); got != payload {
			t.Errorf("payload %d is %q, want %q", id, got, payload)
		}
	}
}

func TestSendFollowsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := attached(t)
		jpg := Picture{Data: make([]byte, 100)}
		if err := w.Send(t.Context(), jpg); !errors.Is(err, ErrNotStreaming) {
			t.Errorf("before the stream: %v", err)
		}
		commit(t, w)
		if err := w.Send(t.Context(), jpg); !errors.Is(err, ErrNotStreaming) {
			t.Errorf("before the first request: %v", err)
		}
		w.submit(10, 52)
		if got, err := w.Started(t.Context()); err != nil || got.FPS != 30 {
			t.Errorf("started: %+v, %v", got, err)
		}

		sent := make(chan error)
		go func() { sent <- w.Send(t.Context(), jpg) }()
		synctest.Wait() // half is sent
		halt(t, w)
		if err := <-sent; !errors.Is(err, ErrNotStreaming) {
			t.Errorf("stream ended in the middle: %v", err)
		}
		if err := w.Stopped(t.Context()); err != nil {
			t.Error(err)
		}

		commit(t, w)
		w.submit(11, 52)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Send(ctx, jpg); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a host that asks for half: %v", err)
		}
		w.submit(12, 52)
		w.Stall(true)
		go func() { sent <- w.Send(t.Context(), Picture{Data: []byte("z")}) }()
		synctest.Wait()
		if _, ok := b.payloads[12]; ok {
			t.Error("sent while stalled")
		}
		w.Stall(false)
		if err := <-sent; err != nil {
			t.Errorf("after the stall: %v", err)
		}

		go func() { sent <- w.Send(t.Context(), jpg) }()
		synctest.Wait()
		w.detach()
		if err := <-sent; !errors.Is(err, ErrUnplugged) {
			t.Errorf("unplugged in the middle: %v", err)
		}
		if got := w.Streams(); got != 2 {
			t.Errorf("%d streams, want 2", got)
		}
	})
}

func TestStreamKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := attached(t)
		commit(t, w)
		for id := range uint64(maxPending) {
			w.submit(id, 64)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
		defer cancel()
		err := w.Stream(ctx, 20, func(n int) Picture { return Picture{Data: []byte{byte(n)}} })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if got := len(b.payloads); got != 20 {
			t.Errorf("%d frames in a second, want 20", got)
		}
	})
}

func TestCancel(t *testing.T) {
	w, b := attached(t)
	open := func(id uint64) (open bool) {
		w.cancel(id, func(o bool) error { open = o; return nil })
		return open
	}
	commit(t, w)
	w.submit(1, 64)
	w.submit(2, 64)
	if !open(1) || open(1) {
		t.Error("request 1 can be cancelled once")
	}
	if err := w.Send(t.Context(), Picture{Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, sent := b.payloads[2]; !sent || open(2) {
		t.Error("request 2 was answered, and is open no more")
	}
	w.Stall(true)
	if err := w.control(3, setup{RequestType: 0x80}, nil, func([]byte, bool) error {
		t.Error("answered while stalled")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !open(3) {
		t.Error("a request made while stalled cannot be cancelled")
	}
}

func TestHostiles(t *testing.T) {
	w, _ := attached(t)
	for id := range uint64(maxPending) {
		if err := w.submit(id, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.submit(99, 64); !errors.Is(err, errTooMany) {
		t.Errorf("one more than %d requests: %v", maxPending, err)
	}
	if err := w.attach(&fakeBus{}); err == nil {
		t.Error("plugged in twice")
	}
	if err := w.Send(t.Context(), Picture{Data: make([]byte, 640*480*2+1)}); err == nil {
		t.Error("sent a frame that no host buffer holds")
	}
}
