//go:build !linux || !cgo

package v4l2_test

import (
	"errors"
	"testing"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
)

func TestNotInThisBuild(t *testing.T) {
	v := new(v4l2.Source)
	_, checked := v.Check()
	ran := v.Run(t.Context(), nil)
	for _, err := range []error{checked, ran} {
		if !errors.Is(err, camera.ErrNoCamera) || len(err.Error()) < 60 {
			t.Errorf("got %v, want ErrNoCamera with the reason", err)
		}
	}
}
