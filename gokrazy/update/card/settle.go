package card

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrSilent is wrapped by errors that mean that the card does not answer.
var ErrSilent = errors.New("the card does not answer")

const (
	// settleSilence is how long the card may do nothing at all, while something is
	// to be written. A slow one finishes something all the time.
	settleSilence = 5 * time.Second
	// settleTime is how long a slow card has for everything.
	settleTime    = time.Minute
	settleLook    = 500 * time.Millisecond
	permDirectory = "perm"
)

// Settle has all that was written to the boot partition and to /perm be on the card, and
// nobody write there any more: whoever tries to is stopped. It waits for who writes to the
// boot partition, which does not start anything while half of it is new. When it returns
// nil, the power may be cut. It gives a slow card the time that it needs, and one that does
// nothing for 5 s none.
func (c *Card) Settle() error {
	freeze := c.freeze
	if freeze == nil {
		freeze = freezePerm
	}
	type end struct {
		boot *block
		err  error
	}
	ended := make(chan end, 1)
	go func() { // nothing ends it on a card that hangs
		boot, err := c.open(bootPartition, true)
		if err != nil {
			boot = nil // then nobody else writes to it either
		}
		ended <- end{boot, freeze(c.Root.Path(permDirectory))}
	}()
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	began, done := time.Now(), c.finished()
	for since := began; ; {
		select {
		case e := <-ended:
			c.kept = e.boot
			return e.err
		case <-tick.C:
		}
		if now := c.finished(); now != done {
			done, since = now, time.Now()
		}
		switch {
		case time.Since(since) >= settleSilence:
			return fmt.Errorf("%w: it has done nothing for %v", ErrSilent, settleSilence)
		case time.Since(began) >= settleTime:
			return fmt.Errorf("the card is too slow: not everything is written after %v", settleTime)
		}
	}
}

// finished counts what the card has done: reads, writes, erasures and flushes
// (Documentation/block/stat.rst). It is 0 if that is not known.
func (c *Card) finished() (n uint64) {
	parts, err := c.partitions()
	if err != nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(parts.sys, "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	for _, i := range []int{0, 4, 11, 15} {
		if i < len(fields) {
			done, _ := strconv.ParseUint(fields[i], 10, 64) // else 0
			n += done
		}
	}
	return n
}
