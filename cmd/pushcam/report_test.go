package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// memoryCard is a boot partition.
type memoryCard []byte

func (m memoryCard) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m[off:]), nil }
func (m memoryCard) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

func newMemoryCard(t *testing.T) memoryCard {
	m := make(memoryCard, 2_200_064)
	if _, err := fat.Format(m, int64(len(m)), "BOOT", time.Unix(1e9, 0), []fat.NewFile{{Path: "cmdline.txt", Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card := newMemoryCard(t)
		type world struct {
			network *status.Status
			camera  camera.State
			links   []string
		}
		var now atomic.Pointer[world]
		var writes []time.Duration
		began := time.Now()
		r := &reporter{
			problems: []setup.Problem{{File: setup.TextFile, Line: 3, Text: "No."}},
			network:  func() *status.Status { return now.Load().network }, camera: func() camera.State { return now.Load().camera }, links: func() []string { return now.Load().links },
			model: "Raspberry Pi 3", key: func() string { return "SHA256:x" }, log: slog.New(slog.DiscardHandler),
			edit: func(use func(*fat.FS) error) error {
				writes = append(writes, time.Since(began))
				f, err := fat.Open(card)
				if err != nil {
					return err
				}
				return use(f)
			},
		}
		report := func() string {
			synctest.Wait()
			f, err := fat.Open(card)
			if err != nil {
				t.Fatal(err)
			}
			text, err := f.ReadFile(setup.ReportFile, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			return strings.ReplaceAll(string(text), "\r\n", "\n")
		}
		has := func(want string) {
			t.Helper()
			if text := report(); !strings.Contains(text, want) {
				t.Errorf("%q is not in the report %q", want, text)
			}
		}
		now.Store(&world{camera: camera.State{Phase: camera.NoCamera, Reason: "there is no camera"}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()

		time.Sleep(2 * time.Minute)
		has("The camera is in no network.\nThe camera's key, by which pushcamctl knows it: SHA256:x\nThe camera's picture: there is no camera\n\nWhat to mend:\n- pushcam.txt, line 3: No.\n")

		network := &status.Status{Links: []status.Link{{Name: "eth0", Why: "no cable is plugged in"}, {Name: "wlan0", Carrier: true, Addresses: []status.Address{{Prefix: netip.MustParsePrefix("192.168.1.5/24")}}}},
			Clock: status.Clock{Set: true}, WiFi: &status.Radio{Network: &status.WiFiNetwork{SSID: "Café", Signal: -61}}}
		cam := camera.State{Phase: camera.Idle, Device: camera.Device{Name: "USB Camera"}}
		now.Store(&world{network, cam, []string{"http://garden.local/"}})
		time.Sleep(time.Minute)
		has("on Raspberry Pi 3.\nWritten on 1 January 2000 at 00:0")
		has("The camera is found at http://garden.local/ .\nThe camera's key, by which pushcamctl knows it: SHA256:x\neth0: not connected (no cable is plugged in).\nwlan0: address 192.168.1.5.\n" +
			"Wi-Fi: in the network \"Café\", signal -61 dBm (-50 is good, -75 is weak).\nThe camera's picture comes from USB Camera.\n")

		network = &status.Status{WiFi: &status.Radio{Failure: status.WrongPassword, Why: "the password is wrong.", Seen: []status.SeenNetwork{{SSID: "Home", Signal: -50, Security: "WPA2"}}}}
		now.Store(&world{network, cam, nil})
		time.Sleep(time.Minute)
		has("Wi-Fi: the password is wrong.\nWi-Fi networks here: \"Home\" (-50 dBm, WPA2).\n")

		for i := range 20 { // a link that comes and goes
			w := &world{network, cam, nil}
			if i%2 == 0 {
				w.links = []string{"http://garden.local/"}
			}
			now.Store(w)
			time.Sleep(time.Minute)
		}
		cancel()
		<-done
		if len(writes) != maxReports || writes[0] != reportAfter {
			t.Errorf("reports were written after %v", writes)
		}
	})
}

// TestReporterAtOnce has the report written as soon as there is nothing to wait for, and
// a card that hangs is left alone.
func TestReporterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		written := make(chan time.Duration, 1)
		hang := make(chan struct{})
		r := &reporter{
			network: func() *status.Status { return nil }, camera: func() camera.State { return camera.State{Device: camera.Device{Name: "x"}} },
			links: func() []string { return []string{"http://a/"} }, key: func() string { return "" }, log: slog.New(slog.DiscardHandler),
			edit: func(func(*fat.FS) error) error {
				written <- time.Since(began)
				<-hang
				return errors.New("it hangs")
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		if after := <-written; after != reportInterval {
			t.Errorf("the report was written after %v", after)
		}
		cancel()
		asked := time.Now()
		<-done
		if waited := time.Since(asked); waited != keepTime {
			t.Errorf("the card was waited for %v", waited)
		}
		close(hang)
	})
}

func TestSetupState(t *testing.T) {
	one := setup.Problem{File: setup.TextFile, Line: 3, Text: "No."}
	for _, tt := range []struct {
		problems []setup.Problem
		want     setupState
	}{
		{nil, setupState{Problems: []setup.Problem{}}},
		{[]setup.Problem{one}, setupState{[]setup.Problem{one}, "pushcam.txt, line 3: No."}},
		{[]setup.Problem{one, one}, setupState{[]setup.Problem{one, one}, "pushcam.txt, line 3: No. (and 1 more: see pushcam-report.txt on the card)"}},
	} {
		if diff := cmp.Diff(tt.want, newSetupState(tt.problems)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestReportSetUp(t *testing.T) {
	all := wifiLines(&status.Radio{SetUp: &status.SetUp{SSID: "pushcam-setup-ABCD"}}, "abcdefgh12")
	if want := []string{`Wi-Fi: it opens the network "pushcam-setup-ABCD" for your phone, whose password is "abcdefgh12".`}; !cmp.Equal(all, want) {
		t.Errorf("%q, want %q", all, want)
	}
}
