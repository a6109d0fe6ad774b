package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
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

func TestFlashOffersCards(t *testing.T) {
	system, _ := reader(t)
	_, stderr, code := try(t, &program{system: system}, "flash")
	if code != 2 || !strings.Contains(stderr, "this computer has /dev/sdb (Card Reader, 32.0 GB)") {
		t.Errorf("exit status %d: %s", code, stderr)
	}
}
