package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// cameraDrivers are the kernel's modules for cameras: the Pi camera's, and USB
// webcams'.
var cameraDrivers = []string{"bcm2835-v4l2", "uvcvideo"}

// drivers loads modules for cameras, for lack of an udev that would.
type drivers struct {
	load func(module string) error
	log  *slog.Logger

	mu     sync.Mutex
	loaded []string
}

func newDrivers(s size, log *slog.Logger) *drivers {
	log = log.With("component", "modules")
	modules := &device.Modules{Log: log, Parameters: driverParameters(s)}
	return &drivers{log: log, load: func(m string) error { return modules.Load(m) }}
}

// driverParameters let the Pi camera's driver give video of a size that it does
// not by itself.
func driverParameters(s size) map[string]string {
	const width, height = 1920, 1088 // its own
	if s.width <= width && s.height <= height {
		return nil
	}
	return map[string]string{"bcm2835-v4l2": fmt.Sprintf("max_video_width=%d max_video_height=%d", max(s.width, width), max(s.height, height))}
}

// run loads all at once: some wait for their hardware.
func (d *drivers) run() {
	var all sync.WaitGroup
	for _, module := range cameraDrivers {
		all.Go(func() {
			err := d.load(module)
			switch {
			case errors.Is(err, device.ErrNoModule):
				d.log.Info("this kernel has no driver for some cameras", "module", module)
			case err != nil:
				d.log.Error("cameras may be missing: their driver cannot be loaded", "module", module, "err", err)
			default:
				d.mu.Lock()
				defer d.mu.Unlock()
				d.loaded = append(d.loaded, module)
				slices.Sort(d.loaded)
			}
		})
	}
	all.Wait()
}

// kernelState is the part of /state about the kernel.
type kernelState struct {
	Release string `json:"release"`
	// Package is what "pushcamctl image -kernel" calls it.
	Package string   `json:"package"`
	Drivers []string `json:"camera_drivers"` // loaded ones
}

func (d *drivers) state() kernelState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := kernelState{Package: "stock", Drivers: slices.Clone(d.loaded)}
	release, err := device.KernelRelease()
	if err != nil {
		d.log.Error("the kernel does not say which it is", "err", err)
	}
	if s.Release = release; strings.HasSuffix(release, "-pushcam") {
		s.Package = "pushcam"
	}
	return s
}
