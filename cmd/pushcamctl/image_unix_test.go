//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

const debugFirmware = "firmware for those who debug it"

// writeCard writes what gok makes: a partition table (MBR signature, GPT header,
// four entries), a boot partition, and a root file system in the second one.
func writeCard(t *testing.T, path string) {
	t.Helper()
	const sector, start, partition, end = 512, 8192, 100 << 20 / 512, image.MinSize/512 - 1
	entries := make([]byte, 32*sector)
	for i := range uint64(4) {
		entry := entries[i*128:]
		binary.LittleEndian.PutUint64(entry[32:], start+i*partition)
		binary.LittleEndian.PutUint64(entry[40:], start+(i+1)*partition-1)
	}
	binary.LittleEndian.PutUint64(entries[3*128+40:], end-34)
	head := make([]byte, 2*sector)
	head[510], head[511] = 0x55, 0xAA
	gpt := head[sector:]
	copy(gpt, "EFI PART\x00\x00\x01\x00\x5c")
	for at, value := range map[int]uint64{24: 1, 32: end, 40: 34, 48: end - 33, 72: 2, 80: 128 | 128<<32, 88: uint64(crc32.ChecksumIEEE(entries))} {
		binary.LittleEndian.PutUint64(gpt[at:], value)
	}
	binary.LittleEndian.PutUint32(gpt[16:], crc32.ChecksumIEEE(gpt[:92]))
	head = append(head, entries...)
	packed, err := os.Open("../../gokrazy/partition/testdata/gok-1.squashfs.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	root, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := f.Write(head)
	_, err2 := io.Copy(io.NewOffsetWriter(f, (start+partition)*sector), root)
	_, err3 := f.WriteAt(partitiontest.Boot{Filler: debugFirmware, FillerName: "start_db.elf"}.Gok(), start*sector)
	if err := errors.Join(err1, err2, err3, f.Truncate(image.MinSize), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// imageTools has the command find programs that tell what they were told, and returns
// the file in which they do.
func imageTools(t *testing.T) (told string) {
	t.Helper()
	dir := t.TempDir()
	card, told := filepath.Join(dir, "card"), filepath.Join(dir, "told")
	writeCard(t, card)
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	ours := fmt.Sprintf(`{"Dir": %q, "Module": {"Path": "github.com/pushcam/pushcam", "Dir": %[1]q}}`, checkout)
	tell := "#!/bin/sh\n{ echo \"$0 $*\"; /usr/bin/env; } | /usr/bin/tee -a " + told + " >&2\n"
	for name, script := range map[string]string{
		"go":                    "case $1 in list) echo '" + ours + "';; tool) echo " + dir + "/gok;; esac",
		"gok":                   `for a; do case "$a" in --full=*) exec /bin/cp ` + card + ` "${a#--full=}";; esac; done`,
		"mkfs.ext4":             "",
		"aarch64-linux-gnu-gcc": "echo /lib/libc.a",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(tell+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return told
}

// The owner's password is shown once, is kept for this user only, and no program is
// given it as an argument or in its environment.
func TestImageKeepsThePassword(t *testing.T) {
	dir, config, told := t.TempDir(), t.TempDir(), imageTools(t)
	out := filepath.Join(dir, "out.img")
	runs := 0
	run := func(args ...string) (stdout, stderr, password string) {
		t.Helper()
		p := &program{self: "./pushcamctl", configDir: func() (string, error) { return config, nil }, stdin: strings.NewReader(" typed by me \r\n")}
		stdout, stderr, code := try(t, p, append([]string{"image", "-v", "-no-wifi", "-hostname", "attic", "-size", "1204MiB", "-o", out}, args...)...)
		if code != 0 {
			t.Fatalf("exit status %d: %s", code, stderr)
		}
		// Each image has an id of its own, and so a file.
		all, err := passwords{dir: p.configDir}.all()
		if err != nil {
			t.Fatal(err)
		}
		if runs++; len(all) != runs {
			t.Errorf("%d files after %d images", len(all), runs)
		}
		latest := newest(all, "attic")
		if latest == nil || !device.IsID(latest.id) {
			t.Fatalf("no file is for attic and its id: %+v", all)
		}
		file := latest.path
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{file, out} {
			if info, err := os.Stat(secret); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v; want mode 0600", secret, info.Mode(), err)
			}
		}
		boot := make([]byte, 8<<20)
		if f, err := os.Open(out); err != nil {
			t.Fatal(err)
		} else if _, err := io.ReadFull(f, boot); errors.Join(err, f.Close()) != nil || !bytes.Contains(boot, []byte(partitiontest.Cmdline)) || bytes.Contains(boot, []byte(debugFirmware)) {
			t.Errorf("the boot partition lacks its command line, or has debug firmware: %v", err)
		}
		password = strings.TrimSuffix(string(kept), "\n")
		text, err := os.ReadFile(told)
		if err != nil || !strings.Contains(string(text), "mkfs.ext4 ") || !strings.Contains(string(text), "overwrite --full=") {
			t.Fatalf("the programs were told %s, %v", text, err)
		}
		if strings.Contains(string(text)+stderr, password) {
			t.Errorf("the password %q is in what programs were told, or in the log:\n%s\n%s", password, text, stderr)
		}
		return stdout, stderr, password
	}

	stdout, _, generated := run()
	if !regexp.MustCompile(`^[a-z2-9]{4}(-[a-z2-9]{4}){3}$`).MatchString(generated) || strings.Count(stdout, generated) != 1 {
		t.Errorf("a new password, %q, is not shown once:\n%s", generated, stdout)
	}
	if !strings.Contains(stdout, "http://attic.local/") || !strings.Contains(stdout, ": sudo ./pushcamctl flash -image "+out+" DEVICE\n") {
		t.Errorf("it does not say what to do next:\n%s", stdout)
	}
	if !regexp.MustCompile(`opens its own, pushcam-setup-[A-Z2-7]{4}; its password is [a-z2-7]{10}\n`).MatchString(stdout) {
		t.Errorf("it does not say how to join its set-up network:\n%s", stdout)
	}
	known, err := (knownCameras{func() (string, error) { return config, nil }}).all()
	if err != nil || !identity.IsFingerprint(known["attic"]) || !strings.Contains(stdout, "the camera's key, by which this computer knows it: "+known["attic"]+"\n") || len(known) != 2 {
		t.Errorf("known are %v, %v, and it says:\n%s", known, err, stdout)
	}
	if s := signer(t, &program{configDir: func() (string, error) { return config, nil }}); !strings.Contains(stdout, "update-key\n") || !strings.Contains(stdout, "takes updates from this computer, by the key "+s.Key().Fingerprint()) {
		t.Errorf("it does not say of the key for updates:\n%s", stdout)
	}
	if stdout, _, again := run(); again != generated || strings.Contains(stdout, generated) {
		t.Errorf("the kept password, %q, is another one or is shown:\n%s", again, stdout)
	}
	if stdout, _, typed := run("-password", "-"); typed != " typed by me " || strings.Contains(stdout, typed) {
		t.Errorf("the typed password, %q, is not kept or is shown:\n%s", typed, stdout)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "out.rpi-imager-manifest")); err != nil || !strings.Contains(string(text), `"file://`+out+`"`) {
		t.Errorf("the manifest: %s, %v", text, err)
	}

	// One for everybody has no password, asks for none, and keeps none.
	p := &program{self: "./pushcamctl", configDir: func() (string, error) { return "", errors.New("nothing is kept") }, stdin: strings.NewReader("")}
	stdout, stderr, code := try(t, p, "image", "-generic", "-no-wifi", "-size", "1204MiB", "-o", out)
	if code != 0 || !strings.Contains(stdout, "http://pushcam.local/") || !strings.Contains(stdout, "no owner") || !strings.Contains(stdout, "its password is "+device.FixedSetupCode+"\n") || !strings.Contains(stdout, " flash -image ") {
		t.Errorf("-generic: exit status %d: %s%s", code, stdout, stderr)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm()&0o044 == 0 {
		t.Errorf("others cannot read it: %v, %v", info, err)
	}
	if _, stderr, code := try(t, p, "image", "-generic", "-password", "a good password"); code != 2 || !strings.Contains(stderr, "-generic") {
		t.Errorf("-generic with a password: exit status %d: %s", code, stderr)
	}
}

// README's command for a wireless network: the image's pushcam.txt has the network, and
// of its password the key only, which no program is told.
func TestImageWithAWirelessNetwork(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("`pushcamctl (image -wifi-ssid \"(.*)\" -wifi-country (..))` asks for the password").FindSubmatch(readme)
	if command == nil {
		t.Fatal("README has no command that makes an image with a wireless network")
	}
	ssid, country := string(command[2]), string(command[3])
	var args []string // as a shell splits it
	for i, part := range strings.Split(string(command[1]), `"`) {
		if i%2 == 0 {
			args = append(args, strings.Fields(part)...)
		} else {
			args = append(args, part)
		}
	}
	const password = "hyacinth 7"
	told, out, config := imageTools(t), filepath.Join(t.TempDir(), "out.img"), t.TempDir()
	p := &program{self: "./pushcamctl", configDir: func() (string, error) { return config, nil }, stdin: strings.NewReader(password + "\n")}
	stdout, stderr, code := try(t, p, append(args, "-v", "-no-wifi", "-size", "1204MiB", "-o", out)...)
	if code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	boot, err := fat.Open(io.NewSectionReader(f, 4<<20, 100<<20))
	if err != nil {
		t.Fatal(err)
	}
	text, err := boot.ReadFile(setup.TextFile, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	key, err := setup.ParseKey([]byte(ssid), password)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{fmt.Sprintf("wifi-ssid=%q", ssid), fmt.Sprintf("wifi-password=%x", key[:]), "wifi-country=" + country} {
		if !strings.Contains(string(text), "\n"+line+"\r\n") {
			t.Errorf("pushcam.txt lacks %q:\n%s", line, text)
		}
	}
	programs, err := os.ReadFile(told)
	if err != nil || strings.Contains(string(text)+string(programs)+stdout+stderr, password) {
		t.Errorf("the network's password is in the image, told to programs, or shown: %v\n%s\n%s%s", err, programs, stdout, stderr)
	}
}
