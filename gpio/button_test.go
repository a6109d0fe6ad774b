package gpio_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/gpio/gpiotest"
)

var errGone = errors.New("no such device")

// press runs a button through a script of "<ms> down", "<ms> up" and "<ms>
// gone", parted by commas, for a minute after its end. It returns what the
// button called, as "<ms> press" and so on, and what Run returned.
func press(t *testing.T, b gpio.Button, script string) (events string, err error) {
	t.Helper()
	in := &gpiotest.Button{}
	b.Input = in
	var said []string
	begin := time.Now()
	say := func(what string) func() {
		return func() { said = append(said, fmt.Sprintf("%d %s", time.Since(begin).Milliseconds(), what)) }
	}
	b.OnPress, b.OnRelease, b.OnShort, b.OnCancel, b.OnHold = say("press"), say("release"), say("short"), say("cancel"), say("hold")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	first := true
	for step := range strings.SplitSeq(script, ", ") {
		var at int
		var what string
		if _, err := fmt.Sscan(step, &at, &what); err != nil {
			t.Fatalf("step %q: %v", step, err)
		}
		time.Sleep(time.Duration(at)*ms - time.Since(begin))
		switch what {
		case "down":
			in.Press()
		case "up":
			in.Release()
		case "gone":
			in.Remove(errGone)
		default:
			t.Fatalf("step %q", step)
		}
		if first { // the first step is how the button is found
			first = false
			go func() { done <- b.Run(ctx) }()
		}
		synctest.Wait()
	}
	time.Sleep(time.Minute)
	cancel()
	err = <-done
	if in.Closed() != 1 {
		t.Errorf("the input was closed %d times, want once", in.Closed())
	}
	return strings.Join(said, ", "), err
}

func TestButton(t *testing.T) {
	tests := []struct {
		name   string
		script string
		hold   time.Duration
		want   string
		err    error
	}{
		{name: "untouched", script: "0 up"},
		{name: "short press", script: "0 up, 2000 down, 2300 up",
			want: "2030 press, 2330 release, 2330 short"},
		{name: "longest short press", script: "0 up, 2000 down, 2600 up",
			want: "2030 press, 2630 release, 2630 short"},
		{name: "too long for a short press", script: "0 up, 2000 down, 2601 up",
			want: "2030 press, 2631 release, 2631 cancel"},
		{name: "released early", script: "0 up, 2000 down, 3500 up",
			want: "2030 press, 3530 release, 3530 cancel"},
		{name: "released at the last moment", script: "0 up, 2000 down, 4029 up",
			want: "2030 press, 4059 release, 4059 cancel"},
		{name: "held, once however long", script: "0 up, 2000 down, 60000 up",
			want: "2030 press, 4030 hold"},
		{name: "held and never let go", script: "0 up, 2000 down",
			want: "2030 press, 4030 hold"},
		{name: "held twice", script: "0 up, 2000 down, 5000 up, 6000 down, 9000 up",
			want: "2030 press, 4030 hold, 6030 press, 8030 hold"},
		{name: "short press after a hold", script: "0 up, 2000 down, 5000 up, 6000 down, 6200 up",
			want: "2030 press, 4030 hold, 6030 press, 6230 release, 6230 short"},
		{name: "longer hold", hold: 5 * time.Second, script: "0 up, 2000 down, 6900 up, 8000 down",
			want: "2030 press, 6930 release, 6930 cancel, 8030 press, 13030 hold"},
		{name: "shorter hold has a shorter short press", hold: 800 * ms, script: "0 up, 2000 down, 2400 up, 3000 down, 3401 up, 4000 down",
			want: "2030 press, 2430 release, 2430 short, 3030 press, 3431 release, 3431 cancel, 4030 press, 4830 hold"},

		{name: "bounces when pressed", script: "0 up, 2000 down, 2005 up, 2010 down, 2012 up, 2020 down, 2300 up",
			want: "2050 press, 2330 release, 2330 short"},
		{name: "bounces when let go", script: "0 up, 2000 down, 2300 up, 2301 down, 2303 up, 2310 down, 2311 up",
			want: "2030 press, 2341 release, 2341 short"},
		{name: "a touch shorter than the debounce", script: "0 up, 2000 down, 2029 up"},
		{name: "rings without end", script: "0 up, " + ring(2000, 6000, 20)},
		{name: "a bad contact while held", script: "0 up, 2000 down, 3000 up, 3010 down, 3500 up, 3529 down",
			want: "2030 press, 4030 hold"},

		{name: "stuck at boot", script: "0 down"},
		{name: "held at boot and let go late", script: "0 down, 5000 up"},
		{name: "held at boot, then used", script: "0 down, 3000 up, 5000 down, 5300 up",
			want: "5030 press, 5330 release, 5330 short"},
		{name: "not released for long enough after boot", script: "0 down, 3000 up, 3900 down, 9000 up"},
		{name: "pressed too soon after boot", script: "0 up, 900 down, 9000 up"},
		{name: "a bad contact at boot", script: "0 down, 500 up, 1000 down, 1500 up, 2000 down, 6000 up"},

		{name: "goes away", script: "0 up, 2000 gone", err: errGone},
		{name: "goes away while held", script: "0 up, 2000 down, 3000 gone",
			want: "2030 press, 3000 release", err: errGone},
		{name: "goes away in a bounce", script: "0 up, 2000 down, 2010 gone", err: errGone},
		{name: "goes away after a hold", script: "0 up, 2000 down, 6000 gone",
			want: "2030 press, 4030 hold", err: errGone},
		{name: "goes away before it counts", script: "0 down, 500 gone", err: errGone},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := press(t, gpio.Button{Hold: tc.hold}, tc.script)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if !errors.Is(err, tc.err) {
					t.Errorf("error %v, want %v", err, tc.err)
				}
			})
		})
	}
}

// ring is a script that moves the button every step from begin to end, in ms.
func ring(begin, end, step int) string {
	var s []string
	what := "up"
	for at := begin; at < end; at += step {
		what = map[string]string{"up": "down", "down": "up"}[what]
		s = append(s, fmt.Sprint(at, " ", what))
	}
	return strings.Join(append(s, fmt.Sprint(end, " up")), ", ")
}

func TestStuckButtonIsSaidOnce(t *testing.T) {
	t.Attr("fault", "GPIO | a button that is stuck from the beginning | nothing is switched off, and it is said once | when it is released")
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		if got, err := press(t, gpio.Button{Log: log.logger()}, "0 down"); got != "" || err != nil {
			t.Errorf("events %q, error %v", got, err)
		}
		if lines := log.lines(); len(lines) != 1 {
			t.Errorf("logged %q, want one line", lines)
		}
	})
}

func TestButtonWithoutFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &gpiotest.Button{}
		b := gpio.Button{Input: in}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		for at, move := range map[time.Duration]func(){
			2 * time.Second: in.Press, 3 * time.Second: in.Release, 4 * time.Second: in.Press,
		} {
			time.AfterFunc(at, move)
		}
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A button that nobody touches is looked at four times a second and no more,
// and Run ends within one look.
func TestIdleButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &gpiotest.Button{}
		b := gpio.Button{Input: in}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour+10*ms)
		defer cancel()
		begin := time.Now()
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := in.Looks(); n > 4*3600+1 {
			t.Errorf("%d looks in an hour", n)
		}
		if d := time.Since(begin); d > time.Hour+260*ms {
			t.Errorf("Run ended after %v", d)
		}
	})
}

// A program that could not look for ten seconds does not know that the button
// was held in them.
func TestUnwatchedTimeIsNotAHold(t *testing.T) {
	t.Attr("fault", "GPIO | the program could not look at the button for 10 s | that is not taken for a hold | –")
	synctest.Test(t, func(t *testing.T) {
		in := &stalledInput{Button: &gpiotest.Button{}, stalls: 2}
		held := false
		b := gpio.Button{Input: in, OnHold: func() { held = true }}
		time.AfterFunc(5*time.Second, in.Press)
		time.AfterFunc(16*time.Second, in.Release)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
		if held {
			t.Error("held, after one second of pressing that was seen")
		}
	})
}

// stalledInput is held up for five seconds when it has seen the button pressed,
// the first of its stalls before that press is believed.
type stalledInput struct {
	*gpiotest.Button
	stalls int
}

func (s *stalledInput) Wait(d time.Duration) (bool, error) {
	pressed, err := s.Button.Wait(d)
	if pressed && d == 250*ms && s.stalls > 0 {
		s.stalls--
		time.Sleep(5 * time.Second)
	}
	return pressed, err
}
