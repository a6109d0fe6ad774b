// Package v4l2 captures from a real camera: a Video4Linux device that compresses
// to JPEG itself.
package v4l2

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/pushcam/pushcam/camera"
)

// Source is a camera.Source that captures from a Video4Linux device. It works in
// builds for Linux with cgo; in others Check and Run say why it does not.
type Source struct {
	// Device is the path of a device, or a part of its name, bus or serial
	// number, in upper or lower case. Empty means the first camera that offers
	// Motion-JPEG. A device that comes back under another path after it was
	// unplugged is followed, even when Device is its old path. See Ask.
	Device string
	// Settings are what the device is asked for. What it cannot do it adjusts,
	// and the Format that it reports says so. See Ask.
	Settings camera.Settings
	// PixelFormat is "MJPG" or "JPEG", for devices that have both. Empty is MJPG:
	// the Pi camera's JPEG is its stills encoder, better and slow.
	PixelFormat string
	// Controls are set at each start. What the device does not have is logged,
	// and in ControlStates.
	Controls Controls
	// Root is the absolute path of where /dev, /sys and /proc are; empty means /.
	Root string
	// Why says in a sentence what else may be the reason that no camera is found;
	// an empty one says nothing. May be nil.
	Why func() string
	// Reload takes a driver's module out of the kernel and loads it again, for
	// Reset; nil if that cannot be done.
	Reload func(ctx context.Context, module string) error
	// Log may be nil.
	Log *slog.Logger

	asked atomic.Pointer[request] // instead of Device, Settings and PixelFormat; may be nil
	state state
}

// request is which device is wanted, and what it is asked for when it is started.
type request struct {
	device string
	camera.Settings
	pixelFormat string
}

// Ask changes Device, Settings and PixelFormat. They serve when the camera is started the
// next time. Any goroutine may call it.
func (v *Source) Ask(device string, s camera.Settings, pixelFormat string) {
	v.asked.Store(&request{device, s, pixelFormat})
}

func (v *Source) request() request {
	if r := v.asked.Load(); r != nil {
		return *r
	}
	return request{v.Device, v.Settings, v.PixelFormat}
}

var _ camera.Source = (*Source)(nil)

func (v *Source) logger() *slog.Logger {
	if v.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return v.Log
}
