package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ManifestSuffix ends the name of a manifest: Raspberry Pi Imager opens such files.
const ManifestSuffix = ".rpi-imager-manifest"

// manifest is what Raspberry Pi Imager reads of images that are not in its own list
// (its doc/json-schema/os-list-schema.json). Without one it asks for no settings.
type manifest struct {
	Images []manifestImage `json:"os_list"`
}

type manifestImage struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Icon         string   `json:"icon"` // required; empty is none
	URL          string   `json:"url"`
	ExtractSize  int64    `json:"extract_size"` // bytes
	ExtractSum   string   `json:"extract_sha256"`
	DownloadSize int64    `json:"image_download_size"` // bytes
	ReleaseDate  string   `json:"release_date"`
	Devices      []string `json:"devices"`
	InitFormat   string   `json:"init_format"`
}

// preseed has Imager write the settings into one file, rpi-preseed.toml (2.0.11 and
// newer). Its other formats add to cmdline.txt and want the name of a user, which there
// is none of.
const preseed = "rpi-preseed"

// devices are the boards for each kernel, as Imager's own list calls them. A Zero 2 W is
// a pi3.
var devices = map[Kernel][]string{
	PushcamKernel: {"pi3-64bit", "pi4-64bit"},
	StockKernel:   {"pi3-64bit", "pi4-64bit", "pi5-64bit"},
}

// A Download is a file with an image, which may be compressed.
type Download struct {
	URL  string
	Size int64 // bytes
}

// WriteManifest writes a manifest for the image to path. The image is read, for its
// checksum. A nil download is the image's own file on this computer.
func (i *Image) WriteManifest(path string, download *Download) error {
	sum, err := fileSum(i.Path)
	if err != nil {
		return err
	}
	if download == nil {
		file, err := filepath.Abs(i.Path)
		if err != nil {
			return err
		}
		// Imager takes no relative path.
		download = &Download{URL: (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String(), Size: i.Size}
	}
	text, err := json.MarshalIndent(manifest{[]manifestImage{{
		Name:         "pushcam " + i.Version,
		Description:  fmt.Sprintf("A camera that you plug in and see, at http://%s.local/", i.Hostname),
		URL:          download.URL,
		ExtractSize:  i.Size,
		ExtractSum:   sum,
		DownloadSize: download.Size,
		ReleaseDate:  i.Time.UTC().Format(time.DateOnly),
		Devices:      devices[i.Kernel],
		InitFormat:   preseed,
	}}}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// ManifestPath is where the manifest of an image is: beside it.
func ManifestPath(image string) string { return strings.TrimSuffix(image, ".img") + ManifestSuffix }

// fileSum is the SHA-256 of a file, in hex.
func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
