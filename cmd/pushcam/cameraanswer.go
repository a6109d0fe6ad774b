package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/pusher/api"
)

// cameraAnswer is the answer to /api/camera: what the camera is, and which pictures it
// offers.
type cameraAnswer struct {
	state  func() camera.State
	webcam func() ([]v4l2.Mode, error)
	// cameras are those that there are.
	cameras func() []camera.Device
	source  string        // what -source is: others than a real camera have no modes
	asking  chan struct{} // has room for the one that asks the drivers
	// last is the last frame's pixels and bytes; zero if there was none.
	last func() (pixels, bytes int)
}

// mode is a size in a format, as the settings name them.
type mode struct {
	Format string       `json:"format"`
	Size   string       `json:"size"`
	Rates  []rateOnLine `json:"rates"`
}

// rateOnLine is a frame rate, and what it costs.
type rateOnLine struct {
	FPS  float64 `json:"fps"`
	Mbit float64 `json:"mbit_per_s"`
}

// bytesPerPixel is what a JPEG of a webcam takes, more or less, before one was seen.
const bytesPerPixel = 0.12

// usualRates are offered for cameras that take any, and for the test pattern.
var usualRates = []float64{30, 25, 20, 15, 10, 5, 2, 1}

// patternSizes are offered of the test pattern, which can have any.
var patternSizes = []size{{320, 240}, {640, 480}, {1280, 720}, {1920, 1080}}

func (a *cameraAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !api.Allows(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	s := a.state()
	answer := struct {
		Phase  camera.Phase  `json:"phase"`
		Reason string        `json:"reason,omitempty"`
		Device camera.Device `json:"device"`
		Format camera.Format `json:"format"`
		Modes  []mode        `json:"modes"`
		Error  string        `json:"error,omitempty"`
		// Cameras can be chosen by the setting device.
		Cameras []camera.Device `json:"cameras"`
	}{s.Phase, s.Reason, s.Device, s.Format, []mode{}, "", []camera.Device{}}
	cameras, offered, err := a.ask(r.Context(), s)
	answer.Cameras = append(answer.Cameras, cameras...)
	if err != nil {
		answer.Error = err.Error()
	}
	perPixel := bytesPerPixel
	if pixels, bytes := a.last(); pixels > 0 {
		perPixel = float64(bytes) / float64(pixels)
	}
	for _, m := range offered {
		rates := m.FPS
		if len(rates) == 0 {
			rates = usualRates
		}
		format := "mjpg"
		if m.PixelFormat == "JPEG" {
			format = "jpeg"
		}
		shown := mode{Format: format, Size: fmt.Sprintf("%dx%d", m.Width, m.Height)}
		for _, fps := range rates {
			mbit := perPixel * float64(m.Width*m.Height) * fps * 8 / 1e6
			shown.Rates = append(shown.Rates, rateOnLine{fps, math.Round(10*mbit) / 10})
		}
		if i := slices.IndexFunc(answer.Modes, func(o mode) bool { return o.Format == shown.Format && o.Size == shown.Size }); i < 0 {
			answer.Modes = append(answer.Modes, shown)
		}
	}
	api.Answer(w, r, http.StatusOK, answer)
}

// driverAnswers is how long the cameras' drivers may take.
const driverAnswers = 5 * time.Second

// ask asks the drivers, one request at a time. One that hangs answers nobody, and nothing
// ends the question, but the owner's page needs its other answers just then.
func (a *cameraAnswer) ask(ctx context.Context, s camera.State) (cameras []camera.Device, offered []v4l2.Mode, err error) {
	ctx, cancel := context.WithTimeout(ctx, driverAnswers)
	defer cancel()
	answered := make(chan struct{})
	silent := errors.New("the camera's driver does not answer")
	select {
	case a.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, silent
	}
	var all []camera.Device
	var modes []v4l2.Mode
	var why error
	go func() {
		defer func() { <-a.asking }()
		defer close(answered)
		if a.source == "auto" || a.source == "v4l2" {
			all = a.cameras()
		}
		modes, why = a.modes(s)
	}()
	select {
	case <-answered:
		return all, modes, why
	case <-ctx.Done():
		return nil, nil, silent
	}
}

// modes are those of the camera that gives the pictures now.
func (a *cameraAnswer) modes(s camera.State) ([]v4l2.Mode, error) {
	switch {
	case a.source == "stream", a.source == "replay":
		return nil, nil
	case a.source == "pattern", a.source == "auto" && s.Device.Driver == "":
		var all []v4l2.Mode
		for _, s := range patternSizes {
			all = append(all, v4l2.Mode{PixelFormat: "MJPG", Width: s.width, Height: s.height})
		}
		return all, nil
	}
	return a.webcam()
}
