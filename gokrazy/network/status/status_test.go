package status

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var compareAddr = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

var example = Status{
	Links: []Link{{
		Name: "eth0", Kind: Ethernet, Carrier: true, Default: true,
		Addresses: []Address{
			{netip.MustParsePrefix("192.168.1.7/24"), DHCP},
			{netip.MustParsePrefix("2001:db8::7/64"), IPv6},
		},
		Router:     netip.MustParseAddr("192.168.1.1"),
		LeaseUntil: time.Date(2026, 11, 28, 18, 0, 0, 0, time.UTC),
		Since:      time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC),
	}, {Name: "usb0", Kind: USB, Why: "nothing is plugged in"}},
	DNS:    []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fe80::1%eth0")},
	Domain: "fritz.box",
	NTP:    []netip.Addr{netip.MustParseAddr("192.168.1.1")},
	WiFi: &Radio{
		Link: "wlan0", Country: "DE", Network: &WiFiNetwork{SSID: "home", BSSID: "02:00:00:00:00:01", Signal: -50, Rate: 65, Frequency: 2437, Channel: 6},
		Since: time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC), Seen: []SeenNetwork{{"home", -50, 2437, "WPA2"}},
	},
	Clock: Clock{Set: true, Server: "192.168.1.1", Offset: -time.Millisecond, Since: time.Date(2026, 11, 28, 6, 0, 1, 0, time.UTC)},
}

// The names are part of what others rely on.
func TestJSON(t *testing.T) {
	got, err := json.Marshal(example.onWall(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"links":[{"name":"eth0","kind":"ethernet","carrier":true,"default":true,` +
		`"addresses":[{"prefix":"192.168.1.7/24","from":"dhcp"},{"prefix":"2001:db8::7/64","from":"ipv6"}],` +
		`"router":"192.168.1.1","lease_until":"2026-11-28T18:00:00Z","since":"2026-11-28T06:00:00Z"},` +
		`{"name":"usb0","kind":"usb","carrier":false,"default":false,"why":"nothing is plugged in"}],` +
		`"dns":["192.168.1.1","fe80::1%eth0"],"domain":"fritz.box","ntp":["192.168.1.1"],` +
		`"clock":{"set":true,"server":"192.168.1.1","offset_ns":-1000000,"since":"2026-11-28T06:00:01Z"},` +
		`"wifi":{"link":"wlan0","country":"DE","network":{"ssid":"home","bssid":"02:00:00:00:00:01","signal_dbm":-50,"rate_mbit":65,"frequency_mhz":2437,"channel":6},` +
		`"since":"2026-11-28T06:00:00Z","seen":[{"ssid":"home","signal_dbm":-50,"frequency_mhz":2437,"security":"WPA2"}],` +
		`"recovered":{"reassociated":0,"restarted":0,"reloaded":0,"reboots":0}}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	none, err := json.Marshal(Status{}.onWall(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"links":[],"clock":{"set":false,"offset_ns":0}}`, string(none)); diff != "" {
		t.Errorf("of nothing: -want +got:\n%s", diff)
	}
}

// A time that was taken before the clock was set moves with the clock: it is as
// long ago as it was.
func TestTimesBeforeTheClockWasSet(t *testing.T) {
	now := time.Now()
	taken := now.Add(-time.Minute) // with a reading of the monotonic clock
	set := now.Round(0).AddDate(56, 0, 0)
	if got := onWall(taken, now); !got.Equal(taken.Truncate(time.Millisecond)) {
		t.Errorf("on the same clock: %v, want %v", got, taken)
	}
	// A time without a monotonic reading is not touched.
	if got := onWall(set, now); !got.Equal(set.Truncate(time.Millisecond)) {
		t.Errorf("a time of the wall clock: %v, want %v", got, set)
	}
	if got := onWall(time.Time{}, now); !got.IsZero() {
		t.Errorf("no time became %v", got)
	}
}

// serve runs a server until the end of the test or until stop is called.
func serve(t *testing.T, s *Server, socket string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx, socket); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A socket that is left over is replaced, and is for the owner of the process alone.
func TestSocket(t *testing.T) {
	socket := filepath.Join(shortDir(t), "run", "network.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var s Server
	s.Update(func(s *Status) { *s = example })
	serve(t, &s, socket)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got Status
	Follow(ctx, socket, func(s Status, err error) {
		if err == nil {
			got = s
			cancel()
		} else if !strings.Contains(err.Error(), "the network program does not answer") {
			t.Error(err)
		}
	})
	if diff := cmp.Diff(example, got, compareAddr); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; want 0600", info.Mode(), err)
	}
}

func TestFollow(t *testing.T) {
	socket := filepath.Join(shortDir(t), "network.sock")
	type said struct {
		s   Status
		err error
	}
	told := make(chan said, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { Follow(ctx, socket, func(s Status, err error) { told <- said{s, err} }) })
	defer following.Wait()
	defer cancel()
	next := func() said {
		t.Helper()
		select {
		case s := <-told:
			return s
		case <-time.After(time.Minute):
			t.Fatal("nothing was said")
			panic("not reached")
		}
	}
	if s := next(); s.err == nil {
		t.Fatal("without a program there is no error")
	}
	var s Server
	stop := serve(t, &s, socket)
	if first := next(); first.err != nil || len(first.s.Links) != 0 {
		t.Fatalf("first: %+v", first)
	}
	s.Update(func(s *Status) { *s = example })
	if got := next(); got.err != nil || cmp.Diff(example, got.s, compareAddr) != "" {
		t.Fatalf("after a change: %+v", got)
	}
	s.Update(func(s *Status) { s.Links = append([]Link(nil), s.Links...) }) // no change
	s.Update(func(s *Status) { s.Domain = "lan" })
	if got := next(); got.err != nil || got.s.Domain != "lan" {
		t.Fatalf("after a second change: %+v", got)
	}
	stop()
	if got := next(); got.err == nil {
		t.Fatalf("after the program's end: %+v", got)
	}
	serve(t, &s, socket)
	for got := next(); got.err != nil || got.s.Domain != "lan"; got = next() {
		t.Logf("meanwhile: %v", got.err)
	}
}

// Who follows hears now and then what is known, so that he notices the silence of
// a program that hangs.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Server
		ctx, cancel := context.WithCancel(t.Context())
		answer := httptest.NewRecorder()
		var serving sync.WaitGroup
		serving.Go(func() {
			s.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, changesPath, nil))
		})
		time.Sleep(2*heartbeat + heartbeat/2)
		cancel()
		serving.Wait()
		if lines := strings.Count(answer.Body.String(), "\n"); lines != 3 {
			t.Errorf("%d lines after two and a half heartbeats: %s", lines, answer.Body)
		}
	})
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, changesPath, http.StatusMethodNotAllowed},
		{http.MethodDelete, changesPath, http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
	} {
		answer := httptest.NewRecorder()
		new(Server).ServeHTTP(answer, httptest.NewRequest(c.method, c.path, nil))
		if answer.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, answer.Code, c.status)
		}
	}
}

// What comes through the socket is not trusted to be a status.
func FuzzStatus(f *testing.F) {
	text, err := json.Marshal(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"links":[{"addresses":[{"prefix":"1.2.3.4/99"}],"router":"x"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var s Status
		if json.Unmarshal(line, &s) == nil {
			s.onWall(time.Now())
		}
	})
}

func TestReload(t *testing.T) {
	told := 0
	socket := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	s := &Server{Reload: func() { told++ }}
	running.Go(func() {
		if err := s.Run(ctx, socket); err != nil {
			t.Error(err)
		}
	})
	var err error
	for range 500 { // until the socket is there
		if err = Reload(ctx, socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	running.Wait()
	if err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
	if err := Reload(t.Context(), socket); err == nil {
		t.Error("nobody is there, and no error")
	}
}
