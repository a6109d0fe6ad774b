package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

const pcOwner = "the owner's"

// ownedPC is the program on a PC that has an owner.
type ownedPC struct {
	t    *testing.T
	url  string // without a slash at its end
	web  *http.Client
	spec *apitest.Spec
	stop func() error
}

func startOwned(t *testing.T, dir string, args ...string) *ownedPC {
	t.Helper()
	greeting, stop := startOn(t, noSystem, append([]string{"-listen", "127.0.0.1:0", "-source", "pattern", "-state-dir", dir, "-owner-password", pcOwner}, args...)...)
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	p := &ownedPC{t: t, url: strings.TrimSuffix(strings.TrimSpace(greeting[strings.Index(greeting, "http"):]), "/"), web: new(http.Client), spec: spec, stop: stop}
	t.Cleanup(p.web.CloseIdleConnections)
	return p
}

// ask asks as the owner, and holds the answer against openapi.json.
func (p *ownedPC) ask(method, path, body string, header ...string) (int, http.Header, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.SetBasicAuth("owner", pcOwner)
	r.Header.Set("Accept", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := p.web.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	path, _, _ = strings.Cut(path, "?")
	if err := p.spec.Check(path, method, resp.StatusCode, resp.Header.Get("Content-Type"), text); err != nil {
		p.t.Error(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// Each path and method of openapi.json is asked, and answered as that says.
func TestAPIIsAsDescribed(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	p := startOwned(t, t.TempDir(), "-size", "320x240")
	_, head, _ := p.ask("GET", "/api/settings", "")
	_, controls, _ := p.ask("GET", "/api/controls", "")
	steps := []struct {
		method, path, body string
		code               int
		says               string
		header             []string
	}{
		{method: "GET", path: "/api/openapi.json", code: 200, says: `"openapi"`},
		{method: "PATCH", path: "/api/settings", body: `{"idle_hold":30}`, code: 428},
		{method: "PATCH", path: "/api/settings", body: `{"idle_hold":30}`, code: 200, says: `"value": 30,`, header: []string{"If-Match", head.Get("ETag")}},
		{method: "PATCH", path: "/api/settings", body: `{"idle_hold":20}`, code: 412, header: []string{"If-Match", head.Get("ETag")}},
		{method: "PATCH", path: "/api/settings", body: `{"idle":20}`, code: 400, says: `"idle"`, header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"size":"640x480","fps":99}`, code: 422, says: "it is 320x240 by a flag", header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"source":"replay:/etc"}`, code: 400, says: "there is no setting", header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"allow_origin":"home.example"}`, code: 422, says: `"allow_origin": "allow-origin is \"home.example\": an origin is one as`, header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"allow_host":"http://home.example"}`, code: 422, says: "without http://", header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"max_viewers":129}`, code: 422, says: "max-viewers is at most 128 here", header: []string{"If-Match", "*"}},
		{method: "PATCH", path: "/api/settings", body: `{"max_sessions":1.5,"viewer_timeout":0.5}`, code: 422, says: "viewer_timeout is from 1 to 3600, not 0.5", header: []string{"If-Match", "*"}},
		{method: "GET", path: "/api/controls", code: 200, says: `"camera": []`},
		{method: "PATCH", path: "/api/controls", body: `{"brightness":60,"rotate":"180"}`, code: 200, header: []string{"If-Match", controls.Get("ETag")}},
		{method: "PATCH", path: "/api/controls", body: `{"brightness":70}`, code: 412, says: "somebody else", header: []string{"If-Match", controls.Get("ETag")}},
		{method: "PATCH", path: "/api/controls", body: `{"brightness":70}`, code: 200, says: `"70"`},
		{method: "PATCH", path: "/api/controls", body: `{"brightness":[]}`, code: 400},
		{method: "POST", path: "/api/controls", body: "brightness=50", code: 200, says: `"50"`, header: []string{"Content-Type", form}},
		{method: "POST", path: "/api/controls", code: 400, says: "as a form"},
		{method: "POST", path: "/api/controls", body: "brightness=40", code: 412, header: []string{"Content-Type", form, "If-Match", controls.Get("ETag")}},
		{method: "DELETE", path: "/api/controls", code: 412, header: []string{"If-Match", controls.Get("ETag")}},
		{method: "DELETE", path: "/api/controls", code: 200, says: `"set": {}`},
		{method: "GET", path: "/api/camera", code: 200, says: `"1280x720"`},
		{method: "POST", path: "/api/actions/restart-camera", code: 204},
		{method: "POST", path: "/api/actions/privacy", body: `{}`, code: 400, says: "say whether"},
		{method: "POST", path: "/api/actions/privacy", body: `{"on":true}`, code: 204},
		{method: "GET", path: "/api/state", code: 200, says: `"privacy": true`},
		{method: "POST", path: "/api/actions/privacy", body: `{"on":false}`, code: 204},
		{method: "POST", path: "/api/actions/led-test", code: 409, says: "no LED"},
		{method: "POST", path: "/api/actions/reboot", body: `{"sure":true}`, code: 409, says: "somebody's computer"},
		{method: "POST", path: "/api/actions/poweroff", body: `{"sure":true}`, code: 409},
		{method: "GET", path: "/api/viewers", code: 200, says: `"viewers": []`},
		{method: "DELETE", path: "/api/viewers?address=192.0.2.1", code: 404, says: "192.0.2.1"},
		{method: "GET", path: "/api/visitors", code: 200, says: "somebody with the password came"},
		{method: "GET", path: "/api/log?level=error", code: 200},
		{method: "GET", path: "/api/log?level=loud", code: 400, says: "debug, info"},
		{method: "GET", path: "/api/report", code: 200, says: "The end of the log:"},
		{method: "GET", path: "/api/tokens", code: 200, says: `"tokens": []`},
		{method: "POST", path: "/api/tokens", body: "name=wall", code: 201, header: []string{"Content-Type", form}},
		{method: "POST", path: "/api/tokens", body: "name=wall", code: 409, header: []string{"Content-Type", form}},
		{method: "DELETE", path: "/api/tokens?name=wall", code: 204},
		{method: "DELETE", path: "/api/tokens?name=wall", code: 404},
	}
	for _, s := range steps {
		if code, _, body := p.ask(s.method, s.path, s.body, s.header...); code != s.code || !strings.Contains(body, s.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", s.method, s.path, s.body, code, body, s.code, s.says)
		}
	}
	asked := map[string]bool{"get /api/settings": true}
	for _, s := range steps {
		path, _, _ := strings.Cut(s.path, "?")
		asked[strings.ToLower(s.method)+" "+path] = true
	}
	// These have tests of their own, and here are no network, no radio and no card.
	elsewhere := []string{"/api/events", "/api/password", "/api/cameras", "/api/wifi", "/api/update", "/api/update/keys", "/api/update/manifest", "/api/update/root", "/api/update/boot", "/api/update/try"}
	for path, methods := range p.spec.Paths {
		if slices.Contains(elsewhere, path) {
			continue
		}
		for method := range methods {
			if !asked[method+" "+path] {
				t.Errorf("nobody asks %s %s here", method, path)
			}
		}
		// Without the password there is nothing, whatever the method is.
		resp, err := p.web.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 401 {
			t.Errorf("%s without a password: %s", path, resp.Status)
		}
	}
}

// What answers below /api is in the file: a new answer has to be described.
func TestAPIDescribesAll(t *testing.T) {
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	a := &appliance{root: device.Root(t.TempDir()), updates: &update.Server{}, wifi: new(wifi), log: slog.New(slog.DiscardHandler)}
	paths := slices.Collect(maps.Keys(new(ownersAPI).answers()))
	for _, path := range slices.AppendSeq(paths, maps.Keys(a.answers())) {
		path = strings.TrimSuffix(path, "/")
		if strings.HasPrefix(path, "/api") && spec.Paths[path] == nil {
			t.Errorf("openapi.json does not tell of %s", path)
		}
	}
}

// A PC without an owner has no API, and says the same as of any path that is not there.
func TestNoAPIWithoutOwner(t *testing.T) {
	greeting, _ := start(t, "-listen", "127.0.0.1:0", "-source", "pattern", "-size", "320x240")
	url := strings.TrimSpace(greeting[strings.Index(greeting, "http"):])
	web := new(http.Client)
	defer web.CloseIdleConnections()
	for _, path := range []string{"api/settings", "api/openapi.json", "api/events", "login"} {
		resp, err := web.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// What is changed serves at once, in the stream too, and again after a restart, behind the
// flags.
func TestSettingsServe(t *testing.T) {
	dir := t.TempDir()
	p := startOwned(t, dir)
	set := func(body string) {
		t.Helper()
		if code, _, text := p.ask("PATCH", "/api/settings", body, "If-Match", "*"); code != 200 {
			t.Fatalf("%s: %d %s", body, code, text)
		}
	}
	set(`{"size":"160x120","fps":10,"viewing":"closed","viewer_password":"look and see","log_level":"debug","allow_host":"cam.example.org","allow_origin":"https://home.example","max_viewers":7,"session_timeout":9.5,"always_on":true}`)
	for {
		var state struct {
			Frame *struct{ Width, Height int }
		}
		_, _, text := p.ask("GET", "/api/state", "")
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			t.Fatal(err)
		}
		if f := state.Frame; f != nil && f.Width == 160 && f.Height == 120 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	look := func(password string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/state", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "cam.example.org"
		r.Header.Set("Origin", "https://home.example")
		if password != "" {
			r.SetBasicAuth("", password)
		}
		resp, err := p.web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if allowed := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode == 200 && allowed != "https://home.example" {
			t.Errorf("scripts of %q may read it", allowed)
		}
		return resp.StatusCode
	}
	closed := func(when string) {
		t.Helper()
		if without, with := look(""), look("look and see"); without != 401 || with != 200 {
			t.Errorf("%s: without a password %d, with it %d", when, without, with)
		}
	}
	closed("at once")
	p.stop()
	p = startOwned(t, dir)
	closed("after a restart")
	if _, _, text := p.ask("GET", "/api/settings", ""); !strings.Contains(text, `"160x120"`) || !strings.Contains(text, `"value": 7,`) || !strings.Contains(text, `"value": 9.5,`) || strings.Contains(text, "look and see") {
		t.Errorf("after a restart: %s", text)
	}
	p.stop()
	p = startOwned(t, dir, "-size", "320x240", "-device", "serial-7") // a flag goes before the page
	if _, _, text := p.ask("GET", "/api/settings", ""); !strings.Contains(text, "it is 320x240 by a flag of the program") || strings.Contains(text, `"160x120"`) {
		t.Errorf("with a flag: %s", text)
	}
	for path, whole := range map[string]bool{"/state": false, "/api/state": true} { // which device it is, is its owner's business
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("", pcOwner)
		resp, err := p.web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || strings.Contains(string(text), "serial-7") != whole || !strings.Contains(string(text), `"320x240"`) {
			t.Errorf("%s: %v %s", path, err, text)
		}
	}
	set(`{"viewing":null,"viewer_password":null}`)
	if code := look(""); code != 200 {
		t.Errorf("open again: %d", code)
	}
}

// A page that has logged in hears what happens, without asking again.
func TestEventsOfProgram(t *testing.T) {
	p := startOwned(t, t.TempDir())
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/api/events?log=1&viewers=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("owner", pcOwner)
	resp, err := p.web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	expect := func(event, says string) {
		t.Helper()
		name := ""
		for lines.Scan() {
			line := lines.Text()
			if rest, ok := strings.CutPrefix(line, "event: "); ok {
				name = rest
			}
			if strings.HasPrefix(line, "data: ") && name == event && strings.Contains(line, says) {
				return
			}
		}
		t.Fatalf("no %s with %s: %v", event, says, lines.Err())
	}
	expect("state", `"watching":0`)
	expect("viewers", "[]")
	_, head, _ := p.ask("GET", "/api/settings", "")
	expect("settings", strings.Trim(head.Get("ETag"), `"`))
	expect("controls", "{}")
	_, head, _ = p.ask("PATCH", "/api/settings", `{"idle_hold":1}`, "If-Match", "*")
	expect("settings", strings.Trim(head.Get("ETag"), `"`))
	p.ask("POST", "/api/actions/privacy", `{"on":true}`)
	expect("state", `"phase":"privacy"`)
	p.ask("PATCH", "/api/controls", `{"brightness":1}`)
	expect("controls", "{}")
}

// Bad fields of what a page keeps do not keep the program from starting.
func TestKeptSettingsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/settings.json", `{"privacy":false,"page":{"size":"huge","fps":"12","no-such-flag":"1","viewing":"ajar"}}`)
	p := startOwned(t, dir)
	_, _, text := p.ask("GET", "/api/settings", "")
	var got struct {
		Settings map[string]struct{ Value any }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Settings; fmt.Sprintf("%v %v %v", s["fps"].Value, s["size"].Value, s["viewing"].Value) != "12 1280x720 open" {
		t.Errorf("%v", s)
	}
}

// The README's lines of curl work on a PC too, but for the name.
func TestReadmeAPI(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("skipped: %v", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^curl -u owner:PASSWORD .*/api/.*$`).FindAllString(string(readme), -1)
	if len(commands) < 8 {
		t.Fatalf("only %d commands: %q", len(commands), commands)
	}
	p := startOwned(t, t.TempDir())
	for _, command := range commands {
		line := strings.NewReplacer("curl ", "curl -sS --fail-with-body ", "owner:PASSWORD", "'owner:"+strings.ReplaceAll(pcOwner, "'", `'\''`)+"'", "http://pushcam.local", p.url).Replace(command)
		endless := strings.HasSuffix(command, "/api/events")
		if endless {
			line += " | head -n 2" // curl ends when nobody reads
		}
		out, err := exec.CommandContext(t.Context(), "bash", "-c", line).CombinedOutput()
		if err != nil || endless && !strings.HasPrefix(string(out), "event: state\n") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}
