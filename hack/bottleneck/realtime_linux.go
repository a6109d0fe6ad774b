package bottleneck

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// realTime puts all threads of this process before those of others. A nice
// value would count only against the rest of the session (autogroup
// scheduling), and the emulator's thread alone would still wait for the ones
// that hold the Go scheduler's locks. New threads inherit it. Where it is
// refused, Stats.Late tells what came of it.
func realTime() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			schedule(id, unix.SCHED_FIFO, 1)
		}
	}
}

// ordinary undoes realTime for this thread and the processes that it starts.
func ordinary() { schedule(0, unix.SCHED_NORMAL, 0) }

func schedule(thread int, policy, priority uint32) {
	_ = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}
