package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/cameratest"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/device"
)

// boots is a system that can be rebooted, and the programs that run on it one after
// the other.
type boots struct {
	t      *testing.T
	root   device.Root
	dir    string
	number int
	since  time.Time
	log    bytes.Buffer
	hangs  bool

	mu      sync.Mutex // guards what follows
	reboots int
	ends    []error
}

func newBoots(t *testing.T) *boots {
	b := &boots{t: t, root: device.Root(t.TempDir()), dir: t.TempDir()}
	b.boot()
	return b
}

func (b *boots) write(name, text string) {
	b.t.Helper()
	file := b.root.Path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *boots) boot() {
	b.number, b.since = b.number+1, time.Now()
	b.write("proc/sys/kernel/random/boot_id", fmt.Sprintf("boot-%d\n", b.number))
	b.after(20 * time.Second)
}

// after lets time pass.
func (b *boots) after(d time.Duration) {
	time.Sleep(d)
	b.write("proc/uptime", fmt.Sprintf("%.2f 1.00\n", time.Since(b.since).Seconds()))
}

// program is a new one.
func (b *boots) program() *appliance {
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	r := newRecovery(b.root, b.dir, func(context.Context) error { b.note(func() { b.reboots++ }); return nil }, log)
	r.hangs = func(context.Context) bool { return b.hangs }
	return &appliance{drivers: newDrivers(b.root, size{}, log), recovery: r}
}

func (b *boots) ladder(m *appliance) []camera.Rung {
	return m.ladder("v4l2", new(v4l2.Source), func(err error) { b.note(func() { b.ends = append(b.ends, err) }) })
}

// note changes what mu guards.
func (b *boots) note(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// over says how many programs and systems have ended.
func (b *boots) over() (programs, systems int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ends), b.reboots
}

func (b *boots) climb(r camera.Rung, why string) error {
	return r.Do(b.t.Context(), errors.New(why))
}

func (b *boots) wantLog(want string) {
	b.t.Helper()
	if !strings.Contains(b.log.String(), want) {
		b.t.Errorf("the log lacks %q:\n%s", want, &b.log)
	}
}

// What one program did, and why, the next one knows, and the next boot.
func TestRecoveryIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoots(t)
		last := func(m *appliance, want ...time.Duration) {
			t.Helper()
			for i, r := range b.ladder(m)[1:] {
				got := time.Duration(-1)
				if !r.Last.IsZero() {
					got = time.Since(r.Last).Round(time.Millisecond)
				}
				if got != want[i] {
					t.Errorf("boot %d: the last %s was %v ago, want %v", b.number, r.Name, got, want[i])
				}
			}
		}
		const never = -1
		first := b.program()
		last(first, never, never)
		if err := b.climb(b.ladder(first)[1], "it does not answer"); err != nil {
			t.Fatal(err)
		}
		if len(b.ends) != 1 || !errors.Is(b.ends[0], errRestart) || !strings.Contains(b.ends[0].Error(), "it does not answer") {
			t.Errorf("the program ends with %v, want errRestart and the reason", b.ends)
		}

		b.after(30 * time.Second)
		second := b.program()
		last(second, 30*time.Second, never)
		if err := b.climb(b.ladder(second)[2], "it still does not"); err != nil || b.reboots != 1 {
			t.Fatalf("%v, %d reboots; want one", err, b.reboots)
		}
		b.after(time.Second) // the reboot takes its time
		last(b.program(), 31*time.Second, time.Second)

		b.boot()
		third := b.program()
		last(third, never, 20*time.Second)
		b.wantLog(`msg="the system was rebooted, because the camera gave no frames" reason="it still does not" times=1`) // its own time may be of a clock that is not set
		b.after(time.Minute)
		last(b.program(), never, 80*time.Second)
		state := third.recovery.state().(recoveryRecord)
		if diff := cmp.Diff(attempt{Count: 1, Time: state.Reboot.Time, Reason: "it still does not", Boot: "boot-1", Uptime: 50, Next: "boot-2"}, state.Reboot); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		if l := b.ladder(third); l[1].Count != 1 || l[2].Count != 1 {
			t.Errorf("%d restarts and %d reboots are counted, want 1 and 1", l[1].Count, l[2].Count)
		}

		b.boot() // by its owner
		last(b.program(), never, never)
		if n := strings.Count(b.log.String(), "the system was rebooted"); n != 1 {
			t.Errorf("the log tells %d times of one reboot", n)
		}
	})
}

// What was done before the clock was set has its time afterwards, as far as it can be
// known.
func TestRecoveryTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoots(t)
		done := attempt{Count: 1, Time: time.Unix(30, 0), Boot: "boot-1", Uptime: 20}
		shown := func(a attempt) time.Time {
			return b.program().recovery.onClock(a).Time
		}
		b.after(time.Minute)
		if got, want := shown(done), time.Now().Add(-time.Minute); !got.Equal(want) {
			t.Errorf("in the same boot: %v, want %v", got, want)
		}
		b.boot()
		done.Next = "boot-2"
		if got, want := shown(done), b.since; !got.Equal(want) {
			t.Errorf("in the boot that it led to: %v, want the beginning of that, %v", got, want)
		}
		b.boot()
		if got := shown(done); !got.IsZero() {
			t.Errorf("in a later boot: %v, want none", got)
		}
		done.Time = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
		if got := shown(done); !got.Equal(done.Time) {
			t.Errorf("a time of a clock that was set: %v, want %v", got, done.Time)
		}
		if got := shown(attempt{}); !got.IsZero() {
			t.Errorf("of nothing that was done: %v, want none", got)
		}
	})
}

// A program that could not end, or of whose end the next one would not know, does
// not end; and a system that could not know of its reboot is rebooted after an hour.
func TestRecoveryRefuses(t *testing.T) {
	tests := []struct {
		name            string
		arrange         func(*boots)
		restart, reboot string // why not; empty if it is done
		later           bool   // the reboot is done when an hour has passed
	}{
		{"the driver hangs", func(b *boots) { b.hangs = true }, "only a reboot helps", "", true},
		{"no folder", func(b *boots) { b.dir = "" }, "nowhere to keep it", "nowhere to keep it", true},
		{"no card", func(b *boots) { b.dir = b.root.Path("proc/uptime") }, "not a directory", "not a directory", true},
		{"no boot id", func(b *boots) { os.Remove(b.root.Path("proc/sys/kernel/random/boot_id")) }, "nowhere to keep it", "nowhere to keep it", true},
		{"no boot id and no uptime", func(b *boots) { os.RemoveAll(b.root.Path("proc")) }, "nowhere to keep it", "nowhere to keep it", false},
		{"what is kept is damaged", func(b *boots) { os.WriteFile(filepath.Join(b.dir, recoveryFile), []byte("{"), 0o600) }, "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoots(t)
				tt.arrange(b)
				l := b.ladder(b.program())
				for i, want := range []string{tt.restart, tt.reboot} {
					err := b.climb(l[i+1], "it hangs")
					if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v, want %q", l[i+1].Name, err, want)
					}
				}
				if (len(b.ends) == 0) != (tt.restart != "") || (b.reboots == 0) != (tt.reboot != "") {
					t.Errorf("%d ends and %d reboots", len(b.ends), b.reboots)
				}
				if tt.later {
					b.after(time.Hour)
					if err := b.climb(l[2], "it hangs"); err != nil {
						t.Errorf("after an hour: %v", err)
					}
				}
			})
		})
	}
}

// TestRecoveryOfADeadCamera climbs the ladder over three programs and a reboot.
func TestRecoveryOfADeadCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoots(t)
		run := func(d time.Duration) (s camera.State) { // until the program or the system ends
			t.Helper()
			src := new(cameratest.Source)
			src.Fail(errors.New("input/output error"))
			cam := &camera.Camera{Source: src, Ladder: b.ladder(b.program())}
			cam.SetDemand(true)
			ctx, cancel := context.WithCancel(t.Context())
			programs, systems := b.over()
			ended := make(chan error)
			go func() { ended <- cam.Run(ctx) }()
			for until := time.Now().Add(d); time.Now().Before(until); {
				b.after(time.Second)
				if p, s := b.over(); p != programs || s != systems {
					break
				}
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			return cam.State()
		}
		want := func(s camera.State, reset, restart, reboot uint64) {
			t.Helper()
			got := []uint64{s.Recovery["reset"], s.Recovery["restart"], s.Recovery["reboot"]}
			programs, systems := b.over()
			if diff := cmp.Diff([]uint64{reset, restart, reboot}, got); diff != "" || int(restart) != programs || int(reboot) != systems {
				t.Errorf("after %v: resets, restarts, reboots (-want +got):\n%s", time.Since(b.since), diff)
			}
		}
		want(run(time.Hour), 1, 1, 0)
		want(run(time.Hour), 1, 1, 1)
		b.boot()
		rebooted := time.Now()
		want(run(time.Hour), 1, 2, 1) // a program is worth a try
		want(run(30*time.Minute), 3, 2, 1)
		want(run(2*time.Hour), 3, 2, 2) // and the system, when an hour has passed
		if got := time.Since(rebooted); got < 59*time.Minute || got > 70*time.Minute {
			t.Errorf("the second reboot came %v after the first", got)
		}
	})
}

// A PC's program and system are not started anew.
func TestLadderOnAPC(t *testing.T) {
	var m *appliance
	if l := m.ladder("auto", new(v4l2.Source), nil); len(l) != 1 || l[0].Name != "reset" {
		t.Errorf("the ladder on a PC is %+v, want a reset alone", l)
	}
	if l := m.ladder("pattern", new(v4l2.Source), nil); l != nil {
		t.Errorf("the ladder of a pattern is %+v, want none", l)
	}
}
