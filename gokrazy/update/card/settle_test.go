package card_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// A slow card has the time that it needs, and one that does nothing has not.
func TestSettle(t *testing.T) {
	failed := errors.New("input/output error")
	tests := []struct {
		name  string
		needs time.Duration // 0: for ever
		err   error         // of the freezing
		works time.Duration // for which the card finishes something every second
		took  time.Duration
		want  error // nil is none
	}{
		{name: "nothing to write", needs: time.Millisecond, took: time.Millisecond},
		{name: "a slow card", needs: 40 * time.Second, works: time.Hour, took: 40 * time.Second},
		{name: "one that is too slow", works: time.Hour, took: time.Minute, want: errors.ErrUnsupported},
		{name: "one that hangs", took: 5 * time.Second, want: card.ErrSilent},
		{name: "one that hangs after a while", works: 20 * time.Second, took: 24 * time.Second, want: card.ErrSilent},
		{name: "one that fails", needs: time.Second, err: failed, took: time.Second, want: failed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := testCard(t, 2)
			synctest.Test(t, func(t *testing.T) {
				release, ended := make(chan struct{}), make(chan struct{})
				defer close(release)
				card.SetFreeze(c, func(dir string) error {
					if dir != in(c, "perm") {
						t.Errorf("%s is frozen", dir)
					}
					if tc.needs == 0 {
						<-release
					}
					time.Sleep(tc.needs)
					return tc.err
				})
				began := time.Now()
				go func() {
					defer close(ended)
					for n := 1; time.Since(began) < min(tc.works, 2*time.Minute); n++ {
						stat := fmt.Sprintf("   10    0  80  1   %d   0   0  0   1  2  3   0  0  0  0   0  0\n", n)
						if err := os.WriteFile(in(c, "sys/devices/platform/mmcblk0/stat"), []byte(stat), 0o644); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second)
					}
				}()
				err := c.Settle()
				took := time.Since(began)
				if (err == nil) != (tc.want == nil) || tc.want != nil && tc.want != errors.ErrUnsupported && !errors.Is(err, tc.want) {
					t.Errorf("%v, want %v", err, tc.want)
				}
				if took < tc.took || took > tc.took+1500*time.Millisecond {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
				<-ended
			})
		})
	}
}
