// Package cameratest gives tests a camera.Source that fails when it is told to.
package cameratest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pushcam/pushcam/camera"
)

// Source is a camera.Source without a camera. Its zero value gives a small
// picture 30 times a second; the methods make it fail. All methods may be called
// from any goroutine, and all times are those of package time, so that it works
// inside a testing/synctest bubble.
type Source struct {
	Device camera.Device // empty: a made-up one
	Format camera.Format // empty: MJPG 640×480 at 30 fps
	// JPEG is what every frame holds; empty: SOI and EOI, which is no picture.
	JPEG []byte

	mu      sync.Mutex
	changed chan struct{} // closed when what follows changes
	err     error         // what Check and Run answer
	stalled bool
	slow    bool
	hung    bool
	damage  camera.DropKind
	checks  int
	runs    int
	running bool
}

var (
	_ camera.Source = (*Source)(nil)
	_ camera.Waiter = (*Source)(nil)
)

// Unplug takes the camera away: Check and Run answer ErrNoCamera.
func (s *Source) Unplug() {
	s.Fail(fmt.Errorf("%w: unplugged by the test", camera.ErrNoCamera))
}

// Fail makes Check and Run answer err, a running Run too.
func (s *Source) Fail(err error) { s.set(func() { s.err = err }) }

// Plug ends what Unplug or Fail began, and ends a Wait early.
func (s *Source) Plug() { s.set(func() { s.err = nil }) }

// Stall stops the frames while the source goes on, or lets them go on.
func (s *Source) Stall(stalled bool) { s.set(func() { s.stalled = stalled }) }

// Damage makes every frame one that is dropped for this reason; empty ends it.
func (s *Source) Damage(kind camera.DropKind) { s.set(func() { s.damage = kind }) }

// Delay makes the next runs wait for ever before they are started, or ends that.
func (s *Source) Delay(slow bool) { s.set(func() { s.slow = slow }) }

// Hang makes Check and Run not return, whatever their context says, as in a
// driver that sleeps in the kernel; frames stop too. Hang(false) wakes it up.
func (s *Source) Hang(hung bool) { s.set(func() { s.hung = hung }) }

// Checks and Runs count the calls so far; Running says whether Run is under way.
func (s *Source) Checks() int   { s.mu.Lock(); defer s.mu.Unlock(); return s.checks }
func (s *Source) Runs() int     { s.mu.Lock(); defer s.mu.Unlock(); return s.runs }
func (s *Source) Running() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.running }

// Check answers as the methods above arranged it.
func (s *Source) Check() (camera.Device, error) {
	s.mu.Lock()
	s.checks++
	s.mu.Unlock()
	for {
		now, changed := s.look()
		if !now.hung {
			return s.device(), now.err
		}
		<-changed
	}
}

// Run gives frames as the methods above arranged it.
func (s *Source) Run(ctx context.Context, sink camera.Sink) error {
	s.mu.Lock()
	s.runs++
	s.running = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	format := s.format()
	next := time.NewTicker(format.FrameTime())
	defer next.Stop()
	started := false
	for {
		now, changed := s.look()
		done := ctx.Done()
		if now.hung {
			done = nil
		} else if now.err != nil {
			return now.err
		} else if !started && !now.slow {
			started = true
			sink.Started(s.device(), format)
		}
		select {
		case <-done:
			return ctx.Err()
		case <-changed:
		case <-next.C:
			switch {
			case !started || now.hung || now.stalled:
			case now.damage != "":
				sink.Drop(now.damage, 1)
			default:
				sink.Frame(&camera.Frame{JPEG: s.jpeg(), Time: time.Now(), Width: format.Width, Height: format.Height})
			}
		}
	}
}

// Wait returns early when the camera is plugged in.
func (s *Source) Wait(ctx context.Context, d time.Duration) (early bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	before, changed := s.look()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return false
		case <-changed:
		}
		var now look
		if now, changed = s.look(); before.err != nil && now.err == nil {
			return true
		}
		before = now
	}
}

// look is what the methods arranged, at one moment.
type look struct {
	err                 error
	stalled, slow, hung bool
	damage              camera.DropKind
}

func (s *Source) look() (look, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return look{s.err, s.stalled, s.slow, s.hung, s.damage}, s.changed
}

func (s *Source) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *Source) device() camera.Device {
	if s.Device == (camera.Device{}) {
		return camera.Device{Name: "test camera", Path: "/dev/video0"}
	}
	return s.Device
}

func (s *Source) format() camera.Format {
	if s.Format == (camera.Format{}) {
		return camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 30}
	}
	return s.Format
}

func (s *Source) jpeg() []byte {
	if s.JPEG == nil {
		return []byte{0xff, 0xd8, 0xff, 0xd9}
	}
	return s.JPEG
}
