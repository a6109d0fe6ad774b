//go:build linux && (amd64 || arm64 || arm || riscv64 || loong64)

package ioctl

import (
	"testing"
	"unsafe"
)

// The numbers come from a C program that included linux/videodev2.h: sizeof,
// offsetof and the VIDIOC_ macros, built for amd64 (64) and armhf with
// _TIME_BITS=64 (32).
func TestLayout(t *testing.T) {
	var f format
	var b buffer
	var p streamparm
	var q queryctrl
	tests := []struct {
		name          string
		got           uintptr
		on64, onArm32 uintptr
	}{
		{"sizeof v4l2_fmtdesc", unsafe.Sizeof(fmtdesc{}), 64, 64},
		{"sizeof v4l2_frmsizeenum", unsafe.Sizeof(frmsizeenum{}), 44, 44},
		{"sizeof v4l2_frmivalenum", unsafe.Sizeof(frmivalenum{}), 52, 52},
		{"sizeof v4l2_pix_format", unsafe.Sizeof(pixFormat{}), 48, 48},
		{"sizeof v4l2_format", unsafe.Sizeof(f), 208, 204},
		{"offsetof v4l2_format.fmt", unsafe.Offsetof(f.pix), 8, 4},
		{"sizeof v4l2_streamparm", unsafe.Sizeof(p), 204, 204},
		{"offsetof v4l2_streamparm.parm.capture.timeperframe", unsafe.Offsetof(p.timePerFrame), 12, 12},
		{"sizeof v4l2_control", unsafe.Sizeof(control{}), 8, 8},
		{"sizeof v4l2_queryctrl", unsafe.Sizeof(q), 68, 68},
		{"offsetof v4l2_queryctrl.minimum", unsafe.Offsetof(q.minimum), 40, 40},
		{"offsetof v4l2_queryctrl.flags", unsafe.Offsetof(q.flags), 56, 56},
		{"sizeof v4l2_querymenu", unsafe.Sizeof(querymenu{}), 44, 44},
		{"sizeof v4l2_requestbuffers", unsafe.Sizeof(requestbuffers{}), 20, 20},
		{"sizeof v4l2_buffer", unsafe.Sizeof(b), 88, 80},
		{"offsetof v4l2_buffer.timestamp", unsafe.Offsetof(b.sec), 24, 24},
		{"offsetof v4l2_buffer.sequence", unsafe.Offsetof(b.sequence), 56, 56},
		{"offsetof v4l2_buffer.m", unsafe.Offsetof(b.offset), 64, 64},
		{"offsetof v4l2_buffer.length", unsafe.Offsetof(b.length), 72, 68},
		{"VIDIOC_ENUM_FMT", vidiocEnumFmt, 0xc0405602, 0xc0405602},
		{"VIDIOC_G_FMT", vidiocGFmt, 0xc0d05604, 0xc0cc5604},
		{"VIDIOC_S_FMT", vidiocSFmt, 0xc0d05605, 0xc0cc5605},
		{"VIDIOC_REQBUFS", vidiocReqbufs, 0xc0145608, 0xc0145608},
		{"VIDIOC_QUERYBUF", vidiocQuerybuf, 0xc0585609, 0xc0505609},
		{"VIDIOC_QBUF", vidiocQbuf, 0xc058560f, 0xc050560f},
		{"VIDIOC_DQBUF", vidiocDqbuf, 0xc0585611, 0xc0505611},
		{"VIDIOC_STREAMON", vidiocStreamon, 0x40045612, 0x40045612},
		{"VIDIOC_STREAMOFF", vidiocStreamoff, 0x40045613, 0x40045613},
		{"VIDIOC_G_PARM", vidiocGParm, 0xc0cc5615, 0xc0cc5615},
		{"VIDIOC_S_PARM", vidiocSParm, 0xc0cc5616, 0xc0cc5616},
		{"VIDIOC_G_CTRL", vidiocGCtrl, 0xc008561b, 0xc008561b},
		{"VIDIOC_S_CTRL", vidiocSCtrl, 0xc008561c, 0xc008561c},
		{"VIDIOC_QUERYCTRL", vidiocQueryctrl, 0xc0445624, 0xc0445624},
		{"VIDIOC_QUERYMENU", vidiocQuerymenu, 0xc02c5625, 0xc02c5625},
		{"VIDIOC_ENUM_FRAMESIZES", vidiocEnumFramesizes, 0xc02c564a, 0xc02c564a},
		{"VIDIOC_ENUM_FRAMEINTERVALS", vidiocEnumFrameintervals, 0xc034564b, 0xc034564b},
	}
	for _, tt := range tests {
		want := tt.on64
		if wordSize == 4 {
			want = tt.onArm32
		}
		if tt.got != want {
			t.Errorf("%s = %#x, want %#x", tt.name, tt.got, want)
		}
	}
}
