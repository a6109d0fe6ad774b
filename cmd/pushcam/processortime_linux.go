package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what the program's threads have used until now; 0 if the system does not
// tell.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
