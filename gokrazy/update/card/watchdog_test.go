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
	nothing := func(*card.Card) error { return nil }
	tests := []struct {
		name    string
		running int
		booted  bool
		happens func(*card.Card) error // before the guard looks
		want    string
	}{
		{"no trial", 2, true, nothing, ""},
		{"no trial, and an update begins", 2, true, func(c *card.Card) error { return c.SetNext(partition.Next{Root: 2, Try: true}) }, ""},
		{"no trial on a card that is not understood", 2, true, func(c *card.Card) error { return os.Truncate(in(c, "dev/mmcblk0p1"), 0) }, ""},
		{"committed", 3, true, commit, ""},
		{"not committed", 3, true, nothing, "not committed"},
		{"a trial on a card that is not understood", 3, true, func(c *card.Card) error { return os.Truncate(in(c, "dev/mmcblk0p1"), 0) }, "not committed"},
		{"a system that is not known", 3, true, func(c *card.Card) error { return os.Remove(in(c, "proc/cmdline")) }, ""},
		{"the boot hangs", 2, false, nothing, "does not end"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, tc.running)
			synctest.Test(t, func(t *testing.T) {
				began, why := time.Now(), ""
				time.AfterFunc(card.TrialTime-time.Second, func() {
					if err := tc.happens(c); err != nil {
						t.Error(err)
					}
				})
				g := &card.TrialWatchdog{Card: c, Booted: func() bool { return tc.booted }, Reboot: func(w string) { why = w }}
				g.Run()
				if (why == "") != (tc.want == "") || !strings.Contains(why, tc.want) {
					t.Errorf("reboot: %q, want %q in it", why, tc.want)
				}
				if took := time.Since(began); took != card.TrialTime {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A card that does not answer is given up.
func TestTrialWatchdogOfADeadCard(t *testing.T) {
	c := testCard(t, 3)
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		c.Device = func() (uint32, uint32, error) { <-never; return 179, 7, nil }
		began, why := time.Now(), ""
		(&card.TrialWatchdog{Card: c, Booted: func() bool { return true }, Reboot: func(w string) { why = w }}).Run()
		if !strings.Contains(why, "does not answer") || time.Since(began) > card.TrialTime+time.Minute {
			t.Errorf("reboot after %v: %q", time.Since(began), why)
		}
		close(never)
	})
}
