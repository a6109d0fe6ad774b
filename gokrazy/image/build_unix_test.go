//go:build unix

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

func checkout(t *testing.T) string {
	t.Helper()
	dir, err := FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFindCheckout(t *testing.T) {
	root := checkout(t)
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Error(err)
	}
	if dir, err := FindCheckout(t.TempDir()); err == nil || !strings.Contains(err.Error(), "git clone") {
		t.Errorf("FindCheckout elsewhere: %q, %v", dir, err)
	}
}

func TestBuilderCheck(t *testing.T) {
	tests := []struct {
		name string
		b    Builder
		want string
	}{
		{"defaults", Builder{}, ""},
		{"all set", Builder{Hostname: "cam-2", Kernel: StockKernel, Size: MinSize}, ""},
		{"a kernel that there is not", Builder{Kernel: "other"}, "pushcam or stock"},
		{"a name with a dot", Builder{Hostname: "cam.local"}, "cam.local"},
		{"a name that is a path", Builder{Hostname: "../cam"}, "../cam"},
		{"a name that begins with a hyphen", Builder{Hostname: "-cam"}, "-cam"},
		{"a name that is too long", Builder{Hostname: strings.Repeat("a", 64)}, "up to 63"},
		{"too small", Builder{Size: MinSize - 512}, "at least 1204 MiB"},
		{"too large", Builder{Size: maxSize + 512}, "at most 1024 GiB"},
		{"half a sector", Builder{Size: DefaultSize + 1}, "multiple of 512"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.b.Check()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

// programs is a PATH with these programs only, each a shell script.
func programs(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// fakeGo is a script that tells where gok is, and that all is made of this module.
func fakeGo(t *testing.T, gok string) string {
	t.Helper()
	dir := checkout(t)
	list, err := json.Marshal(goPackage{Dir: dir, Module: &goModule{Path: "github.com/pushcam/pushcam", Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("case $1 in list) echo '%s';; tool) echo '%s';; esac", list, gok)
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	b := &Builder{Checkout: checkout(t), Password: "password", NoWiFi: true}
	compiler := func(answer string) map[string]string {
		return map[string]string{"go": "exit 1", "mkfs.ext4": "exit 1", "aarch64-linux-gnu-gcc": "echo " + answer}
	}
	tests := []struct {
		name     string
		programs map[string]string
		want     []string
	}{
		{"Go", nil, []string{"the go command is not installed"}},
		{"the compiler", map[string]string{"go": "exit 1"}, []string{"aarch64-linux-gnu-gcc", "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"}},
		{"its C library", compiler("libc.a"), []string{"C library", "apt-get install libc6-dev-arm64-cross"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			programs(t, tc.programs)
			path := filepath.Join(t.TempDir(), "pushcam.img")
			_, err := b.Build(t.Context(), path)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q, want one line", err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want %q in it", err, w)
				}
			}
		})
	}
}

// A build that fails says why, and leaves an older image and nothing else.
func TestBuildFails(t *testing.T) {
	full := "echo writing; echo write /tmp/x: " + syscall.ENOSPC.Error() + " >&2; exit 1"
	tests := []struct{ name, gok, want string }{
		{"gok fails", "echo out; echo the reason >&2; exit 3", "exit status 3; its last words:\nout\nthe reason"},
		{"the disk is full", full, "the disk is full: make room"},
		{"what gok wrote is no image", `for a; do case "$a" in --full=*) echo x >"${a#--full=}";; esac; done`, "too short for a card image"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			gok := filepath.Join(t.TempDir(), "gok")
			if err := os.WriteFile(gok, []byte("#!/bin/sh\n"+tc.gok+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			programs(t, map[string]string{"go": fakeGo(t, gok), "mkfs.ext4": "exit 1", "aarch64-linux-gnu-gcc": "echo /lib/libc.a"})
			dir := t.TempDir()
			path := filepath.Join(dir, "pushcam.img")
			if err := os.WriteFile(path, []byte("older"), 0o644); err != nil {
				t.Fatal(err)
			}
			b := &Builder{Checkout: checkout(t), Password: "password", NoWiFi: true, Version: "v1", Time: stampTime}
			if _, err := b.Build(t.Context(), path); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 {
				t.Errorf("the folder has %v, %v", left, err)
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "older" {
				t.Errorf("the older image is %q, %v", content, err)
			}
		})
	}
}

// A build that is stopped ends its compilers too, and leaves nothing.
func TestBuildStops(t *testing.T) {
	dir := t.TempDir()
	gok, pipe := filepath.Join(dir, "gok"), filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// The grandchild holds the pipe until it ends.
	script := "#!/bin/sh\n(echo started; exec /bin/sleep 1000) >" + pipe + " &\nwait\n"
	if err := os.WriteFile(gok, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	programs(t, map[string]string{"go": fakeGo(t, gok), "mkfs.ext4": "exit 1", "aarch64-linux-gnu-gcc": "echo /lib/libc.a"})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		f, err := os.Open(pipe)
		if err != nil {
			ended <- err.Error()
			return
		}
		defer f.Close()
		b := make([]byte, 100)
		n, _ := f.Read(b)
		stop()
		rest, err := io.ReadAll(f)
		ended <- fmt.Sprint(string(b[:n]), len(rest), err)
	}()
	b := &Builder{Checkout: checkout(t), Password: "password", NoWiFi: true, Version: "v1", Time: stampTime}
	out := t.TempDir()
	if _, err := b.Build(ctx, filepath.Join(out, "pushcam.img")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if got, want := <-ended, "started\n0 <nil>"; got != want {
		t.Errorf("the grandchild: %q, want %q", got, want)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCheckSpace(t *testing.T) {
	if err := checkSpace(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a folder that is missing: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkSpace(file); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file: %v", err)
	}
	// /proc is a file system without room.
	if err := checkSpace("/proc"); err == nil || !strings.Contains(err.Error(), "/proc has 0 MB left") {
		t.Errorf("a full disk: %v", err)
	}
}

// What gok gets is the committed instance, but for the name and the version. What
// an owner has added to it gets to the image, whatever it is.
func TestInstance(t *testing.T) {
	root := checkout(t)
	committed := readJSON(t, filepath.Join(root, instanceDir, configFile))
	ours := func(config map[string]any) map[string]any {
		return config["PackageConfig"].(map[string]any)[program].(map[string]any)
	}
	owner := readJSON(t, filepath.Join(root, instanceDir, configFile))
	maps.Copy(ours(owner), map[string]any{
		"CommandLineFlags":  []any{"-fps", "5"},
		"Environment":       []any{"PUSHCAM_SIZE=640x480"},
		"GoBuildTags":       []any{"special"},
		"ExtraFileContents": map[string]any{"/etc/motd": "hello"},
		"WaitForClock":      true,
		"OfALaterGok":       map[string]any{"a": 1.0},
	})
	owner["PackageConfig"].(map[string]any)["github.com/gokrazy/gokrazy/cmd/randomd"] = map[string]any{"CommandLineFlags": []any{"-x"}}
	for name, config := range map[string]map[string]any{"as committed": committed, "with more of an owner": owner} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			instance := filepath.Join(dir, instanceDir)
			if err := os.CopyFS(instance, os.DirFS(filepath.Join(root, instanceDir))); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{configFile: string(text), "key": "beside it"} {
				if err := os.WriteFile(filepath.Join(instance, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			inst, err := (&Builder{Checkout: dir}).instance()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := inst.compiler(), "aarch64-linux-gnu-gcc"; got != want {
				t.Errorf("compiler %q, want %q", got, want)
			}
			inst.licenses, inst.updateKey = "the licences", "ssh-ed25519 AAAA"
			home := t.TempDir()
			if err := inst.write(home, "pushcam", dir, &Image{Hostname: "cam-2", Kernel: StockKernel, Version: "v1.2"}); err != nil {
				t.Fatal(err)
			}
			config["Hostname"] = "cam-2"
			config["KernelPackage"] = "github.com/gokrazy/kernel.rpi"
			files, _ := ours(config)["ExtraFileContents"].(map[string]any)
			if files == nil {
				files = make(map[string]any)
			}
			files["/etc/pushcam-version"] = "v1.2\n"
			ours(config)["ExtraFileContents"] = files
			flags := ours(config)["GoBuildFlags"].([]any)
			flags[1] = flags[1].(string) + " -X=main.imageVersion=v1.2"
			// The image has its configuration in it, for its init: as a text, so that no
			// path of this computer gets into the image.
			got := readJSON(t, filepath.Join(home, "pushcam", configFile))
			contents, _ := ours(got)["ExtraFileContents"].(map[string]any)
			kept, _ := contents[device.ConfigFile].(string)
			delete(contents, device.ConfigFile)
			if contents[device.LicensesFile] != "the licences" {
				t.Errorf("%s has %q", device.LicensesFile, contents[device.LicensesFile])
			}
			delete(contents, device.LicensesFile)
			if contents[signed.RootFile] != "ssh-ed25519 AAAA\n" {
				t.Errorf("%s has %q", signed.RootFile, contents[signed.RootFile])
			}
			delete(contents, signed.RootFile)
			var inImage map[string]any
			if err := json.Unmarshal([]byte(kept), &inImage); err != nil {
				t.Errorf("%s: %v: %q", device.ConfigFile, err, kept)
			}
			if diff := cmp.Diff(config, inImage); diff != "" {
				t.Errorf("%s (-want +got):\n%s", device.ConfigFile, diff)
			}
			delete(ours(config)["ExtraFilePaths"].(map[string]any), device.ConfigFile)
			if diff := cmp.Diff(config, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", configFile, diff)
			}
			for _, name := range []string{"builddir/go.mod", "key"} {
				if _, err := os.Stat(filepath.Join(home, "pushcam", name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func readJSON(t *testing.T, path string) (v map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The image has no password of gokrazy's, no shell, and no program but these.
func TestInstanceIsClosed(t *testing.T) {
	config := readJSON(t, filepath.Join(checkout(t), instanceDir, "config.json"))
	got := map[string]any{}
	for _, key := range []string{"Update", "Packages", "GokrazyPackages", "KernelPackage"} {
		got[key] = config[key]
	}
	want := map[string]any{
		"Update":   map[string]any{"NoPassword": true, "UseTLS": "off"},
		"Packages": []any{program},
		"GokrazyPackages": []any{
			"github.com/gokrazy/gokrazy/cmd/randomd",
			"github.com/pushcam/pushcam/gokrazy/network",
		},
		"KernelPackage": kernelPackages[PushcamKernel],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config.json (-want +got):\n%s", diff)
	}
}

// gok builds with -mod=mod, which changes go.mod and go.sum where they lag behind
// the program's: then the image would not be of the commit.
func TestPinsAreComplete(t *testing.T) {
	cmd := exec.Command("go", "list", "-mod=readonly", "-deps", "-tags=gokrazy,netgo,osusergo",
		program, "github.com/gokrazy/tools/cmd/gok", "./init",
		"github.com/pushcam/pushcam/gokrazy/network", "github.com/gokrazy/gokrazy/cmd/randomd",
		"github.com/gokrazy/kernel.rpi", "github.com/pushcam/pushcam/gokrazy/kernel", "github.com/gokrazy/firmware", "github.com/gokrazy/rpi-eeprom")
	cmd.Dir = filepath.Join(checkout(t), instanceDir, "builddir")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		// What was printed first are packages that are fine.
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Errorf("%v: %s\ngo.mod of the program has changed: let the image's follow with\n(cd %s/builddir && go list -mod=mod -deps %s github.com/pushcam/pushcam/gokrazy/network >/dev/null)", err, lines[max(0, len(lines)-3):], instanceDir, program)
	}
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	b := &Builder{Checkout: dir}
	began := time.Now().Truncate(time.Second)
	if version, when := b.commit(t.Context()); version != "unversioned" || when.Before(began) {
		t.Errorf("without git: %q, %v", version, when)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-11-21T02:50:17Z", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "first")
	git("tag", "-m", "v1", "v1.2.0")
	if version, when := b.commit(t.Context()); version != "v1.2.0" || !when.Equal(stampTime) {
		t.Errorf("a clean checkout: %q, %v; want v1.2.0, %v", version, when, stampTime)
	}
	if err := os.WriteFile(filepath.Join(dir, "new.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if version, when := b.commit(t.Context()); version != "v1.2.0-dirty" || when.Before(began) {
		t.Errorf("a changed checkout: %q, %v", version, when)
	}
}

func TestTail(t *testing.T) {
	var last tail
	for range 1000 {
		if n, err := last.Write([]byte("a line of output\n")); n != 17 || err != nil {
			t.Fatal(n, err)
		}
	}
	last.Write([]byte("the end\n"))
	got := last.String()
	if len(got) > maxTail || len(got) < maxTail/2 || !strings.HasPrefix(got, "a line") || !strings.HasSuffix(got, "the end") {
		t.Errorf("%d bytes: %.30q … %q", len(got), got, got[max(0, len(got)-20):])
	}
	if cap(last.kept) > 8*maxTail {
		t.Errorf("it keeps %d bytes", cap(last.kept))
	}
}

var stampTime = time.Date(2026, 11, 21, 2, 50, 17, 0, time.UTC)

// A module without a licence does not get into an image.
func TestBuildNeedsLicenses(t *testing.T) {
	dir := t.TempDir()
	programs(t, map[string]string{
		"go":                    fmt.Sprintf(`case $1 in list) echo '{"Dir": "%s", "Module": {"Path": "example.com/bare", "Version": "v1.2.3", "Dir": "%[1]s"}}';; tool) echo never; exit 1;; esac`, dir),
		"mkfs.ext4":             "exit 1",
		"aarch64-linux-gnu-gcc": "echo /lib/libc.a",
	})
	b := &Builder{Checkout: checkout(t), Password: "password", NoWiFi: true}
	if _, err := b.Build(t.Context(), filepath.Join(dir, "pushcam.img")); err == nil || !strings.Contains(err.Error(), "example.com/bare v1.2.3 has no file with its licence") {
		t.Errorf("error %v", err)
	}
}
