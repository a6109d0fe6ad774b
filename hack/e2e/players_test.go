//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

// testFFmpeg has ffmpeg decode more than 100 frames without a complaint.
func testFFmpeg(t *testing.T, m *machine) {
	need(t, "ffmpeg")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const frames = 120
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-progress", "pipe:1",
		"-i", m.url+"/stream.mjpg", "-frames:v", fmt.Sprint(frames), "-f", "null", "-")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	progress, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, complaints.Bytes())
	}
	if want := fmt.Sprintf("frame=%d\n", frames); !strings.Contains(string(progress), want) {
		t.Errorf("ffmpeg says\n%s, want %s", progress, want)
	}
}

// testChromium looks at the page as its owner does, and at its picture's colours.
func testChromium(t *testing.T, m *machine) {
	need(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 800), chromedp.Flag("disable-component-update", true))...)
	defer cancelAllocator()
	ctx, cancelTab := chromedp.NewContext(ctx)
	defer cancelTab()
	if err := chromedp.Do(ctx, chromedp.Navigate(m.url+"/")); err != nil {
		t.Fatalf("Chromium: %v", err)
	}
	m.await(t, "the page shows the picture", func() error {
		shown, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.querySelector("#picture").width > 0 &&
			document.querySelector("#state").textContent.includes("live")`))
		if err == nil && !shown {
			err = fmt.Errorf("it does not")
		}
		return err
	})
	if shot, err := chromedp.Run(ctx, chromedp.Screenshot(chromedp.CSS("body"))); err != nil {
		t.Error(err)
	} else {
		keep(t, "page.png", shot)
	}
	shot, err := chromedp.Run(ctx, chromedp.Screenshot(chromedp.CSS("#picture")))
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "picture.png", shot)
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range pictures.Quarters {
		at := pictures.Quarter(i, img.Bounds().Size())
		middle := at.Min.Add(image.Pt(at.Dx()/2, at.Dy()/2)).Add(img.Bounds().Min)
		if got := color.RGBAModel.Convert(img.At(middle.X, middle.Y)).(color.RGBA); !near(got, want) {
			t.Errorf("quarter %d of the picture is %v in Chromium, want %v", i, got, want)
		}
	}
	m.is(t, "one viewer who gets pictures", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
	t.Run("the owner's panel", func(t *testing.T) { testPanel(ctx, t, m) })
}

// near tells whether two colours are the same but for what JPEG and a browser change.
func near(a, b color.RGBA) bool {
	diff := func(x, y uint8) bool { return max(x, y)-min(x, y) < 40 }
	return diff(a.R, b.R) && diff(a.G, b.G) && diff(a.B, b.B)
}
