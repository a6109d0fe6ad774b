package conformance

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// These tests are about what the page does with the pictures. What needs more than a
// browser's common ground is done with Chromium alone.

// chromiumAlone is a tab of Chromium in which a script runs before those of each page.
func chromiumAlone(t *testing.T, quirk, script string) *chromiumTab {
	t.Helper()
	t.Parallel()
	covers(t, "Chromium", quirk)
	tb := newChromium(t).newTab(t).(*chromiumTab)
	before(t, tb, script)
	return tb
}

// before has a script run before those of each page.
func before(t *testing.T, tb *chromiumTab, script string) {
	t.Helper()
	if _, err := chromedp.Call(tb.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatal(err)
	}
}

const (
	word = `document.getElementById("word").textContent`
	// countShifts notes how the page's parts have jumped, since the window has its size: a
	// new tab of headless Chromium begins with none. The second frame after that is painted
	// with it.
	countShifts = `const entries = []; let sized = 0;
		addEventListener("resize", () => requestAnimationFrame(() => requestAnimationFrame(() => { sized = performance.now(); })));
		new PerformanceObserver(list => entries.push(...list.getEntries())).observe({ type: "layout-shift", buffered: true });
		window.shifts = () => entries.filter(e => e.startTime > sized).map(e => e.value + " at " + e.startTime + " " +
			e.sources.map(s => (s.node?.id || s.node?.nodeName) + " " + JSON.stringify([s.previousRect, s.currentRect])).join(", "));`
)

// still holds the page to what countShifts has noted: that nothing has jumped.
func still(t *testing.T, tb tab) {
	t.Helper()
	var shifts []string
	if tb.eval("shifts()", &shifts); len(shifts) > 0 {
		t.Errorf("the page's parts have jumped: %q", shifts)
	}
}

// A browser that cannot draw frames shows the stream in an <img>, and that heals, too.
func TestPageWithoutCanvas(t *testing.T) {
	tb := chromiumAlone(t, "a browser without createImageBitmap gets an <img>, which the page loads again after a restart", `delete window.createImageBitmap`)
	p := start(t)
	tb.open(p.url + "/")
	shown(t, tb, "img#picture")
	moves(t, tb, "#picture")
	until(t, tb, word+` == "live"`)
	p.stop()
	until(t, tb, word+` == "reconnecting"`)
	again := start(t, "-listen", "127.0.0.1:"+p.port)
	again.await("the page shows the stream again", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
	until(t, tb, word+` == "live"`)
	moves(t, tb, "#picture")
}

// A picture that the browser never gives back does not keep the next ones from being shown.
func TestPageAfterLostPicture(t *testing.T) {
	tb := chromiumAlone(t, "the page goes on after a picture whose decoding never ends",
		`const decode = createImageBitmap; window.lost = 0; window.createImageBitmap = (...a) => lost++ ? decode(...a) : new Promise(() => {});`)
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	shown(t, tb, "#picture")
	moves(t, tb, "#picture")
}

// A picture is turned and mirrored as seen, and so again when the page is opened anew; what
// is saved is named after camera, date and time.
func TestPageControls(t *testing.T) {
	tb := chromiumAlone(t, "zoom, turning, saving by keyboard; German words; nothing in the console", `
		Object.defineProperty(navigator, "languages", { get: () => ["fr-FR", "de-DE", "en"] });
		const create = URL.createObjectURL;
		URL.createObjectURL = blob => create(window.saving = blob);
		HTMLAnchorElement.prototype.click = function () {
			if (!this.download) return this.dispatchEvent(new MouseEvent("click", { cancelable: true }));
			const file = new FileReader();
			file.onload = () => { window.saved = { name: this.download, url: file.result }; };
			file.readAsDataURL(saving);
		};`)
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	shown(t, tb, "#picture")
	press := func(key string) {
		t.Helper()
		var done bool
		tb.eval(`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "`+key+`", bubbles: true }))`, &done)
	}
	const is, tall = `document.getElementById("picture")`, `document.getElementById("picture").width < document.getElementById("picture").height`
	press("r")
	until(t, tb, tall)
	press("m")
	until(t, tb, `document.getElementById("mirror").ariaPressed == "true"`)
	tb.open(p.url + "/")
	until(t, tb, tall+` && document.getElementById("mirror").ariaPressed == "true"`)
	press("+")
	until(t, tb, is+`.style.transform.includes("scale(1.5)")`)
	press("-")
	until(t, tb, is+`.style.transform == ""`)
	press("d")
	until(t, tb, `document.getElementById("stamp").ariaPressed == "true" && JSON.parse(localStorage.getItem("pushcam-shown")).stamp`)
	press("s")
	until(t, tb, `/^test-pattern_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.jpg$/.test(window.saved?.name)`)
	saysHowItIsSeen(t, tb)
	until(t, tb, `document.documentElement.lang == "de" && document.getElementById("state").textContent.includes("1 sieht zu")`)
	if said := tb.complaints(); len(said) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(said, "\n"))
	}

	// The last picture of a camera that is gone keeps its time.
	p.kill()
	var done bool
	tb.eval(`(window.saved = null, window.gone = Date.now()) > 0`, &done)
	until(t, tb, `Date.now() > gone + 3000`)
	press("s")
	until(t, tb, `saved != null`)
	var times struct{ Gone, Taken int64 } // in ms since 1970
	tb.eval(`(name => ({ gone, taken: new Date(name.slice(13, 23) + "T" + name.slice(24, 32).replaceAll("-", ":")).getTime() }))(saved.name)`, &times)
	if times.Taken < times.Gone-60_000 || times.Taken > times.Gone+1000 {
		t.Errorf("a picture is said to be of %v after its camera was gone", time.Duration(times.Taken-times.Gone)*time.Millisecond)
	}
}

// saysHowItIsSeen looks at a picture that was saved, which is turned by a quarter and then
// mirrored. The browser and ffmpeg read what is in it.
func saysHowItIsSeen(t *testing.T, tb tab) {
	t.Helper()
	until(t, tb, `createImageBitmap(saving).then(b => b.width == 240 && b.height == 320)`)
	var saved struct{ Name, URL string }
	tb.eval(`window.saved`, &saved)
	jpeg, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(saved.URL, "data:image/jpeg;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), saved.Name)
	if err := os.WriteFile(file, jpeg, 0o600); err != nil {
		t.Fatal(err)
	}
	said, _ := command(t, "ffprobe", "-v", "error", "-show_frames", "-of", "flat", file)
	date := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(saved.Name, "test-pattern_"), ".jpg"), "-", ":")
	date = strings.Replace(date, "_", " ", 1)
	for _, want := range []string{`ImageDescription="test pattern"`, `DateTime="` + date + `"`, `DateTimeOriginal="` + date + `"`} {
		if !strings.Contains(string(said), want) {
			t.Errorf("ffprobe does not say %s of the saved picture:\n%s", want, said)
		}
	}
	if !regexp.MustCompile(`Orientation="\s*5"`).Match(said) {
		t.Errorf("ffprobe does not say orientation 5 of the saved picture:\n%s", said)
	}
}

// /view is the picture alone. It may be shown in frames of this camera's pages.
func TestView(t *testing.T) {
	tb := chromiumAlone(t, "/view fills a frame with ?fit=cover, has a label and keeps to ?fps=; nothing jumps", countShifts)
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/view?fit=cover&label=Front+<b>door&fps=4")
	shown(t, tb, "#picture")
	moves(t, tb, "#picture")
	keep(t, "view.png", tb.screenshot("body"))
	until(t, tb, `document.getElementById("label").textContent == "Front <b>door" && getComputedStyle(document.getElementById("picture")).objectFit == "cover"`)
	p.await("a viewer who skips what is more than 4 a second", func(s state) bool {
		return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 && s.Viewers[0].Skipped > 5*s.Viewers[0].Sent
	})
	tb.eval(`(async () => { // as on a bad day
		for (const text of ["reconnecting", "slow", ""]) {
			document.getElementById("word").textContent = text;
			await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
		}
	})().then(() => true)`, new(bool))
	still(t, tb)
	tb.open(p.url + "/view?fps=often")
	until(t, tb, word+`.includes("fps is a number")`)
}

// The page in the sizes and colours of phone and desk. Each picture is kept, to be looked at.
func TestPageFits(t *testing.T) {
	tb := chromiumAlone(t, "the page fits a phone and a desktop, light and dark; nothing overlaps or jumps", countShifts)
	p := start(t)
	for _, screen := range []struct {
		name          string
		width, height int64
		schemes       []string
	}{
		{"phone", 390, 844, []string{"light", "dark"}}, {"desktop", 1280, 800, []string{"light", "dark"}},
		{"landscape", 844, 390, []string{"dark"}}, {"small", 320, 480, []string{"light"}},
	} {
		for _, scheme := range screen.schemes {
			if _, err := chromedp.Call(tb.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: screen.width, Height: screen.height, DeviceScaleFactor: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				t.Fatal(err)
			}
			tb.open(p.url + "/")
			shown(t, tb, "#picture")
			until(t, tb, word+` == "live" && document.getElementById("rate").textContent != "" && document.getElementById("about").textContent.includes("watching")`)
			keep(t, screen.name+"-"+scheme+".png", tb.screenshot("body"))
			var wrong []string
			tb.eval(`(() => {
				const wrong = [], all = [...document.querySelectorAll("#stage, #word, #age, #rate, nav > *")].filter(e => e.checkVisibility());
				const box = e => e.getBoundingClientRect();
				for (const e of all) {
					const b = box(e);
					if (b.left < 0 || b.top < 0 || b.right > innerWidth || b.bottom > innerHeight) wrong.push(e.id + " is not on the screen");
					if (e.matches("nav > *") && (b.width < 40 || b.height < 40)) wrong.push(e.id + " is too small to be touched");
					for (const o of all) if (o.id < e.id && box(o).left < b.right - .5 && b.left < box(o).right - .5 && box(o).top < b.bottom - .5 && b.top < box(o).bottom - .5) wrong.push(e.id + " and " + o.id + " overlap");
				}
				if (shifts().length > 0) wrong.push("layout shift " + shifts() + "; sized at " + sized);
				return wrong;
			})()`, &wrong)
			for _, w := range wrong {
				t.Errorf("%s, %s: %s", screen.name, scheme, w)
			}
		}
	}
	if said := tb.complaints(); len(said) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(said, "\n"))
	}
}

// A computer that cannot draw all frames asks for fewer, and for more when it can again.
func TestPageOnSlowComputer(t *testing.T) {
	tb := chromiumAlone(t, "on a computer that cannot draw all frames the page asks for as many as it draws, and for more when it can again", `
		window.rates = []; window.decodes = 250;
		const ask = fetch, decode = createImageBitmap;
		window.fetch = (what, ...more) => { const url = new URL(what, location); if (url.pathname.endsWith("/frames")) rates.push(Number(url.searchParams.get("fps"))); return ask(what, ...more); };
		window.createImageBitmap = async (...a) => { await new Promise(done => setTimeout(done, decodes)); return decode(...a); };`)
	p := start(t, "-source", "replay:"+recording(t), "-fps", "20")
	tb.open(p.url + "/")
	until(t, tb, `rates.length > 1 && rates.at(-1) > 0 && rates.at(-1) <= 4`) // which is all that it can draw
	var n int
	tb.eval(`(decodes = 0, rates.length)`, &n)
	until(t, tb, fmt.Sprintf(`rates.slice(%d).some(fps => fps > 8)`, n)) // twice what it asks for at 4
}

// A camera that is closed sends the same picture each second. The page does not take what it
// need not draw for what it cannot.
func TestPageOfClosedCamera(t *testing.T) {
	tb := chromiumAlone(t, "the page of a closed camera stays connected as it is", `
		window.asked = 0; window.clocks = 0;
		const ask = fetch;
		window.fetch = (what, ...more) => { asked += String(what).startsWith("frames"); clocks += String(what).startsWith("clock"); return ask(what, ...more); };`)
	p := startOwned(t, "-source", "replay:"+recording(t), "-fps", "20")
	p.api("POST", "/api/actions/privacy", `{"on": true}`)
	tb.open(p.url + "/")
	until(t, tb, word+` == "privacy"`)
	var asked, clocks int
	tb.eval(`asked`, &asked)
	tb.eval(`clocks`, &clocks)
	until(t, tb, fmt.Sprintf(`clocks > %d`, clocks+13)) // one a second, and the page looks whether it is too slow after ten pictures
	var now int
	if tb.eval(`asked`, &now); now != asked {
		t.Errorf("the page has connected %d times anew", now-asked)
	}
}

// The page can be put on a phone's home screen: the browser has nothing against its manifest
// and its icons.
func TestPageIsInstallable(t *testing.T) {
	tb := chromiumAlone(t, "the page can be installed", "")
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	until(t, tb, word+` == "live"`)
	manifest, err := chromedp.Call(tb.ctx, page.GetAppManifest, page.GetAppManifestParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Errors) > 0 || !strings.Contains(manifest.Data, `"icons"`) {
		t.Errorf("the manifest %s has the errors %+v", manifest.Data, manifest.Errors)
	}
	against, err := chromedp.Call(tb.ctx, page.GetInstallabilityErrors, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range against.InstallabilityErrors {
		t.Errorf("it cannot be installed: %+v", e)
	}
}
