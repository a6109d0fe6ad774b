package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Whatever the program does, the system ends, and everything is on the card before.
func TestEnding(t *testing.T) {
	t.Attr("fault", "system | the program hangs while the system ends | everything is on the card before the power goes | –")
	const program = "/user/pushcam"
	for _, tt := range []struct {
		name     string
		off      bool
		runs     string // what process 200 runs
		killed   error
		programs time.Duration // after which the program has ended; 0 is never
		settled  error
		want     []string
		took     time.Duration
	}{
		{name: "the program ends and not the system", off: true, runs: program, programs: 10 * time.Second,
			want: []string{"kill 200 user defined signal 2", "others", "settle", "off"}, took: 11 * time.Second},
		{name: "to start anew", runs: program, programs: 10 * time.Second,
			want: []string{"kill 200 user defined signal 1", "others", "settle", "restart"}, took: 11 * time.Second},
		{name: "the program hangs", off: true, runs: program,
			want: []string{"kill 200 user defined signal 2", "others", "settle", "off"}, took: programTime + time.Second},
		{name: "there is no program", off: true, runs: "/user/other", want: []string{"others", "settle", "off"}, took: time.Second},
		{name: "it ends at that moment", off: true, runs: program, killed: unix.ESRCH,
			want: []string{"kill 200 user defined signal 2", "others", "settle", "off"}, took: time.Second},
		{name: "the card hangs", off: true, runs: "/user/other", settled: errors.New("the card does not answer"),
			want: []string{"others", "settle", "off"}, took: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := Root(t.TempDir())
			for pid, exe := range map[string]string{"1": "/gokrazy/init", "150": "/user/network", "200": tt.runs} {
				if err := os.MkdirAll(root.Path("proc", pid), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(exe, root.Path("proc", pid, "exe")); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var did, said []string
				do := func(what string, err error) func() error {
					return func() error { did = append(did, what); return err }
				}
				e := &Ending{Root: root, Program: program,
					Kill: func(pid int, s unix.Signal) error {
						if tt.programs != 0 && tt.killed == nil {
							time.AfterFunc(tt.programs, func() { os.RemoveAll(root.Path("proc/200")) })
						}
						return do(fmt.Sprint("kill ", pid, " ", s), tt.killed)()
					},
					EndOthers: do("others", nil), Settle: do("settle", tt.settled),
					PowerOff: do("off", nil), Restart: do("restart", nil),
					Log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
				}
				if err := e.Do(tt.off, "a power key was pressed"); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tt.want, did); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+programLook {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if all := strings.Join(said, "\n"); !strings.Contains(all, "a power key") || tt.settled != nil && !strings.Contains(all, tt.settled.Error()) {
					t.Errorf("it said %q", said)
				}
			})
		})
	}
}

func TestOnEnding(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan string, 1)
	ended := make(chan struct{})
	tell := func(what string) func() { return func() { asked <- what } }
	go func() {
		defer close(ended)
		OnEnding(ctx, tell("off"), tell("restart"))
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for sig, want := range map[unix.Signal]string{signalOff: "off", signalRestart: "restart"} {
		for got := ""; got == ""; { // nobody may listen yet; a program of Go's ignores them then
			if err := unix.Kill(os.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			select {
			case got = <-asked:
			case <-time.After(100 * time.Millisecond):
				continue
			case <-t.Context().Done():
				t.Fatal("it is not told")
			}
			if got != want {
				t.Errorf("%v: %s, want %s", sig, got, want)
			}
		}
	}
}
