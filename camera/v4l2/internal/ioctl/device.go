//go:build linux && (amd64 || arm64 || arm || riscv64 || loong64)

package ioctl

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device is an open capture device. Its methods are for one goroutine at a
// time, except Cancel and Interrupt. Their errors wrap the raw errno.
type Device struct {
	fd      int
	buffers [][]byte // mapped, by index
	queued  []bool   // the driver has it

	mu       sync.Mutex // guards what follows
	wake     int        // eventfd that ends Wait; -1 when not streaming
	canceled bool
}

// Fraction is struct v4l2_fract; as an interval it is in seconds.
type Fraction struct {
	Numerator, Denominator uint32
}

// PixelFormat is one that the device offers or is set to.
type PixelFormat uint32

// String gives the four characters of a pixel format, as in "MJPG".
func (p PixelFormat) String() string {
	b := []byte{byte(p), byte(p >> 8), byte(p >> 16), byte(p >> 24)}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

// FormatDescription is an answer of VIDIOC_ENUM_FMT.
type FormatDescription struct {
	PixelFormat PixelFormat
	Description string // "Motion-JPEG"
}

// Size is in pixels.
type Size struct{ Width, Height int }

// Picture is what one frame is like.
type Picture struct {
	PixelFormat PixelFormat
	Size
	// BytesPerLine is from one row of the first plane to the next; 0 when the
	// frames are compressed, or the driver does not tell.
	BytesPerLine int
	// FullRange: levels are from 0 to 255, and not from 16 to 235 as in video.
	FullRange bool
}

// maxEnum bounds every enumeration: a broken driver must not keep us for ever.
const maxEnum = 256

// Open opens the device at path, without setting anything.
func Open(path string) (*Device, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return &Device{fd: fd, wake: -1}, nil
	}
}

// FD is the file descriptor. It stays the Device's own.
func (d *Device) FD() uintptr { return uintptr(d.fd) }

// Formats lists the pixel formats that the device offers, in its own order.
func (d *Device) Formats() ([]FormatDescription, error) {
	var all []FormatDescription
	for i := range uint32(maxEnum) {
		f := fmtdesc{index: i, typ: typeVideoCapture}
		switch err := d.ioctl("VIDIOC_ENUM_FMT", vidiocEnumFmt, unsafe.Pointer(&f)); {
		case errors.Is(err, unix.EINVAL):
			return all, nil
		case err != nil:
			return all, err
		}
		all = append(all, FormatDescription{PixelFormat(f.pixelFormat), unix.ByteSliceToString(f.description[:])})
	}
	return all, nil
}

// Sizes lists the sizes that the device offers for a pixel format, each once,
// in its own order; none when it offers a range.
func (d *Device) Sizes(p PixelFormat) ([]Size, error) {
	var all []Size
	for i := range uint32(maxEnum) {
		f := frmsizeenum{index: i, pixelFormat: uint32(p)}
		switch err := d.ioctl("VIDIOC_ENUM_FRAMESIZES", vidiocEnumFramesizes, unsafe.Pointer(&f)); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
			return all, nil
		case err != nil:
			return all, err
		}
		if f.typ != enumDiscrete {
			return nil, nil
		}
		if s := (Size{int(f.numbers[0]), int(f.numbers[1])}); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all, nil
}

// Largest is the largest size of the range that the device offers for a pixel format;
// zero when it offers none.
func (d *Device) Largest(p PixelFormat) Size {
	f := frmsizeenum{pixelFormat: uint32(p)}
	if d.ioctl("VIDIOC_ENUM_FRAMESIZES", vidiocEnumFramesizes, unsafe.Pointer(&f)) != nil || f.typ == enumDiscrete {
		return Size{}
	}
	return Size{int(f.numbers[1]), int(f.numbers[4])} // struct v4l2_frmsize_stepwise
}

// Intervals lists the times from frame to frame that the device offers for a
// picture, in its own order; none when it offers a range.
func (d *Device) Intervals(p Picture) ([]Fraction, error) {
	var all []Fraction
	for i := range uint32(maxEnum) {
		f := frmivalenum{index: i, pixelFormat: uint32(p.PixelFormat), width: uint32(p.Width), height: uint32(p.Height)}
		switch err := d.ioctl("VIDIOC_ENUM_FRAMEINTERVALS", vidiocEnumFrameintervals, unsafe.Pointer(&f)); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
			return all, nil
		case err != nil:
			return all, err
		}
		if f.typ != enumDiscrete {
			return nil, nil
		}
		all = append(all, f.intervals[0])
	}
	return all, nil
}

// Picture says what the device is set to.
func (d *Device) Picture() (Picture, error) {
	f := format{typ: typeVideoCapture}
	err := d.ioctl("VIDIOC_G_FMT", vidiocGFmt, unsafe.Pointer(&f))
	return f.picture(), err
}

// SetPicture sets the device and says what it chose, which may be another size
// and even another pixel format.
func (d *Device) SetPicture(p Picture) (Picture, error) {
	f := format{typ: typeVideoCapture, pix: pixFormat{
		width: uint32(p.Width), height: uint32(p.Height), pixelFormat: uint32(p.PixelFormat), field: fieldAny,
	}}
	err := d.ioctl("VIDIOC_S_FMT", vidiocSFmt, unsafe.Pointer(&f))
	return f.picture(), err
}

func (f *format) picture() Picture {
	// V4L2_MAP_QUANTIZATION_DEFAULT, for what is not RGB.
	full := f.pix.quantization == quantizationFull || f.pix.quantization == 0 && f.pix.colorspace == colorspaceJPEG
	return Picture{PixelFormat(f.pix.pixelFormat), Size{int(f.pix.width), int(f.pix.height)}, int(f.pix.bytesPerLine), full}
}

// Interval says how much time the device leaves between two frames. A device
// that does not know answers with a zero Fraction or ENOTTY.
func (d *Device) Interval() (Fraction, error) {
	p := streamparm{typ: typeVideoCapture}
	if err := d.ioctl("VIDIOC_G_PARM", vidiocGParm, unsafe.Pointer(&p)); err != nil {
		return Fraction{}, err
	}
	return p.timePerFrame, nil
}

// SetInterval asks for a time between two frames; Interval says what came of it.
func (d *Device) SetInterval(f Fraction) error {
	p := streamparm{typ: typeVideoCapture, capability: capTimePerFrame, timePerFrame: f}
	return d.ioctl("VIDIOC_S_PARM", vidiocSParm, unsafe.Pointer(&p))
}

// ioctl repeats the call when a signal interrupts it. The pointer becomes a
// uintptr only in the argument list, where the compiler knows to keep what it
// points to in place (unsafe.Pointer, rule 4).
func (d *Device) ioctl(name string, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("%s: %w", name, errno)
		}
	}
}
