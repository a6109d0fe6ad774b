package gpio_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/gpio/gpiotest"
)

const ms = time.Millisecond

// timeline writes changes as "0+ 500-": on at once, off after 500 ms.
func timeline(changes []gpiotest.Change) string {
	var s []string
	for _, c := range changes {
		s = append(s, fmt.Sprintf("%d%c", c.At.Milliseconds(), map[bool]rune{true: '+', false: '-'}[c.On]))
	}
	return strings.Join(s, " ")
}

// start runs ind in the test's bubble and returns what ends it.
func start(ind *gpio.Indicator) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { ind.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// play returns what an LED does in the first d of p.
func play(t *testing.T, p gpio.Pattern, d time.Duration) (changes []gpiotest.Change) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		led := &gpiotest.LED{}
		ind := &gpio.Indicator{LEDs: []gpio.LED{led}}
		ind.Show(p)
		stop := start(ind)
		time.Sleep(d)
		stop()
		changes = led.Changes()
	})
	return changes
}

func TestPatterns(t *testing.T) {
	tests := map[gpio.Pattern]struct {
		watch time.Duration
		want  string
	}{
		gpio.Starting:  {2200 * ms, "0+ 500- 1000+ 1500- 2000+"},
		gpio.Idle:      {6050 * ms, "0+ 100- 3000+ 3100- 6000+"},
		gpio.Live:      {time.Hour, "0+"},
		gpio.Privacy:   {9000 * ms, "0+ 2000- 4000+ 6000- 8000+"},
		gpio.NoCamera:  {3100 * ms, "0+ 200- 600+ 800- 2400+ 2600- 3000+"},
		gpio.NoNetwork: {3700 * ms, "0+ 200- 600+ 800- 1200+ 1400- 3000+ 3200- 3600+"},
		gpio.SetUp:     {3700 * ms, "0+ 800- 1200+ 2000- 3600+"},
		gpio.Fault:     {4300 * ms, "0+ 200- 600+ 800- 1200+ 1400- 1800+ 2000- 3600+ 3800- 4200+"},
		gpio.Trial:     {3300 * ms, "0+ 900- 1200+ 1400- 2000+ 2900- 3200+"},
		gpio.Allowed:   {3300 * ms, "0+ 200- 500+ 700- 1000+ 1900- 2500+ 2700- 3000+ 3200-"},
		gpio.Card:      {5500 * ms, "0+ 200- 600+ 800- 1200+ 1400- 1800+ 2000- 2400+ 2600- 4200+ 4400- 4800+ 5000- 5400+"},
		// Once, and dark until something else is shown.
		gpio.Countdown: {time.Hour, "0+ 250- 500+ 700- 900+ 1050- 1200+ 1300- 1400+ 1475- 1550+ 1600- 1650+ 1700- " +
			"1750+ 1800- 1850+ 1900- 1950+ 1975-"},
		gpio.ShuttingDown: {450 * ms, "0+ 100- 200+ 300- 400+"},
		gpio.NotWritten:   {time.Hour, "0+ 1000- 1400+ 2400- 2800+ 3800-"},
		gpio.SafeToUnplug: {time.Hour, "0-"},
	}
	for _, p := range gpio.Patterns() {
		t.Run(p.String(), func(t *testing.T) {
			tc, ok := tests[p]
			if !ok {
				t.Fatal("this pattern has no test")
			}
			if diff := cmp.Diff(tc.want, timeline(play(t, p, tc.watch))); diff != "" {
				t.Errorf("timeline (-want +got):\n%s", diff)
			}
		})
	}
}

// A pattern that ends is as long as what there is to see of it.
func TestPatternLength(t *testing.T) {
	for p, want := range map[gpio.Pattern]time.Duration{
		gpio.NotWritten: 4200 * ms, gpio.SafeToUnplug: 0, gpio.Live: 0, gpio.Idle: 0, gpio.Pattern(-1): 0,
	} {
		if got := p.Length(); got != want {
			t.Errorf("%v takes %v, want %v", p, got, want)
		}
	}
}

func TestPatternsSayWhatTheyAre(t *testing.T) {
	seen := map[string]gpio.Pattern{}
	for _, p := range gpio.Patterns() {
		for _, s := range []string{p.String(), p.Looks(), p.Means()} {
			if other, ok := seen[s]; ok || s == "" {
				t.Errorf("%v says %q, as %v does", p, s, other)
			}
			seen[s] = p
		}
	}
}

// rhythm is what a person notices of a pattern.
type rhythm struct {
	on, off time.Duration // the longest of each, 0 for none that ends
	flashes int           // from one longest pause to the next
}

func rhythmOf(changes []gpiotest.Change) rhythm {
	var r rhythm
	for i := 1; i < len(changes); i++ {
		d := changes[i].At - changes[i-1].At
		if changes[i-1].On {
			r.on = max(r.on, d)
		} else {
			r.off = max(r.off, d)
		}
	}
	n := 0
	for i := 1; i < len(changes); i++ {
		switch d := changes[i].At - changes[i-1].At; {
		case changes[i-1].On:
			n++
		case d == r.off:
			r.flashes, n = max(r.flashes, n), 0
		}
	}
	return r
}

// Two patterns are told apart by the number of their flashes, or because one of
// them has light or darkness at least twice as long. No flash is too short to be
// seen.
func TestPatternsCanBeToldApart(t *testing.T) {
	apart := func(a, b time.Duration) bool { return a != b && max(a, b) >= 2*min(a, b) }
	steady := map[gpio.Pattern]bool{gpio.Live: true, gpio.SafeToUnplug: false}
	rhythms := map[gpio.Pattern]rhythm{}
	for _, p := range gpio.Patterns() {
		if p == gpio.Countdown {
			continue // it is watched by whoever holds the button
		}
		changes := play(t, p, time.Minute)
		if on, ok := steady[p]; ok {
			if len(changes) != 1 || changes[0].On != on {
				t.Errorf("%v is not steady: %s", p, timeline(changes))
			}
			continue
		}
		r := rhythmOf(changes)
		for q, other := range rhythms {
			if r.flashes == other.flashes && !apart(r.on, other.on) && !apart(r.off, other.off) {
				t.Errorf("%v %v and %v %v look alike", p, r, q, other)
			}
		}
		for i := 1; i < len(changes); i++ {
			if d := changes[i].At - changes[i-1].At; d < 100*ms {
				t.Errorf("%v has a step of %v", p, d)
			}
		}
		rhythms[p] = r
	}
}

func TestUnknownPatternIsDark(t *testing.T) {
	p := gpio.Pattern(99)
	if got := timeline(play(t, p, time.Minute)); got != "0-" {
		t.Errorf("timeline %q, want dark", got)
	}
	if got := fmt.Sprint(p, ", ", p.Looks(), ", ", p.Means()); got != "pattern 99, dark, nothing" {
		t.Error(got)
	}
}

func TestCountdownTakesAsLongAsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &gpiotest.LED{}
		ind := &gpio.Indicator{LEDs: []gpio.LED{led}, Hold: 8 * time.Second}
		ind.Show(gpio.Countdown)
		stop := start(ind)
		time.Sleep(time.Minute)
		stop()
		changes := led.Changes()
		if last := changes[len(changes)-1]; last.On || last.At != 7900*ms {
			t.Errorf("ends %v, want dark from 7.9 s of 8 s", last)
		}
	})
}

func TestIndicatorFollowsShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &gpiotest.LED{}
		ind := &gpio.Indicator{LEDs: []gpio.LED{led}}
		stop := start(ind)
		time.Sleep(250 * ms) // starting
		ind.Show(gpio.Live)
		time.Sleep(time.Minute)
		ind.Show(gpio.Idle)
		time.Sleep(50 * ms)
		ind.Show(gpio.Idle) // does not begin again
		time.Sleep(time.Second)
		stop()
		// The flash of Idle begins while the LED is on: nothing to write.
		if diff := cmp.Diff("0+ 60350-", timeline(led.Changes())); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
		if led.Closed() != 1 {
			t.Errorf("closed %d times, want once", led.Closed())
		}
	})
}

// A program that was held up goes on in the rhythm and does not catch up.
func TestIndicatorSkipsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &slowLED{}
		ind := &gpio.Indicator{LEDs: []gpio.LED{led}}
		ind.Show(gpio.ShuttingDown)
		stop := start(ind)
		time.Sleep(1750 * ms)
		stop()
		if diff := cmp.Diff("0+ 1100- 1200+ 1300- 1400+ 1500- 1600+ 1700-", timeline(led.Changes())); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
	})
}

// slowLED takes a second for its first Set.
type slowLED struct {
	gpiotest.LED
	once sync.Once
}

func (l *slowLED) Set(on bool) error {
	err := l.LED.Set(on)
	l.once.Do(func() { time.Sleep(1010 * ms) })
	return err
}

func TestPlainBlinksAreTheLEDsOwn(t *testing.T) {
	tests := map[gpio.Pattern][]gpiotest.Blink{
		gpio.Starting:     {{On: 500 * ms, Off: 500 * ms}},
		gpio.Idle:         {{On: 100 * ms, Off: 2900 * ms}},
		gpio.Privacy:      {{On: 2 * time.Second, Off: 2 * time.Second}},
		gpio.ShuttingDown: {{On: 100 * ms, Off: 100 * ms}},
	}
	for _, p := range gpio.Patterns() {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				led, wired := &gpiotest.Blinker{}, &gpiotest.LED{}
				ind := &gpio.Indicator{LEDs: []gpio.LED{led, wired}}
				ind.Show(p)
				stop := start(ind)
				time.Sleep(10 * time.Second)
				want := tests[p]
				if diff := cmp.Diff(want, led.Blinks()); diff != "" {
					t.Errorf("blinks (-want +got):\n%s", diff)
				}
				if sets := led.Changes(); (len(sets) == 0) != (want != nil) {
					t.Errorf("set to %s, blinking by itself is %v", timeline(sets), want)
				}
				if len(wired.Changes()) == 0 {
					t.Error("the LED beside it did nothing")
				}
				if want == nil {
					stop()
					return
				}
				// It is told anew what comes next, also what it was told before.
				ind.Show(gpio.SafeToUnplug)
				synctest.Wait()
				ind.Show(p)
				synctest.Wait()
				ind.Show(gpio.SafeToUnplug)
				synctest.Wait()
				if diff := cmp.Diff("0- 0-", timeline(led.Changes())); diff != "" {
					t.Errorf("then set (-want +got):\n%s", diff)
				}
				stop()
			})
		})
	}
}

// What need not be woken is not woken: whoever wakes makes a timer, and that
// would be tens of thousands of allocations in a day.
func TestSteadyPatternsCostNothing(t *testing.T) {
	led, blinker := func() gpio.LED { return &gpiotest.LED{} }, func() gpio.LED { return &gpiotest.Blinker{} }
	tests := []struct {
		name string
		led  func() gpio.LED
		show gpio.Pattern
		free bool
	}{
		{"steady on", led, gpio.Live, true},
		{"dark", led, gpio.SafeToUnplug, true},
		{"countdown that is over", led, gpio.Countdown, true},
		{"blinks by itself", blinker, gpio.Idle, true},
		{"steady after blinking by itself", blinker, gpio.Live, true},
		{"blinked", led, gpio.Idle, false}, // the test can tell
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ind := &gpio.Indicator{LEDs: []gpio.LED{tc.led()}}
				stop := start(ind)
				synctest.Wait()
				ind.Show(tc.show)
				time.Sleep(time.Minute)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				time.Sleep(24 * time.Hour)
				runtime.ReadMemStats(&after)
				if n := after.Mallocs - before.Mallocs; (n < 10_000) != tc.free {
					t.Errorf("%d allocations in a day", n)
				}
				stop()
			})
		})
	}
}

func TestBlinkerThatCannotIsBlinked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &noTimerLED{}
		var log logbook
		ind := &gpio.Indicator{LEDs: []gpio.LED{led}, Log: log.logger()}
		stop := start(ind)
		time.Sleep(1200 * ms)
		stop()
		if diff := cmp.Diff("0+ 500- 1000+", timeline(led.Changes())); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
		if lines := log.lines(); len(lines) != 0 {
			t.Errorf("logged %q", lines)
		}
	})
}

type noTimerLED struct{ gpiotest.LED }

func (*noTimerLED) Blink(on, off time.Duration) error { return errors.New("invalid argument") }

func TestLostLEDIsSaidOnce(t *testing.T) {
	t.Attr("fault", "GPIO | an LED that takes nothing any more | it is said once | –")
	synctest.Test(t, func(t *testing.T) {
		good, bad := &gpiotest.LED{}, &gpiotest.LED{}
		var log logbook
		ind := &gpio.Indicator{LEDs: []gpio.LED{bad, good}, Log: log.logger()}
		stop := start(ind)
		time.Sleep(600 * ms)
		bad.Break(errors.New("no such device"))
		time.Sleep(time.Minute)
		for _, p := range gpio.Patterns() {
			ind.Show(p)
			time.Sleep(time.Minute)
		}
		stop()
		lines := log.lines()
		if len(lines) != 1 || !strings.Contains(lines[0], "no such device") {
			t.Errorf("logged %q, want one line with the error", lines)
		}
		if got := timeline(bad.Changes()); got != "0+ 500-" {
			t.Errorf("the lost LED was set to %s", got)
		}
		if bad.Closed() != 1 || good.Closed() != 1 {
			t.Errorf("closed %d and %d times, want once each", bad.Closed(), good.Closed())
		}
		if n := len(good.Changes()); n < 500 {
			t.Errorf("the good LED changed %d times", n)
		}
	})
}

func TestIndicatorWithoutLEDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ind gpio.Indicator
		stop := start(&ind)
		for _, p := range gpio.Patterns() {
			ind.Show(p)
			synctest.Wait()
		}
		stop()
	})
}
