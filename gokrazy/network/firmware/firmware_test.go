package firmware

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

const kernel = "../../kernel"

// compatible is the first name that the root of a device tree has (Devicetree
// Specification, 5).
func compatible(t *testing.T, tree []byte) string {
	t.Helper()
	word := func(at uint32) uint32 { return binary.BigEndian.Uint32(tree[at:]) }
	at, names := word(8), word(12)
	for at += 8; word(at) == 3; { // behind the beginning of the root, its properties
		length, name, value := word(at+4), names+word(at+8), tree[at+12:]
		if bytes.HasPrefix(tree[name:], []byte("compatible\x00")) {
			first, _, _ := bytes.Cut(value[:length], []byte{0})
			return string(first)
		}
		at += 12 + (length+3)&^3
	}
	t.Fatal("the root of the device tree says of no board that it is compatible")
	return ""
}

// Every board of the kernel's device trees that has Wi-Fi is known by the name that the
// driver puts into those of its files, and no other.
func TestBoards(t *testing.T) {
	trees, err := filepath.Glob(kernel + "/*.dtb")
	if err != nil || len(trees) == 0 {
		t.Fatalf("%d device trees, %v", len(trees), err)
	}
	want, without := make(map[string]bool), 0
	for _, path := range trees {
		tree, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(tree, []byte("brcm,bcm4329-fmac\x00")) { // what the driver binds to
			without++
			continue
		}
		want[compatible(t, tree)] = true
	}
	var got []string
	for _, b := range Boards() {
		got = append(got, b.Compatible)
		if b.Name == "" || len(b.Chips) == 0 {
			t.Errorf("%+v has no name, or no chip", b)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), got); diff != "" {
		t.Errorf("boards of the device trees (-want +got):\n%s", diff)
	}
	if without != 1 { // the Compute Module 3
		t.Errorf("%d device trees are without Wi-Fi, want 1", without)
	}
}

// The driver asks for the names that the chips' files have here.
func TestChips(t *testing.T) {
	modules, err := filepath.Glob(kernel + "/lib/modules/*/kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac/brcmfmac.ko")
	if err != nil || len(modules) != 1 {
		t.Fatalf("%d modules brcmfmac, %v", len(modules), err)
	}
	driver, err := os.ReadFile(modules[0])
	if err != nil {
		t.Fatal(err)
	}
	folder := strings.TrimPrefix(Folder, "/lib/firmware/")
	for _, b := range Boards() {
		for _, chip := range b.Chips {
			// MODULE_FIRMWARE of the driver's source.
			if !bytes.Contains(driver, []byte("\x00firmware="+folder+"/"+chip.Base+".bin\x00")) {
				t.Errorf("the driver asks for no %s.bin", chip.Base)
			}
		}
	}
	if !bytes.Contains(driver, []byte("\x00firmware="+folder+"/brcmfmac*-sdio.*.txt\x00")) {
		t.Error("the driver asks for no NVRAM of a board")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	root := device.Root(dir)
	if _, err := Load(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	want := &Contents{SHA256: map[string]string{"/lib/firmware/a": "01"}, Missing: []Missing{
		{Compatible: "raspberrypi,400", Board: "Raspberry Pi 400", Chip: "BCM43456", Files: []string{"a.bin", "a.txt", "a.clm_blob"}},
		{Compatible: "raspberrypi,model-zero-2-w", Board: "Raspberry Pi Zero 2 W", Chip: "BCM43430/2", Files: []string{"b.bin"}, Some: true},
	}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(File, text)
	got, err := Load(root)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("-want +got:\n%s\n%v", diff, err)
	}
	if here := got.Here(root); len(here) > 0 {
		t.Errorf("on a computer without a device tree: %v", here)
	}
	for board, want := range map[string]string{
		"raspberrypi,4-model-b":      "",
		"raspberrypi,400":            "this image has no Wi-Fi firmware for the chip BCM43456 of the Raspberry Pi 400, because Debian has none: copy a.bin, a.txt and a.clm_blob from /lib/firmware/brcm of Raspberry Pi OS into a folder, and make another image with pushcamctl image -wifi-firmware FOLDER",
		"raspberrypi,model-zero-2-w": "this image has no Wi-Fi firmware for the chip BCM43430/2 that some of the boards Raspberry Pi Zero 2 W have, because Debian has none: copy b.bin from /lib/firmware/brcm of Raspberry Pi OS into a folder, and make another image with pushcamctl image -wifi-firmware FOLDER",
	} {
		write("proc/device-tree/compatible", []byte(board+"\x00brcm,bcm2711\x00"))
		var said []string
		for _, m := range got.Here(root) {
			said = append(said, m.String())
		}
		if got := strings.Join(said, "; "); got != want {
			t.Errorf("%s: %q, want %q", board, got, want)
		}
	}
	write(File, []byte("{"))
	if _, err := Load(root); err == nil || !strings.Contains(err.Error(), File) {
		t.Errorf("a file that is cut: %v", err)
	}
}

// What an update must not take away is told of the board that it is.
func TestChipsOfTheBoard(t *testing.T) {
	for _, tt := range []struct {
		name, compatible, text string
		want                   []string
	}{
		{"all", "raspberrypi,model-zero-2-w\x00brcm,bcm2837\x00", `{"sha256": {"x": "00"}}`, []string{"BCM43430/1", "BCM43430/2"}},
		{"some", "raspberrypi,model-zero-2-w\x00brcm,bcm2837\x00", `{"sha256": {"x": "00"}, "missing": [{"chip": "BCM43430/2"}]}`, []string{"BCM43430/1"}},
		{"none", "raspberrypi,400\x00", `{"sha256": {"x": "00"}, "missing": [{"chip": "BCM43456"}]}`, nil},
		{"no Wi-Fi", "raspberrypi,400\x00", "", nil},
		{"no Pi", "", `{"sha256": {"x": "00"}}`, nil},
	} {
		root := device.Root(t.TempDir())
		for path, text := range map[string]string{"proc/device-tree/compatible": tt.compatible, File: tt.text} {
			if text == "" {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(root.Path(path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root.Path(path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := Chips(root); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
