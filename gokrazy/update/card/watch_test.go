package card

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// A card that hangs and one that fails are told, and that they are back, once each.
func TestWatch(t *testing.T) {
	const minute = time.Minute
	tests := []struct {
		name string
		read func(since time.Duration) error // one that hangs sleeps
		want []string                        // what is logged
		last State                           // after 10 minutes; when it began does not count
	}{
		{"well", func(time.Duration) error { return nil }, nil, State{}},
		{"slow", func(time.Duration) error { time.Sleep(9 * time.Second); return nil }, nil, State{}},
		{"it hangs for ever", func(since time.Duration) error {
			if since >= minute {
				time.Sleep(20 * minute)
			}
			return nil
		}, []string{"the card does not answer; what runs goes on without it"}, State{Trouble: silent, Count: 1}},
		{"it hangs, and is back", func(since time.Duration) error {
			if since >= minute && since < 2*minute {
				time.Sleep(2 * minute)
			}
			return nil
		}, []string{"the card does not answer; what runs goes on without it", "the card answers again, after 0 s"}, State{Count: 1}},
		{"it hangs, and then fails", func(since time.Duration) error {
			if since >= minute && since < 2*minute {
				time.Sleep(2 * minute)
			}
			if since >= minute {
				return errors.New("input/output error")
			}
			return nil
		}, []string{"the card does not answer; what runs goes on without it", "the card fails: input/output error; what runs goes on without it"},
			State{Trouble: "the card fails: input/output error", Count: 1}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := device.Root(t.TempDir())
			if err := os.Mkdir(root.Path("proc"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root.Path("proc/uptime"), []byte("7.50 3.00\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*minute)
				defer cancel()
				began := time.Now()
				var said []string
				w := &Watch{Card: &Card{Root: root},
					Log:  func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
					read: func() error { return tc.read(time.Since(began)) }}
				w.Run(ctx)
				if !slices.Equal(said, tc.want) {
					t.Errorf("said (-want +got):\n%s", cmp.Diff(tc.want, said))
				}
				w.SetPerm(5)
				tc.last.Perm, tc.last.Since = 5, 7.5
				if s, err := ReadState(root); err != nil || s != tc.last {
					t.Errorf("%+v, %v; want %+v", s, err, tc.last)
				}
				if w.Answers() != (tc.last.Trouble == "") {
					t.Errorf("it answers: %v", w.Answers())
				}
				time.Sleep(time.Hour) // for what hangs
			})
		})
	}
}

func TestReadStateOfNobody(t *testing.T) {
	root := device.Root(t.TempDir())
	if s, err := ReadState(root); err == nil {
		t.Errorf("nobody has said %+v", s)
	}
	if err := os.MkdirAll(root.Path(device.RunDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root.Path(stateFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadState(root); err == nil {
		t.Errorf("half a file says %+v", s)
	}
}
