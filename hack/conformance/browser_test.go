package conformance

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A browser opens tabs; the newest is in front of the others.
type browser interface {
	newTab(t *testing.T) tab
}

// A tab is a browser's tab with a page. Each error of its methods ends the test.
type tab interface {
	open(url string)
	// eval evaluates a JavaScript expression into result, as JSON.
	eval(expression string, result any)
	// screenshot gives the element that a CSS selector finds, as PNG.
	screenshot(selector string) []byte
	// hide takes the tab out of sight, as another tab in front of it does, and front shows it.
	hide()
	front()
	// complaints are the errors and warnings of the console.
	complaints() []string
}

// eachBrowser runs a test in every browser.
func eachBrowser(t *testing.T, quirk string, test func(*testing.T, browser)) {
	t.Parallel()
	t.Run("Chromium", func(t *testing.T) {
		t.Parallel()
		covers(t, "Chromium", quirk)
		test(t, newChromium(t))
	})
	inFirefox(t, quirk, test)
}

func inFirefox(t *testing.T, quirk string, test func(*testing.T, browser)) {
	t.Run("Firefox", func(t *testing.T) {
		extra(t)
		t.Parallel()
		covers(t, "Firefox ESR", quirk)
		test(t, newFirefox(t))
	})
}

// eachEngine is eachBrowser with WebKit, for tests that need no tabs, no names and
// no console.
func eachEngine(t *testing.T, quirk string, test func(*testing.T, browser)) {
	eachBrowser(t, quirk, test)
	inWebKit(t, quirk, test)
}

func inWebKit(t *testing.T, quirk string, test func(*testing.T, browser)) {
	t.Run("WebKit", func(t *testing.T) {
		extra(t)
		t.Parallel()
		covers(t, "WebKitGTK", quirk)
		test(t, newWebKit(t))
	})
}

// until waits until a JavaScript expression is true.
func until(t *testing.T, tb tab, expression string) {
	t.Helper()
	await(t, func() string { return expression }, func() (ok bool) {
		tb.eval("!!("+expression+")", &ok)
		return ok
	})
}

// shown waits until the selected <img> or canvas shows a picture. The page's canvas has no
// size before the first.
func shown(t *testing.T, tb tab, selector string) {
	t.Helper()
	until(t, tb, showsPicture("document", selector))
}

// showsPicture is the expression for a document's element.
func showsPicture(document, selector string) string {
	return `(e => (e?.naturalWidth ?? e?.width) > 0)(` + document + `.querySelector("` + selector + `"))`
}

// moves takes screenshots of the selected element until they differ.
func moves(t *testing.T, tb tab, selector string) {
	t.Helper()
	first := tb.screenshot(selector)
	keep(t, "picture.png", first)
	await(t, func() string { return "the picture to move" }, func() bool {
		return !bytes.Equal(first, tb.screenshot(selector))
	})
}

// quiet holds the console to what may be in it.
func quiet(t *testing.T, tb tab, expected ...string) {
	t.Helper()
	for _, said := range tb.complaints() {
		if !slices.ContainsFunc(expected, func(text string) bool { return strings.Contains(said, text) }) {
			t.Errorf("the console says: %s", said)
		}
	}
}

// keep writes an artifact that a person may want to look at.
func keep(t *testing.T, name string, data []byte) {
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), data, 0o644); err != nil {
		t.Error(err)
	}
}

// colours are those of the pictures of a recording, so that tests can tell them apart.
var colours = []struct {
	name string
	rgb  color.RGBA
}{
	{"red", color.RGBA{200, 0, 0, 255}},
	{"green", color.RGBA{0, 200, 0, 255}},
	{"blue", color.RGBA{0, 0, 200, 255}},
	{"yellow", color.RGBA{200, 200, 0, 255}},
}

// recording is a folder of pictures, one in each colour.
func recording(t *testing.T) string {
	t.Helper()
	return recordingOf(t, 320, 240)
}

func recordingOf(t *testing.T, width, height int) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range colours {
		img := image.NewRGBA(image.Rect(0, 0, width, height))
		for i := range img.Pix {
			img.Pix[i] = [4]byte{c.rgb.R, c.rgb.G, c.rgb.B, 255}[i%4]
		}
		var buf bytes.Buffer
		if err := jpeg.Encode(&buf, img, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, c.name+".jpg"), buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// colour names the colour in the middle of a picture: "" for none of ours.
func colour(t *testing.T, picture []byte) string {
	t.Helper()
	decode := png.Decode
	if bytes.HasPrefix(picture, []byte{0xff, 0xd8}) {
		decode = jpeg.Decode
	}
	img, err := decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	got := color.RGBAModel.Convert(img.At((b.Min.X+b.Max.X)/2, (b.Min.Y+b.Max.Y)/2)).(color.RGBA)
	near := func(x, y uint8) bool { return max(x, y)-min(x, y) < 40 }
	for _, c := range colours {
		if near(got.R, c.rgb.R) && near(got.G, c.rgb.G) && near(got.B, c.rgb.B) {
			return c.name
		}
	}
	return ""
}
