//go:build !linux || !cgo

package camera_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
)

func TestV4L2IsNotInThisBuild(t *testing.T) {
	v := new(camera.V4L2)
	_, checked := v.Check()
	ran := v.Run(t.Context(), nil)
	for _, err := range []error{checked, ran} {
		if !errors.Is(err, camera.ErrNoCamera) || len(err.Error()) < 60 {
			t.Errorf("got %v, want ErrNoCamera with the reason", err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		if v.Wait(t.Context(), time.Minute) || time.Since(before) != time.Minute {
			t.Errorf("Wait was early, after %v", time.Since(before))
		}
	})
}
