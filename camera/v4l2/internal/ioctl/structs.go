//go:build linux && (amd64 || arm64 || arm || riscv64 || loong64)

// Package v4l2 captures from a Video4Linux device: system calls and a memory
// mapping, nothing else. What may be captured and what becomes of it is
// package camera's business, as are the names of pixel formats, flags and
// controls, which come from go4vl.
//
// It serves machines whose ioctl numbers are built as in the kernel's
// include/uapi/asm-generic/ioctl.h and whose 64-bit integers are aligned to 8
// bytes; 386 (4 bytes), mips and ppc64 (other numbers) are not among them.
package ioctl

import "unsafe"

// The structures of include/uapi/linux/videodev2.h. Sizes and offsets differ
// between 32 and 64 bits only where the kernel has a pointer or a long in a
// union; wordPad is the gap before such a union.
const (
	wordSize = unsafe.Sizeof(uintptr(0))
	wordPad  = wordSize - 4
)

const (
	typeVideoCapture = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	memoryMMAP       = 1 // V4L2_MEMORY_MMAP
	fieldAny         = 0 // V4L2_FIELD_ANY

	capTimePerFrame = 0x1000 // V4L2_CAP_TIMEPERFRAME

	enumDiscrete = 1 // V4L2_FRMSIZE_TYPE_DISCRETE, V4L2_FRMIVAL_TYPE_DISCRETE

	colorspaceJPEG   = 7 // V4L2_COLORSPACE_JPEG
	quantizationFull = 1 // V4L2_QUANTIZATION_FULL_RANGE
)

// fmtdesc is struct v4l2_fmtdesc.
type fmtdesc struct {
	index       uint32
	typ         uint32
	flags       uint32
	description [32]byte
	pixelFormat uint32
	mbusCode    uint32
	_           [3]uint32
}

// frmsizeenum is struct v4l2_frmsizeenum. The numbers are width and height of a
// discrete size; else minimum, maximum and step of the width, then of the height.
type frmsizeenum struct {
	index       uint32
	pixelFormat uint32
	typ         uint32
	numbers     [6]uint32
	_           [2]uint32
}

// frmivalenum is struct v4l2_frmivalenum. The first of the intervals is the
// discrete one; else they are minimum, maximum and step.
type frmivalenum struct {
	index         uint32
	pixelFormat   uint32
	width, height uint32
	typ           uint32
	intervals     [3]Fraction
	_             [2]uint32
}

// format is struct v4l2_format with struct v4l2_pix_format in its union of 200
// bytes, which begins on a word because other members hold pointers.
type format struct {
	typ uint32
	_   [wordPad]byte
	pix pixFormat
	_   [200 - unsafe.Sizeof(pixFormat{})]byte
}

type pixFormat struct {
	width, height uint32
	pixelFormat   uint32
	field         uint32
	bytesPerLine  uint32
	sizeImage     uint32
	colorspace    uint32
	priv          uint32
	flags         uint32
	ycbcrEnc      uint32
	quantization  uint32
	xferFunc      uint32
}

// streamparm is struct v4l2_streamparm with struct v4l2_captureparm in its
// union of 200 bytes.
type streamparm struct {
	typ          uint32
	capability   uint32
	captureMode  uint32
	timePerFrame Fraction
	extendedMode uint32
	readBuffers  uint32
	_            [200 - 24]byte
}

// control is struct v4l2_control.
type control struct {
	id    uint32
	value int32
}

// queryctrl is struct v4l2_queryctrl.
type queryctrl struct {
	id               uint32
	typ              uint32
	name             [32]byte
	minimum, maximum int32
	step             int32
	defaultValue     int32
	flags            uint32
	_                [2]uint32
}

// querymenu is struct v4l2_querymenu, which is packed. The name is in a union
// with a 64-bit number.
type querymenu struct {
	id, index uint32
	name      [32]byte
	_         uint32
}

// requestbuffers is struct v4l2_requestbuffers.
type requestbuffers struct {
	count        uint32
	typ          uint32
	memory       uint32
	capabilities uint32
	flags        uint8
	_            [3]uint8
}

// buffer is struct v4l2_buffer with the 64-bit time that every kernel since
// 5.6 takes on 32-bit machines too.
type buffer struct {
	index     uint32
	typ       uint32
	bytesUsed uint32
	flags     uint32
	field     uint32
	_         uint32
	sec, usec int64
	timecode  [16]byte
	sequence  uint32
	memory    uint32
	offset    uint32 // the first member of union m
	_         [wordPad]byte
	length    uint32
	_         uint32
	requestFD int32
}

// The requests, as _IOR, _IOW and _IOWR of ioctl.h make them.
const (
	vidiocEnumFmt            = iocRW | unsafe.Sizeof(fmtdesc{})<<16 | 2
	vidiocGFmt               = iocRW | unsafe.Sizeof(format{})<<16 | 4
	vidiocSFmt               = iocRW | unsafe.Sizeof(format{})<<16 | 5
	vidiocReqbufs            = iocRW | unsafe.Sizeof(requestbuffers{})<<16 | 8
	vidiocQuerybuf           = iocRW | unsafe.Sizeof(buffer{})<<16 | 9
	vidiocQbuf               = iocRW | unsafe.Sizeof(buffer{})<<16 | 15
	vidiocDqbuf              = iocRW | unsafe.Sizeof(buffer{})<<16 | 17
	vidiocStreamon           = iocW | unsafe.Sizeof(int32(0))<<16 | 18
	vidiocStreamoff          = iocW | unsafe.Sizeof(int32(0))<<16 | 19
	vidiocGParm              = iocRW | unsafe.Sizeof(streamparm{})<<16 | 21
	vidiocSParm              = iocRW | unsafe.Sizeof(streamparm{})<<16 | 22
	vidiocGCtrl              = iocRW | unsafe.Sizeof(control{})<<16 | 27
	vidiocSCtrl              = iocRW | unsafe.Sizeof(control{})<<16 | 28
	vidiocQueryctrl          = iocRW | unsafe.Sizeof(queryctrl{})<<16 | 36
	vidiocQuerymenu          = iocRW | unsafe.Sizeof(querymenu{})<<16 | 37
	vidiocEnumFramesizes     = iocRW | unsafe.Sizeof(frmsizeenum{})<<16 | 74
	vidiocEnumFrameintervals = iocRW | unsafe.Sizeof(frmivalenum{})<<16 | 75

	iocW  = 1<<30 | 'V'<<8
	iocRW = 3<<30 | 'V'<<8
)
