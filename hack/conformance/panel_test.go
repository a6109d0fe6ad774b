package conformance

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const ownersPassword = "owner-of-this"

// startOwned starts a camera whose owner is known by ownersPassword.
func startOwned(t *testing.T, args ...string) *program {
	t.Helper()
	begin := func(cmd *exec.Cmd) error {
		cmd.Env = append(os.Environ(), "PUSHCAM_OWNER_PASSWORD="+ownersPassword)
		return cmd.Start()
	}
	return startBy(t, begin, args...)
}

// api is a request of the owner that does not come from the page.
func (p *program) api(method, path, body string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.SetBasicAuth("owner", ownersPassword)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("If-Match", "*")
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, said, err)
	}
}

// panel is the owner's page in a tab.
type panel struct {
	t  *testing.T
	tb tab
}

// logIn opens the panel by its link on the page.
func logIn(t *testing.T, tb tab, p *program) panel {
	t.Helper()
	tb.open(p.url + "/")
	shown(t, tb, "#picture")
	var done bool
	tb.eval(`(setTimeout(() => document.querySelector("nav a[href=panel]").click()), true)`, &done)
	until(t, tb, `document.getElementById("login")?.hidden == false`)
	o := panel{t, tb}
	o.enter("not-the-password")
	until(t, tb, `document.querySelector("#login .wrong").textContent != ""`)
	o.enter(ownersPassword)
	until(t, tb, `document.querySelectorAll("section").length > 5`)
	shown(t, tb, "#picture")
	return o
}

func (o panel) enter(password string) {
	o.t.Helper()
	var done bool
	o.tb.eval(fmt.Sprintf(`(document.getElementById("password").value = %q, document.getElementById("login").requestSubmit(), true)`, password), &done)
}

// input is the expression for what has a label.
func input(label string) string {
	return fmt.Sprintf(`document.getElementById([...document.querySelectorAll("label")].find(l => l.textContent == %q).htmlFor)`, label)
}

// wrong is the expression for what is said beside it.
func wrong(label string) string {
	return input(label) + `.closest(".field").querySelector(".wrong").textContent`
}

// begin types into an input, and finish leaves it.
func (o panel) begin(label, value string) {
	o.t.Helper()
	var done bool
	o.tb.eval(fmt.Sprintf(`(i => { i.value = %q; return i.dispatchEvent(new Event("input", { bubbles: true })); })(%s)`, value, input(label)), &done)
}

func (o panel) finish(label string) {
	o.t.Helper()
	var done bool
	o.tb.eval(input(label)+`.dispatchEvent(new Event("change", { bubbles: true }))`, &done)
}

func (o panel) set(label, value string) { o.t.Helper(); o.begin(label, value); o.finish(label) }

// press presses the button with a text as soon as it is there.
func (o panel) press(text string) {
	o.t.Helper()
	until(o.t, o.tb, fmt.Sprintf(`(b => b && (b.click(), true))([...document.querySelectorAll("button")].find(b => b.textContent == %q && b.checkVisibility() && !b.disabled))`, text))
}

// late has an answer with the settings come to the page after a newer one, which it leaves.
func (o panel) late(p *program, number string) {
	o.t.Helper()
	var done bool
	o.tb.eval(`((real, held) => { window.fetch = async (url, options) => {
		const answer = await real(url, options);
		if (url === "api/settings" && options.method === "GET" && !held) { held = true; await new Promise(go => { window.go = go; }); }
		return answer;
	}; return true; })(fetch)`, &done)
	p.api("PATCH", "/api/settings", `{"idle_hold": 51}`)
	until(o.t, o.tb, `window.go !== undefined`)
	p.api("PATCH", "/api/settings", `{"idle_hold": 52}`)
	until(o.t, o.tb, input(number)+`.value == "52"`)
	var value string
	o.tb.eval(`(go(), fetch("api/state").then(a => a.text())).then(() => `+input(number)+`.value)`, &value)
	if value != "52" {
		o.t.Errorf("%s is %s after an answer that was late, want 52", number, value)
	}
}

// An owner changes the camera on its page, beside another one who does the same.
func TestPanel(t *testing.T) {
	tb := chromiumAlone(t, "the owner's panel: logs in, changes settings live, hears of another owner's changes and of refused values", countShifts)
	p := startOwned(t, "-log-level", "info", "-allow-host", "pushcam.test")
	o := logIn(t, tb, p)
	until(t, tb, word+` == "live"`)
	until(t, tb, `document.querySelector("#viewers tbody td") != null`)
	keep(t, "panel.png", tb.screenshot("body"))
	still(t, tb)

	o.set("Size", "320x240")
	until(t, tb, `document.getElementById("picture").width == 320`)
	until(t, tb, `[...`+input("Frames a second")+`.options].some(o => /^15 fps, about [\d.]+ Mbit\/s$/.test(o.text))`)
	o.set("Frames a second", "15")
	p.await("15 frames a second", func(s state) bool { return s.Camera.Format.FPS == 15 && s.Camera.Phase == "live" })

	// What cannot be is said where it was typed; what a flag has set says so.
	const hold = "Seconds on without viewers"
	o.set(hold, "-5")
	until(t, tb, wrong(hold)+`.includes("-5") && `+input(hold)+`.value == "10"`)
	until(t, tb, input("Log has")+`.disabled && `+input("Log has")+`.closest(".field").textContent.includes("set by a flag")`)

	o.set("Sites allowed", "home.example")
	until(t, tb, wrong("Sites allowed")+`.includes("an origin is one as") && `+input("Sites allowed")+`.value == ""`)
	o.set("Viewers at most", "7")
	until(t, tb, `!`+input("Viewers at most")+`.parentElement.querySelector(".reset").hidden && `+input("Viewers at most")+`.value == "7"`)
	until(t, tb, input("Also called")+`.disabled && `+input("Also called")+`.value == "pushcam.test"`)

	// Another owner's change is shown; while this one types, it is not lost, nor overwritten.
	p.api("PATCH", "/api/settings", `{"idle_hold": 21}`)
	until(t, tb, input(hold)+`.value == "21"`)
	o.begin(hold, "33")
	p.api("PATCH", "/api/settings", `{"idle_hold": 42}`)
	o.finish(hold)
	until(t, tb, wrong(hold)+`.includes("it is 42 now") && `+input(hold)+`.value == "42"`)
	o.begin(hold, "33")
	p.api("PATCH", "/api/settings", `{"always_on": true}`) // another setting, which is no conflict
	o.finish(hold)
	until(t, tb, wrong(hold)+` == "" && `+input(hold)+`.value == "33" && `+input("Always on")+`.checked`)

	o.late(p, hold)

	const secret = "Viewers' password"
	o.begin(secret, "mine for viewers")
	p.api("PATCH", "/api/settings", `{"viewer_password": "theirs for viewers"}`)
	o.finish(secret)
	until(t, tb, wrong(secret)+`.includes("somebody else has changed the settings")`)
	o.set(secret, "mine for viewers")
	until(t, tb, wrong(secret)+` == ""`)
	p.api("PATCH", "/api/settings", `{"viewer_password": null}`)

	o.press("Close the camera (privacy)")
	until(t, tb, word+` == "privacy"`)
	o.press("Open the camera again")
	until(t, tb, word+` == "live"`)

	o.set("For what", "recorder")
	o.press("Make a link")
	until(t, tb, `document.querySelector("code")?.textContent.startsWith(location.origin) && document.querySelector("li")?.textContent.includes("recorder")`)
	o.press("Revoke")
	until(t, tb, `document.querySelector("li") == null`)

	const viewer = `document.querySelector("#viewers tbody td")?.textContent`
	until(t, tb, viewer+`?.includes("127.0.0.1")`)
	first := ""
	p.await("the page's connection", func(s state) bool {
		if len(s.Viewers) != 1 {
			return false
		}
		first = s.Viewers[0].Name
		return true
	})
	o.press("Drop")
	p.await("another connection of the page", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Name != first && s.Viewers[0].Sent > 5 })

	o.press("Restart the camera")
	until(t, tb, `document.querySelector("#device p").textContent != ""`)
	until(t, tb, word+` == "live"`)
	o.set("Lines with", "somebody with the password")
	until(t, tb, `document.querySelector("pre").textContent.includes("somebody with the password came")`)
	var both bool
	tb.eval(fmt.Sprintf(`(([lines, level]) => { // at once
		lines.value = "somebody"; lines.dispatchEvent(new Event("change"));
		level.value = "error"; level.dispatchEvent(new Event("change"));
		return true;
	})([%s, %s])`, input("Lines with"), input("At least")), &both)
	until(t, tb, `document.querySelector("pre").textContent == "nothing"`)
	o.press("Make a diagnosis")
	until(t, tb, `document.querySelector("textarea").value.includes("test pattern")`)

	// The owner closes viewing, with a password for viewers, and opens it again.
	looks := func(password string, want int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/snapshot.jpg", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("viewer", password)
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("with the password %q: %s, want %d", password, resp.Status, want)
		}
	}
	o.set("Viewers' password", "short")
	until(t, tb, wrong("Viewers' password")+` != ""`)
	o.set("Viewers' password", viewersPassword)
	until(t, tb, input("Viewers' password")+`.closest(".field").textContent.includes("there is one")`)
	o.set("Viewing", "closed")
	until(t, tb, input("Viewing")+`.value == "closed" && !`+input("Viewing")+`.closest(".field").querySelector(".reset").hidden`)
	looks("another-password", http.StatusUnauthorized)
	looks(viewersPassword, http.StatusOK)
	until(t, tb, word+` == "live"`) // the owner's own picture
	o.set("Viewing", "open")
	await(t, func() string { return "open viewing" }, func() bool {
		resp, err := http.Get(p.url + "/snapshot.jpg")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})

	o.updates(p)
	o.press("Log out")
	until(t, tb, `document.getElementById("login")?.hidden == false && document.querySelectorAll("section").length == 0`)
	quiet(t, tb, refusals...)

	testInset(t, tb, p)
}

// refusals are the answers that the owner's page is meant to get: who is not logged in asks,
// a password is wrong, another owner was quicker, a value cannot be. Browsers put each into
// the console.
var refusals = []string{"status of 401", "status of 412", "status of 422"}

// The pages that the owner opens work in the other browsers as well as in Chromium, for which
// there are TestPanel, TestWall and TestView.
func TestPagesElsewhere(t *testing.T) {
	t.Parallel()
	const quirk = "wall, view and panel: the picture moves; there settings are changed, and nothing is in the console"
	test := func(t *testing.T, b browser) {
		p := startOwned(t, "-size", "320x240")
		tb := b.newTab(t)
		tb.open(p.url + "/view?label=Door&fps=10")
		shown(t, tb, "#picture")
		moves(t, tb, "#picture")
		tb.open(p.url + "/wall?cam=" + p.url) // with two, WebKit's driver answers no more, while its page goes on
		until(t, tb, `document.querySelector("#tiles img")?.naturalWidth == 320`)
		changes(t, tb, "#tiles img")
		o := logIn(t, tb, p)
		changes(t, tb, "#picture")
		until(t, tb, `document.querySelector("#viewers tbody td") != null`)
		const hold = "Seconds on without viewers"
		o.set(hold, "-5")
		until(t, tb, wrong(hold)+`.includes("-5") && `+input(hold)+`.value == "10"`)
		o.set(hold, "21")
		until(t, tb, wrong(hold)+` == "" && !`+input(hold)+`.closest(".field").querySelector(".reset").hidden`)
		p.api("PATCH", "/api/settings", `{"idle_hold": 42}`)
		until(t, tb, input(hold)+`.value == "42"`)
		quiet(t, tb, refusals...)
	}
	inFirefox(t, quirk, test)
	inWebKit(t, quirk, test)
}

// Behind a proxy that has a path for the camera the panel says why the viewers' password does
// not open it, and shows links that lead to the camera.
func TestPanelBehindPath(t *testing.T) {
	tb := chromiumAlone(t, "the owner's panel behind a proxy's path: the viewers' password, a new link", "")
	p := startOwned(t, "-size", "320x240")
	p.api("PATCH", "/api/settings", `{"viewer_password": "mine for viewers"}`)
	camera, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix("/webcam", &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(camera)
		r.Out.Host = r.In.Host
	}}))
	t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	tb.open(proxy.URL + "/webcam/panel")
	until(t, tb, `document.getElementById("login")?.hidden == false`)
	o := panel{t, tb}
	o.enter("mine for viewers")
	until(t, tb, `document.querySelector("#login .wrong").textContent.includes("as a viewer")`)
	o.enter(ownersPassword)
	until(t, tb, `document.querySelectorAll("section").length > 5`)
	o.set("For what", "a recorder")
	o.press("Make a link")
	until(t, tb, `document.querySelector("code")?.textContent.startsWith("`+proxy.URL+`/webcam/stream?token=")`)
	var link string
	tb.eval(`document.querySelector("code").textContent`, &link)
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("the link gives %s", resp.Status)
	}
}
