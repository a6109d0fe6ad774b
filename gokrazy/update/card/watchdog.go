package card

import (
	"fmt"
	"time"
)

const (
	// TrialTime is how long an update has until it is committed, from the start of its
	// init. Its program decides sooner (package update). It is short because a program
	// that ends again and again shows nobody a picture meanwhile.
	TrialTime = 3 * time.Minute
	// commitLook is how often it is looked whether a trial is committed. Within this time
	// no other update gets so far that the boot partition is written anew.
	commitLook = 10 * time.Second
	// cardTime is how long a card may take to answer: a slower one is broken.
	cardTime = 30 * time.Second
)

// TrialWatchdog ends a trial whose program does not end it, because it hangs, ends
// again and again, or never begins. It runs in process 1, which depends on no other
// program. If process 1 hangs too, the hardware's watchdog restarts the system.
type TrialWatchdog struct {
	Card *Card
	// Booted tells whether gokrazy's boot is done.
	Booted func() bool
	// Reboot starts the system anew at once. The next boot takes the old root file
	// system.
	Reboot func(why string)
}

// Run waits for TrialTime at most, and calls Reboot if this is still a trial then, or if it
// cannot be anything else.
//
// A boot that is no trial is left alone however long it takes, because the next one
// would take as long: one that checks a large file system would be cut off again and
// again. Which boot this is, the kernel tells without the card. It cannot tell only
// as long as /proc and /sys are not mounted, which is gokrazy's first step: a system
// without them after this time hangs, and may be a trial.
//
// A trial that was seen to be committed is never looked at again: another update may be
// writing a kernel when the time is over, and half of one says nothing.
func (w *TrialWatchdog) Run() {
	known := false // to be a trial
	looking := false
	committed := make(chan bool, 1)
	look := func() {
		if looking {
			return
		}
		looking = true
		go func() { // if the card never answers, it runs until the restart
			b, err := w.Card.Boot()
			committed <- err == nil && !b.Trial()
		}()
	}
	tick := time.NewTicker(commitLook)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < TrialTime; {
		select {
		case ok := <-committed:
			if ok {
				return
			}
			looking = false
		case <-tick.C:
			if !known {
				running, kernel, err := w.Card.Started()
				if err == nil && running == kernel {
					return
				}
				known = err == nil
			}
			if known {
				look()
			}
		}
	}
	switch {
	case !w.Booted():
		w.Reboot(fmt.Sprintf("the boot does not end within %v", TrialTime))
		return
	case !known:
		return
	}
	// Whether it is committed is on the card alone, so without an answer of the card it
	// counts as not committed.
	for range 2 { // what answers first may have looked before the commit
		look()
		select {
		case ok := <-committed:
			if ok {
				return
			}
			looking = false
		case <-time.After(cardTime):
			w.Reboot("the card does not answer")
			return
		}
	}
	w.Reboot(fmt.Sprintf("the update was not committed within %v", TrialTime))
}
