//go:build !linux || !cgo

package v4l2

import (
	"context"
	"fmt"
	"runtime"

	"github.com/pushcam/pushcam/camera"
)

// state is the absence of V4L2.
type state struct{}

// why says why V4L2 is not in this build. It is ErrNoCamera because that is what
// it comes to: this program will never find one.
func (state) why() error {
	reason := "it was built without cgo"
	if runtime.GOOS != "linux" {
		reason = "it was built for " + runtime.GOOS + " and V4L2 is Linux's"
	}
	return fmt.Errorf("%w: this program has no V4L2 in it, because %s", camera.ErrNoCamera, reason)
}

// Check says why V4L2 is not in this build.
func (v *Source) Check() (camera.Device, error) { return camera.Device{}, v.state.why() }

// Cameras is empty.
func (v *Source) Cameras() []camera.Device { return []camera.Device{} }

// Run says why V4L2 is not in this build.
func (v *Source) Run(context.Context, camera.Sink) error { return v.state.why() }

// Reset says why V4L2 is not in this build.
func (v *Source) Reset(context.Context) error { return v.state.why() }

// SetControls says why V4L2 is not in this build.
func (v *Source) SetControls(Controls) error { return v.state.why() }

// ControlStates is empty.
func (v *Source) ControlStates() map[string]ControlState { return map[string]ControlState{} }

// Modes says why V4L2 is not in this build.
func (v *Source) Modes() ([]Mode, error) { return nil, v.state.why() }

// DeviceControls says why V4L2 is not in this build.
func (v *Source) DeviceControls() ([]Control, error) { return nil, v.state.why() }
