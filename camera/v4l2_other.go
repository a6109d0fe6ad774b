//go:build !linux || !cgo

package camera

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// v4l2State is the absence of V4L2.
type v4l2State struct{}

// why says why V4L2 is not in this build. It is ErrNoCamera because that is what
// it comes to: this program will never find one.
func (v4l2State) why() error {
	reason := "it was built without cgo"
	if runtime.GOOS != "linux" {
		reason = "it was built for " + runtime.GOOS + " and V4L2 is Linux's"
	}
	return fmt.Errorf("%w: this program has no V4L2 in it, because %s", ErrNoCamera, reason)
}

// Check says why V4L2 is not in this build.
func (v *V4L2) Check() (Device, error) { return Device{}, v.state.why() }

// Run says why V4L2 is not in this build.
func (v *V4L2) Run(context.Context, Sink) error { return v.state.why() }

// Wait waits for d or until ctx is done: no camera can appear.
func (v *V4L2) Wait(ctx context.Context, d time.Duration) (early bool) {
	sleep(ctx, d)
	return false
}

// SetControls says why V4L2 is not in this build.
func (v *V4L2) SetControls(Controls) error { return v.state.why() }

// ControlStates is empty.
func (v *V4L2) ControlStates() map[string]ControlState { return map[string]ControlState{} }

// DeviceControls says why V4L2 is not in this build.
func (v *V4L2) DeviceControls() ([]Control, error) { return nil, v.state.why() }
