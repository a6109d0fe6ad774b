package card

import (
	"fmt"
	"time"
)

const (
	// TrialTime is how long an update has, from the start of its init, until it is
	// committed. Its program decides sooner (package update). It is short because
	// nobody sees the camera meanwhile, if the program ends again and again.
	TrialTime = 3 * time.Minute
	// cardTime is how long a card may take to answer. One that is slower is
	// broken.
	cardTime = 30 * time.Second
)

// TrialWatchdog ends a trial that its program does not end: because it hangs, ends
// again and again, or never begins. It belongs into process 1, which depends on no
// program. When process 1 hangs too, nobody resets the hardware's watchdog.
type TrialWatchdog struct {
	Card *Card
	// Booted tells whether gokrazy's boot is done.
	Booted func() bool
	// Reboot starts the system anew at once. The next boot takes the old root file
	// system.
	Reboot func(why string)
}

// Run waits for TrialTime, and calls Reboot if this is still a trial then, or if it
// cannot be anything else.
//
// A boot that is no trial is left alone however long it takes, because the next one
// would take as long: one that checks a large file system would be cut off again and
// again. Which boot this is, the kernel tells without the card. It cannot tell only
// as long as /proc and /sys are not mounted, which is gokrazy's first step: a system
// without them after this time hangs, and may be a trial.
func (w *TrialWatchdog) Run() {
	time.Sleep(TrialTime)
	running, kernel, err := w.Card.Started()
	switch {
	case err == nil && running == kernel:
		return
	case !w.Booted():
		w.Reboot(fmt.Sprintf("the boot does not end within %v", TrialTime))
		return
	case err != nil:
		return
	}
	// It was a trial in the beginning. Only the card can tell that it is committed,
	// so a card that says nothing is one where it is not.
	committed := make(chan bool, 1)
	go func() { // it is left behind if the card does not answer, for the moment that is left
		b, err := w.Card.Boot()
		committed <- err == nil && !b.Trial()
	}()
	select {
	case ok := <-committed:
		if !ok {
			w.Reboot(fmt.Sprintf("the update was not committed within %v", TrialTime))
		}
	case <-time.After(cardTime):
		w.Reboot("the card does not answer")
	}
}
