package card_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

func TestTrialWatchdog(t *testing.T) {
	commit := func(c *card.Card) error { return c.SetNext(partition.Next{Root: 3}) }
	garbled := func(c *card.Card) error { return os.Truncate(in(c, "dev/mmcblk0p1"), 0) }
	noProc := func(c *card.Card) error { return os.Remove(in(c, "proc/cmdline")) }
	type at = map[time.Duration]func(*card.Card) error
	const late = card.TrialTime - time.Second
	tests := []struct {
		name    string
		running int
		booted  bool
		happens at // after the start
		want    string
	}{
		{"no trial", 2, true, nil, ""},
		{"no trial, and an update begins", 2, true, at{late: func(c *card.Card) error { return c.SetNext(partition.Next{Root: 2, Try: true}) }}, ""},
		{"no trial on a card that is not understood", 2, true, at{late: garbled}, ""},
		{"no trial, and its boot is slow", 2, false, nil, ""},
		{"no trial, its boot is slow, and the card is not understood", 2, false, at{late: garbled}, ""},
		{"committed", 3, true, at{late: commit}, ""},
		{"not committed", 3, true, nil, "not committed"},
		{"a trial on a card that is not understood", 3, true, at{late: garbled}, "not committed"},
		{"a trial that hangs in its boot", 3, false, nil, "does not end"},
		{"a system that is not known", 3, true, at{time.Millisecond: noProc}, ""},
		{"a boot that hangs before anything is known", 3, false, at{time.Millisecond: noProc}, "does not end"},
		{"committed, and then another kernel is being written", 3, true, at{time.Minute: commit, late: garbled}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, tc.running)
			synctest.Test(t, func(t *testing.T) {
				began, why := time.Now(), ""
				for after, happens := range tc.happens {
					time.AfterFunc(after, func() {
						if err := happens(c); err != nil {
							t.Error(err)
						}
					})
				}
				w := &card.TrialWatchdog{Card: c, Booted: func() bool { return tc.booted }, Reboot: func(reason string) { why = reason }}
				w.Run()
				if (why == "") != (tc.want == "") || !strings.Contains(why, tc.want) {
					t.Errorf("reboot: %q, want %q in it", why, tc.want)
				}
				if took := time.Since(began); why != "" && took != card.TrialTime || took > card.TrialTime {
					t.Errorf("it took %v", took)
				}
				time.Sleep(card.TrialTime) // until all has happened
			})
		})
	}
}

// A card that does not answer is given up, but only on a trial.
func TestTrialWatchdogOfADeadCard(t *testing.T) {
	t.Attr("fault", "update | the card dies on a trial | the trial is given up | rolled back")
	for running, want := range map[int]string{2: "", 3: "does not answer"} {
		c := testCard(t, running)
		synctest.Test(t, func(t *testing.T) {
			never := make(chan struct{})
			asked := 0
			c.Device = func() (uint32, uint32, error) {
				if asked++; asked > 1 { // the first time it is the kernel that is asked
					<-never
				}
				return 179, 7, nil
			}
			began, why := time.Now(), ""
			(&card.TrialWatchdog{Card: c, Booted: func() bool { return true }, Reboot: func(w string) { why = w }}).Run()
			if (why == "") != (want == "") || !strings.Contains(why, want) || time.Since(began) > card.TrialTime+time.Minute {
				t.Errorf("partition %d runs: reboot after %v: %q, want %q", running, time.Since(began), why, want)
			}
			close(never)
		})
	}
}
