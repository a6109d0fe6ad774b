package device

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRoot(t *testing.T) {
	if got, want := Root("").Path("perm", "pushcam"), filepath.FromSlash("/perm/pushcam"); got != want {
		t.Errorf("below nothing: %q, want %q", got, want)
	}
	root := Root(t.TempDir())
	if root.Gokrazy() || root.Model() != "" {
		t.Errorf("an empty folder is gokrazy: %v, and the board %q", root.Gokrazy(), root.Model())
	}
	if release, err := root.KernelRelease(); err == nil {
		t.Errorf("an empty folder has the kernel %q", release)
	}
	for path, text := range map[string]string{
		"gokrazy/init":              "",
		"proc/device-tree/model":    "Raspberry Pi 3 Model B Rev 1.2\x00",
		"proc/sys/kernel/osrelease": "6.12.47-v8\n",
	} {
		path = root.Path(path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	release, err := root.KernelRelease()
	if !root.Gokrazy() || root.Model() != "Raspberry Pi 3 Model B Rev 1.2" || release != "6.12.47-v8" || err != nil {
		t.Errorf("gokrazy: %v, the board %q, the kernel %q, %v", root.Gokrazy(), root.Model(), release, err)
	}
}

func TestUptime(t *testing.T) {
	root := Root(t.TempDir())
	if up := root.Uptime(); up != 0 {
		t.Errorf("an empty folder has run for %v s", up)
	}
	if err := os.Mkdir(root.Path("proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]float64{"350735.47 234388.90\n": 350735.47, "soon": 0, "": 0} {
		if err := os.WriteFile(root.Path("proc/uptime"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if up := root.Uptime(); up != want {
			t.Errorf("%q is %v s, want %v", text, up, want)
		}
	}
}
