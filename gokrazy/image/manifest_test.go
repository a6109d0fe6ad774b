package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	img := &Image{Path: filepath.Join(dir, "my card.img"), Hostname: "garden", Kernel: PushcamKernel, Version: "v1", Time: time.Date(2026, 11, 28, 23, 30, 0, 0, time.FixedZone("", -3600)), Size: 5}
	if err := os.WriteFile(img.Path, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := manifestImage{
		Name: "pushcam v1", Description: "A camera that you plug in and see, at http://garden.local/",
		ExtractSize: 5, ExtractSum: "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d",
		ReleaseDate: "2026-11-29", Devices: []string{"pi3-64bit", "pi4-64bit"}, InitFormat: "rpi-preseed",
	}
	for name, download := range map[string]*Download{"its own file": nil, "a download": {URL: "https://cameras.example/pushcam.img.xz", Size: 3}} {
		path := ManifestPath(img.Path)
		if err := img.WriteManifest(path, download); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "my card.rpi-imager-manifest"))
		if err != nil {
			t.Fatal(err)
		}
		var got manifest
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		want.URL, want.DownloadSize = "file://"+filepath.ToSlash(dir)+"/my%20card.img", 5
		if download != nil {
			want.URL, want.DownloadSize = download.URL, download.Size
		}
		if diff := cmp.Diff(manifest{[]manifestImage{want}}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
