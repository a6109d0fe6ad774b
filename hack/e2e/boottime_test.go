//go:build linux

package e2e

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
)

const (
	// bootRatio is the most that the appliance's time to its first picture may be, as a
	// multiple of a bare web server's time to its first answer on the same card.
	bootRatio = 1.2
	bootRuns  = 5 // of each; the median counts
)

// TestBootTime boots the product, with each kernel and each camera, and a bare web
// server. They take turns, so that the machine's load meets all.
func TestBootTime(t *testing.T) {
	if os.Getenv("PUSHCAM_BOOT_TIME") == "" {
		t.Skip("measures time, so it wants a machine for itself: run it with \"PUSHCAM_BOOT_TIME=1 go test -v -run TestBootTime ./hack/e2e\"")
	}
	p := built(t)
	bare := p.card(t)
	copyRoot(t, variantRoot(t, func(c map[string]any) {
		c["Packages"], c["PackageConfig"] = []string{"github.com/pushcam/pushcam/hack/e2e/bare"}, nil
	}, nil), bare)
	answer := func(t *testing.T) {
		m := boot(t, bare, p.direct())
		m.await(t, "the bare server's first answer", func() error {
			_, _, body, err := m.get("/", knockTimeout)
			if err == nil && string(body) != "bare" {
				err = fmt.Errorf("another program says %.20q", body)
			}
			return err
		})
	}
	picture := func(t *testing.T, m *machine) {
		m.await(t, "the appliance's first answer", func() error {
			_, _, _, err := m.get("/healthz", knockTimeout)
			return err
		})
		m.picture(t)
	}
	webcam := func(p *product) func(t *testing.T) {
		return func(t *testing.T) {
			cam, m := newWebcam(), boot(t, p.card(t), p.direct())
			cam.plug(t, m)
			t.Cleanup(func() { cam.unplug(t) })
			picture(t, m)
		}
	}
	simulatedCard := simulated(t, p)
	contenders := []struct {
		name  string
		run   func(t *testing.T)
		times []time.Duration
	}{
		{name: "bare web server", run: answer},
		{name: "pushcam kernel, webcam", run: webcam(p)},
		{name: "pushcam kernel, Pi camera", run: func(t *testing.T) { picture(t, boot(t, simulatedCard, p.direct())) }},
		{name: "stock kernel, webcam", run: webcam(builtWith(t, image.StockKernel))},
	}
	for range bootRuns {
		for i := range contenders {
			c := &contenders[i]
			t.Run(c.name, func(t *testing.T) {
				began := time.Now()
				c.run(t)
				c.times = append(c.times, time.Since(began))
			})
		}
	}
	if t.Failed() {
		return
	}
	least := median(contenders[0].times)
	for _, c := range contenders {
		ratio := median(c.times).Seconds() / least.Seconds()
		t.Logf("%s: %.1f s, %.2f times a bare web server's (median of %v)", c.name, median(c.times).Seconds(), ratio, c.times)
		if c.name == contenders[1].name && ratio > bootRatio {
			t.Errorf("the appliance takes %.2f times as long, want at most %.1f", ratio, bootRatio)
		}
	}
}

// knockTimeout is short, so that the first answer comes soon after it can be given.
const knockTimeout = 250 * time.Millisecond

func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }
