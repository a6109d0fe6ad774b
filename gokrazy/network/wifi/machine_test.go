package wifi

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// A world is a machine with a time of its own. What the machine wants done is noted
// with the time, as "5m0s scan".
type world struct {
	t      *testing.T
	began  time.Time
	now    time.Time
	m      *machine
	did    []string
	air    []bss  // what a look around hears
	deaf   bool   // nothing is ever heard
	kernel string // the country that it has
}

func newWorld(t *testing.T, networks ...string) *world {
	now := time.Date(1970, 1, 1, 0, 0, 20, 0, time.UTC)
	w := &world{t: t, began: now, now: now, m: newMachine(now, now, slog.New(slog.DiscardHandler))}
	w.m.setRadio(true, "")
	w.m.configure(now, settings(networks...))
	w.ready()
	return w
}

func settings(networks ...string) (s setup.Settings) {
	for _, n := range networks {
		s.Networks = append(s.Networks, network(n))
	}
	return s
}

func (w *world) ready() {
	w.m.ready(w.now, true)
	w.settle()
}

// settle does what is wanted.
func (w *world) settle() {
	for range 20 {
		w.m.step(w.now)
		commands := w.m.commands()
		if len(commands) == 0 {
			return
		}
		for _, c := range commands {
			if c != list && c != poll && c != askCountry {
				w.did = append(w.did, fmt.Sprint(w.now.Sub(w.began), " ", c))
			}
			switch c {
			case scan:
				if !w.deaf {
					w.tell(event{kind: scanResults})
				}
			case list:
				w.m.scanned(w.now, w.air)
			case serve:
				w.tell(event{kind: apEnabled})
			case askCountry:
				w.m.hasCountry(w.kernel)
			}
		}
	}
	w.t.Fatalf("the machine does not come to rest: %q", w.did)
}

// run lets time go by. A radio in no network looks for one meanwhile.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Second)
		if w.m.phase == client && !w.m.net.connected && !w.deaf && w.now.Second()%9 == 0 {
			w.tell(event{kind: scanResults}, event{kind: notFound})
		}
		w.settle()
	}
}

func (w *world) tell(events ...event) {
	for _, e := range events {
		w.m.event(w.now, e)
	}
}

// in has the radio come into the first network, and get an address.
func (w *world) in() {
	w.tell(event{kind: connected, station: "02:00:00:00:00:01"})
	w.m.polled(w.now, true, status.WiFiNetwork{SSID: "home", BSSID: "02:00:00:00:00:01", Signal: -50})
	w.m.setLink(w.now, links{address: true})
	w.settle()
}

// want compares with what was done since it was last called.
func (w *world) want(did ...string) {
	w.t.Helper()
	if !slices.Equal(w.did, did) {
		w.t.Errorf("it did %q, want %q", w.did, did)
	}
	w.did = nil
}

func (w *world) wantFailure(want status.Failure, says string) {
	w.t.Helper()
	r := w.m.radio(w.now)
	if r.Failure != want || !strings.Contains(r.Why, says) || (want == "") != (r.Why == "") {
		w.t.Errorf("%q: %q, want %q that says %q", r.Failure, r.Why, want, says)
	}
}

func TestJoin(t *testing.T) {
	w := newWorld(t, "home")
	w.want("0s join")
	w.wantFailure(status.NotReached, "looks for its network")
	w.run(4 * time.Second)
	w.in()
	w.want("4s no power save")
	w.wantFailure("", "")
	if n := w.m.radio(w.now).Network; n == nil || n.SSID != "home" || n.Signal != -50 {
		t.Errorf("in %+v", n)
	}
	// Power saving is on again after every association.
	w.run(time.Minute)
	w.tell(event{kind: connected, station: "02:00:00:00:00:02"})
	w.settle()
	w.want("1m4s no power save")
	// The network goes, for an hour and a day.
	w.m.setLink(w.now, links{})
	w.tell(event{kind: disconnected})
	w.air = []bss{heard("other", -40, wpa2)}
	w.run(3 * time.Hour)
	w.want() // no set-up network, and nothing is done: wpa_supplicant looks by itself
	w.wantFailure(status.NotSeen, `"other"`)
	w.in()
	w.want("3h1m4s no power save")
	w.wantFailure("", "")
}

func TestLostEvents(t *testing.T) {
	w := newWorld(t, "home")
	w.m.polled(w.now, true, status.WiFiNetwork{SSID: "home"})
	w.settle()
	w.want("0s join", "0s no power save")
	w.m.polled(w.now, false, status.WiFiNetwork{})
	if w.m.radio(w.now).Network != nil {
		t.Error("it is in a network of which wpa_supplicant does not know")
	}
}

func TestSetUpWithoutNetworks(t *testing.T) {
	w := newWorld(t)
	w.wantFailure(status.NoNetworks, "pushcam.txt")
	w.run(time.Minute)
	w.want("0s join", "15s scan", "15s serve")
	if r := w.m.radio(w.now); r.SetUp == nil || !r.SetUp.Until.Equal(w.began.Add(10*time.Minute+15*time.Second)) {
		t.Errorf("%+v", r.SetUp)
	}
	w.run(10 * time.Minute) // its list is made anew
	w.want("10m15s scan", "10m15s serve")
	w.tell(event{kind: apConnected, station: "02:00:00:00:00:09"})
	w.run(15 * time.Minute) // nobody is thrown out who is about to type
	w.want()
	w.tell(event{kind: apDisconnected, station: "02:00:00:00:00:09"})
	w.run(time.Second)
	w.want("26m1s scan", "26m1s serve")
	w.tell(event{kind: apConnected, station: "02:00:00:00:00:09"})
	w.run(31 * time.Minute) // but not for ever
	w.want("56m1s scan", "56m1s serve")
}

func TestSetUpWhenNoneIsReached(t *testing.T) {
	w := newWorld(t, "home")
	w.run(30 * time.Minute)
	w.want("0s join", "5m0s scan", "5m0s serve", "15m0s join", "17m0s scan", "17m0s serve", "27m0s join", "29m0s scan", "29m0s serve")
	if !strings.Contains(w.m.setUp.failure, `No network called "home" is heard.`) {
		t.Errorf("the page says %q", w.m.setUp.failure)
	}
	// While it looks for its networks it reaches one.
	w.run(9*time.Minute + 30*time.Second)
	w.in()
	w.run(time.Hour)
	w.want("39m0s join", "39m30s no power save")
}

func TestSetUpNotBesideACable(t *testing.T) {
	w := newWorld(t)
	w.m.setLink(w.now, links{wired: true})
	w.run(time.Hour)
	w.want("0s join")
	w.wantFailure("", "")
	w.m.setLink(w.now, links{})
	w.run(time.Minute)
	w.want("1h0m15s scan", "1h0m15s serve")
	w.m.setLink(w.now, links{wired: true})
	w.run(time.Minute)
	w.want("1h1m1s join")
}

func TestTyped(t *testing.T) {
	w := newWorld(t)
	w.run(time.Minute)
	w.did = nil
	w.m.configure(w.now, settings("home"))
	w.run(2 * time.Second) // the page says that the camera leaves
	w.want("1m2s join")
	w.air = []bss{heard("home", -40, wpa2)}
	w.tell(event{kind: scanResults}, event{kind: disconnected, reason: "15"}, event{kind: tempDisabled, network: 0, reason: "WRONG_KEY"})
	w.settle()
	w.want("1m2s scan", "1m2s serve") // whoever has typed it waits
	if !strings.Contains(w.m.setUp.failure, `password for "home" is wrong`) {
		t.Errorf("the page says %q", w.m.setUp.failure)
	}
	w.m.configure(w.now, settings("Hom"))
	w.run(61 * time.Second)
	w.want("1m4s join")
	w.run(2 * time.Second)
	w.want("2m4s scan", "2m4s serve")
	w.m.configure(w.now, settings("home"))
	w.run(5 * time.Second)
	w.in()
	w.run(2 * time.Hour)
	w.want("2m7s join", "2m10s no power save")
}

// The same on a camera that was in a network before its owner took that away.
func TestTypedAfterAnother(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	w.run(time.Hour)
	w.m.configure(w.now, settings())
	w.run(time.Minute)
	w.m.configure(w.now, settings("office"))
	w.did = nil
	w.run(3 * time.Second)
	w.want("1h1m2s join")
	w.tell(event{kind: disconnected, reason: "15"}, event{kind: tempDisabled, network: 0, reason: "WRONG_KEY"})
	w.settle()
	w.want("1h1m3s scan", "1h1m3s serve")
}

// wpa_supplicant tells of an access point that it has made no more than that it has
// not.
func TestSetUpDoesNotCome(t *testing.T) {
	w := newWorld(t)
	w.run(20 * time.Second)
	w.did = nil
	w.tell(event{kind: apDisabled})
	w.run(19 * time.Second)
	w.want()
	w.run(2 * time.Second)
	w.want("40s scan", "40s serve")
	// A look around that gives nothing does not keep it away.
	w.deaf = true
	w.tell(event{kind: apDisabled})
	w.run(40 * time.Second)
	w.want("1m1s scan", "1m16s serve")
}

func TestNobodyAnswers(t *testing.T) {
	t.Attr("fault", "network | a radio that is joined and hears nobody | joined anew, the radio started anew, the system rebooted if nothing helps | when somebody answers")
	w := newWorld(t, "home")
	w.in()
	w.run(2 * time.Minute)
	w.did = nil
	w.m.setLink(w.now, links{address: true, silent: true})
	w.run(10 * time.Minute)
	w.want("2m20s reassociate", "2m50s restart link", "3m35s reload", "4m35s reassociate", "5m35s restart link", "7m5s reload", "9m5s reassociate", "11m5s restart link")
	w.wantFailure(status.Silent, `Nobody answers in "home"`)
	w.m.setLink(w.now, links{address: true})
	w.run(59 * time.Minute)
	w.want()
	// It helps for a while only: the next trouble begins from below, and after an hour
	// the system may be rebooted.
	w.m.setLink(w.now, links{address: true, silent: true})
	w.run(5 * time.Minute)
	w.want("1h11m20s reassociate", "1h11m50s restart link", "1h12m35s reload", "1h13m35s reboot", "1h14m35s reassociate", "1h15m35s restart link")
}

func TestNoRebootBesideACable(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	w.run(2 * time.Hour)
	w.did = nil
	w.m.setLink(w.now, links{address: true, silent: true, wired: true})
	w.run(4 * time.Minute)
	w.want("2h0m20s reassociate", "2h0m50s restart link", "2h1m35s reload", "2h2m35s reassociate", "2h3m35s restart link")
}

func TestNoAddress(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	w.m.setLink(w.now, links{silent: true})
	w.run(19 * time.Second)
	w.wantFailure("", "")
	w.run(2 * time.Second)
	w.wantFailure(status.NoAddress, "DHCP")
	// The radio was never of use: no reboot will make it so.
	w.m.reached = false
	w.run(3 * time.Hour)
	for _, did := range w.did {
		if strings.HasSuffix(did, "reboot") {
			t.Errorf("it did %q", w.did)
		}
	}
}

func TestDeaf(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	w.run(time.Minute)
	w.did = nil
	w.m.setLink(w.now, links{})
	w.tell(event{kind: disconnected})
	w.deaf = true
	w.run(3 * time.Minute)
	w.want("1m30s restart link", "2m15s reload", "3m15s restart link")
}

func TestAbsent(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	w.run(time.Minute)
	w.did = nil
	w.m.ready(w.now, false) // its firmware has crashed
	w.run(5 * time.Second)
	w.ready() // the driver has started it anew
	w.want("1m5s join")
	w.m.ready(w.now, false)
	w.run(2 * time.Minute)
	w.want("1m15s reload", "2m15s reload")
	w.wantFailure(status.NoRadio, "does not start")
	w.m.setRadio(true, "This image has no firmware.")
	w.run(time.Hour)
	w.want() // nothing helps but the file
	w.wantFailure(status.FirmwareMissing, "no firmware")
}

// An access point whose radio has crashed sends nothing any more.
func TestAbsentWhileServing(t *testing.T) {
	w := newWorld(t)
	w.run(time.Minute)
	w.did = nil
	w.m.ready(w.now, false)
	w.run(3 * time.Second)
	w.ready()
	w.run(20 * time.Second)
	w.want("1m3s join", "1m18s scan", "1m18s serve")
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, "home", "office")
	w.air = []bss{heard("home", -40, wpa2)}
	w.tell(event{kind: scanResults})
	w.settle()
	w.wantFailure(status.NotReached, `"home" is heard`)
	w.tell(event{kind: assocReject, status: 17}, event{kind: tempDisabled, network: 0, reason: "CONN_FAILED"})
	w.wantFailure(status.Full, "no more devices")
	w.tell(event{kind: assocReject, status: 1}, event{kind: tempDisabled, network: 0, reason: "CONN_FAILED"})
	w.wantFailure(status.Refused, "MAC filter")
	w.tell(event{kind: tempDisabled, network: 0, reason: "WRONG_KEY"})
	w.wantFailure(status.WrongPassword, "wrong")
	w.now = w.now.Add(troubleAge)
	w.wantFailure(status.NotReached, `"home" is heard`)
	w.air = nil
	w.tell(event{kind: scanResults})
	w.settle()
	w.wantFailure(status.NotSeen, `"home", "office"`)
}

// A radio that is in another network than the first says why, even if it was told by a look
// alone that it is there.
func TestMissed(t *testing.T) {
	w := newWorld(t, "office", "home")
	w.air = []bss{heard("office", -40, wpa2), heard("home", -50, wpa2)}
	missed := func(want string) {
		t.Helper()
		if r := w.m.radio(w.now); r.Failure != "" || r.Network == nil || !strings.HasPrefix(r.Missed, want) || want == "" && r.Missed != "" {
			t.Errorf("it is in %+v, failure %q, and has missed: %q, want %q", r.Network, r.Failure, r.Missed, want)
		}
	}
	for _, told := range []bool{true, false} {
		w.tell(event{kind: scanResults}, event{kind: disconnected, reason: "15"}, event{kind: tempDisabled, network: 0, reason: "WRONG_KEY"})
		if told {
			w.tell(event{kind: connected, network: 1})
			missed(`The password for "office" is wrong`)
		}
		w.m.polled(w.now, true, status.WiFiNetwork{SSID: "home", Signal: -50})
		w.settle()
		missed(`The password for "office" is wrong`)
	}
	w.m.setLink(w.now, links{address: true})
	w.air = w.air[1:]
	w.run(troubleAge)
	w.tell(event{kind: scanResults})
	w.settle()
	missed(`No network called "office" is heard. There are "home".`)
	w.tell(event{kind: connected, network: 0})
	w.m.polled(w.now, true, status.WiFiNetwork{SSID: "office", Signal: -50})
	missed("")
}

func TestWeakSignal(t *testing.T) {
	w := newWorld(t, "home")
	w.in()
	for signal, says := range map[int]string{-76: "is weak (-76 dBm)", -85: "very weak (-85 dBm)"} {
		w.m.polled(w.now, true, status.WiFiNetwork{SSID: "home", Signal: signal})
		w.wantFailure(status.WeakSignal, says)
	}
	w.m.polled(w.now, true, status.WiFiNetwork{SSID: "home", Signal: -75})
	w.wantFailure("", "")
}

func TestCountry(t *testing.T) {
	w := newWorld(t)
	s := settings("home")
	s.Country = "DE"
	w.m.configure(w.now, s)
	w.m.ready(w.now, false)
	w.did = nil
	w.ready()
	w.want("0s set country", "0s join")
	if got := w.m.radio(w.now).Country; got != "" {
		t.Errorf("country %s, which the kernel has not taken", got)
	}
	w.tell(event{kind: regdomChange, country: "DE"})
	if got := w.m.radio(w.now).Country; got != "DE" {
		t.Errorf("country %q", got)
	}
	s.Country = "FR"
	w.m.configure(w.now, s)
	w.settle()
	w.want("0s set country", "0s join")
	w.kernel = "FR" // it had that already, and tells only changes
	w.run(regdomTimeout)
	if got := w.m.radio(w.now).Country; got != "FR" {
		t.Errorf("country %q", got)
	}
	s.Country = "ZZ"
	w.m.configure(w.now, s)
	w.run(regdomTimeout)
	if got := w.m.radio(w.now).Country; got != "FR" {
		t.Errorf("country %q, but the kernel has not taken another", got)
	}
}

func TestNoRadio(t *testing.T) {
	m := newMachine(time.Now(), time.Now(), slog.New(slog.DiscardHandler))
	m.configure(time.Now(), settings("home"))
	m.step(time.Now().Add(time.Hour))
	if c := m.commands(); len(c) != 0 || m.radio(time.Now()) != nil {
		t.Errorf("a board without a radio: %v", c)
	}
}
