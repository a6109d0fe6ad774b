package usbcam

import (
	"context"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A reader captures MJPEG in the plainest way that V4L2 has. It shares nothing
// with the product's own reader, so that the webcam is not judged by the code
// that it is there to judge.
type reader struct {
	fd      int
	buffers [][]byte
}

// Structs of linux/videodev2.h on 64-bit machines, as far as they are used.
type (
	v4l2Format struct {
		kind          uint32
		_             uint32
		width, height uint32
		pixelFormat   uint32
		_             [208 - 20]byte
	}
	v4l2RequestBuffers struct {
		count, kind, memory uint32
		_                   [8]byte
	}
	v4l2Buffer struct {
		index, kind, bytesused, flags uint32
		_                             [44]byte
		memory                        uint32
		offset                        uint32
		_                             uint32
		length                        uint32
		_                             [12]byte
	}
)

const (
	vidiocSFmt      = 0xc0d05605
	vidiocReqbufs   = 0xc0145608
	vidiocQuerybuf  = 0xc0585609
	vidiocQbuf      = 0xc058560f
	vidiocDqbuf     = 0xc0585611
	vidiocStreamon  = 0x40045612
	vidiocStreamoff = 0x40045613

	v4l2VideoCapture = 1
	v4l2Mmap         = 1
	v4l2Error        = 0x40 // V4L2_BUF_FLAG_ERROR
	mjpg             = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
)

func ioctl(fd int, req uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// capture opens a device and begins to stream.
func capture(t *testing.T, path string, width, height int) *reader {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	r := &reader{fd: fd}
	format := v4l2Format{kind: v4l2VideoCapture, width: uint32(width), height: uint32(height), pixelFormat: mjpg}
	if err := ioctl(fd, vidiocSFmt, unsafe.Pointer(&format)); err != nil {
		t.Fatalf("VIDIOC_S_FMT: %v", err)
	}
	if int(format.width) != width || int(format.height) != height || format.pixelFormat != mjpg {
		t.Fatalf("format %+v, want MJPG %d×%d", format, width, height)
	}
	request := v4l2RequestBuffers{count: 4, kind: v4l2VideoCapture, memory: v4l2Mmap}
	if err := ioctl(fd, vidiocReqbufs, unsafe.Pointer(&request)); err != nil {
		t.Fatalf("VIDIOC_REQBUFS: %v", err)
	}
	for i := range request.count {
		b := v4l2Buffer{index: i, kind: v4l2VideoCapture, memory: v4l2Mmap}
		if err := ioctl(fd, vidiocQuerybuf, unsafe.Pointer(&b)); err != nil {
			t.Fatalf("VIDIOC_QUERYBUF: %v", err)
		}
		mem, err := unix.Mmap(fd, int64(b.offset), int(b.length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatalf("mmap: %v", err)
		}
		r.buffers = append(r.buffers, mem)
		if err := ioctl(fd, vidiocQbuf, unsafe.Pointer(&b)); err != nil {
			t.Fatalf("VIDIOC_QBUF: %v", err)
		}
	}
	kind := uint32(v4l2VideoCapture)
	if err := ioctl(fd, vidiocStreamon, unsafe.Pointer(&kind)); err != nil {
		t.Fatalf("VIDIOC_STREAMON: %v", err)
	}
	return r
}

// next is a copy of the next frame, and whether the driver marked it as damaged.
func (r *reader) next(ctx context.Context) (frame []byte, damaged bool, err error) {
	for ctx.Err() == nil {
		poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, int((100 * time.Millisecond).Milliseconds())); err != nil && err != unix.EINTR {
			return nil, false, err
		}
		b := v4l2Buffer{kind: v4l2VideoCapture, memory: v4l2Mmap}
		switch err := ioctl(r.fd, vidiocDqbuf, unsafe.Pointer(&b)); err {
		case nil:
			frame = append([]byte(nil), r.buffers[b.index][:b.bytesused]...)
			damaged = b.flags&v4l2Error != 0
			return frame, damaged, ioctl(r.fd, vidiocQbuf, unsafe.Pointer(&b))
		case unix.EAGAIN:
		default:
			return nil, false, fmt.Errorf("VIDIOC_DQBUF: %w", err)
		}
	}
	return nil, false, ctx.Err()
}

// stop ends the stream and gives back the device.
func (r *reader) stop() {
	kind := uint32(v4l2VideoCapture)
	ioctl(r.fd, vidiocStreamoff, unsafe.Pointer(&kind))
	for _, mem := range r.buffers {
		unix.Munmap(mem)
	}
	unix.Close(r.fd)
}
