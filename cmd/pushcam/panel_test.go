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
	p.onAllowed(true)
	p.follow(camera.Privacy)
	if p.shown != gpio.Allowed {
		t.Errorf("when the button has allowed an update: %v", p.shown)
	}
	p.follow(camera.Live)
	p.onAllowed(false)
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

// fakeButton is pressed and let go at these times, counted from its first Wait.
type fakeButton struct {
	began time.Time
	edges []time.Duration
}

func (b *fakeButton) Close() error { return nil }

func (b *fakeButton) Wait(d time.Duration) (pressed bool, err error) {
	if b.began.IsZero() {
		b.began = time.Now()
	}
	for _, edge := range b.edges {
		if at := time.Until(b.began.Add(edge)); at > 0 {
			d = min(d, at)
		}
	}
	time.Sleep(d)
	for _, edge := range b.edges {
		if time.Since(b.began) >= edge {
			pressed = !pressed
		}
	}
	return pressed, nil
}

func TestPanelButton(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name               string
		presses            []time.Duration // and the pauses between them
		short, hold, allow int
	}{
		{"short press", []time.Duration{300 * ms}, 1, 0, 0},
		{"let go in the countdown", []time.Duration{1500 * ms}, 0, 0, 0},
		{"held", []time.Duration{2500 * ms}, 0, 1, 0},
		{"let go twice", []time.Duration{1000 * ms, 500 * ms, 1000 * ms}, 0, 0, 0},
		{"let go three times", []time.Duration{700 * ms, 4000 * ms, 1900 * ms, 300 * ms, 1000 * ms}, 0, 0, 1},
		{"let go six times", []time.Duration{1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 1000 * ms}, 0, 0, 2},
		{"let go three times, slowly", []time.Duration{1000 * ms, 500 * ms, 1000 * ms, 5500 * ms, 1000 * ms}, 0, 0, 0},
		{"with a short press between", []time.Duration{1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 200 * ms, 500 * ms, 1000 * ms}, 1, 0, 0},
		{"held in the end", []time.Duration{1000 * ms, 500 * ms, 1000 * ms, 500 * ms, 2500 * ms}, 0, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, button := new(panel), &fakeButton{edges: []time.Duration{5 * time.Second}}
				for _, d := range tt.presses {
					button.edges = append(button.edges, button.edges[len(button.edges)-1]+d)
				}
				p.button.Input = button
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				var short, hold, allow int
				p.runButton(ctx, func() { short++ }, func() { hold++ }, func() { allow++ }, slog.New(slog.DiscardHandler))
				if short != tt.short || hold != tt.hold || allow != tt.allow {
					t.Errorf("%d short presses, %d holds, %d times allowed; want %d, %d and %d", short, hold, allow, tt.short, tt.hold, tt.allow)
				}
			})
		})
	}
}

// Who wants no light has none while all is well, and sees all the same what is wrong.
func TestDarkPanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(panel)
		shown := func() gpio.Pattern { // a timer changes it too
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.shown
		}
		p.setDark(true)
		for phase, want := range map[camera.Phase]gpio.Pattern{
			camera.Idle: gpio.Dark, camera.Live: gpio.Dark, camera.Starting: gpio.Dark, camera.Privacy: gpio.Dark,
			camera.Fault: gpio.Fault, camera.NoCamera: gpio.NoCamera,
		} {
			if p.follow(phase); shown() != want {
				t.Errorf("%s: %v, want %v", phase, shown(), want)
			}
		}
		p.follow(camera.Live)
		if err := p.test(); err == nil || shown() != gpio.Dark {
			t.Errorf("a test without an LED: %v, %v", err, shown())
		}
		p.leds = 1
		if err := p.test(); err != nil || shown() != gpio.Countdown {
			t.Errorf("the test: %v, %v", err, shown())
		}
		time.Sleep(testTime)
		synctest.Wait()
		if shown() != gpio.Dark {
			t.Errorf("after the test: %v", shown())
		}
		if p.setDark(false); shown() != gpio.Live {
			t.Errorf("with light again: %v", shown())
		}
	})
}

func TestPressIsTold(t *testing.T) {
	var told []bool
	p := &panel{pressed: func(pressed bool) { told = append(told, pressed) }}
	p.press(true)
	p.press(false)
	if len(told) != 2 || !told[0] || told[1] {
		t.Errorf("told %v", told)
	}
}
