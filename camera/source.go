package camera

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Source produces frames. Its methods, and those of Waiter, are called one at
// a time.
type Source interface {
	// Check tells whether Run would find its camera now, without starting it. Its error
	// wraps ErrNoCamera if there is none, and else says what is wrong. It is cheap
	// enough to be called every few seconds while nobody watches.
	Check() (Device, error)

	// Run captures until ctx is done or the camera is lost, and returns why. It calls
	// sink.Started before the first frame. When it returns, it holds nothing any more:
	// no descriptors, mappings or goroutines.
	Run(ctx context.Context, sink Sink) error
}

// A Sink takes what a Source produces. Its methods are called from one
// goroutine at a time and do not block.
type Sink interface {
	// Started says what was opened, and the format that it really has. It is called
	// again when more is known.
	Started(Device, Format)
	// Frame takes a frame over; the source does not touch it again. The sink
	// sets its Seq.
	Frame(*Frame)
	// Drop counts n frames that were captured and thrown away, or that the
	// driver is known to have lost.
	Drop(kind DropKind, n int)
	// Restarted says that the source has stopped its stream and started it again.
	Restarted()
}

// A StreamRestarter is a Source that can start its stream again without opening its
// device anew.
type StreamRestarter interface {
	// RestartStream tells the present Run to start its stream again, and does not wait
	// for that. It returns false if that is not possible. Any goroutine may call it.
	RestartStream() bool
}

// A Waiter is a Source that knows when it is worth trying again.
type Waiter interface {
	// Wait returns after d at the latest, when ctx is done, or as soon as a
	// camera may have appeared since the last Check or Run; early is true in that
	// last case.
	Wait(ctx context.Context, d time.Duration) (early bool)
}

// ErrNoCamera is wrapped by errors that mean that there is no camera, as
// opposed to one that does not work.
var ErrNoCamera = errors.New("no camera")

// ErrBlocked is wrapped by errors that only a person can mend: another program uses the
// camera, this program lacks the permission, or the camera gives no pictures that can be
// shown.
var ErrBlocked = errors.New("camera blocked")

// ErrStalled is the cause with which a Camera ends a Source that gave no frame
// in time.
var ErrStalled = errors.New("camera stalled")

// Device says which camera it is. Empty fields are not known.
type Device struct {
	Name   string `json:"name"`             // "HD Pro Webcam C920", "test pattern"
	Path   string `json:"path,omitempty"`   // /dev/video0, or the path of a recording
	Driver string `json:"driver,omitempty"` // uvcvideo
	Bus    string `json:"bus,omitempty"`    // usb-0000:00:14.0-1
	Serial string `json:"serial,omitempty"` // the USB serial number
}

// Format is what a source really delivers.
type Format struct {
	PixelFormat string  `json:"pixel_format"` // "MJPG", "JPEG"; "YUYV" and the like of raw pictures that are encoded here
	Width       int     `json:"width"`        // pixels
	Height      int     `json:"height"`       // pixels
	FPS         float64 `json:"fps"`          // frames per second, 0 when not known
	// Adjusted says in a sentence how this differs from what was asked for.
	Adjusted string `json:"adjusted,omitempty"`
}

// Adjust adds to what Adjusted says.
func (f *Format) Adjust(sentence string) {
	f.Adjusted = strings.TrimPrefix(f.Adjusted+"; "+sentence, "; ")
}

func (f Format) String() string {
	return fmt.Sprintf("%s %d×%d at %.4g fps", f.PixelFormat, f.Width, f.Height, f.FPS)
}

// FrameTime is the time between two frames, 1/30 s when the rate is not known.
func (f Format) FrameTime() time.Duration {
	if f.FPS <= 0 {
		return time.Second / 30
	}
	return time.Duration(float64(time.Second) / f.FPS)
}

// Settings are what an owner asks a source for. A device may adjust them; its
// Format says what came of it. Zero values mean the device's own choice.
type Settings struct {
	Width, Height int     // pixels
	FPS           float64 // frames per second
	Quality       int     // JPEG quality, 1 to 100
}

// DropKind says why a frame was thrown away; metrics and /state show it.
type DropKind string

// The kinds of frames that are never delivered.
const (
	DropEmpty       DropKind = "empty"       // the driver gave a buffer without bytes
	DropFlagged     DropKind = "flagged"     // the driver marked it as damaged (V4L2_BUF_FLAG_ERROR)
	DropNoSOI       DropKind = "no-soi"      // holds no beginning of a JPEG
	DropTruncated   DropKind = "truncated"   // a part of the JPEG is missing at its end
	DropMalformed   DropKind = "malformed"   // a JPEG segment contradicts itself
	DropUnsupported DropKind = "unsupported" // a JPEG process that browsers do not show
	DropTooLarge    DropKind = "too-large"   // more bytes than a picture can have, or the driver has room for
	DropLost        DropKind = "lost"        // lost between sensor and program, known from sequence or time stamps
	DropStale       DropKind = "stale"       // a newer frame was ready before this one was taken
	DropPaced       DropKind = "paced"       // there was no time to encode it: the camera gives raw pictures
)

// DropKinds are all of them.
var DropKinds = []DropKind{DropEmpty, DropFlagged, DropNoSOI, DropTruncated, DropMalformed, DropUnsupported, DropTooLarge, DropLost, DropStale, DropPaced}
