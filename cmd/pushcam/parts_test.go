package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gpio"
)

// settleSilence is how long a card that hangs is waited for (card.Settle).
const settleSilence = 5 * time.Second

// A button that is held switches the appliance off within 15 s, whatever hangs. So does
// a power key of the kernel's, which process 1 hears.
func TestHeldButtonSwitchesOff(t *testing.T) {
	t.Attr("fault", "system | anything hangs while the button is held | the appliance switches itself off | within 15 s")
	const limit = 15 * time.Second
	tests := []struct {
		name   string
		hangs  string        // of "driver", "camera", "card", "another part"; "key" is the other key
		within time.Duration // of the press
		shows  gpio.Pattern  // in the end
	}{
		{"nothing hangs", "", gpio.DefaultHold + 2*time.Second, gpio.SafeToUnplug},
		{"a power key", "key", 2 * time.Second, gpio.SafeToUnplug},
		{"a kernel module does not get ready", "driver", gpio.DefaultHold + 2*time.Second, gpio.SafeToUnplug},
		{"the camera does not close", "camera", limit, gpio.SafeToUnplug},
		{"the card does not answer", "card", limit, gpio.NotWritten},
		{"another part does not end", "another part", limit, gpio.SafeToUnplug},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, dir := device.Root(t.TempDir()), t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const press = 10 * time.Second
				ctx, unplug := context.WithTimeout(t.Context(), time.Minute)
				defer unplug()
				hang := make(chan struct{})
				log := slog.New(slog.NewTextHandler(t.Output(), nil))
				p := &panel{button: gpio.Button{Input: &fakeButton{edges: []time.Duration{press, time.Hour}}}}
				if tt.hangs == "key" {
					p = new(panel)
				}
				all := newParts(ctx)
				source := new(cameratest.Source)
				cam := &camera.Camera{Source: source, AlwaysOn: true}
				var off time.Time
				m := &appliance{
					owners: device.OpenOwnership(device.Root(t.TempDir()), device.NewOwner("")),
					root:   root, log: log, lock: func() (int64, error) { return 0, nil }, hostname: func() (string, error) { return "", nil },
					end: func(why error) { all.stop(why) },
					onEnding: func(ctx context.Context, off, _ func()) {
						if tt.hangs == "key" {
							time.Sleep(press)
							off()
						}
						<-ctx.Done()
					},
					system: system{
						endOthers: func() error { return device.ErrNotGokrazy },
						settle: func() error {
							if tt.hangs == "card" {
								time.Sleep(settleSilence)
								return card.ErrSilent
							}
							return nil
						},
						unkept: func() bool { return false },
						off:    func() error { off = time.Now(); return nil },
					},
					watch: &cardWatch{root: root, show: p.onCard, log: log},
					drivers: &drivers{root: root, log: log, load: func(string) error {
						if tt.hangs == "driver" {
							<-hang
						}
						return nil
					}},
					network: &network{log: log, missing: p.noNetwork, follow: func(ctx context.Context, _ func(status.Status, error)) { <-ctx.Done() }},
					name:    new(discovery.Announcer), // says that it has no port, and ends
					updates: &update.Server{Card: &card.Card{Root: root}, Dir: dir, Log: log},
					wifi:    new(wifi), watchdog: &watchdog{state: cam.State, get: func(context.Context) error { return nil }, log: log},
					reporter: &reporter{key: func() string { return "" }, links: func() []string { return nil }, network: func() *status.Status { return nil }, camera: func() camera.State { return camera.State{} }, log: log},
					screen:   &screen{root: root, name: func() discovery.State { return discovery.State{} }, means: p.means, log: log},
				}
				s := openSettings(dir, true, log)
				if tt.hangs == "card" {
					s.save = func(values) error { <-hang; return nil }
				}
				s.togglePrivacy()
				began := time.Now()
				all.run("the camera", cam.Run)
				all.run("the settings", s.run)
				all.run("the appliance's own work", m.run)
				all.run("another part", func(ctx context.Context) error {
					<-ctx.Done()
					if tt.hangs == "another part" {
						<-hang
					}
					return nil
				})
				all.run("the button", func(ctx context.Context) error {
					p.runButton(ctx, nil, func() { all.stop(errOff) }, func() {}, log)
					return nil
				})
				if tt.hangs == "camera" {
					time.AfterFunc(press, func() { source.Hang(true) })
				}
				if err := end(all, m, p, log); err != nil {
					t.Errorf("the end: %v", err)
				}
				if took := off.Sub(began) - press; off.IsZero() || took > tt.within {
					t.Errorf("switched off %v after the press, want %v at most", took, tt.within)
				}
				if p.shown != tt.shows {
					t.Errorf("the LEDs show: %v", p.shown)
				}
				source.Hang(false)
				close(hang)
			})
		})
	}
}

// A part that fails ends the others, and one that hangs is named.
func TestParts(t *testing.T) {
	t.Attr("fault", "system | a part of the program fails, or hangs at the end | the others end, and it is named | started anew")
	broken := errors.New("it is broken")
	works := func(ctx context.Context) error { <-ctx.Done(); return nil }
	tests := []struct {
		name string
		part func(hang <-chan struct{}) func(context.Context) error
		want string        // part of the error; "" is none
		took time.Duration // after a minute, when all are to end
	}{
		{"all end", func(<-chan struct{}) func(context.Context) error { return works }, "", 0},
		{"one ends early", func(<-chan struct{}) func(context.Context) error { return func(context.Context) error { return nil } }, "", 0},
		{"one fails", func(<-chan struct{}) func(context.Context) error {
			return func(context.Context) error { return broken }
		}, "it is broken", -time.Minute},
		{"one fails in the end", func(<-chan struct{}) func(context.Context) error {
			return func(ctx context.Context) error { <-ctx.Done(); return broken }
		}, "it is broken", 0},
		{"one hangs", func(hang <-chan struct{}) func(context.Context) error {
			return func(context.Context) error { <-hang; return nil }
		}, "longer for the tested one, which", endTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				hang := make(chan struct{})
				defer close(hang)
				began := time.Now()
				all := newParts(ctx)
				all.run("one that works", works)
				all.run("the tested one", tt.part(hang))
				err := all.wait()
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				if took := time.Since(began) - time.Minute; took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}
