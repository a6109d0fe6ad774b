package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/device"
)

// cameraDrivers are the kernel's modules for cameras: the Pi camera's, and USB
// webcams'.
var cameraDrivers = []string{v4l2.PiCameraModule, "uvcvideo"}

// drivers loads the kernel's modules for cameras, because gokrazy has no udev that
// would.
type drivers struct {
	root   device.Root
	load   func(module string) error
	reload func(module string) error // one that hangs is left to the end of the program
	log    *slog.Logger

	mu     sync.Mutex
	loaded []string
}

func newDrivers(root device.Root, s size, log *slog.Logger) *drivers {
	modules := &device.Modules{Root: root, Log: log,
		Parameters: map[string]string{v4l2.PiCameraModule: v4l2.PiCameraParameters(s.width, s.height)},
		Keep:       []string{v4l2.PiCameraModule},
	}
	return &drivers{root: root, log: log, load: func(m string) error { return modules.Load(m) }, reload: modules.Reload}
}

// run loads all at once, because some wait for their hardware. It returns when all
// are loaded or ctx is done: the kernel breaks off no load, and one that hangs is
// left to the end of the program.
func (d *drivers) run(ctx context.Context) {
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
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
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
	release, err := d.root.KernelRelease()
	if err != nil {
		d.log.Error("the kernel does not say which it is", "err", err)
	}
	if s.Release = release; strings.HasSuffix(release, "-pushcam") {
		s.Package = "pushcam"
	}
	return s
}
