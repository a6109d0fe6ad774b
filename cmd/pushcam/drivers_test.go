package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

func TestDrivers(t *testing.T) {
	tests := []struct {
		name   string
		errs   map[string]error
		loaded []string
		log    string // a part of it
	}{
		{name: "all", loaded: []string{"bcm2835-v4l2", "uvcvideo"}},
		{name: "gokrazy's kernel has none for the Pi camera", errs: map[string]error{"bcm2835-v4l2": fmt.Errorf("kernel module: %w", device.ErrNoModule)},
			loaded: []string{"uvcvideo"}, log: "level=INFO msg=\"this kernel has no driver for some cameras\" module=bcm2835-v4l2"},
		{name: "one is refused", errs: map[string]error{"uvcvideo": errors.New("exec format error")},
			loaded: []string{"bcm2835-v4l2"}, log: "level=ERROR msg=\"cameras may be missing: their driver cannot be loaded\" module=uvcvideo err=\"exec format error\""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var log strings.Builder
			var together sync.WaitGroup // each waits until all are asked for
			together.Add(len(cameraDrivers))
			d := &drivers{
				log: slog.New(slog.NewTextHandler(&log, nil)),
				load: func(module string) error {
					together.Done()
					together.Wait()
					return tc.errs[module]
				},
			}
			d.run(t.Context())
			if diff := cmp.Diff(tc.loaded, d.state().Drivers); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if !strings.Contains(log.String(), tc.log) || tc.log == "" && log.Len() > 0 {
				t.Errorf("the log is %q, want %q in it", log.String(), tc.log)
			}
		})
	}
}
