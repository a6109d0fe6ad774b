package bottleneck

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// RealTime gives all threads of this process, and those that they start, priority over
// other processes, for good. Processes that it starts have it too, and can keep all others
// from running, but for those that a link's ends start. A nice value would do so only within the session (autogroup
// scheduling). The emulator's thread alone is not enough, because it would wait for
// others that hold locks of Go's scheduler. If the kernel refuses, Stats.Late shows
// the consequences.
func RealTime() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			schedule(id, unix.SCHED_FIFO, 1)
		}
	}
}

// ordinary takes the priority from this thread and the processes that it starts.
func ordinary() { schedule(0, unix.SCHED_NORMAL, 0) }

func schedule(thread int, policy, priority uint32) {
	_ = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}
