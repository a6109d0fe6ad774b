package gpio

import (
	"fmt"
	"time"
)

// Pattern is what an Indicator shows. The zero value is Starting.
type Pattern int

// The patterns, in the order in which a manual explains them.
const (
	Starting     Pattern = iota // not ready yet
	Idle                        // ready, nobody watches
	Live                        // somebody watches
	Privacy                     // the owner closed the camera
	NoCamera                    // no camera is found
	NoNetwork                   // nobody can reach the appliance
	SetUp                       // its own network waits for its owner
	Fault                       // the camera does not work
	Trial                       // an update is on trial
	Allowed                     // the button has allowed an update by anybody
	Card                        // the card does not answer
	Countdown                   // the button is being held
	ShuttingDown                // on the way to power off
	NotWritten                  // the power is about to be cut, and the card has not everything
	SafeToUnplug                // the power may be cut
)

// Dark shows nothing, because the owner wants no light. It is none of Patterns.
const Dark Pattern = -1

// forever is the length of a step that does not end. The sum of two does not
// overflow.
const forever time.Duration = 1 << 61

// patterns says what each pattern looks like. Its steps are on, off, on, off … and
// then begin again.
//
// Their rhythms can be told apart quickly and from afar. Steady light means that
// somebody watches, as on every webcam. Even blinking means that the appliance does
// something by itself; the faster it blinks, the sooner that is over. Groups of
// flashes mean that somebody has to see to it. Idle flashes seldom, so that it
// disturbs nobody and still shows that the appliance is alive. SafeToUnplug is dark,
// because the LED stays dark when the program has ended and the power is cut.
var patterns = [...]struct {
	name, looks, means string
	steps              []time.Duration
}{
	Starting: {"starting", "blinks evenly, once a second", "starting: the camera is being opened",
		[]time.Duration{500 * ms, 500 * ms}},
	Idle: {"idle", "one short flash every 3 seconds", "ready, nobody is watching",
		[]time.Duration{100 * ms, 2900 * ms}},
	Live: {"live", "steady on", "somebody is watching",
		[]time.Duration{forever}},
	Privacy: {"privacy", "slow: 2 seconds on, 2 seconds off", "privacy: the camera is closed until the button is pressed again",
		[]time.Duration{2000 * ms, 2000 * ms}},
	NoCamera: {"no-camera", "two flashes, pause", "no camera is found: check its cable",
		[]time.Duration{200 * ms, 400 * ms, 200 * ms, 1600 * ms}},
	NoNetwork: {"no-network", "three flashes, pause", "no network: check the cable and the router",
		[]time.Duration{200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 1600 * ms}},
	SetUp: {"set-up", "two long flashes, pause", "set-up: join the network pushcam-setup with your phone, and a page opens",
		[]time.Duration{800 * ms, 400 * ms, 800 * ms, 1600 * ms}},
	Fault: {"fault", "four flashes, pause", "there is a camera and it does not work: the page says why",
		[]time.Duration{200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 1600 * ms}},
	Trial: {"trial", "one long, one short flash", "an update is on trial: leave the power on",
		[]time.Duration{900 * ms, 300 * ms, 200 * ms, 600 * ms}},
	Allowed: {"update-allowed", "two short flashes, one long", "the button has allowed an update by anybody who knows the password, for 10 minutes",
		[]time.Duration{200 * ms, 300 * ms, 200 * ms, 300 * ms, 900 * ms, 600 * ms}},
	Card: {"card", "five flashes, pause", "the card does not answer: the picture goes on, the page says more",
		[]time.Duration{200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 400 * ms, 200 * ms, 1600 * ms}},
	Countdown: {"countdown", "faster and faster", "the button is being held: let go and nothing happens",
		countdown(DefaultHold)},
	ShuttingDown: {"shutting-down", "flickers, 5 times a second", "shutting down: wait until it is dark",
		[]time.Duration{100 * ms, 100 * ms}},
	NotWritten: {"not-written", "three long flashes, then dark", "switched off, but the card did not take what was changed last",
		[]time.Duration{1000 * ms, 400 * ms, 1000 * ms, 400 * ms, 1000 * ms, 400 * ms, 0, forever}},
	SafeToUnplug: {"safe-to-unplug", "dark", "safe to unplug",
		[]time.Duration{0, forever}},
}

const ms = time.Millisecond

// Patterns returns all patterns, in the order in which a manual explains them.
func Patterns() []Pattern {
	all := make([]Pattern, len(patterns))
	for i := range all {
		all[i] = Pattern(i)
	}
	return all
}

// String is the pattern's name in one word, as logs and flags spell it.
func (p Pattern) String() string {
	if p == Dark {
		return "dark"
	}
	if !p.valid() {
		return fmt.Sprintf("pattern %d", int(p))
	}
	return patterns[p].name
}

// Looks says what a person sees.
func (p Pattern) Looks() string {
	if !p.valid() {
		return "dark"
	}
	return patterns[p].looks
}

// Means says what the pattern means.
func (p Pattern) Means() string {
	if p == Dark {
		return "all is well, and the owner wants no light"
	}
	if !p.valid() {
		return "nothing"
	}
	return patterns[p].means
}

// Length is how long the pattern takes until it stays as it is; 0 for one that begins
// again and again, and for one that is always the same.
func (p Pattern) Length() (length time.Duration) {
	if !p.valid() {
		return 0
	}
	for _, step := range patterns[p].steps {
		if step >= forever {
			return length
		}
		length += step
	}
	return 0
}

func (p Pattern) valid() bool { return p >= 0 && int(p) < len(patterns) }

// steps returns how long the LED is on, off, on, off … in one round. hold is
// how long the button has to be held, which only Countdown follows.
func (p Pattern) steps(hold time.Duration) []time.Duration {
	switch {
	case !p.valid():
		return patterns[SafeToUnplug].steps
	case p == Countdown:
		return countdown(hold)
	}
	return patterns[p].steps
}

// countdown returns ten flashes within hold that become shorter and shorter, and then
// darkness, because by then another pattern is shown.
func countdown(hold time.Duration) []time.Duration {
	// Each number is a flash with the pause behind it, in fortieths of hold.
	flashes := [...]time.Duration{10, 8, 6, 4, 3, 2, 2, 2, 2, 1}
	steps := make([]time.Duration, 0, 2*len(flashes)+2)
	for _, f := range flashes {
		steps = append(steps, f*hold/80, f*hold/80)
	}
	return append(steps, 0, forever)
}

// at tells whether the LED is on when steps have been running for t, and how long it
// stays so.
func at(steps []time.Duration, t time.Duration) (on bool, left time.Duration) {
	var round time.Duration
	for _, s := range steps {
		round += s
	}
	t %= round
	for i, s := range steps {
		if t < s {
			return i%2 == 0, s - t
		}
		t -= s
	}
	panic("unreachable: t is less than the sum of the steps")
}
