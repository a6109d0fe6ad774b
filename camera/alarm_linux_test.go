package camera

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestTimerfd has the kernel wake a source again and again, not before its time, and ends a
// long wait with the source's context.
func TestTimerfd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := newTimerfd(ctx)
	if _, ok := a.(*timerfd); !ok {
		t.Fatalf("the kernel gives no timerfd: %T", a)
	}
	for _, d := range []time.Duration{time.Microsecond, 3 * time.Millisecond, -time.Second, 0, 1500 * time.Microsecond} {
		began := time.Now()
		a.wait(d)
		if took := time.Since(began); took < d {
			t.Errorf("woken after %v of %v", took, d)
		}
	}
	time.AfterFunc(time.Millisecond, cancel)
	a.wait(time.Hour)
	a.wait(time.Hour) // it stays ended
	a.close()
}

// TestTimerfdOfTheDead is a source whose context is done before it begins.
func TestTimerfdOfTheDead(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := newTimerfd(ctx)
	a.wait(time.Hour)
	a.close()
}

// TestTimerfdIsGivenBack makes more alarms than there may be open files if one is left.
func TestTimerfdIsGivenBack(t *testing.T) {
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := open()
	for range 50 {
		newTimerfd(t.Context()).close()
	}
	if after := open(); after >= before+50 {
		t.Errorf("%d open files, %d before", after, before)
	}
}
