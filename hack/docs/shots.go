package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shot is a picture of a page as a screen of a size shows it.
type shot struct {
	name          string
	width, height int64
	scheme        string // light or dark
	url           string
	ready         string // JavaScript that is true when the page is as it is to be seen
}

const (
	live  = `document.getElementById("word").textContent == "live"`
	owned = live + ` && document.querySelector("#viewers tbody td")`
	// logIn logs the owner in, once.
	logIn = `(p => { if (!p.form.hidden && !p.value) { p.value = "a-password"; p.form.requestSubmit(); } return ` + owned + `; })(document.getElementById("password"))`
)

func shots(camera, wall, setUp string) []shot {
	return []shot{
		{"page", 1024, 640, "light", camera, live + ` && document.getElementById("rate").textContent`},
		{"phone", 390, 844, "dark", camera, live + ` && document.getElementById("rate").textContent`},
		{"panel", 1024, 640, "dark", camera + "panel", logIn},
		{"panel-phone", 390, 844, "light", camera + "panel", owned},
		{"wall", 1024, 576, "dark", camera + "wall?" + wall, `[...document.images].length == 4 && [...document.images].every(i => i.naturalWidth)`},
		{"set-up", 390, 844, "light", setUp, `document.querySelector("[data-for]:not([hidden])")`},
	}
}

// takeShots starts four cameras with the test pattern, and writes pictures of their pages
// into a folder.
func takeShots(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	work, err := os.MkdirTemp("", "docs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "pushcam")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/pushcam").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var first, wall string
	for i := range 4 {
		url, stop, err := startCamera(ctx, program, filepath.Join(work, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		defer stop()
		if i == 0 {
			first = url
		}
		wall += "&cam=" + url
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(work, "profile")))
	browser, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	tab, closeTab := chromedp.NewContext(browser)
	defer closeTab()
	setUp := startSetUp()
	defer setUp.Close()
	for _, s := range shots(first, wall[1:], setUp.URL) {
		picture, err := s.take(tab)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, s.name+".png"), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var link = regexp.MustCompile(`http://[^ ]*:\d+/`)

func startCamera(ctx context.Context, program, state string) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, program, "-listen", "127.0.0.1:0", "-source", "pattern", "-state-dir", state)
	cmd.Env = append(os.Environ(), "PUSHCAM_OWNER_PASSWORD=a-password")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if url = link.FindString(line); url == "" {
		stop()
		return "", nil, fmt.Errorf("the camera does not say where it is: %q, %w", line, err)
	}
	return url, stop, nil
}

func (s shot) take(tab context.Context) ([]byte, error) {
	if _, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1}); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}}}); err != nil {
		return nil, err
	}
	if err := chromedp.Do(tab, chromedp.Navigate(s.url)); err != nil {
		return nil, err
	}
	for settled := 0; settled < 5; { // so that rate and age are those of a page that has begun
		ready, err := chromedp.Run(tab, chromedp.Evaluate[bool]("!!("+s.ready+")"))
		if settled++; !ready || err != nil { // an error is a page that is not there yet
			settled = 0
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-tab.Done():
			return nil, tab.Err()
		}
	}
	taken, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		return nil, err
	}
	return shrink(taken)
}

// shrink gives a picture with at most 200 colours, the most frequent ones, which are nearly
// all that our pages have but for the noise of JPEG. What is bright counts for more than what
// is grey: the accent of a page may be one small dot.
func shrink(taken []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(taken))
	if err != nil {
		return nil, err
	}
	count := make(map[color.RGBA]int)
	b := img.Bounds()
	at := func(x, y int) color.RGBA {
		c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
		return color.RGBA{c.R &^ 3, c.G &^ 3, c.B &^ 3, 255}
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := at(x, y)
			count[c] += 1 + int(max(c.R, c.G, c.B)-min(c.R, c.G, c.B))/4
		}
	}
	var all []color.RGBA
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range all[:min(len(all), 200)] {
		palette = append(palette, c)
	}
	small := image.NewPaletted(b, palette)
	index := make(map[color.RGBA]uint8)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := at(x, y)
			i, known := index[c]
			if !known {
				i = uint8(palette.Index(c))
				index[c] = i
			}
			small.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small)
	return out.Bytes(), err
}
