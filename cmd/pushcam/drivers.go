package main

import (
	"errors"
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

func newDrivers(log *slog.Logger) *drivers {
	log = log.With("component", "modules")
	modules := &device.Modules{Log: log}
	return &drivers{log: log, load: func(m string) error { return modules.Load(m) }}
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
