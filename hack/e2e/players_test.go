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
func testChromium(t *testing.T, tb *tab) {
	tb.open(t, tb.m.url+"/")
	tb.until(t, `document.querySelector("#picture").width > 0 && document.querySelector("#state").textContent.includes("live")`)
	tb.shot(t, "page.png")
	shot := run(t, tb, chromedp.Screenshot(chromedp.CSS("#picture")))
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
	tb.m.is(t, "one viewer who gets pictures", func(s state) bool { return len(s.Viewers) == 1 && s.Viewers[0].Sent > 10 })
}

// near tells whether two colours are the same but for what JPEG and a browser change.
func near(a, b color.RGBA) bool {
	diff := func(x, y uint8) bool { return max(x, y)-min(x, y) < 40 }
	return diff(a.R, b.R) && diff(a.G, b.G) && diff(a.B, b.B)
}
