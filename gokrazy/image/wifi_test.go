package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

// likeDebian are files with the names of Debian's, and where its package has them.
func likeDebian() (files map[string]string, sums map[string]string) {
	files, sums = make(map[string]string), make(map[string]string)
	for name := range debianFirmware {
		content, at := "content of "+name, "brcm/"+name
		if !strings.HasSuffix(name, ".txt") {
			at = "cypress/cyf" + strings.TrimPrefix(name, "brcmf")
		}
		files[at], sums[name] = content, digest([]byte(content))
	}
	return files, sums
}

func writeFiles(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		to := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// finder is one that finds nothing.
func finder(t *testing.T, sums map[string]string) *firmwareFinder {
	return &firmwareFinder{
		files: sums, host: t.TempDir(), cache: filepath.Join(t.TempDir(), "new"), step: func(string, ...any) {},
		download: func(context.Context, string, func(string) bool) error { return errors.New("no network") },
	}
}

func TestFirmwareIsFoundByContent(t *testing.T) {
	files, sums := likeDebian()
	flat, other, half := make(map[string]string), make(map[string]string), make(map[string]string)
	for at, text := range files {
		flat[path.Base(at)] = text
		other[at] = text
		half[at] = text
	}
	other["cypress/cyfmac43455-sdio.bin"] = "a newer version"
	delete(half, "brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.txt")
	downloads := 0
	get := func(files map[string]string) func(context.Context, string, func(string) bool) error {
		return func(_ context.Context, _ string, look func(string) bool) error {
			downloads++
			look(writeFiles(t, files))
			return nil
		}
	}
	tests := []struct {
		name      string
		set       func(f *firmwareFinder)
		downloads int
		want      string // in the error
	}{
		{"a folder as the package has it", func(f *firmwareFinder) { f.given = writeFiles(t, files) }, 0, ""},
		{"a folder without folders", func(f *firmwareFinder) { f.given = writeFiles(t, flat) }, 0, ""},
		{"this computer", func(f *firmwareFinder) { f.host = writeFiles(t, files) }, 0, ""},
		{"Debian", func(f *firmwareFinder) { f.download = get(files) }, 1, ""},
		{"half of it here, half of Debian", func(f *firmwareFinder) { f.host, f.download = writeFiles(t, half), get(files) }, 1, ""},
		{"no cache", func(f *firmwareFinder) { f.cache, f.download = "", get(files) }, 1, ""},
		{"a cache that cannot be written", func(f *firmwareFinder) { f.cache, f.download = "/proc/none", get(files) }, 1, ""},
		{"another version here", func(f *firmwareFinder) { f.host = writeFiles(t, other) }, 0, "no Wi-Fi firmware here (brcmfmac43455-sdio.bin)"},
		{"another version of Debian", func(f *firmwareFinder) { f.download = get(other) }, 1, "the versions that it has are other ones"},
		{"nothing", func(*firmwareFinder) {}, 0, "could not be had: no network; give a folder with that package's files with -wifi-firmware, or make an image without Wi-Fi with -no-wifi"},
		{"a folder that is not there", func(f *firmwareFinder) { f.given = "/proc/none" }, 0, "the folder with firmware for Wi-Fi: stat /proc/none"},
		{"a file for a folder", func(f *firmwareFinder) { f.given = "wifi.go" }, 0, "wifi.go is not a folder"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := finder(t, sums)
			tc.set(f)
			downloads = 0
			got, err := f.find(t.Context())
			if downloads != tc.downloads {
				t.Errorf("%d downloads, want %d", downloads, tc.downloads)
			}
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want %q in it, in one line", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, sum := range sums {
				if digest(got[name]) != sum {
					t.Errorf("%s has %q", name, got[name])
				}
			}
		})
	}
}

// What was downloaded once is there for the next image.
func TestFirmwareIsKept(t *testing.T) {
	files, sums := likeDebian()
	f := finder(t, sums)
	f.download = func(_ context.Context, _ string, look func(string) bool) error {
		look(writeFiles(t, files))
		return nil
	}
	first, err := f.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := finder(t, sums)
	again.cache = f.cache
	second, err := again.find(t.Context())
	if diff := cmp.Diff(first, second); diff != "" || err != nil {
		t.Errorf("from the cache, %v (-want +got):\n%s", err, diff)
	}
	// What is damaged there is of no use.
	entries, err := os.ReadDir(f.cache)
	if err != nil || len(entries) != len(sums) {
		t.Fatalf("the cache has %v, %v", entries, err)
	}
	if err := os.WriteFile(filepath.Join(f.cache, entries[0].Name()), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := again.find(t.Context()); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("with a damaged cache: %v", err)
	}
}

// added is what an image has with these files in the owner's folder.
func added(t *testing.T, folder map[string]string) (*wifi, error) {
	t.Helper()
	files, sums := likeDebian()
	f := finder(t, sums)
	f.host = writeFiles(t, files)
	if folder != nil {
		f.given = writeFiles(t, folder)
	}
	w := &wifi{files: make(map[string][]byte), links: make(map[string]string), Contents: firmware.Contents{SHA256: make(map[string]string)}}
	return w, w.add(t.Context(), f)
}

// has says which files the driver finds on a board for a chip.
func (w *wifi) has(board, base string) (suffixes []string) {
	for _, suffix := range []string{".bin", ".clm_blob", ".txt"} {
		name := path.Join(firmware.Folder, base+"."+board+suffix)
		if to, ok := w.links[name]; ok {
			name = path.Join(firmware.Folder, to)
		}
		if w.files[name] != nil {
			suffixes = append(suffixes, suffix)
		}
	}
	return suffixes
}

// Every board has all files by its own name, but for the chips that Debian lacks.
func TestFirmwareOfEachBoard(t *testing.T) {
	w, err := added(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, b := range firmware.Boards() {
		for _, c := range b.Chips {
			got[b.Compatible+" "+c.Name] = strings.Join(w.has(b.Compatible, c.Base), " ")
		}
	}
	const all = ".bin .clm_blob .txt"
	want := map[string]string{
		"raspberrypi,3-model-b BCM43430/1":      all,
		"raspberrypi,3-model-a-plus BCM43455":   all,
		"raspberrypi,3-model-b-plus BCM43455":   all,
		"raspberrypi,model-zero-2-w BCM43430/1": all,
		"raspberrypi,model-zero-2-w BCM43430/2": "",
		"raspberrypi,4-model-b BCM43455":        all,
		"raspberrypi,400 BCM43456":              "",
		"raspberrypi,4-compute-module BCM43455": all,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	missing := []firmware.Missing{
		{Compatible: "raspberrypi,model-zero-2-w", Board: "Raspberry Pi Zero 2 W", Chip: "BCM43430/2", Some: true, Files: []string{"brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin", "brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.txt", "brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.clm_blob"}},
		{Compatible: "raspberrypi,400", Board: "Raspberry Pi 400", Chip: "BCM43456", Files: []string{"brcmfmac43456-sdio.raspberrypi,400.bin", "brcmfmac43456-sdio.raspberrypi,400.txt", "brcmfmac43456-sdio.raspberrypi,400.clm_blob"}},
	}
	if diff := cmp.Diff(missing, w.Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

// An owner's folder has what Debian lacks, by the names of the driver or of Raspberry
// Pi OS.
func TestFirmwareOfOwner(t *testing.T) {
	binary, nvram := strings.Repeat("x", minBinary), "# NVRAM\nboardtype=0x0726\n"
	tests := []struct {
		name    string
		folder  map[string]string
		has     map[string]string // of board and base, joined
		missing int
		want    string // in the error
	}{
		{"by the driver's names", map[string]string{
			"brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin": binary, "brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.txt": nvram, "brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.clm_blob": "c",
			"brcmfmac43456-sdio.raspberrypi,400.bin": binary, "brcmfmac43456-sdio.raspberrypi,400.txt": nvram,
		}, map[string]string{"model-zero-2-w brcmfmac43430b0-sdio": ".bin .clm_blob .txt", "400 brcmfmac43456-sdio": ".bin .txt"}, 0, ""},
		{"by those of the chip, in the folder of Raspberry Pi OS", map[string]string{
			"brcm/brcmfmac43436-sdio.bin": binary, "brcm/brcmfmac43436-sdio.txt": nvram, "brcm/brcmfmac43436-sdio.clm_blob": "c", "brcm/brcmfmac43455-sdio.bin": "another version of what Debian has",
			"brcm/brcmfmac43456-sdio.bin": binary, "brcm/brcmfmac43456-sdio.txt": nvram, "brcm/brcmfmac43456-sdio.clm_blob": "c",
		}, map[string]string{"model-zero-2-w brcmfmac43430b0-sdio": ".bin .clm_blob .txt", "400 brcmfmac43456-sdio": ".bin .clm_blob .txt"}, 0, ""},
		{"of one board", map[string]string{"brcmfmac43456-sdio.bin": binary, "brcmfmac43456-sdio.txt": nvram},
			map[string]string{"model-zero-2-w brcmfmac43430b0-sdio": "", "400 brcmfmac43456-sdio": ".bin .txt"}, 1, ""},
		{"nothing", map[string]string{"brcmfmac43456.bin": binary}, nil, 0, "has no firmware for the Wi-Fi of these boards: its files are called as brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin and"},
		{"no settings of the board", map[string]string{"brcmfmac43456-sdio.bin": binary}, nil, 0, "but not brcmfmac43456-sdio.raspberrypi,400.txt"},
		{"no firmware", map[string]string{"brcmfmac43456-sdio.txt": nvram, "brcmfmac43456-sdio.clm_blob": "c"}, nil, 0, "but not brcmfmac43456-sdio.raspberrypi,400.bin"},
		{"a page that says no", map[string]string{"brcmfmac43456-sdio.bin": "<html>", "brcmfmac43456-sdio.txt": nvram}, nil, 0, "brcmfmac43456-sdio.bin in the folder"},
		{"settings that are none", map[string]string{"brcmfmac43456-sdio.bin": binary, "brcmfmac43456-sdio.txt": "404"}, nil, 0, "is no text with settings"},
		{"too large", map[string]string{"brcmfmac43456-sdio.bin": strings.Repeat("x", maxFirmware+1), "brcmfmac43456-sdio.txt": nvram}, nil, 0, "more than 4 MB"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w, err := added(t, tc.folder)
			if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")) {
				t.Fatalf("error %v, want %q in it, in one line", err, tc.want)
			}
			for key, want := range tc.has {
				board, base, _ := strings.Cut(key, " ")
				if got := strings.Join(w.has("raspberrypi,"+board, base), " "); got != want {
					t.Errorf("%s has %q, want %q", key, got, want)
				}
			}
			if err == nil && len(w.Missing) != tc.missing {
				t.Errorf("missing are %v, want %d", w.Missing, tc.missing)
			}
			for name, sum := range w.SHA256 {
				if digest(w.files[name]) != sum {
					t.Errorf("another SHA-256 of %s is written down", name)
				}
			}
			if err == nil && len(w.SHA256) != len(w.files) {
				t.Errorf("%d of %d files are written down", len(w.SHA256), len(w.files))
			}
		})
	}
}

// The archive is the same each time, and has what the image is to have.
func TestWiFiArchive(t *testing.T) {
	w, err := added(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.files[wpa.Path] = []byte("program")
	archive, err := w.tar()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.tar(); err != nil || !bytes.Equal(again, archive) {
		t.Errorf("another archive the second time, %v", err)
	}
	var names []string
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, "/lib/"+h.Name)
		if program := h.Name == "pushcam/wpa_supplicant"; (h.Mode == 0o555) != program || h.Mode&0o222 != 0 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
	want := slices.Sorted(maps.Keys(w.files))
	want = append(want, slices.Collect(maps.Keys(w.links))...)
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An image without Wi-Fi has nothing of it, whatever this computer has.
func TestNoWiFi(t *testing.T) {
	for name, b := range map[string]Builder{"-no-wifi": {NoWiFi: true}, "the stock kernel": {Kernel: StockKernel}} {
		t.Run(name, func(t *testing.T) {
			b.Checkout = "../.."
			if w, err := b.wifi(t.Context()); w != nil || err != nil {
				t.Errorf("%v, %v", w, err)
			}
			b.WiFiFirmware = t.TempDir()
			if err := b.Check(); err == nil || !strings.Contains(err.Error(), "an image without Wi-Fi") {
				t.Errorf("with a folder for it: %v", err)
			}
		})
	}
}
