//go:build !linux || !cgo

package camera

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

type v4l2State struct{}

// errNoV4L2 wraps ErrNoCamera because that is what it comes to: this program
// will never find one.
func errNoV4L2() error {
	why := "it was built without cgo"
	if runtime.GOOS != "linux" {
		why = "it was built for " + runtime.GOOS + " and V4L2 is Linux's"
	}
	return fmt.Errorf("%w: this program has no V4L2 in it, because %s", ErrNoCamera, why)
}

// Check says why V4L2 is not in this build.
func (v *V4L2) Check() (Device, error) { return Device{}, errNoV4L2() }

// Run says why V4L2 is not in this build.
func (v *V4L2) Run(context.Context, Sink) error { return errNoV4L2() }

// Wait waits for d or until ctx is done: no camera can appear.
func (v *V4L2) Wait(ctx context.Context, d time.Duration) (early bool) {
	sleep(ctx, d)
	return false
}
