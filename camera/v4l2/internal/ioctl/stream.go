//go:build linux && (amd64 || arm64 || arm || riscv64 || loong64)

package ioctl

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrCanceled is what Wait returns after Cancel.
var ErrCanceled = errors.New("canceled")

// ErrInterrupted is what Wait returns once after Interrupt.
var ErrInterrupted = errors.New("interrupted")

// Buffer is a filled buffer that the driver has handed out.
type Buffer struct {
	Index    int
	Data     []byte        // the driver's memory: read-only, and only until Queue
	Full     bool          // Data is as long as a buffer can be
	Flags    uint32        // V4L2_BUF_FLAG_…
	Sequence uint32        // counts what the device captured since Start
	Stamp    time.Duration // of the clock that Flags names
}

// Start asks the driver for n buffers (it may give another number), maps them
// and starts the stream. When it fails, Close clears up.
func (d *Device) Start(n int) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	d.mu.Lock()
	d.wake = wake
	d.mu.Unlock()

	r := requestbuffers{count: uint32(n), typ: typeVideoCapture, memory: memoryMMAP}
	if err := d.ioctl("VIDIOC_REQBUFS", vidiocReqbufs, unsafe.Pointer(&r)); err != nil {
		return err
	}
	for i := range r.count {
		b := buffer{index: i, typ: typeVideoCapture, memory: memoryMMAP}
		if err := d.ioctl("VIDIOC_QUERYBUF", vidiocQuerybuf, unsafe.Pointer(&b)); err != nil {
			return err
		}
		m, err := unix.Mmap(d.fd, int64(b.offset), int(b.length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("mmap %d bytes: %w", b.length, err)
		}
		d.buffers = append(d.buffers, m)
	}
	d.queued = make([]bool, len(d.buffers))
	return d.streamOn()
}

// Restart stops the stream and starts it again with the same buffers, which is
// what the V4L2 specification advises after EIO. No Buffer may be held.
func (d *Device) Restart() error {
	if err := d.streamOff(); err != nil {
		return err
	}
	return d.streamOn()
}

func (d *Device) streamOn() error {
	for i := range d.buffers {
		if err := d.Queue(i); err != nil {
			return err
		}
	}
	typ := int32(typeVideoCapture)
	return d.ioctl("VIDIOC_STREAMON", vidiocStreamon, unsafe.Pointer(&typ))
}

// streamOff also takes all buffers back from the driver.
func (d *Device) streamOff() error {
	typ := int32(typeVideoCapture)
	clear(d.queued)
	return d.ioctl("VIDIOC_STREAMOFF", vidiocStreamoff, unsafe.Pointer(&typ))
}

// Wait returns when Dequeue has a frame. It has no deadline of its own; Cancel
// ends it with ErrCanceled, Interrupt with ErrInterrupted. EIO: the stream must be restarted. ENODEV: the
// device is gone.
func (d *Device) Wait() error {
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	for {
		switch _, err := unix.Poll(fds, -1); {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		case fds[1].Revents != 0:
			return d.awake()
		case fds[0].Revents&unix.POLLIN != 0:
			return nil
		case fds[0].Revents&unix.POLLHUP != 0: // v4l2_poll of a device that was unregistered
			return fmt.Errorf("poll: %w", unix.ENODEV)
		default: // POLLERR: vb2 in its error state
			return fmt.Errorf("poll: %w", unix.EIO)
		}
	}
}

// Cancel ends this and all later calls of Wait. Any goroutine may call it at
// any time; without a stream it does nothing.
func (d *Device) Cancel() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.canceled = true
	d.end()
}

// Interrupt ends this or the next call of Wait. Any goroutine may call it at any
// time; without a stream it does nothing.
func (d *Device) Interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
}

// awake says what Wait was ended by.
func (d *Device) awake() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.canceled {
		return ErrCanceled
	}
	if _, err := unix.Read(d.wake, make([]byte, 8)); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return ErrInterrupted
}

// end is called with mu held.
func (d *Device) end() {
	if d.wake >= 0 {
		// It can fail only when the counter is full, and then Wait ends too.
		_, _ = unix.Write(d.wake, []byte{7: 1})
	}
}

// Dequeue takes a filled buffer, the oldest first. EAGAIN: none is ready. EIO:
// the stream must be restarted. ENODEV: the device is gone.
func (d *Device) Dequeue() (Buffer, error) {
	b := buffer{typ: typeVideoCapture, memory: memoryMMAP}
	if err := d.ioctl("VIDIOC_DQBUF", vidiocDqbuf, unsafe.Pointer(&b)); err != nil {
		return Buffer{}, err
	}
	i := int(b.index)
	if i >= len(d.buffers) {
		return Buffer{}, fmt.Errorf("VIDIOC_DQBUF: the driver answers with buffer %d of %d: %w", i, len(d.buffers), unix.EIO)
	}
	d.queued[i] = false
	return Buffer{
		Index:    i,
		Data:     d.buffers[i][:min(int64(b.bytesUsed), int64(len(d.buffers[i])))],
		Full:     int64(b.bytesUsed) >= int64(len(d.buffers[i])),
		Flags:    b.flags,
		Sequence: b.sequence,
		Stamp:    time.Duration(b.sec)*time.Second + time.Duration(b.usec)*time.Microsecond,
	}, nil
}

// Queue gives buffer i back to the driver; its Data must not be read any more.
// It does nothing when the driver has it already.
func (d *Device) Queue(i int) error {
	if d.queued[i] {
		return nil
	}
	b := buffer{index: uint32(i), typ: typeVideoCapture, memory: memoryMMAP}
	if err := d.ioctl("VIDIOC_QBUF", vidiocQbuf, unsafe.Pointer(&b)); err != nil {
		return err
	}
	d.queued[i] = true
	return nil
}

// Close stops the stream and gives everything back, from whatever state the
// device is in. The order matters: with a mapping left, REQBUFS(0) is EBUSY, and
// a device that was unplugged keeps its number while anything of it is held.
func (d *Device) Close() error {
	var errs []error
	if d.buffers != nil {
		errs = append(errs, d.streamOff())
		for _, m := range d.buffers {
			errs = append(errs, unix.Munmap(m))
		}
		r := requestbuffers{typ: typeVideoCapture, memory: memoryMMAP}
		errs = append(errs, d.ioctl("VIDIOC_REQBUFS", vidiocReqbufs, unsafe.Pointer(&r)))
		d.buffers, d.queued = nil, nil
	}
	d.mu.Lock()
	if d.wake >= 0 {
		errs = append(errs, unix.Close(d.wake))
		d.wake = -1
	}
	d.mu.Unlock()
	return errors.Join(append(errs, unix.Close(d.fd))...)
}
