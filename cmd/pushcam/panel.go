package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gpio"
)

// panel is the front of the appliance: its LEDs and its button. What is missing of it
// is logged once, and the camera works without it.
type panel struct {
	indicator gpio.Indicator
	button    gpio.Button

	leds int // that were found
	// pressed is told whether the button is. It must not block. May be nil.
	pressed func(bool)

	mu      sync.Mutex
	camera  gpio.Pattern // what the camera's state looks like
	offline bool         // there is no network
	setUp   bool         // there is the one that waits for its owner
	trial   bool         // an update is on trial
	allowed bool         // the button has allowed an update
	card    bool         // there is trouble with the card
	held    bool         // the button is pressed: the LEDs count down
	tests   int          // of the LEDs, which count down too
	dark    bool         // the owner wants no light while all is well
	ending  bool         // the program ends: what is shown is final
	shown   gpio.Pattern
}

// openPanel opens what the flags name. It must be called before anything else opens
// files: see gpio.OpenChip.
func openPanel(c *config, log *slog.Logger) *panel {
	p := &panel{
		indicator: gpio.Indicator{Hold: c.buttonHold, Log: log},
		button:    gpio.Button{Hold: c.buttonHold, Log: log},
	}
	if c.ledGPIO >= 0 || c.buttonGPIO >= 0 {
		chip, err := gpio.OpenChip(c.gpioChip)
		if err != nil {
			log.Warn("no LED and no button on GPIO lines", "err", err)
		} else {
			p.openLines(chip, c, log)
		}
	}
	if c.ledSys != "none" {
		name := c.ledSys
		if name == "auto" {
			name = ""
		}
		led, err := gpio.OpenSysLED(c.root.Path(), name)
		if err != nil {
			log.Warn("the board's own LED shows nothing", "err", err)
		} else {
			p.indicator.LEDs = append(p.indicator.LEDs, led)
		}
	}
	p.leds = len(p.indicator.LEDs)
	return p
}

func (p *panel) openLines(chip *gpio.Chip, c *config, log *slog.Logger) {
	if c.ledGPIO >= 0 {
		led, err := chip.LED(c.ledGPIO, c.ledActiveLow)
		if err != nil {
			log.Warn("no status LED", "err", err)
		} else {
			p.indicator.LEDs = append(p.indicator.LEDs, led)
		}
	}
	if c.buttonGPIO >= 0 {
		button, err := chip.Button(c.buttonGPIO)
		if err != nil {
			log.Warn("no button", "err", err)
		} else {
			p.button.Input = button
		}
	}
}

// light shows the LEDs, whatever becomes of ctx, until dark is called, which returns
// when they are given back.
func (p *panel) light(ctx context.Context) (dark func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.indicator.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (p *panel) hasButton() bool { return p.button.Input != nil }

// The gesture that allows an update: so many presses, each longer than a short one and
// let go before the camera switches off, with no longer than a while between them. Nobody
// does that by accident, and it closes nothing and switches nothing off meanwhile.
const (
	allowPresses = 3
	allowPause   = 5 * time.Second
)

// runButton watches the button until ctx is done. A press up to 0.6 s calls
// short, one of -button-hold calls hold. The gesture calls allow.
func (p *panel) runButton(ctx context.Context, short, hold, allow func(), log *slog.Logger) {
	if !p.hasButton() {
		return
	}
	presses, released := 0, time.Now() // of the gesture
	p.button.OnPress = func() {
		if time.Since(released) > allowPause {
			presses = 0
		}
		p.press(true)
	}
	p.button.OnRelease = func() { p.press(false) }
	p.button.OnShort = func() {
		presses = 0
		if short != nil {
			short()
		}
	}
	p.button.OnCancel = func() {
		released = time.Now()
		if presses++; presses == allowPresses {
			presses = 0
			allow()
		}
	}
	p.button.OnHold = hold
	if err := p.button.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Warn("the button is gone", "err", err)
	}
}

// follow makes the LEDs show a camera's phase, when nothing else is to be shown.
func (p *panel) follow(phase camera.Phase) {
	p.change(func() {
		switch phase {
		case camera.Idle:
			p.camera = gpio.Idle
		case camera.Live:
			p.camera = gpio.Live
		case camera.Privacy:
			p.camera = gpio.Privacy
		case camera.NoCamera:
			p.camera = gpio.NoCamera
		case camera.Fault:
			p.camera = gpio.Fault
		default:
			p.camera = gpio.Starting
		}
	})
}

func (p *panel) press(held bool) {
	p.change(func() { p.held = held })
	if p.pressed != nil {
		p.pressed(held)
	}
}

// setDark shows nothing while all is well, or again what the camera does.
func (p *panel) setDark(dark bool) { p.change(func() { p.dark = dark }) }

// testTime is how long test shows that there is a light.
const testTime = 3 * time.Second

// test shows for a moment what the LEDs show while the button is held, so that their owner
// finds them.
func (p *panel) test() error {
	if why := p.lacksLED(); why != "" {
		return errors.New(why)
	}
	p.change(func() { p.tests++ })
	time.AfterFunc(testTime, func() { p.change(func() { p.tests-- }) })
	return nil
}

// lacksLED says why there is no LED; "" if there is one.
func (p *panel) lacksLED() string {
	if p.leds == 0 {
		return "no LED was found"
	}
	return ""
}

// noNetwork shows that there is no network, or that there is one again.
func (p *panel) noNetwork(missing bool) { p.change(func() { p.offline = missing }) }

// settingUp shows that the camera's own network waits for its owner, or is not there any
// more.
func (p *panel) settingUp(there bool) { p.change(func() { p.setUp = there }) }

// onTrial shows that an update is on trial, or is not any more.
func (p *panel) onTrial(trial bool) { p.change(func() { p.trial = trial }) }

// onAllowed shows that the button has allowed an update, or does not any more.
func (p *panel) onAllowed(allowed bool) { p.change(func() { p.allowed = allowed }) }

// onCard shows that there is trouble with the card, or is not any more. An owner who
// has closed the camera sees that first.
func (p *panel) onCard(trouble bool) { p.change(func() { p.card = trouble }) }

// end shows one of the last patterns: from now on only end changes it, and
// nothing comes after one that ends in the dark.
func (p *panel) end(last gpio.Pattern) {
	p.change(func() {
		if p.shown != gpio.SafeToUnplug && p.shown != gpio.NotWritten {
			p.ending, p.shown = true, last
		}
	})
}

func (p *panel) change(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
	switch {
	case p.ending:
	case p.held, p.tests > 0:
		p.shown = gpio.Countdown
	case p.trial:
		p.shown = gpio.Trial
	case p.allowed:
		p.shown = gpio.Allowed
	case p.card && p.camera != gpio.Privacy:
		p.shown = gpio.Card
	case p.offline && p.camera != gpio.Privacy: // whoever presses the button sees what that does
		p.shown = gpio.NoNetwork
	case p.setUp && p.camera != gpio.Privacy:
		p.shown = gpio.SetUp
	case p.dark && slices.Contains([]gpio.Pattern{gpio.Starting, gpio.Idle, gpio.Live, gpio.Privacy}, p.camera):
		p.shown = gpio.Dark
	default:
		p.shown = p.camera
	}
	p.indicator.Show(p.shown)
}

// means says in words what the LEDs show, whether there are any or not.
func (p *panel) means() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.Means()
}

// state is the part of /state: what the LEDs show, if there are any.
func (p *panel) state() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return map[string]any{
		"pattern": p.shown.String(),
		"meaning": p.shown.Means(),
		"leds":    p.leds,
		"button":  p.hasButton(),
	}
}
