//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
)

const (
	// bootRatio is how much longer the appliance may take to its first picture
	// than a bare web server on the same card to its first answer.
	bootRatio = 1.2
	bootRuns  = 5 // of each; the median counts
)

// TestBootTime boots the product and a bare web server in turns.
func TestBootTime(t *testing.T) {
	if os.Getenv("PUSHCAM_BOOT_TIME") == "" {
		t.Skip("measures time, so it wants a machine for itself: run it with \"PUSHCAM_BOOT_TIME=1 go test -v -run TestBootTime ./hack/e2e\"")
	}
	p := built(t)
	bare := p.card(t)
	copyRoot(t, bareRoot(t), bare)
	var answers, pictures []time.Duration
	for range bootRuns {
		t.Run("bare", func(t *testing.T) {
			began := time.Now()
			m := boot(t, bare, p.direct())
			m.await(t, "the bare server's first answer", func() error {
				_, _, body, err := m.get("/", knockTimeout)
				if err == nil && string(body) != "bare" {
					err = fmt.Errorf("another program says %.20q", body)
				}
				return err
			})
			answers = append(answers, time.Since(began))
		})
		t.Run("pushcam", func(t *testing.T) {
			cam, card, began := newWebcam(), p.card(t), time.Now()
			m := boot(t, card, p.direct())
			cam.plug(t, m)
			t.Cleanup(func() { cam.unplug(t) })
			m.await(t, "the appliance's first answer", func() error {
				_, _, _, err := m.get("/healthz", knockTimeout)
				return err
			})
			m.picture(t)
			pictures = append(pictures, time.Since(began))
		})
	}
	answer, picture := median(answers), median(pictures)
	ratio := picture.Seconds() / answer.Seconds()
	t.Logf("a bare web server's first answer after %.1f s, pushcam's first picture after %.1f s: %.2f times as long (medians of %v and %v)",
		answer.Seconds(), picture.Seconds(), ratio, answers, pictures)
	if ratio > bootRatio {
		t.Errorf("the appliance takes %.2f times as long, want at most %.1f", ratio, bootRatio)
	}
}

// knockTimeout makes the first answer known soon after it can be given.
const knockTimeout = 250 * time.Millisecond

func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }

// bareRoot builds a root file system with the bare web server instead of the
// program, and nothing else changed.
func bareRoot(t *testing.T) string {
	return variantRoot(t, func(config map[string]any) {
		config["Packages"], config["PackageConfig"] = []string{"github.com/pushcam/pushcam/hack/e2e/bare"}, nil
	})
}

// variantRoot builds the image's root file system from a changed config.json.
func variantRoot(t *testing.T, change func(config map[string]any)) string {
	t.Helper()
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	const instance = "gokrazy/pushcam"
	text, err := os.ReadFile(filepath.Join(checkout, instance, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	pins := filepath.Join(checkout, instance, "builddir")
	err = errors.Join(os.Mkdir(filepath.Join(home, "variant"), 0o755),
		os.WriteFile(filepath.Join(home, "variant/config.json"), text, 0o644),
		os.Symlink(pins, filepath.Join(home, "variant/builddir")))
	if err != nil {
		t.Fatal(err)
	}
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "gok")
	find.Dir = pins
	tool, err := find.Output()
	if err != nil {
		t.Fatalf("where gok is: %v", err)
	}
	root := filepath.Join(home, "root.squashfs")
	gok := exec.CommandContext(t.Context(), strings.TrimSpace(string(tool)), "--parent_dir", home, "-i", "variant", "overwrite", "--root="+root)
	gok.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=arm64",
		"GOFLAGS=-trimpath -buildvcs=false '-ldflags=-s -w'")
	if said, err := gok.CombinedOutput(); err != nil {
		t.Fatalf("gok: %v: %s", err, said)
	}
	return root
}

// copyRoot writes a root file system to where the card boots from.
func copyRoot(t *testing.T, root, card string) {
	t.Helper()
	text, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(card, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const secondPartition = 104 << 20 // bytes from the card's beginning
	_, err = f.WriteAt(text, secondPartition)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
