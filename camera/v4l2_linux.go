//go:build cgo

package camera

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pushcam/pushcam/camera/internal/v4l2"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// captureBuffers are asked of the driver. One is being filled, one is being
// copied, and two are there for the time that the program is not scheduled.
const captureBuffers = 4

// maxLost bounds the frames that one gap in the sequence may count for. A
// larger gap is a driver that began to count anew.
const maxLost = 10_000

type v4l2State struct {
	finder        finder
	saidNoQuality bool
}

// Check looks for the camera. A device is opened once for each time that it
// appears or its permissions change, not for each Check: opening wakes a USB
// webcam that sleeps.
func (v *V4L2) Check() (Device, error) {
	n, err := v.find()
	return n.Device, err
}

// Wait returns after d, when ctx is done, or as soon as a device file has
// appeared, or changed its permissions, since the last Check or Run.
func (v *V4L2) Wait(ctx context.Context, d time.Duration) (early bool) {
	return v.state.finder.wait(ctx, v.root(), d)
}

// Run captures from the camera until ctx is done or the camera is lost.
func (v *V4L2) Run(ctx context.Context, sink Sink) error {
	n, err := v.find()
	if err != nil {
		return err
	}
	device, err := v4l2.Open(n.file)
	if err != nil {
		return v.explain(n, err)
	}
	// What cannot be given back is gone with the device or with its descriptor.
	defer device.Close()

	format, err := v.negotiate(n, device)
	if err != nil {
		return v.explain(n, err)
	}
	if err := device.Start(captureBuffers); err != nil {
		return v.explain(n, err)
	}
	canceled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { device.Cancel(); close(canceled) })
	defer func() {
		if !stop() {
			<-canceled
		}
	}()

	v.state.finder.last = n.Device
	sink.Started(n.Device, format)
	c := capture{device: device, sink: sink, log: logger(v.Log)}
	switch err := c.run(); {
	case errors.Is(err, v4l2.ErrCanceled):
		return context.Cause(ctx)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %s was unplugged", ErrNoCamera, n)
	default:
		return v.explain(n, err)
	}
}

func (v *V4L2) root() string {
	if v.Root == "" {
		return "/"
	}
	return v.Root
}

func (v *V4L2) find() (node, error) {
	return v.state.finder.find(v.root(), v.Device)
}

// explain says what an error of a device means to its owner.
func (v *V4L2) explain(n node, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is in use by %s: stop that program, or choose another camera (%w)", n, users(v.root(), n.Path), err)
	case errors.Is(err, fs.ErrPermission):
		return denied(n, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s has just gone (%w)", ErrNoCamera, n, err)
	default:
		return fmt.Errorf("%s: %w", n, err)
	}
}

// capture takes the frames of a device that streams.
type capture struct {
	device *v4l2.Device
	sink   Sink
	log    *slog.Logger

	sequence  uint32 // of the next frame
	counting  bool   // sequence is known
	restarted bool   // and no frame came since
}

// run delivers frames until the device fails or is canceled. The driver's
// memory is held only while a frame is copied out of it.
func (c *capture) run() error {
	for {
		err := c.device.Wait()
		if err == nil {
			err = c.next()
		}
		switch {
		case err == nil:
		case errors.Is(err, unix.EIO) && !c.restarted:
			c.log.Warn("camera reports an input/output error; its stream is started again", "error", err)
			if err := c.device.Restart(); err != nil {
				return err
			}
			c.restarted, c.counting = true, false
		default:
			return err
		}
	}
}

// next delivers the newest of the frames that are ready, if any of them is good.
func (c *capture) next() error {
	newest, ok, err := c.newest()
	if err != nil || !ok {
		return err
	}
	frame, kind := NewFrame(newest.Data, captureTime(newest))
	if err := c.device.Queue(newest.Index); err != nil {
		return err
	}
	if frame == nil {
		c.sink.Drop(kind, 1)
		return nil
	}
	c.restarted = false
	c.sink.Frame(frame)
	return nil
}

// newest takes every buffer that is ready and keeps the last one that the driver
// does not call damaged. It goes round no more often than there are buffers, so
// that a device that is faster than this loop cannot hold it here.
func (c *capture) newest() (newest v4l2.Buffer, ok bool, err error) {
	for range captureBuffers {
		b, err := c.device.Dequeue()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return newest, false, err
		}
		c.countLost(b.Sequence)
		var discard v4l2.Buffer
		switch {
		case b.Flags&go4vl.BufFlagError != 0:
			discard = b
			c.sink.Drop(DropFlagged, 1)
		case len(b.Data) == 0:
			discard = b
			c.sink.Drop(DropEmpty, 1)
		case !ok:
			newest, ok = b, true
			continue
		default:
			newest, discard = b, newest
			c.sink.Drop(DropStale, 1)
		}
		if err := c.device.Queue(discard.Index); err != nil {
			return newest, false, err
		}
	}
	return newest, ok, nil
}

// countLost counts the frames that the driver had no buffer for, or threw away
// itself as uvcvideo does with damaged ones. Drivers that number only what they
// deliver, as bcm2835-v4l2 does, show no gaps here.
func (c *capture) countLost(sequence uint32) {
	if lost := sequence - c.sequence; c.counting && 0 < lost && lost <= maxLost {
		c.sink.Drop(DropLost, int(lost))
	}
	c.sequence, c.counting = sequence+1, true
}

// captureTime is when the driver says that it captured b, with wall and
// monotonic time.
func captureTime(b v4l2.Buffer) time.Time {
	var ts unix.Timespec
	now := time.Now()
	if b.Flags&go4vl.BufFlagTimestampMask != go4vl.BufFlagTimestampMonotonic ||
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return now
	}
	return stampTime(b.Stamp, time.Duration(ts.Nano()), now)
}

// maxAge is the greatest age that is believed of a frame that was just
// dequeued.
const maxAge = 10 * time.Second

// stampTime maps a stamp of the monotonic clock to a time, when that clock
// shows monotonic at now. A stamp that cannot be true counts as now: uvcvideo
// calls its stamps monotonic even when its parameter clock=CLOCK_REALTIME makes
// them something else, and the first frames of some cameras have none.
func stampTime(stamp, monotonic time.Duration, now time.Time) time.Time {
	age := monotonic - stamp
	if age < 0 || age > maxAge {
		return now
	}
	return now.Add(-age)
}
