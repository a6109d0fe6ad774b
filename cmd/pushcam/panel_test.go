package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gpio"
)

// Every phase of the camera has a pattern of its own, and the button's count
// down and the program's end go before it.
func TestPanelFollows(t *testing.T) {
	p := new(panel)
	seen := map[gpio.Pattern]camera.Phase{}
	for _, phase := range camera.Phases {
		p.follow(phase)
		if other, ok := seen[p.shown]; ok && phase != camera.Stopping {
			t.Errorf("%s and %s look the same", phase, other)
		}
		seen[p.shown] = phase
	}
	p.follow(camera.Live)
	p.press(true)
	p.follow(camera.Fault)
	if p.shown != gpio.Countdown {
		t.Errorf("while the button is held: %v", p.shown)
	}
	p.press(false)
	if p.shown != gpio.Fault {
		t.Errorf("after it was let go: %v", p.shown)
	}
	p.onTrial(true)
	p.follow(camera.Live)
	if p.shown != gpio.Trial {
		t.Errorf("on trial: %v", p.shown)
	}
	p.onTrial(false)
	if p.shown != gpio.Live {
		t.Errorf("after the trial: %v", p.shown)
	}
	p.settingUp(true)
	if p.shown != gpio.SetUp {
		t.Errorf("with the set-up network: %v", p.shown)
	}
	p.settingUp(false)
	p.noNetwork(true)
	if p.shown != gpio.NoNetwork {
		t.Errorf("without a network: %v", p.shown)
	}
	p.follow(camera.Privacy)
	if p.shown != gpio.Privacy {
		t.Errorf("closed without a network: %v", p.shown)
	}
	p.noNetwork(false)
	p.follow(camera.Live)
	if p.shown != gpio.Live {
		t.Errorf("when the network is back: %v", p.shown)
	}
	p.onCard(true)
	if p.shown != gpio.Card {
		t.Errorf("with a card that does not answer: %v", p.shown)
	}
	p.follow(camera.Privacy)
	if p.shown != gpio.Privacy {
		t.Errorf("closed, with a card that does not answer: %v", p.shown)
	}
	p.onCard(false)
	p.end(gpio.ShuttingDown)
	p.follow(camera.Stopping)
	p.press(true)
	if p.shown != gpio.ShuttingDown {
		t.Errorf("at the end: %v", p.shown)
	}
	p.end(gpio.SafeToUnplug)
	p.end(gpio.ShuttingDown) // came late
	if p.shown != gpio.SafeToUnplug {
		t.Errorf("after the end: %v", p.shown)
	}
}

// fakeButton is pressed from one time to another, counted from its first Wait.
type fakeButton struct {
	began    time.Time
	from, to time.Duration
}

func (b *fakeButton) Close() error { return nil }

func (b *fakeButton) Wait(d time.Duration) (pressed bool, err error) {
	if b.began.IsZero() {
		b.began = time.Now()
	}
	for _, edge := range []time.Duration{b.from, b.to} {
		if at := time.Until(b.began.Add(edge)); at > 0 {
			d = min(d, at)
		}
	}
	time.Sleep(d)
	now := time.Since(b.began)
	return now >= b.from && now < b.to, nil
}

func TestPanelButton(t *testing.T) {
	for _, tt := range []struct {
		name        string
		held        time.Duration
		short, hold int
	}{
		{"short press", 300 * time.Millisecond, 1, 0},
		{"let go in the countdown", 1500 * time.Millisecond, 0, 0},
		{"held", 2500 * time.Millisecond, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(panel)
				p.button.Input = &fakeButton{from: 5 * time.Second, to: 5*time.Second + tt.held}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var short, hold int
				p.runButton(ctx, func() { short++ }, func() { hold++ }, slog.New(slog.DiscardHandler))
				if short != tt.short || hold != tt.hold {
					t.Errorf("%d short presses, %d holds; want %d and %d", short, hold, tt.short, tt.hold)
				}
			})
		})
	}
}
