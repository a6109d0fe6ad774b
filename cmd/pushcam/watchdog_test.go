package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
	"github.com/pushcam/pushcam/pusher"
)

func TestWatchdog(t *testing.T) {
	t.Attr("fault", "system | the program's server or its camera's loop hangs | the program ends itself | started anew")
	flows := func() camera.State {
		return camera.State{Phase: camera.Live, Frames: uint64(time.Now().UnixMilli())}
	}
	still := func(phase camera.Phase) func() camera.State {
		return func() camera.State { return camera.State{Phase: phase, Frames: 7} }
	}
	fine := func(context.Context) error { return nil }
	refused := func(context.Context) error { return errors.New("refused") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	idle := func() camera.State { return camera.State{Phase: camera.Idle, Watched: true} }
	locked := make(chan struct{})
	deadlock := func() camera.State { <-locked; return camera.State{} }
	calls := 0
	flaky := func(context.Context) error {
		if calls++; calls%3 == 0 {
			return nil
		}
		return errors.New("busy")
	}
	for _, tt := range []struct {
		name  string
		state func() camera.State
		get   func(context.Context) error
		want  string        // part of the reason; "" if it must not end
		after time.Duration // at the latest
	}{
		{"all well", flows, fine, "", 0},
		{"nobody watches", still(camera.Idle), fine, "", 0},
		{"no camera", still(camera.NoCamera), fine, "", 0},
		{"closed", still(camera.Privacy), fine, "", 0},
		{"two failures in a row, now and then", flows, flaky, "", 0},
		{"server refuses", flows, refused, "did not answer itself 3 times: its HTTP server: refused", 30 * time.Second},
		{"server hangs", flows, hangs, "did not answer itself 3 times: its HTTP server: context deadline", 35 * time.Second},
		{"camera hangs", deadlock, fine, "did not answer itself 3 times: its camera's state: context deadline", 35 * time.Second},
		{"live without frames", still(camera.Live), fine, "live for 1m0s", 80 * time.Second},
		{"idle though watched", idle, fine, "idle for 1m0s", 80 * time.Second},
		{"never started", still(camera.Starting), fine, "starting for 1m0s", 80 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				locked = make(chan struct{})
				defer close(locked)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				var why error
				w := watchdog{state: tt.state, get: tt.get, log: slog.New(slog.DiscardHandler), end: func(err error) { why = err }}
				w.run(ctx)
				took := time.Since(began)
				switch {
				case tt.want == "" && why != nil:
					t.Errorf("ended after %v: %v", took, why)
				case tt.want != "" && (why == nil || !strings.Contains(why.Error(), tt.want) || took > tt.after):
					t.Errorf("after %v: %v, want %q", took, why, tt.want)
				}
			})
		})
	}
}

// A camera that gives a frame every 10 s is given more than a minute to show that its frames
// have stopped. The program goes on until it says so, and then it has said why.
func TestWatchdogAndASlowCamera(t *testing.T) {
	t.Attr("fault", "camera | one of a frame every 10 s gives none any more | its stream is started again, and the program goes on | 100 s")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		source := &cameratest.Source{Format: camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 0.1}}
		cam := &camera.Camera{Source: source}
		ended := make(chan error, 1)
		go func() { ended <- cam.Run(ctx) }()
		cam.SetDemand(true)
		time.Sleep(time.Minute)
		source.Stall(true)
		w := watchdog{state: cam.State, get: func(context.Context) error { return nil }, log: slog.New(slog.DiscardHandler),
			end: func(err error) { t.Errorf("the program was ended: %v", err) }}
		w.run(ctx)
		<-ended
		if cam.State().Stalls == 0 {
			t.Error("no stall was seen in an hour")
		}
	})
}

// While the card does not answer the program is not ended, and each good look is shown
// to process 1.
func TestWatchdogAndTheCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began, beats := time.Now(), 0
		var why error
		var ended time.Duration
		w := watchdog{
			state: func() camera.State { return camera.State{Phase: camera.NoCamera} },
			get: func(context.Context) error {
				if time.Since(began) > 10*time.Minute {
					return errors.New("refused")
				}
				return nil
			},
			beat:        func() error { beats++; return errors.New("no /run") },
			cardAnswers: func() bool { return time.Since(began) > 30*time.Minute },
			log:         slog.New(slog.DiscardHandler),
			end:         func(err error) { why, ended = err, time.Since(began) },
		}
		w.run(ctx)
		if why == nil || ended < 30*time.Minute || ended > 31*time.Minute {
			t.Errorf("ended after %v: %v; want the end when the card answers again, after 30 minutes", ended, why)
		}
		if beats != 60 {
			t.Errorf("%d beats, want one every 10 s in 10 minutes", beats)
		}
	})
}

// Whoever fills the server's port makes nobody believe that the program hangs, or that an
// update has no picture.
func TestSelfCheck(t *testing.T) {
	t.Attr("fault", "abuse | the port is filled by strangers | nobody believes that the program hangs, or that an update has no picture | –")
	hub, itself := pusher.NewHub(nil), pusher.NewMemoryListener()
	server := &pusher.Server{Hub: hub, Camera: calm{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l, itself) }()
	defer func() { cancel(); <-served }()
	for range 300 { // more than there can be
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nx"); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	}
	if err := selfCheck(itself.Client())(t.Context()); err != nil {
		t.Errorf("a program that works: %v", err)
	}
	go func() {
		for ctx.Err() == nil { // until the snapshot has one
			hub.Publish(&camera.Frame{JPEG: []byte("\xff\xd8 picture \xff\xd9"), Time: time.Now()})
			time.Sleep(time.Millisecond)
		}
	}()
	if err := selfPicture(t.Context(), itself.Client()); err != nil {
		t.Errorf("a camera that works: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	served <- nil
	if err := selfCheck(itself.Client())(t.Context()); err == nil {
		t.Error("nobody answers, and that is fine?")
	}
}

func TestDump(t *testing.T) {
	var b strings.Builder
	dump(&b)
	if !regexp.MustCompile(`(?m)^1× .*pushcam\.dump watchdog\.go:\d+ < pushcam\.TestDump watchdog_test\.go:\d+ < `).MatchString(b.String()) {
		t.Errorf("the dump does not show this test:\n%s", b.String())
	}
}
