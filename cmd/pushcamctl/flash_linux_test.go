package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/image"
)

// smallImage is a file that passes for a card image: a partition table (MBR
// signature, GPT header, four entries of one sector) and something to write.
func smallImage(t *testing.T) (path string, content []byte) {
	t.Helper()
	const sector = 512
	content = make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(content)
	clear(content[:4*sector])
	content[510], content[511] = 0x55, 0xAA
	copy(content[sector:], "EFI PART")
	content[sector+72], content[sector+84] = 2, 128
	for i := range 4 {
		entry := content[2*sector+i*128:]
		entry[32], entry[40] = byte(6+i), byte(6+i)
	}
	path = filepath.Join(t.TempDir(), "pushcam.img")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// reader is a computer with a card of 32 GB in a reader.
func reader(t *testing.T) (system image.System, card string) {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"dev/sdb":                          "old",
		"sys/class/block/sdb/dev":          "8:16\n",
		"sys/class/block/sdb/size":         "62500000\n",
		"sys/class/block/sdb/removable":    "1\n",
		"sys/class/block/sdb/device/model": "Card Reader\n",
		"proc/self/mountinfo":              "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return image.System{Root: root}, filepath.Join(root, "dev/sdb")
}

func TestFlash(t *testing.T) {
	path, content := smallImage(t)
	const question = "All that is on /dev/sdb (Card Reader, 32.0 GB) will be lost. Write to it? [y/N] "
	const done = "/dev/sdb (Card Reader, 32.0 GB) is written and checked"
	tests := []struct {
		name    string
		answer  string
		args    []string
		code    int
		written bool
		stdout  string
		stderr  string
	}{
		{"yes", "y\n", nil, 0, true, question, ""},
		{"yes, in full", "YES\n", nil, 0, true, done, ""},
		{"-yes", "", []string{"-yes"}, 0, true, done, ""},
		{"no", "n\n", nil, 1, false, question, "was left as it is"},
		{"nothing", "\n", nil, 1, false, question, "was left as it is"},
		{"no one there", "", nil, 1, false, question + "\n", "-yes writes without asking"},
		{"flags that change nothing", "y\n", []string{"-large"}, 0, true, done, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			system, card := reader(t)
			p := &program{system: system, stdin: strings.NewReader(tc.answer)}
			stdout, stderr, code := try(t, p, append([]string{"flash", "-image", path, "/dev/sdb"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit status %d, want %d; stdout:\n%s\nstderr:\n%s", code, tc.code, stdout, stderr)
			}
			want := "old"
			if tc.written {
				want = string(content)
			}
			if got, err := os.ReadFile(card); err != nil || string(got) != want {
				t.Errorf("the card has %d bytes, %v; want %d", len(got), err, len(want))
			}
		})
	}
}

// What is printed can be pasted into a shell, by an owner who is not root too.
func TestCommandsToPaste(t *testing.T) {
	for self, want := range map[string]string{
		"./pushcamctl":                              "./pushcamctl ",
		"/home/me/my tools/pushcamctl":              "'/home/me/my tools/pushcamctl' ",
		"/tmp/go-build123/b001/exe/pushcamctl":      "go run ./cmd/pushcamctl ",
		"/home/me/.cache/go-build/ab/cd/pushcamctl": "go run ./cmd/pushcamctl ",
	} {
		p, args := &program{self: self}, "flash -image 'my card.img' /dev/sdb"
		if got := p.command("flash", "-image", "my card.img", "/dev/sdb"); got != want+args {
			t.Errorf("called %s: %s, want %s", self, got, want+args)
		}
		if want = "sudo " + want; strings.Contains(want, "go run") {
			want = "go build ./cmd/pushcamctl && sudo ./pushcamctl "
		}
		if got := p.asRoot("flash", "-image", "my card.img", "/dev/sdb"); got != want+args {
			t.Errorf("called %s: %s, want %s", self, got, want+args)
		}
	}
}

// The README's ways to write a card work as they stand for a user who is not root: this
// one is nobody, the card is a loop device, and the image is smaller.
func TestReadmeFlash(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a loop device and a user who may use sudo: run it as root")
	}
	if _, err := exec.LookPath("sudo"); err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("%v: sudo apt-get install sudo", err)
	}
	release := readmeCommands(t, "## Flash a card")
	if want := []string{"sha256sum -c --ignore-missing SHA256SUMS", "xz -d pushcam-VERSION.img.xz", "sudo ./pushcamctl-linux-amd64 flash -image pushcam-VERSION.img /dev/sdX"}; !slices.Equal(release, want) {
		t.Fatalf("the README says %q, and this test knows %q", release, want)
	}
	commands := readmeCommands(t, "### Build the image yourself")
	if want := []string{"go build ./cmd/pushcamctl", "./pushcamctl image", "sudo ./pushcamctl flash /dev/sdX"}; !slices.Equal(commands, want) {
		t.Fatalf("the README says %q, and this test knows %q", commands, want)
	}
	path, content := smallImage(t) // what the second command makes, but smaller
	dir := filepath.Dir(path)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", "./cmd/pushcamctl")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", commands[0], err, out)
	}
	backing := filepath.Join(t.TempDir(), "card")
	if err := os.WriteFile(backing, make([]byte, 2*len(content)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", backing).CombinedOutput()
	if err != nil {
		t.Skipf("needs a loop device: losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	})
	// In a mount namespace of its own nobody may use sudo.
	nobody := func(command string) (string, error) {
		const allow = `mount -t tmpfs -o mode=755 none /etc/sudoers.d && echo "nobody ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/test && ` +
			`exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$1"`
		cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", allow, "sh", command)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("y\n")
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	said, err := nobody("./pushcamctl flash " + device)
	_, printed, ok := strings.Cut(said, "pushcamctl: only root may write to a disk: ")
	if err == nil || !ok {
		t.Fatalf("without sudo: %v: %s", err, said)
	}
	const pack = `mv pushcamctl pushcamctl-linux-amd64 && mv pushcam.img pushcam-VERSION.img && xz -0 pushcam-VERSION.img && sha256sum pushcam* >SHA256SUMS &&
		echo "0000000000000000000000000000000000000000000000000000000000000000  not-downloaded" >>SHA256SUMS && chown -R 65534:65534 .`
	for _, command := range []string{strings.TrimSpace(printed), strings.Replace(commands[2], "/dev/sdX", device, 1), strings.Replace(strings.Join(release, " && "), "/dev/sdX", device, 1)} {
		if strings.Contains(command, "VERSION") { // a folder as of a release
			cmd := exec.CommandContext(t.Context(), "sh", "-c", pack)
			cmd.Dir = dir
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
		}
		if err := os.WriteFile(backing, make([]byte, 2*len(content)), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := nobody(command)
		if err != nil || !strings.Contains(said, "is written and checked") {
			t.Errorf("%s: %v: %s", command, err, said)
		}
		if card, err := os.ReadFile(backing); err != nil || !bytes.Equal(card[:len(content)], content) {
			t.Errorf("%s: the card differs from the image, %v", command, err)
		}
	}
}

// readmeCommands are those of the first block of commands in a part of the README.
func readmeCommands(t *testing.T, part string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n"+part+"\n")
	_, after, _ = strings.Cut(after, "```sh\n")
	block, _, ok := strings.Cut(after, "\n```")
	if !ok {
		t.Fatalf("the README has no commands in %q", part)
	}
	return strings.Split(block, "\n")
}

func TestFlashOffersCards(t *testing.T) {
	system, _ := reader(t)
	_, stderr, code := try(t, &program{system: system}, "flash")
	if code != 2 || !strings.Contains(stderr, "this computer has /dev/sdb (Card Reader, 32.0 GB)") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
