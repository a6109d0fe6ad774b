//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/hack/rebuild"
)

// write writes files below a folder that is like a checkout.
func write(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCompareAndApply(t *testing.T) {
	built := write(t, map[string]string{
		"gokrazy/kernel/vmlinuz":                     "kernel",
		"gokrazy/kernel/a.dtb":                       "new tree",
		"gokrazy/kernel/lib/modules/2/kernel/new.ko": "module",
		"gokrazy/kernel/build/config":                "CONFIG_A=y\nCONFIG_B=\"2\"\n# CONFIG_C is not set\nCONFIG_CC_VERSION_TEXT=\"gcc 12\"\n",
		"hack/vcsim/vcsim.ko":                        "simulation",
	})
	committed := write(t, map[string]string{
		"gokrazy/kernel/vmlinuz":                     "kernel",
		"gokrazy/kernel/a.dtb":                       "old tree",
		"gokrazy/kernel/lib/modules/1/kernel/old.ko": "module",
		"gokrazy/kernel/build/config":                "CONFIG_A=y\nCONFIG_B=\"1\"\nCONFIG_C=m\nCONFIG_CC_VERSION_TEXT=\"gcc 12\"\n",
		"gokrazy/kernel/cmdline.txt":                 "not of the build",
		"hack/vcsim/vcsim.ko":                        "simulation",
	})
	got, err := compare(generated, built, committed)
	if err != nil {
		t.Fatal(err)
	}
	want := changes{
		Changes: rebuild.Changes{Same: 2, Differ: []rebuild.Change{
			{Path: "gokrazy/kernel/a.dtb", What: rebuild.Differs},
			{Path: "gokrazy/kernel/build/config", What: rebuild.Differs},
			{Path: "gokrazy/kernel/lib/modules/1/kernel/old.ko", What: rebuild.Surplus},
			{Path: "gokrazy/kernel/lib/modules/2/kernel/new.ko", What: rebuild.Missing},
		}},
		options: []string{`CONFIG_B="2", was "1"`, "CONFIG_C=n, was m"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(changes{})); diff != "" {
		t.Errorf("compare (-want +got):\n%s", diff)
	}
	if text := got.String(); !strings.Contains(text, "a.dtb differs") || !strings.Contains(text, "2 files are as committed, 4 are not") || strings.Contains(text, "compiler") {
		t.Errorf("the report is %s", text)
	}

	if err := generated.Apply(built, committed); err != nil {
		t.Fatal(err)
	}
	if got, err = compare(generated, built, committed); err != nil || len(got.Differ)+len(got.options) > 0 {
		t.Errorf("after it was applied: %v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(committed, "gokrazy/kernel/lib/modules/1")); !os.IsNotExist(err) {
		t.Errorf("the old modules' folder: %v", err)
	}
	if _, err := os.Stat(filepath.Join(committed, "gokrazy/kernel/cmdline.txt")); err != nil {
		t.Error(err)
	}
}

func TestAnotherCompiler(t *testing.T) {
	config := recipeDir + "/config"
	got, err := compare(generated, write(t, map[string]string{config: "CONFIG_CC_VERSION_TEXT=\"gcc 14\"\n"}), write(t, map[string]string{config: "CONFIG_CC_VERSION_TEXT=\"gcc 12\"\n"}))
	if err != nil || !strings.Contains(got.String(), "another compiler") {
		t.Errorf("%v, %v: the reason is not told", got, err)
	}
}

func TestCheckConfig(t *testing.T) {
	tests := []struct{ name, fragment, want string }{
		{"all hold", "# why\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\n# CONFIG_GONE is not set\n", ""},
		{"another value", "CONFIG_A=m\n", `CONFIG_A=m became "y"`},
		{"dropped", "CONFIG_GONE=y\n", `CONFIG_GONE=y became ""`},
		{"set all the same", "# CONFIG_A is not set\n", `CONFIG_A= became "y"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := write(t, map[string]string{"fragment": tc.fragment, "config": "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\n"})
			err := checkConfig(filepath.Join(dir, "fragment"), filepath.Join(dir, "config"))
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestChangelogDate(t *testing.T) {
	text := "linux-6.12 (6.12.117-1~deb12u1) bookworm-security; urgency=high\n\n  * Rebuild for bookworm\n\n" +
		" -- Ben Hutchings <benh@debian.org>  Sat, 14 Nov 2026 13:56:01 +0100\n\nlinux (6.12.117-1) …\n\n -- An Other <a@debian.org>  Fri, 13 Nov 2026 00:00:00 +0000\n"
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	dir := write(t, map[string]string{"changelog.gz": b.String()})
	got, err := changelogDate(filepath.Join(dir, "changelog.gz"))
	if want := time.Date(2026, 11, 14, 12, 56, 1, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// The recipe that is committed is complete.
func TestRecipe(t *testing.T) {
	s, err := rebuild.ReadRecord[source](filepath.Join("../..", recipeDir, "source.json"))
	if err != nil || s.Package == "" || s.Version == "" || len(s.SHA256) != 64 || s.Date.IsZero() {
		t.Errorf("the source is %+v, %v", s, err)
	}
	// Every line of the fragment holds in the kernel that is committed.
	if err := checkConfig(filepath.Join("../..", recipeDir, "pushcam.config"), filepath.Join("../..", recipeDir, "config")); err != nil {
		t.Error(err)
	}
}

// The modules of the simulated radios are built only for a kernel that they fit.
func TestSameKernel(t *testing.T) {
	committed := "CONFIG_A=y\nCONFIG_NET=y\n# CONFIG_MAC80211 is not set\n"
	for _, tc := range []struct{ name, config, want string }{
		{"modules only", "CONFIG_A=y\nCONFIG_NET=y\nCONFIG_MAC80211=m\nCONFIG_MAC80211_HAS_RC=y\n", ""},
		{"more is built in", "CONFIG_A=y\nCONFIG_NET=y\nCONFIG_PAGE_POOL=y\n", `CONFIG_PAGE_POOL is "y", and ""`},
		{"less is built in", "CONFIG_A=m\nCONFIG_NET=y\n", `CONFIG_A is "m", and "y"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := write(t, map[string]string{"now": tc.config, "committed": committed})
			err := sameKernel(filepath.Join(dir, "now"), filepath.Join(dir, "committed"))
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q in it", err, tc.want)
			}
		})
	}
}
