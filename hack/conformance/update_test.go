package conformance

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// updatable is a camera on a PC that has an appliance's updates as well: a real update.Server
// with a card of files. What comes after the restart is made up, as are its Wi-Fi and its
// password.
type updatable struct {
	*update.Server
	url      string
	files    map[string][]byte // below /test/, for the page
	breakOff atomic.Int32      // so many uploads, before they are answered
	halfway  chan struct{}     // closed when the rest of a large root may come, which is too large then
	restarts atomic.Int32
	later    atomic.Pointer[update.State] // after the restart; nil before
	password atomic.Value                 // the owner's new one
	change   atomic.Pointer[wifiChange]   // the last of its network
}

// large is more, in bytes, than what is on its way between a browser and a server of one
// computer.
const large = 16 << 20

type wifiChange struct {
	SSID  string `json:"ssid"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

func (u *updatable) Answers(context.Context) error { return nil }
func (u *updatable) Picture(context.Context) error { return nil }
func (u *updatable) Board() error                  { return nil }
func (u *updatable) Private() bool                 { return false }

func (u *updatable) state() update.State {
	if later := u.later.Load(); later != nil {
		return *later
	}
	return u.State()
}

func newUpdatable(t *testing.T, p *program, keys ...signed.Entry) *updatable {
	u := &updatable{files: make(map[string][]byte), halfway: make(chan struct{})}
	u.Server = &update.Server{
		Card: cardtest.NewCard(t, 2), Dir: t.TempDir(), Version: "v1", ID: "IT", Hostname: "garden", Log: slog.New(slog.DiscardHandler), Health: u, Keys: keys,
		Reboot:    func(context.Context) error { u.restarts.Add(1); return nil },
		ShowTrial: func(bool) {}, ShowWindow: func(bool) {},
	}
	u.Run(t.Context())
	camera, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	pages := http.NewServeMux()
	pages.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(camera); r.Out.Host = r.In.Host }, ModifyResponse: u.addTo, FlushInterval: -1})
	pages.HandleFunc("/api/update/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/root") && u.breakOff.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
		if r.ContentLength > large {
			io.CopyN(io.Discard, r.Body, 1<<20)
			select {
			case <-u.halfway:
			case <-r.Context().Done():
			}
			io.Copy(io.Discard, r.Body)
			http.Error(w, "this is too large", http.StatusUnprocessableEntity)
			return
		}
		u.ServeHTTP(w, r)
	})
	pages.HandleFunc("/api/password", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("old") != ownersPassword {
			http.Error(w, "that is not it", http.StatusUnprocessableEntity)
			return
		}
		u.password.Store(r.PostFormValue("new"))
		w.WriteHeader(http.StatusNoContent)
	})
	known := []string{"home", "old & gone"}
	pages.HandleFunc("/api/wifi", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			known = slices.DeleteFunc(known, func(name string) bool { return name == r.FormValue("ssid") })
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPut {
			var wish struct{ SSID, Password, Country string }
			if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
				t.Error(err)
			}
			if len(wish.Password) < 8 {
				w.WriteHeader(http.StatusUnprocessableEntity)
				json.NewEncoder(w).Encode(map[string]any{"error": "the password is too short for " + wish.SSID})
				return
			}
			u.change.Store(&wifiChange{SSID: wish.SSID + " in " + wish.Country, State: "trying"})
		}
		heard := map[string]any{"ssid": "Nextdoor", "signal_dbm": -71, "security": "WPA2"}
		json.NewEncoder(w).Encode(map[string]any{"network": map[string]any{"ssid": "home", "signal_dbm": -50}, "seen": []any{heard}, "known": known, "change": u.change.Load(), "country": "DE"})
	})
	pages.HandleFunc("/test/", func(w http.ResponseWriter, r *http.Request) { w.Write(u.files[filepath.Base(r.URL.Path)]) })
	pages.HandleFunc("/api/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			text, err := json.Marshal(map[string]any{"camera": map[string]string{"phase": "live"}, "update": u.state()})
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "event: state\ndata: %s\n\nevent: beat\ndata: {}\n\n", text)
			w.(http.Flusher).Flush()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	site := httptest.NewServer(pages)
	t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
	u.url = site.URL
	return u
}

// addTo adds the updates to /api/state.
func (u *updatable) addTo(r *http.Response) error {
	if r.Request.URL.Path != "/api/state" || r.StatusCode != http.StatusOK {
		return nil
	}
	var all map[string]any
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		return err
	}
	all["update"], all["unowned"] = u.state(), false
	all["network"] = map[string]any{"wifi": map[string]any{}}
	text, err := json.Marshal(all)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return err
}

// archive is a file for updates (.gaf), signed by s unless that is nil.
func archive(t *testing.T, root []byte, s *signed.Signer) []byte {
	t.Helper()
	info, err := partition.InspectRoot(bytes.NewReader(root), int64(len(root)))
	if err != nil {
		t.Fatal(err)
	}
	files := []struct {
		name string
		data []byte
	}{{"boot.img", []byte("the kernel")}, {"root.img", root}}
	if s != nil {
		m := signed.Manifest{Version: info.Version, Built: info.Built, Arch: info.Arch}
		for i, c := range []*signed.Content{&m.Boot, &m.Root} {
			if *c, err = signed.Describe(bytes.NewReader(files[i].data)); err != nil {
				t.Fatal(err)
			}
		}
		text, err := m.Sign(s)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, struct {
			name string
			data []byte
		}{partition.ManifestFile, text})
	}
	var gaf bytes.Buffer
	z := zip.NewWriter(&gaf)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(f.data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return gaf.Bytes()
}

// choose gives the page's input a file of u.files, as its owner would choose it.
func (o panel) choose(name string) {
	o.t.Helper()
	var done bool
	o.tb.eval(fmt.Sprintf(`fetch("test/%s").then(a => a.blob()).then(b => {
		const all = new DataTransfer();
		all.items.add(new File([b], %[1]q));
		%s.files = all.files;
		return true;
	})`, name, input("File (.gaf)")), &done)
}

// updates updates a camera from its panel: what cannot be is said in the camera's words, an
// upload that breaks off is sent again, and what becomes of the update is shown.
func (o panel) updates(p *program) {
	t, tb := o.t, o.tb
	t.Helper()
	owner, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "owner"))
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "stranger"))
	if err != nil {
		t.Fatal(err)
	}
	u := newUpdatable(t, p, signed.Entry{Key: owner.Key()})
	root := cardtest.Root("v2").Bytes()
	u.files = map[string][]byte{"none.gaf": []byte("a letter"), "unsigned.gaf": archive(t, root, nil), "strange.gaf": archive(t, root, stranger), "good.gaf": archive(t, root, owner),
		"large.gaf": archive(t, slices.Concat(root, make([]byte, 2*large)), nil)}
	tb.open(u.url + "/panel")
	const said, status = `document.querySelector("#update .button [role=alert]").textContent`, `document.querySelector("#update [role=status]").textContent`
	until(t, tb, `document.querySelector("#update")`)
	try := func(file, expect string) {
		t.Helper()
		if file != "" {
			o.choose(file)
		}
		o.press("Send it, and try it")
		until(t, tb, fmt.Sprintf(`%s.includes(%q)`, said, expect))
	}
	try("", "Choose a file first")
	try("none.gaf", "This file is no update")
	try("unsigned.gaf", "not signed: update it from the computer that made its card")
	try("strange.gaf", "press its button three times for a second each, and send the update again within 10 minutes; or, without a button, write update-key=ssh-ed25519 ")
	keep(t, "update.png", tb.screenshot("#update"))
	if n := u.restarts.Load(); n != 0 {
		t.Fatalf("it restarted %d times", n)
	}

	const bar = `document.querySelector("#update progress")`
	o.choose("large.gaf")
	o.press("Send it, and try it")
	until(t, tb, `!`+bar+`.hidden && `+bar+`.value > 0 && `+bar+`.value < 1`)
	close(u.halfway)
	until(t, tb, fmt.Sprintf(`%s.includes("this is too large") && %s.hidden && %[2]s.value == 1`, said, bar))

	u.breakOff.Store(2)
	o.choose("good.gaf")
	o.press("Send it, and try it")
	until(t, tb, status+`.includes("restarting, because of an update")`)
	if left := u.breakOff.Load(); left >= 0 {
		t.Errorf("%d uploads more were to break off", left+1)
	}
	await(t, func() string { return "a restart" }, func() bool { return u.restarts.Load() == 1 }) // it is said before it is done
	if written, err := os.ReadFile(u.Card.Root.Path("dev/mmcblk0p3")); err != nil || !bytes.HasPrefix(written, root) {
		t.Errorf("the other partition does not have the update, %v", err)
	}
	u.later.Store(&update.State{Phase: update.OnTrial, Message: "the update to v2 is on trial: no picture yet"})
	until(t, tb, status+`.includes("on trial")`)
	u.later.Store(&update.State{Phase: update.Idle, Last: &update.Record{To: "v2", Outcome: update.Committed}})
	until(t, tb, status+`.includes("The update to v2 was tried, and stays")`)
	u.later.Store(&update.State{Phase: update.Idle, Message: "the update to v2 was rolled back: it hung", Last: &update.Record{To: "v2", Outcome: update.RolledBack}})
	until(t, tb, status+`.includes("rolled back: it hung")`)

	// The owner's password, and a network that is not needed any more.
	const changed = `[...document.querySelectorAll("#access .button")].find(b => b.textContent.startsWith("Change the password"))`
	o.set("The one of now", "guessed")
	o.set("The new one", "tulip-and-rose")
	o.set("The same again", "tulip-and-nose")
	o.press("Change the password")
	until(t, tb, changed+`.textContent.includes("The two differ.")`)
	o.set("The same again", "tulip-and-rose")
	o.press("Change the password")
	until(t, tb, changed+`.textContent.includes("that is not it")`)
	o.set("The one of now", ownersPassword)
	o.press("Change the password")
	until(t, tb, changed+`.nextElementSibling.textContent == "Done." && `+input("The new one")+`.value == ""`)
	if is := u.password.Load(); is != "tulip-and-rose" {
		t.Errorf("the new password is %q", is)
	}
	until(t, tb, `document.querySelector("#wifi ul").textContent == "old & goneForget it"`)
	const wifi = `document.querySelector("#wifi [role=status]").textContent`
	until(t, tb, `document.querySelector("#heard option").textContent == "Nextdoor, -71 dBm, WPA2"`)
	o.set("Network", "Nextdoor")
	o.set("Its password", "short")
	o.press("Join this network")
	until(t, tb, `document.querySelector("#wifi > .button [role=alert]").textContent == "the password is too short for Nextdoor"`)
	o.set("Its password", "long enough")
	o.set("Country", "AT")
	o.press("Join this network")
	until(t, tb, wifi+` == "In home, -50 dBm. Joining Nextdoor in AT."`)
	keep(t, "appliance.png", tb.screenshot("body"))
	u.change.Store(&wifiChange{SSID: "Nextdoor", State: "went back", Why: "Its password is wrong."})
	until(t, tb, wifi+`.endsWith("It could not join Nextdoor, and went back. Its password is wrong.")`)
	o.press("Forget it")
	until(t, tb, `document.querySelector("#wifi ul").textContent == ""`)

	// By plain http, the page only says where the other one is.
	tb.open(strings.Replace(u.url, "127.0.0.1", "pushcam.test", 1) + "/panel")
	until(t, tb, `document.getElementById("login")?.hidden == false`)
	o.enter(ownersPassword)
	until(t, tb, `document.querySelector("#update a")?.href == "https://pushcam.test/panel" && !document.querySelector("#update input")`)
	tb.open(p.url + "/panel") // which has nothing to be updated
	until(t, tb, `document.querySelectorAll("section").length > 5 && !document.querySelector("#update")`)
}
