//go:build unix

package image

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// An image for updates has the time of its commit, room for the owner's files, and no
// debug firmware; what else gok wrote is there.
func TestFinishArchive(t *testing.T) {
	root := partitiontest.Root{Version: "v1", Hostname: "attic", Kernels: []string{"6.12.47-v8"}, Built: stampTime.Add(time.Hour)}.Bytes()
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
	signer, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	img := &Image{Time: stampTime}
	b := &Builder{Sign: signer}
	if err := b.finishArchive(img, from, to); err != nil {
		t.Fatal(err)
	}
	got, err := zip.OpenReader(to)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	sizes, contents := make(map[string]int), make(map[string][]byte)
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
		contents[entry.Name] = content
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
	m, key, err := signed.Open(contents[partition.ManifestFile])
	if err != nil || key != signer.Key() || m.Version != "v1" || !m.Built.Equal(stampTime) || m.Arch != "arm64" || m.Camera != "" {
		t.Fatalf("it is signed by %q as %+v: %v", key, m, err)
	}
	for name, is := range map[string]*signed.Content{"boot.img": &m.Boot, "root.img": &m.Root} {
		if read, err := io.ReadAll(is.Reader(bytes.NewReader(contents[name]))); err != nil || !bytes.Equal(read, contents[name]) {
			t.Errorf("%s is not what is signed: %v", name, err)
		}
	}
	want := map[string]int{"boot.img": sizes["boot.img"], partition.ManifestFile: sizes[partition.ManifestFile]}
	for name, content := range files {
		if name != "boot.img" {
			want[name] = len(content)
		}
	}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("sizes of the files (-want +got):\n%s", diff)
	}
}
