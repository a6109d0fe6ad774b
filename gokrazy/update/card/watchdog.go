package card

import (
	"fmt"
	"time"
)

const (
	// TrialTime is how long an update has, from the start of its init, until it is
	// committed. Its program decides sooner: see cmd/pushcam. It is short because
	// nobody sees the camera meanwhile, if the program ends again and again.
	TrialTime = 3 * time.Minute
	// cardTime is how long a card may take to answer. One that is slower is
	// broken.
	cardTime = 30 * time.Second
)

// TrialWatchdog ends a trial that its program does not end: because it hangs, ends
// again and again, or never begins. It belongs into process 1, which depends on no
// program; when that hangs, nobody resets the hardware's watchdog.
type TrialWatchdog struct {
	Card *Card
	// Booted tells whether gokrazy's boot is done. One that takes longer than
	// TrialTime hangs, whatever runs.
	Booted func() bool
	// Reboot starts the system anew at once. The next boot takes the old root.
	Reboot func(why string)
}

// Run waits for TrialTime and calls Reboot if this is still a trial then. A boot
// that is none is left alone.
func (g *TrialWatchdog) Run() {
	time.Sleep(TrialTime)
	if !g.Booted() {
		g.Reboot(fmt.Sprintf("the boot does not end within %v", TrialTime))
		return
	}
	type answer struct {
		boot Boot
		err  error
	}
	asked := make(chan answer, 1)
	go func() { // it is left behind if the card does not answer, for the moment that is left
		b, err := g.Card.Boot()
		asked <- answer{b, err}
	}()
	select {
	case a := <-asked:
		// What is not known of the card cannot say that the trial is committed.
		trial := a.boot.Trial() || a.err != nil && a.boot.Running != a.boot.Kernel && a.boot.Kernel != 0
		if trial {
			g.Reboot(fmt.Sprintf("the update was not committed within %v", TrialTime))
		}
	case <-time.After(cardTime):
		g.Reboot("the card does not answer")
	}
}
