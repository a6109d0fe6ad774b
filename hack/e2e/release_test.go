//go:build linux

package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// releaseKey signs the release, and its cameras know it.
var releaseKey = sync.OnceValues(func() (*signed.Signer, error) {
	s, _, err := signed.LoadOrMakeSigner(context.Background(), filepath.Join(scratch, "release-key"))
	return s, err
})

func releaseSigner(t *testing.T) *signed.Signer {
	t.Helper()
	s, err := releaseKey()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// before is the product with the name of an older version, as hack/release makes it: it
// is for everybody, and its owner writes into its text file whose it is. Updates start
// from it.
var before = sync.OnceValues(func() (*product, error) {
	p, err := builds[image.PushcamKernel]()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	checkout, err := image.FindCheckout(".")
	if err != nil {
		return nil, err
	}
	key, err := releaseKey()
	if err != nil {
		return nil, err
	}
	old := *p
	b := &image.Builder{Checkout: checkout, Size: image.MinSize, Version: "v-before", Time: p.Time.Add(-time.Hour), Sign: key, Release: true}
	old.settings = "hostname=" + ownName + "\r\npassword=" + password + "\r\n"
	old.Image, err = b.Build(ctx, filepath.Join(scratch, "before.img"))
	return &old, err
})

// ownName is what its owner calls the camera that is updated. The updates are made for
// "pushcam".
const ownName = "garden"

// older is the product to be updated, and the version that it is updated to.
func older(t *testing.T) (p *product, newer string) {
	t.Helper()
	newer = built(t).Version
	p, err := before()
	if err != nil {
		t.Fatalf("build the image of a version before: %v", err)
	}
	return p, newer
}

// release is an image for updates of this checkout, once for all tests.
var release = sync.OnceValues(func() (*image.Image, error) {
	p, err := builds[image.PushcamKernel]()
	if err != nil {
		return nil, err
	}
	return archive("good.gaf", p.Version, p.Time)
})

func archive(name, version string, at time.Time) (*image.Image, error) {
	checkout, err := image.FindCheckout(".")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	key, err := releaseKey()
	if err != nil {
		return nil, err
	}
	b := &image.Builder{Checkout: checkout, Version: version, Time: at, Sign: key, Release: true}
	return b.BuildArchive(ctx, filepath.Join(scratch, name))
}

func good(t *testing.T) (gaf string) {
	t.Helper()
	img, err := release()
	if err != nil {
		t.Fatalf("build the update: %v", err)
	}
	return img.Path
}

// archiveOf is an image for updates to what is on the product's card.
func archiveOf(t *testing.T, p *product) (gaf string) {
	t.Helper()
	img, err := archive("older.gaf", p.Version, p.Time)
	if err != nil {
		t.Fatalf("build the older one: %v", err)
	}
	return img.Path
}

// rootOf gives the root file system in an image for updates.
func rootOf(t *testing.T, gaf string) []byte {
	t.Helper()
	a, err := partition.OpenArchive(gaf)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	root, err := io.ReadAll(a.Root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// with is the good image for updates with another root file system, signed as that.
func with(t *testing.T, root []byte) (gaf string) {
	t.Helper()
	is, err := partition.InspectRoot(bytes.NewReader(root), int64(len(root)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := partition.OpenArchive(good(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m := signed.Manifest{Version: is.Version, Built: is.Built, Arch: is.Arch, Root: described(t, bytes.NewReader(root)), Boot: described(t, a.Boot)}
	text, err := m.Sign(releaseSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	return changed(t, map[string][]byte{"root.img": root, partition.ManifestFile: text})
}

// unsigned is the good image for updates, which nobody has signed.
func unsigned(t *testing.T) (gaf string) {
	t.Helper()
	return changed(t, map[string][]byte{partition.ManifestFile: nil})
}

func described(t *testing.T, r io.Reader) signed.Content {
	t.Helper()
	c, err := signed.Describe(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// changed is the good image for updates with other files, and without those that are nil.
func changed(t *testing.T, files map[string][]byte) (gaf string) {
	t.Helper()
	in, err := zip.OpenReader(good(t))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "other.gaf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := zip.NewWriter(f)
	for _, entry := range in.File {
		content, other := files[entry.Name]
		if !other {
			if err := out.Copy(entry); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if content == nil {
			continue
		}
		w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// bad is an image for updates whose program does nothing but one bad thing; see
// hack/e2e/bad/pushcam.
func bad(t *testing.T, does string) (gaf string) {
	t.Helper()
	const program = "github.com/pushcam/pushcam/hack/e2e/bad/pushcam"
	root, err := os.ReadFile(variantRoot(t, func(config map[string]any) {
		config["Packages"] = []string{program}
		config["PackageConfig"] = map[string]any{program: map[string]any{
			"ExtraFileContents": map[string]string{partition.VersionFile: does + "\n"},
		}}
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return with(t, root)
}

// blind is the good root without the webcam's driver, whose file is renamed.
func blind(t *testing.T) (gaf string) {
	t.Helper()
	root, name := rootOf(t, good(t)), []byte("uvcvideo.ko")
	if n := bytes.Count(root, name); n != 1 {
		t.Fatalf("the root has %d files called %s", n, name)
	}
	return with(t, bytes.Replace(root, name, []byte("uvcvideX.ko"), 1))
}

// unreadable is the good root with a superblock that no kernel mounts, because it names
// a wrong place for its table of owners.
func unreadable(t *testing.T) (gaf string) {
	t.Helper()
	root := rootOf(t, good(t))
	const idTable = 48
	binary.LittleEndian.PutUint64(root[idTable:], 1<<40)
	return with(t, root)
}

// damaged is the good root with random bytes in the middle of all its programs. What is
// checked before an update is tried is whole.
func damaged(t *testing.T) (gaf string) {
	t.Helper()
	root := rootOf(t, good(t))
	inodes := binary.LittleEndian.Uint64(root[64:]) // the files' data are in front of them
	pieces := 0
	for at := uint64(1 << 20); at+4096 < inodes; at += 1 << 17 {
		whole := bytes.Clone(root[at : at+4096])
		copy(root[at:], bytes.Repeat([]byte("damaged!"), 512))
		if _, err := partition.InspectRoot(bytes.NewReader(root), int64(len(root))); err != nil {
			copy(root[at:], whole)
			continue
		}
		pieces++
	}
	if pieces < 10 {
		t.Fatalf("only %d pieces of the root are damaged", pieces)
	}
	return with(t, root)
}
