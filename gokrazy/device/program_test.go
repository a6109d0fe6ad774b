//go:build unix

package device

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A program that hangs is ended from outside, but not because of the card.
func TestProgramWatch(t *testing.T) {
	t.Attr("fault", "system | a program whose watchdog hangs too | process 1 ends it, but not because of the card | started anew")
	const path = "/user/pushcam"
	tests := []struct {
		name  string
		runs  string                // what the process that said that it is well runs
		beats func(minute int) bool // whether the program says that it is well
		card  func(minute int) bool // whether the card answers
		ended map[int]bool          // the minutes at which it is ended
	}{
		{name: "well", runs: path, beats: func(int) bool { return true }},
		{name: "it hangs", runs: path, beats: func(m int) bool { return m < 5 }, ended: map[int]bool{8: true, 11: true}},
		{name: "it hangs while the card does", runs: path, beats: func(m int) bool { return m < 2 }, card: func(int) bool { return false }},
		{name: "it hangs, and goes on when the card answers", runs: path,
			beats: func(m int) bool { return m < 2 || m > 7 }, card: func(m int) bool { return m < 2 || m > 6 }},
		{name: "it still hangs when the card answers", runs: path,
			beats: func(m int) bool { return m < 2 }, card: func(m int) bool { return m < 2 || m > 6 }, ended: map[int]bool{9: true}},
		{name: "it has ended", runs: "/user/other", beats: func(m int) bool { return m < 2 }},
		{name: "it never began", runs: path, beats: func(int) bool { return false }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := Root(t.TempDir())
			proc := root.Path("proc", fmt.Sprint(os.Getpid()))
			if err := os.MkdirAll(proc, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(tc.runs, proc+"/exe"); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 11*time.Minute+30*time.Second)
				defer cancel()
				began := time.Now()
				minute := func() int { return int(time.Since(began) / time.Minute) }
				ended := make(map[int]bool)
				w := &ProgramWatch{Root: root, Path: path, Log: t.Logf,
					Kill: func(pid int) error {
						if pid != os.Getpid() {
							t.Errorf("process %d is ended", pid)
						}
						ended[minute()] = true
						return nil
					},
					CardAnswers: func() bool { return tc.card == nil || tc.card(minute()) },
				}
				watched := make(chan struct{})
				go func() {
					defer close(watched)
					w.Run(ctx)
				}()
				for ctx.Err() == nil {
					if tc.beats(minute()) {
						if err := Beat(root); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(9 * time.Second)
				}
				<-watched
				if fmt.Sprint(ended) != fmt.Sprint(tc.ended) {
					t.Errorf("ended in the minutes %v, want %v", ended, tc.ended)
				}
			})
		})
	}
}

// Where /run takes nothing, the program hears so and goes on.
func TestBeatWithoutAPlace(t *testing.T) {
	root := Root(t.TempDir())
	if err := os.WriteFile(root.Path("run"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Beat(root); err == nil {
		t.Error("a beat went into a file in the folder's place")
	}
}
