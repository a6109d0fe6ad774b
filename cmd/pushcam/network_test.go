package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/network/status"
)

var lan = status.Status{
	Links: []status.Link{{
		Name: "eth0", Kind: status.Ethernet, Carrier: true, Default: true,
		Addresses:  []status.Address{{Prefix: netip.MustParsePrefix("192.168.1.7/24"), From: status.DHCP}},
		Router:     netip.MustParseAddr("192.168.1.1"),
		LeaseUntil: time.Date(2026, 11, 28, 18, 0, 0, 0, time.UTC),
		Since:      time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC),
	}},
	DNS:    []netip.Addr{netip.MustParseAddr("192.168.1.1")},
	Domain: "fritz.box",
	Clock:  status.Clock{Set: true, Server: "192.168.1.1", Offset: -time.Millisecond, Since: time.Date(2026, 11, 28, 6, 0, 1, 0, time.UTC)},
}

// follows runs a network that is told what goes into the channel.
func follows(t *testing.T) (n *network, tell func(status.Status, error), missing func() bool, log *lockedBuffer) {
	news := make(chan func(func(status.Status, error)))
	log = new(lockedBuffer)
	var mu sync.Mutex
	var none bool
	n = newNetwork("", func(is bool) { mu.Lock(); defer mu.Unlock(); none = is }, func(bool) {}, slog.New(slog.NewTextHandler(log, nil)))
	n.follow = func(ctx context.Context, tell func(status.Status, error)) {
		for {
			select {
			case say := <-news:
				say(tell)
			case <-ctx.Done():
				return
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	tell = func(s status.Status, err error) {
		news <- func(tell func(status.Status, error)) { tell(s, err) }
		synctest.Wait()
	}
	return n, tell, func() bool { mu.Lock(); defer mu.Unlock(); return none }, log
}

// lockedBuffer is a log that is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// That there is no network is shown and said after a while, once for each reason.
func TestNoNetwork(t *testing.T) {
	t.Attr("fault", "network | there is no network | LED and log say so, once for each reason | when there is one")
	unplugged := status.Status{Links: []status.Link{{Name: "eth0", Why: "nothing is plugged in"}}}
	waiting := status.Status{Links: []status.Link{{Name: "eth0", Carrier: true, Why: "no router answers"}}}
	alone := status.Status{Links: []status.Link{unplugged.Links[0], {Name: "usb0", Carrier: true, Addresses: []status.Address{{Prefix: netip.MustParsePrefix("169.254.7.7/16"), From: status.LinkLocal}}}}}
	for _, test := range []struct {
		name    string
		status  status.Status
		err     error
		missing bool
		log     string // a part; "" is none
	}{
		{"a network", lan, nil, false, ""},
		{"a cable to a laptop", alone, nil, false, ""},
		{"no cable", unplugged, nil, true, "nobody can reach this pushcam: eth0: nothing is plugged in"},
		{"no address yet", waiting, nil, true, "nobody can reach this pushcam: eth0: no router answers"},
		{"no wireless network", status.Status{Links: unplugged.Links, WiFi: &status.Radio{Why: "The password is wrong."}}, nil, true, "nobody can reach this pushcam: The password is wrong."},
		{"no adapter", status.Status{}, nil, true, "nobody can reach this pushcam: it has no network adapter"},
		{"not known", status.Status{}, errors.New("the network program does not answer"), false, "the network program does not answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, tell, missing, log := follows(t)
				tell(test.status, test.err)
				time.Sleep(networkPatience - time.Second)
				tell(test.status, test.err) // again, which begins nothing anew
				if missing() || log.String() != "" {
					t.Errorf("said at once: %v, %s", missing(), log)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				tell(test.status, test.err)
				time.Sleep(time.Hour)
				synctest.Wait()
				if missing() != test.missing || !strings.Contains(log.String(), test.log) || strings.Count(log.String(), "\n") != int(one(test.log != "")) {
					t.Errorf("missing is %v, want %v; the log, which should have %q once:\n%s", missing(), test.missing, test.log, log)
				}
				tell(lan, nil)
				if missing() || strings.Contains(log.String(), "there is a network again") != (test.log != "") {
					t.Errorf("with a network: missing is %v; the log:\n%s", missing(), log)
				}
			})
		})
	}
}

// A network that is back within a few seconds was never away.
func TestNetworkIsBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tell, missing, log := follows(t)
		for range 10 {
			tell(lan, nil)
			time.Sleep(time.Minute)
			tell(status.Status{}, nil)
			time.Sleep(networkPatience / 2)
			if missing() || log.String() != "" {
				t.Fatalf("missing is %v; the log:\n%s", missing(), log)
			}
		}
	})
}

// /state tells what is the camera's own.
func TestNetworkState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, tell, _, _ := follows(t)
		name := discovery.State{Host: "pushcam.local", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.7")}}
		show := func() string {
			t.Helper()
			text, err := json.Marshal(n.state(name))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if diff := cmp.Diff(`{"host":"pushcam.local","addresses":["192.168.1.7"]}`, show()); diff != "" {
			t.Errorf("at first (-want +got):\n%s", diff)
		}
		if d := n.domain(); d != "" {
			t.Errorf("at first the domain is %q", d)
		}
		tell(lan, nil)
		want := `{"host":"pushcam.local","addresses":["192.168.1.7"],` +
			`"links":[{"name":"eth0","kind":"ethernet","carrier":true,"default":true,"addresses":[{"prefix":"192.168.1.7/24","from":"dhcp"}],"since":"2026-11-28T06:00:00Z"}],` +
			`"clock":{"set":true,"server":"192.168.1.1","offset_ns":-1000000,"since":"2026-11-28T06:00:01Z"}}`
		if diff := cmp.Diff(want, show()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if d := n.domain(); d != "fritz.box" {
			t.Errorf("the domain is %q", d)
		}
		tell(status.Status{}, errors.New("the network program does not answer")) // it starts anew
		if diff := cmp.Diff(want, show()); diff != "" {
			t.Errorf("while the program starts anew (-want +got):\n%s", diff)
		}
		var b strings.Builder
		n.writeMetrics(&b)
		if diff := cmp.Diff("pushcam_link_up{link=\"eth0\",kind=\"ethernet\"} 1\npushcam_clock_set 1\npushcam_clock_offset_seconds -0.001\n", b.String()); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// Of the radio, /state and the metrics tell what is the camera's own: what else is on
// the air tells where it is.
func TestRadioState(t *testing.T) {
	n := newNetwork("", func(bool) {}, func(bool) {}, slog.New(slog.DiscardHandler))
	s := lan
	s.WiFi = &status.Radio{
		Link: "wlan0", Network: &status.WiFiNetwork{SSID: "home", BSSID: "02:00:00:00:00:01", Signal: -50, Rate: 65, Frequency: 2437, Channel: 6},
		Missed: `There is "neighbour".`, Seen: []status.SeenNetwork{{SSID: "neighbour"}}, Recovered: status.Recovered{Restarted: 2},
	}
	if err := n.take(s); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(n.state(discovery.State{}).WiFi)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"link":"wlan0","network":{"ssid":"home","signal_dbm":-50,"rate_mbit":65,"frequency_mhz":2437,"channel":6},` +
		`"recovered":{"reassociated":0,"restarted":2,"reloaded":0,"reboots":0}}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.WiFi.Network.BSSID == "" {
		t.Error("the status itself was changed")
	}
	var b strings.Builder
	n.writeMetrics(&b)
	_, got, _ := strings.Cut(b.String(), "} 1\n")
	wantMetrics := "pushcam_wifi_connected 1\npushcam_wifi_setup 0\npushcam_wifi_signal_dbm -50\npushcam_wifi_rate_mbit 65\n" +
		"pushcam_wifi_recovered_total{by=\"reassociation\"} 0\npushcam_wifi_recovered_total{by=\"restart\"} 2\n" +
		"pushcam_wifi_recovered_total{by=\"reload\"} 0\npushcam_wifi_recovered_total{by=\"reboot\"} 0\n" +
		"pushcam_clock_set 1\npushcam_clock_offset_seconds -0.001\n"
	if diff := cmp.Diff(wantMetrics, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
