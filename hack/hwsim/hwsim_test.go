package hwsim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const checkout = "../.."

// made is what a module says it was made for.
func made(t *testing.T, path string) string {
	t.Helper()
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(module, []byte("\x00vermagic="))
	if !ok {
		t.Fatalf("%s does not say for which kernel it is", path)
	}
	text, _, _ := bytes.Cut(rest, []byte{0})
	return string(text)
}

// The modules fit the kernel that is committed, and are loaded in their order.
func TestAdd(t *testing.T) {
	kernel := t.TempDir()
	if err := os.CopyFS(kernel, os.DirFS(filepath.Join(checkout, "gokrazy/kernel"))); err != nil {
		t.Fatal(err)
	}
	if err := Add(checkout, kernel); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(kernel, "lib/modules/*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	text, err := os.ReadFile(filepath.Join(found[0], "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(text), "\nkernel/drivers/net/wireless/virtual/mac80211_hwsim.ko:")
	if !ok {
		t.Fatalf("modules.dep has no %s:\n%s", Module, text)
	}
	files := strings.Fields(line)
	if len(files) != len(Modules()) || files[0] != "kernel/net/mac80211/mac80211.ko" || files[len(files)-1] != "kernel/net/wireless/cfg80211.ko" {
		t.Errorf("before it are to be loaded, from the last to the first: %v", files)
	}
	want := made(t, filepath.Join(found[0], "kernel/net/wireless/cfg80211.ko"))
	for _, m := range Modules() {
		if got := made(t, filepath.Join(found[0], "kernel", m+".ko")); got != want {
			t.Errorf("%s is for %q, and the kernel is %q", m, got, want)
		}
	}
}

func TestAddToWhatIsNoKernel(t *testing.T) {
	if err := Add(checkout, t.TempDir()); err == nil || !strings.Contains(err.Error(), "has modules of 0 kernels") {
		t.Errorf("error %v", err)
	}
}
