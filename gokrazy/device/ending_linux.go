package device

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Process 1 has the program end the system by these signals, because the program has
// the LEDs that say when that is done.
const (
	signalOff     = unix.SIGUSR2 // as gokrazy's own init takes it
	signalRestart = unix.SIGUSR1
)

// OnEnding calls off or restart when process 1 wants this program to switch the system
// off or to start it anew, until ctx is done.
func OnEnding(ctx context.Context, off, restart func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, signalOff, signalRestart)
	defer signal.Stop(asked)
	for {
		select {
		case s := <-asked:
			if s == signalOff {
				off()
			} else {
				restart()
			}
		case <-ctx.Done():
			return
		}
	}
}

// An Ending ends the system from process 1, when a signal or a power key asks for it,
// in the way in which the program does: the LEDs go dark last. If the program does not
// do it, it is done without.
type Ending struct {
	// Root is where /proc is looked for.
	Root Root
	// Program is the file of the program, as /user/pushcam.
	Program string
	// Kill sends a signal.
	Kill func(pid int, signal unix.Signal) error
	// EndOthers has all programs end, as the function of this name.
	EndOthers func() error
	// Settle returns when everything is on the card, or why it is not.
	Settle func() error
	// PowerOff and Restart end the system at once, as the functions of these names.
	PowerOff, Restart func() error
	// Log gets a line for each step, as log.Printf.
	Log func(format string, args ...any)
}

const (
	// programTime is how long the program has: longer than it takes itself when
	// something of it hangs and the card is slow.
	programTime = 90 * time.Second
	programLook = 200 * time.Millisecond
	// othersTime is how long programs have to end that were asked to.
	othersTime = time.Second
)

// Do ends the system, off or to start anew. It is called once, and returns only if the
// kernel refuses.
func (e *Ending) Do(off bool, why string) error {
	e.Log("the system ends: %s", why)
	sig := signalRestart
	if off {
		sig = signalOff
	}
	if pid := e.pid(); pid == 0 {
		e.Log("%s does not run", e.Program)
	} else if err := e.Kill(pid, sig); err != nil {
		e.Log("%s: %v", e.Program, err)
	} else {
		for began := time.Now(); e.pid() == pid && time.Since(began) < programTime; {
			time.Sleep(programLook)
		}
		e.Log("%s has not ended the system", e.Program)
	}
	if err := e.EndOthers(); err != nil {
		e.Log("programs are not ended first: %v", err)
	} else {
		time.Sleep(othersTime)
	}
	if err := e.Settle(); err != nil {
		e.Log("what was written last may be lost: %v", err)
	}
	if off {
		return e.PowerOff()
	}
	return e.Restart()
}

// pid is the program's process; 0 if it does not run.
func (e *Ending) pid() int {
	all, _ := filepath.Glob(e.Root.Path("proc/[0-9]*/exe")) // the pattern is right
	for _, link := range all {
		if exe, err := os.Readlink(link); err == nil && exe == e.Program {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link))) // digits
			return pid
		}
	}
	return 0
}
