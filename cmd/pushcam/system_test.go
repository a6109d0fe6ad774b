package main

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gpio"
)

// The power goes when everything is on the card and the LEDs have said so, or have
// said that it is not.
func TestSystem(t *testing.T) {
	lost := errors.New("the card does not answer")
	tests := []struct {
		name   string
		why    error
		others error // of ending the other programs
		card   error
		unkept bool
		want   []string
	}{
		{"off", errOff, nil, nil, false, []string{"end others", "settle after 300ms showing shutting-down", "off after 600ms showing safe-to-unplug"}},
		{"off, because the button was held", fmt.Errorf("%w: its button was held", errOff), device.ErrNotGokrazy, nil, false,
			[]string{"end others", "settle after 0s showing shutting-down", "off after 300ms showing safe-to-unplug"}},
		{"off, and the card hangs", errOff, nil, lost, false, []string{"end others", "settle after 300ms showing shutting-down", "off after 4.8s showing not-written"}},
		{"off, and the card has failed", errOff, nil, nil, true, []string{"end others", "settle after 300ms showing shutting-down", "off after 4.8s showing not-written"}},
		{"reboot", errReboot, nil, nil, false, []string{"end others", "settle after 300ms showing shutting-down", "restart after 300ms showing shutting-down"}},
		{"reboot, and the card hangs", errReboot, nil, lost, false, []string{"end others", "settle after 300ms showing shutting-down", "restart after 300ms showing shutting-down"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, began := new(panel), time.Now()
				p.end(gpio.ShuttingDown)
				var got []string
				note := func(what string, err error) func() error {
					return func() error {
						got = append(got, fmt.Sprintf("%s after %v showing %v", what, time.Since(began), p.shown))
						return err
					}
				}
				failed := errors.New("the kernel refuses")
				s := system{
					unkept:    func() bool { return tt.unkept },
					endOthers: func() error { got = append(got, "end others"); return tt.others },
					settle:    note("settle", tt.card), off: note("off", failed), restart: note("restart", failed),
				}
				if err := s.finish(tt.why, p, slog.New(slog.DiscardHandler)); !errors.Is(err, failed) {
					t.Errorf("%v, want %v", err, failed)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}
