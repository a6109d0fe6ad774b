package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

// wifi is what an image has for Wi-Fi: the supplicant, the regulatory database and the
// firmware of the boards' chips. It is made of files whose content is known, so that it is the
// same wherever these come from; but for what the owner adds for chips that Debian lacks.
type wifi struct {
	firmware.Contents
	files map[string][]byte // by path in the image
	links map[string]string // to a file in the same folder
}

// debianFirmware are the files of Debian's package for the boards' chips: the SHA-256
// of each, by its name in the image. The versions 20230210-5 and 20250410-2 have them.
// That of 20260916-1 for BCM43455 is a firmware for drivers that are newer than ours.
var debianFirmware = map[string]string{
	"brcmfmac43430-sdio.bin":                            "93f3c40c94340c29a40714cb04e3e89974870fcae42a844b8a4544750159f40d",
	"brcmfmac43430-sdio.clm_blob":                       "3376b9c9b32d16bf762e21c7fafb665365070ae240d092498d0d1987c22022aa",
	"brcmfmac43430-sdio.raspberrypi,3-model-b.txt":      "489c12a33e0fd0899cd27bfb316b30944f0b9dd571c266a0aa3704b35817b788",
	"brcmfmac43455-sdio.bin":                            "d408faa9d0d5b1a2f9912dcea53ab0be48217288e398406d117f0edafe7c3edd",
	"brcmfmac43455-sdio.clm_blob":                       "15f50a27020b263d1bea215c8f68d0550d912932d1d9ef19ffd59f18d82dd460",
	"brcmfmac43455-sdio.raspberrypi,3-model-b-plus.txt": "ae2f9e43c609766036cd7d82d709e62135fc266cbe8f40fb10f782114d585658",
	"brcmfmac43455-sdio.raspberrypi,4-model-b.txt":      "edb6f4e4fb19e18940004124feb4ffe160d72fc607243a07a4480338a28b2748",
}

// sameNVRAM are boards that have a chip in the same way as another: not every version
// of Debian's package says so.
var sameNVRAM = map[string]string{
	"raspberrypi,model-zero-2-w":   "raspberrypi,3-model-b",
	"raspberrypi,3-model-a-plus":   "raspberrypi,3-model-b-plus",
	"raspberrypi,4-compute-module": "raspberrypi,4-model-b",
}

// otherNames are those that Raspberry Pi OS gives the files of a chip.
var otherNames = map[string]string{"brcmfmac43430b0-sdio": "brcmfmac43436-sdio"}

// wifi is nil for an image without Wi-Fi.
func (b *Builder) wifi(ctx context.Context) (*wifi, error) {
	if !b.hasWiFi() {
		return nil, nil
	}
	w := &wifi{files: make(map[string][]byte), links: make(map[string]string), Contents: firmware.Contents{SHA256: make(map[string]string)}}
	for _, to := range []string{wpa.Path, wpa.RegulatoryDB, wpa.RegulatorySignature} {
		content, err := os.ReadFile(filepath.Join(b.Checkout, wpa.Dir, path.Base(to)))
		if err != nil {
			return nil, err
		}
		w.files[to] = content
	}
	finder := &firmwareFinder{files: debianFirmware, given: b.WiFiFirmware, host: "/lib/firmware", step: b.step, download: downloadFirmware}
	if dir, err := os.UserCacheDir(); err == nil { // else it is downloaded each time
		finder.cache = filepath.Join(dir, "pushcam", "firmware")
	}
	return w, w.add(ctx, finder)
}

// hasWiFi says whether the image is to have Wi-Fi. The driver's parameters are for our
// kernel: the same bits mean something else in the stock one.
func (b *Builder) hasWiFi() bool { return !b.NoWiFi && b.kernel() == PushcamKernel }

// add adds the firmware, under the names for which the driver asks on each board, and
// says what is missing.
func (w *wifi) add(ctx context.Context, finder *firmwareFinder) error {
	found, err := finder.find(ctx)
	if err != nil {
		return err
	}
	at := func(name string) string { return path.Join(firmware.Folder, name) }
	for name, content := range found {
		w.files[at(name)] = content
	}
	used := false
	for _, board := range firmware.Boards() {
		for _, chip := range board.Chips {
			base, own := chip.Base, chip.Base+"."+board.Compatible
			if found[base+".bin"] != nil {
				w.links[at(own+".bin")], w.links[at(own+".clm_blob")] = base+".bin", base+".clm_blob"
				if same, ok := sameNVRAM[board.Compatible]; ok {
					w.links[at(own+".txt")] = base + "." + same + ".txt"
				}
				continue
			}
			extra, err := finder.extra(base, board.Compatible)
			if err != nil {
				return err
			}
			for suffix, content := range extra {
				w.files[at(own+suffix)] = content
			}
			if used = used || extra != nil; extra != nil {
				continue
			}
			missing := firmware.Missing{Compatible: board.Compatible, Board: board.Name, Chip: chip.Name, Some: len(board.Chips) > 1}
			for _, suffix := range suffixes {
				missing.Files = append(missing.Files, own+suffix)
			}
			w.Missing = append(w.Missing, missing)
		}
	}
	if finder.given != "" && !used && !finder.useful {
		return fmt.Errorf("the folder %s has no firmware for the Wi-Fi of these boards: its files are called as %s", finder.given, strings.Join(w.Missing[0].Files, " and "))
	}
	for name, content := range w.files {
		w.SHA256[name] = digest(content)
	}
	return nil
}

// suffixes are of the files that a chip needs on a board; it works without the last.
var suffixes = []string{".bin", ".txt", ".clm_blob"}

// extra are the files that the owner's folder has for a chip that Debian lacks, by
// their suffix, under any of the names that they go by. They are nil if it has none.
func (f *firmwareFinder) extra(base, compatible string) (map[string][]byte, error) {
	if f.given == "" {
		return nil, nil
	}
	names := []string{base + "." + compatible, base}
	if other, ok := otherNames[base]; ok {
		names = append(names, other+"."+compatible, other)
	}
	files := make(map[string][]byte)
	var lacks []string
	for _, suffix := range suffixes {
		content, err := f.first(names, suffix)
		if err != nil {
			return nil, err
		}
		if content != nil {
			files[suffix] = content
		} else if suffix != ".clm_blob" {
			lacks = append(lacks, names[0]+suffix)
		}
	}
	switch {
	case len(files) == 0:
		return nil, nil
	case len(lacks) > 0:
		return nil, fmt.Errorf("the folder %s has some of the files that one chip needs on a board, but not %s", f.given, strings.Join(lacks, " and "))
	case len(files[".bin"]) < minBinary:
		return nil, fmt.Errorf("%s%s in the folder %s is no firmware: it has %d bytes only", base, ".bin", f.given, len(files[".bin"]))
	case !bytes.Contains(files[".txt"], []byte("=")) || bytes.ContainsRune(files[".txt"], 0):
		return nil, fmt.Errorf("%s.txt in the folder %s is no text with settings of a board, as boardtype=…", base, f.given)
	}
	return files, nil
}

// first is the content of the first of some files that is there, or nil.
func (f *firmwareFinder) first(names []string, suffix string) ([]byte, error) {
	for _, dir := range f.folders() {
		for _, name := range names {
			content, err := readFirmware(filepath.Join(dir, name+suffix))
			if !errors.Is(err, fs.ErrNotExist) {
				return content, err
			}
		}
	}
	return nil, nil
}

// tar is an archive of the folder /lib of the image, the same for the same content.
func (w *wifi) tar() ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	var names []string
	for name := range w.files {
		names = append(names, name)
	}
	for name := range w.links {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &tar.Header{Name: strings.TrimPrefix(name, "/lib/"), Mode: 0o444, Size: int64(len(w.files[name])), Typeflag: tar.TypeReg}
		if name == wpa.Path {
			header.Mode = 0o555
		}
		if to, ok := w.links[name]; ok {
			header.Typeflag, header.Linkname = tar.TypeSymlink, to
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(w.files[name]); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// contents is the text of firmware.File.
func (w *wifi) contents() (string, error) {
	text, err := json.MarshalIndent(w.Contents, "", "\t")
	return string(text) + "\n", err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
