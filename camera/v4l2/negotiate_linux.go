//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	"golang.org/x/sys/unix"
)

// rateTolerance is how far a frame rate may be from the one asked for without
// being called another: 29.97 for 30 is what every webcam does.
const rateTolerance = 0.01

// negotiate sets the device as near to the settings as it can be, and reads back
// what it made of them. The encoder is nil for a device that compresses itself.
func (v *Source) negotiate(n node, device *ioctl.Device) (format camera.Format, encoder *rawEncoder, err error) {
	asked := v.request()
	want := asked.Settings
	pixel, ok := n.pixelFormat(asked.pixelFormat)
	if !ok {
		return format, nil, errors.New(n.refusal())
	}
	if isRaw(pixel) {
		sizes, _ := device.Sizes(pixel) // without a list it takes what it can
		want = encodable(sizes, want, encodedPixels()*encodingProcessors())
	}
	picture, err := device.Picture()
	if err != nil {
		return format, nil, err
	}
	picture.PixelFormat = pixel
	if want.Width > 0 && want.Height > 0 {
		picture.Width, picture.Height = want.Width, want.Height
	}
	if picture, err = setPicture(device, picture, quirks[n.driver]); err != nil {
		return format, nil, err
	}
	if picture.PixelFormat != pixel {
		return format, nil, fmt.Errorf("it offers %s, and gives %s when asked for it", pixel, picture.PixelFormat)
	}
	fps, err := setRate(device, want.FPS)
	if err != nil {
		return format, nil, err
	}
	format = camera.Format{PixelFormat: pixel.String(), Width: picture.Width, Height: picture.Height, FPS: fps}
	if isRaw(pixel) {
		if encoder, err = newRawEncoder(picture, v.encodedQuality); err != nil {
			return format, nil, err
		}
		format = encoder.format(fps, want.FPS)
	}
	if err := v.startControls(n, device, format); err != nil {
		return format, nil, err
	}
	if a := adjusted(asked.Settings, asked.pixelFormat, format, func() string { return offers(device, picture) }); a != "" {
		format.Adjust(a)
	}
	return format, encoder, nil
}

// setPicture sets the device, to a smaller size if its driver was not loaded for
// this one.
func setPicture(device *ioctl.Device, p ioctl.Picture, q quirk) (ioctl.Picture, error) {
	set, err := device.SetPicture(p)
	if small := q.fit(p.Size); errors.Is(err, unix.EINVAL) && small != p.Size {
		p.Size = small
		return device.SetPicture(p)
	}
	return set, err
}

// setRate asks for a frame rate, unless it is 0, and says what the device makes
// of it: 0 when it does not tell. Rates are optional in V4L2.
func setRate(device *ioctl.Device, fps float64) (float64, error) {
	if fps > 0 {
		err := device.SetInterval(ioctl.Fraction{Numerator: 1000, Denominator: uint32(math.Round(min(fps, 1000) * 1000))})
		if err != nil && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
			return 0, err
		}
	}
	interval, err := device.Interval()
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return 0, nil
	}
	return rate(interval), err
}

// rate is in frames per second.
func rate(interval ioctl.Fraction) float64 {
	if interval.Numerator == 0 {
		return 0
	}
	fps := float64(interval.Denominator) / float64(interval.Numerator)
	return math.Round(fps*1000) / 1000 // uvcvideo's 333333/10000000 is 30
}

// adjusted says how the format differs from what was asked for, and what the
// device offers instead; nothing when it does not differ.
func adjusted(want camera.Settings, wantPixel string, got camera.Format, offers func() string) string {
	size := want.Width > 0 && want.Height > 0 && (want.Width != got.Width || want.Height != got.Height)
	pixel := wantPixel != "" && wantPixel != got.PixelFormat
	fps := want.FPS > 0 && got.FPS > 0 && math.Abs(got.FPS-want.FPS) > rateTolerance*want.FPS
	if !size && !fps && !pixel {
		return ""
	}
	var asked, gives []string
	if pixel {
		asked, gives = append(asked, wantPixel), append(gives, got.PixelFormat)
	}
	if size {
		asked = append(asked, fmt.Sprintf("%d×%d", want.Width, want.Height))
		gives = append(gives, fmt.Sprintf("%d×%d", got.Width, got.Height))
	}
	if fps {
		asked = append(asked, fmt.Sprintf("%.4g fps", want.FPS))
		gives = append(gives, fmt.Sprintf("%.4g fps", got.FPS))
	}
	s := fmt.Sprintf("asked for %s, the camera gives %s", strings.Join(asked, " at "), strings.Join(gives, " at "))
	if o := offers(); o != "" {
		s += "; it offers " + o
	}
	return s
}

// offers lists the sizes of a device and the rates at its present size, as far
// as it lists them itself. An error only shortens the list.
func offers(device *ioctl.Device, p ioctl.Picture) string {
	var parts []string
	if sizes, _ := device.Sizes(p.PixelFormat); len(sizes) > 0 {
		slices.SortFunc(sizes, func(a, b ioctl.Size) int { return a.Width*a.Height - b.Width*b.Height })
		parts = append(parts, list(sizes, func(s ioctl.Size) string { return fmt.Sprintf("%d×%d", s.Width, s.Height) }))
	}
	if intervals, _ := device.Intervals(p); len(intervals) > 0 {
		rates := list(intervals, func(i ioctl.Fraction) string { return fmt.Sprintf("%.4g", rate(i)) })
		parts = append(parts, fmt.Sprintf("%s fps at %d×%d", rates, p.Width, p.Height))
	}
	return strings.Join(parts, "; ")
}

func list[T any](items []T, name func(T) string) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name(item))
	}
	return b.String()
}
