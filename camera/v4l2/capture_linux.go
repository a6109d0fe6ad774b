//go:build cgo

package v4l2

import (
	"bytes"
	"errors"
	"log/slog"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// captureBuffers are asked of the driver. One is being filled, one is being
// copied, and two are there for the time that the program is not scheduled.
const captureBuffers = 4

// maxLost bounds the frames that one gap in the sequence may count for. A
// larger gap is a driver that began to count anew.
const maxLost = 10_000

// stream is what capture needs of a device that was started.
type stream interface {
	Wait() error
	Dequeue() (ioctl.Buffer, error)
	Queue(index int) error
	Restart() error
}

var _ stream = (*ioctl.Device)(nil)

// capture takes the frames of a device that streams.
type capture struct {
	stream stream
	sink   camera.Sink
	log    *slog.Logger

	raw       *rawEncoder // nil: the camera compresses itself
	framer    camera.Framer
	noEOI     func() // is called once when the camera is known never to send EOI; may be nil
	stamps    stamps
	timeline  *timeline // counts losses, if the sequence does not show them
	spills    bool      // what is too much for one buffer comes in the next
	sequence  uint32    // of the next frame
	counting  bool      // sequence is known
	restarted bool      // and no frame came since
	cut       bool      // the last buffer was full, and its frame did not end
	told      time.Time // when the log was told last of a frame that was too large
}

func newCapture(s stream, sink camera.Sink, log *slog.Logger, q quirk, f camera.Format) *capture {
	c := &capture{stream: s, sink: sink, log: log, spills: q.spills}
	if q.gapless && q.obeysBitRate(f) && f.FPS > 0 { // stills come as they can
		c.timeline = &timeline{period: f.FrameTime()}
	}
	return c
}

// tooLargeInterval is between two lines of the log about frames that are too
// large.
const tooLargeInterval = time.Minute

// run delivers frames until the device fails or is canceled. The driver's
// memory is held only while a frame is copied out of it.
func (c *capture) run() error {
	for {
		err := c.stream.Wait()
		if err == nil {
			err = c.next()
		}
		interrupted := errors.Is(err, ioctl.ErrInterrupted)
		switch {
		case err == nil:
		case interrupted, errors.Is(err, unix.EIO) && !c.restarted:
			if !interrupted {
				c.log.Warn("camera reports an input/output error; its stream is started again", "error", err)
			}
			c.sink.Restarted()
			if err := c.stream.Restart(); err != nil {
				return err
			}
			c.restarted, c.counting, c.cut = true, false, false
			if c.timeline != nil {
				c.timeline = &timeline{period: c.timeline.period}
			}
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
	if c.raw != nil {
		return c.encode(newest)
	}
	frame, kind := c.framer.Frame(newest.Data, c.captureTime(newest))
	if kind == camera.DropTruncated && newest.Full {
		kind = camera.DropTooLarge
		c.sayTooLarge(len(newest.Data))
	}
	if err := c.stream.Queue(newest.Index); err != nil {
		return err
	}
	if frame == nil {
		c.sink.Drop(kind, 1)
		return nil
	}
	c.restarted = false
	if c.noEOI != nil && c.framer.NoEOI(frame.Time) {
		c.noEOI()
		c.noEOI = nil
	}
	c.sink.Frame(frame)
	return nil
}

// encode delivers a raw picture, or leaves it out when there is no time for it.
func (c *capture) encode(b ioctl.Buffer) error {
	captured, kind := c.captureTime(b), camera.DropPaced
	if c.raw.due() {
		kind = c.raw.load(b.Data)
	}
	if err := c.stream.Queue(b.Index); err != nil {
		return err
	}
	if kind != "" {
		c.sink.Drop(kind, 1)
		return nil
	}
	frame, err := c.raw.encode(captured)
	if err != nil {
		return err
	}
	c.restarted = false
	c.sink.Frame(frame)
	return nil
}

// newest takes every buffer that is ready and keeps the last one that the driver
// does not call damaged. It goes round no more often than there are buffers, so
// that a device that is faster than this loop cannot hold it here.
func (c *capture) newest() (newest ioctl.Buffer, ok bool, err error) {
	for range captureBuffers {
		b, err := c.stream.Dequeue()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return newest, false, err
		}
		rest := c.cut && !startsJPEG(b.Data)
		c.cut = c.spills && b.Full && (rest || !endsJPEG(b.Data))
		late := c.late(b)
		if !rest && !late {
			c.countLost(b)
		}
		var discard ioctl.Buffer
		switch {
		case rest: // of a frame that was counted
			discard = b
		case late:
			discard = b
			c.sink.Drop(camera.DropStale, 1)
		case b.Flags&go4vl.BufFlagError != 0:
			discard = b
			c.sink.Drop(camera.DropFlagged, 1)
		case len(b.Data) == 0:
			discard = b
			c.sink.Drop(camera.DropEmpty, 1)
		case !ok:
			newest, ok = b, true
			continue
		default:
			newest, discard = b, newest
			c.sink.Drop(camera.DropStale, 1)
		}
		if err := c.stream.Queue(discard.Index); err != nil {
			return newest, false, err
		}
	}
	return newest, ok, nil
}

// late says whether a later frame than b was dequeued before it. uvcvideo copies
// frames in a work queue, which may finish two in another order than they came in.
// A larger step back is a driver that began to count anew, and equal numbers are
// one that does not count.
func (c *capture) late(b ioctl.Buffer) bool {
	back := c.sequence - b.Sequence
	return c.counting && c.timeline == nil && 2 <= back && back <= captureBuffers
}

// countLost counts the frames that the driver had no buffer for, or threw away
// itself as uvcvideo does with damaged ones: by their numbers, or by time where
// only those are numbered that are delivered.
func (c *capture) countLost(b ioctl.Buffer) {
	if c.timeline != nil {
		if lost := c.timeline.lost(b.Stamp); lost > 0 {
			c.sink.Drop(camera.DropLost, lost)
		}
		return
	}
	if lost := b.Sequence - c.sequence; c.counting && 0 < lost && lost <= maxLost {
		c.sink.Drop(camera.DropLost, int(lost))
	}
	c.sequence, c.counting = b.Sequence+1, true
}

func (c *capture) sayTooLarge(size int) {
	if now := time.Now(); c.told.IsZero() || now.Sub(c.told) >= tooLargeInterval {
		c.told = now
		c.log.Warn("frames are larger than the camera's buffers and are thrown away: lower -bitrate or -quality", "buffer", size)
	}
}

// soi and eoi are the markers with which a JPEG begins and ends (T.81, B.1.1.3).
const soi, eoi = "\xff\xd8", "\xff\xd9"

func startsJPEG(b []byte) bool { return bytes.HasPrefix(b, []byte(soi)) }
func endsJPEG(b []byte) bool   { return bytes.HasSuffix(b, []byte(eoi)) }

// captureTime is when the driver says that it captured b, with wall and
// monotonic time.
func (c *capture) captureTime(b ioctl.Buffer) time.Time {
	var ts unix.Timespec
	now := time.Now()
	if b.Flags&go4vl.BufFlagTimestampMask != go4vl.BufFlagTimestampMonotonic ||
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return now
	}
	return c.stamps.time(b.Stamp, time.Duration(ts.Nano()), now)
}

// maxAge is the greatest age that is believed of a frame that was just
// dequeued.
const maxAge = 10 * time.Second

// stamps maps a driver's time stamps to times.
type stamps struct {
	last time.Duration // that was believed
}

// time maps a stamp of the monotonic clock, when that clock shows monotonic at
// now. A stamp that cannot be true counts as now: uvcvideo calls its stamps
// monotonic even when its parameter clock=CLOCK_REALTIME makes them something
// else, the first frames of some cameras have none, and the Pi camera's driver
// stamps all its still pictures with the start of the stream (raspberrypi/linux
// 2351), of which the first alone can be true.
func (s *stamps) time(stamp, monotonic time.Duration, now time.Time) time.Time {
	age := monotonic - stamp
	if age < 0 || age > maxAge || stamp <= s.last {
		return now
	}
	s.last = stamp
	return now.Add(-age)
}
