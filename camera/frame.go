// Package camera gives JPEG frames from a camera: a V4L2 device, a drawn test
// pattern, or a recording. A Source produces frames; a Camera watches over a
// Source, starts it when somebody watches and brings it back when it is lost.
package camera

import "time"

// Frame is one complete JPEG picture.
//
// Nothing in a Frame changes once it has been delivered: all readers share it,
// may keep it for as long as they like, and must not write to it. The garbage
// collector takes it back.
type Frame struct {
	// JPEG holds the picture from SOI to EOI, with its Huffman tables, and
	// nothing before or after it.
	JPEG []byte
	// Seq counts the frames that a Camera delivered, from 1. It goes on
	// counting when the camera is lost and found again.
	Seq uint64
	// Time is when the frame was captured. It carries wall and monotonic time,
	// so that ages stay right while the clock is being set.
	Time time.Time
	// Width and Height are in pixels, as the JPEG header says.
	Width, Height int
}
