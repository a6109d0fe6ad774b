//go:build cgo

package v4l2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	"golang.org/x/sys/unix"
)

var (
	_ camera.Waiter          = (*Source)(nil)
	_ camera.StreamRestarter = (*Source)(nil)
)

type state struct {
	finder finder
	wanted string // was looked for last; belongs to the finder's goroutine
	setter controlSetter
	// quality is that of pictures which are encoded here; 0 is the default. The
	// goroutine that encodes reads it while others set controls.
	quality atomic.Int32
	// running is nil when nothing streams.
	running atomic.Pointer[ioctl.Device]
	// tried is the camera that was found last. Reset reads it while others work
	// with the camera, or hang in it.
	tried atomic.Pointer[node]
}

// Check looks for the camera. A device is opened once for each time that it
// appears or its permissions change, not for each Check: opening wakes a USB
// webcam that sleeps.
func (v *Source) Check() (camera.Device, error) {
	n, err := v.find()
	return n.Device, err
}

// Cameras lists those that can be chosen. It takes as long as they do to answer. Any
// goroutine may call it.
func (v *Source) Cameras() []camera.Device {
	all := []camera.Device{}
	for _, n := range (&finder{probe: v.state.finder.probe}).look(v.root()) {
		if n.refusal() == "" {
			all = append(all, n.Device)
		}
	}
	return all
}

// Wait returns after d, when ctx is done, or as soon as a device file has
// appeared, or changed its permissions, since the last Check or Run.
func (v *Source) Wait(ctx context.Context, d time.Duration) (early bool) {
	return v.state.finder.wait(ctx, v.root(), d)
}

// Run captures from the camera until ctx is done or the camera is lost.
func (v *Source) Run(ctx context.Context, sink camera.Sink) error {
	n, err := v.find()
	if err != nil {
		return err
	}
	device, err := ioctl.Open(n.file)
	if err != nil {
		return explain(v.root(), n, err)
	}
	// What cannot be given back is gone with the device or with its descriptor.
	defer device.Close()

	format, encoder, err := v.negotiate(n, device)
	if err != nil {
		return explain(v.root(), n, err)
	}
	if err := device.Start(captureBuffers); err != nil {
		return explain(v.root(), n, err)
	}
	canceled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { device.Cancel(); close(canceled) })
	defer func() {
		if !stop() {
			<-canceled
		}
	}()

	v.state.running.Store(device)
	defer v.state.running.Store(nil)
	v.state.finder.last = n.Device
	sink.Started(n.Device, format)
	c := newCapture(device, sink, v.logger(), quirks[n.driver], format)
	c.raw = encoder
	c.noEOI = func() {
		format.Adjust(camera.EOIAdded)
		sink.Started(n.Device, format)
	}
	switch err := c.run(); {
	case errors.Is(err, ioctl.ErrCanceled):
		return context.Cause(ctx)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %s was unplugged", camera.ErrNoCamera, n)
	default:
		return explain(v.root(), n, err)
	}
}

// RestartStream has Run start the stream of its device again.
func (v *Source) RestartStream() bool {
	device := v.state.running.Load()
	if device != nil {
		device.Interrupt()
	}
	return device != nil
}

func (v *Source) encodedQuality() int {
	return cmp.Or(int(v.state.quality.Load()), encodedQuality)
}

func (v *Source) root() string {
	return filepath.Join("/", v.Root)
}

func (v *Source) find() (node, error) {
	want := v.request().device
	if want != v.state.wanted { // it is not to be followed from one path to another any more
		v.state.wanted, v.state.finder.last = want, camera.Device{}
	}
	n, err := v.state.finder.find(v.root(), want)
	if err == nil {
		v.state.tried.Store(&n)
	}
	if v.Why != nil && errors.Is(err, camera.ErrNoCamera) {
		if why := v.Why(); why != "" {
			return n, fmt.Errorf("%w; %s", err, why)
		}
	}
	return n, err
}
