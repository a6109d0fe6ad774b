//go:build cgo

package v4l2

import (
	"cmp"
	"errors"
	"slices"

	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

// A device that offers all sizes of a range is said to offer these of them.
var usualSizes = []ioctl.Size{{Width: 320, Height: 240}, {Width: 640, Height: 480}, {Width: 1024, Height: 768}, {Width: 1280, Height: 720}, {Width: 1920, Height: 1080}, {Width: 2592, Height: 1944}, {Width: 3280, Height: 2464}}

// Modes lists what the camera offers that was found last, the smallest first. It takes as
// long as the device does, which can be a second. Any goroutine may call it.
func (v *Source) Modes() ([]Mode, error) {
	n := v.state.tried.Load()
	if n == nil {
		return nil, errors.New("no camera was found yet")
	}
	device, err := ioctl.Open(n.file)
	if err != nil {
		return nil, explain(v.root(), *n, err)
	}
	defer device.Close()
	modes := []Mode{}
	for _, want := range []string{"MJPG", "JPEG"} {
		pixel, ok := n.pixelFormat(want)
		if !ok || pixel.String() != want && (!isRaw(pixel) || want == "JPEG") {
			continue // it is that of the other turn
		}
		sizes, err := device.Sizes(pixel)
		if err != nil {
			return nil, explain(v.root(), *n, err)
		}
		if largest := device.Largest(pixel); len(sizes) == 0 {
			sizes = slices.DeleteFunc(slices.Clone(usualSizes), func(s ioctl.Size) bool { return s.Width > largest.Width || s.Height > largest.Height })
		}
		for _, s := range sizes {
			modes = append(modes, Mode{pixel.String(), s.Width, s.Height, offeredRates(device, ioctl.Picture{PixelFormat: pixel, Size: s})})
		}
	}
	slices.SortStableFunc(modes, func(a, b Mode) int { return cmp.Compare(a.Width*a.Height, b.Width*b.Height) })
	return modes, nil
}

// offeredRates are those of a picture, the fastest first. An error only leaves them out.
func offeredRates(device *ioctl.Device, p ioctl.Picture) []float64 {
	intervals, _ := device.Intervals(p)
	var rates []float64
	for _, i := range intervals {
		if r := rate(i); r > 0 && !slices.Contains(rates, r) {
			rates = append(rates, r)
		}
	}
	slices.SortFunc(rates, func(a, b float64) int { return cmp.Compare(b, a) })
	return rates
}
