//go:build unix

package image

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
)

// An image for updates has the time of its commit, room for the owner's files, and no
// debug firmware; what else gok wrote is there.
func TestFinishArchive(t *testing.T) {
	packed, err := os.Open("../partition/testdata/gok-1.squashfs.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	root, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	const debugFirmware = "firmware for those who debug it"
	files := map[string][]byte{
		"boot.img":  partitiontest.Boot{Filler: debugFirmware, FillerName: "start4db.elf"}.Gok(),
		"root.img":  root,
		"sbom.json": []byte("{}"),
	}
	from, to := filepath.Join(t.TempDir(), "gok"), filepath.Join(t.TempDir(), "x.gaf")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, content := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	img := &Image{Time: stampTime}
	b := new(Builder)
	if err := b.finishArchive(img, from, to); err != nil {
		t.Fatal(err)
	}
	got, err := zip.OpenReader(to)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	sizes := make(map[string]int)
	for _, entry := range got.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		sizes[entry.Name] = len(content)
		if !entry.Modified.Equal(stampTime) {
			t.Errorf("%s is of %v, want the time of the commit", entry.Name, entry.Modified)
		}
		switch entry.Name {
		case "boot.img":
			if bytes.Contains(content, []byte(debugFirmware)) || !bytes.Contains(content, []byte(partitiontest.Cmdline)) {
				t.Error("boot.img has debug firmware, or not what it needs")
			}
			boot, err := fat.Open(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if boot.Size() != bootSize || boot.Used() != int64(len(content)) || boot.Free() < bootSize*9/10 {
				t.Errorf("boot.img has %d bytes, of a file system of %d with %d free", len(content), boot.Size(), boot.Free())
			}
			root, err := boot.ReadDir("")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range root {
				if !e.Modified.Equal(stampTime.Truncate(2*time.Second)) || !e.Dir && e.ReadOnly == (e.Name == "pushcam.txt") {
					t.Errorf("boot.img has %+v", e)
				}
			}
		case "root.img":
			const mkfsTime = 8 // offset in a squashfs
			if got, want := binary.LittleEndian.Uint32(content[mkfsTime:]), stampTime.Unix(); int64(got) != want {
				t.Errorf("root.img is of %d, want %d", got, want)
			}
		}
	}
	want := map[string]int{"boot.img": sizes["boot.img"]}
	for name, content := range files {
		if name != "boot.img" {
			want[name] = len(content)
		}
	}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("sizes of the files (-want +got):\n%s", diff)
	}
}
