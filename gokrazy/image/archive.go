package image

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// finishArchive copies an archive of gok's with its root file system stamped and its
// boot partition made anew. Of that it has what is used, which is a quarter: a file
// system that is written over another one needs no more.
func (b *Builder) finishArchive(img *Image, from, to string) (err error) {
	in, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := zip.NewWriter(f)
	var is *partition.Root
	changes := map[string]func(partition.ReaderWriterAt, int64) (int64, error){
		"root.img": func(root partition.ReaderWriterAt, size int64) (int64, error) {
			err := img.finishRoot(root)
			if err == nil && b.Sign != nil {
				is, err = partition.InspectRoot(root, size)
			}
			return size, err
		},
		"boot.img": func(boot partition.ReaderWriterAt, _ int64) (int64, error) {
			return b.makeBoot(boot, bootSize, img.Time)
		},
	}
	parts := make(map[string]signed.Content)
	for _, entry := range in.File {
		if change := changes[entry.Name]; change != nil {
			parts[entry.Name], err = copyChanged(out, entry, img.Time, change)
		} else {
			err = copyAsOf(out, entry, img.Time)
		}
		if err != nil {
			return err
		}
	}
	if img.RootSize == 0 {
		return errors.New("gok wrote no root file system")
	}
	if b.Sign != nil {
		m := signed.Manifest{Version: is.Version, Built: is.Built, Arch: is.Arch, Root: parts["root.img"], Boot: parts["boot.img"]}
		if err := b.sign(out, m, img.Time); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return f.Sync()
}

// sign adds what the archive is.
func (b *Builder) sign(out *zip.Writer, m signed.Manifest, modified time.Time) error {
	text, err := m.Sign(b.Sign)
	if err != nil {
		return err
	}
	w, err := out.CreateHeader(&zip.FileHeader{Name: partition.ManifestFile, Method: zip.Store, Modified: modified})
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// copyChanged copies a file of an archive as change makes it, which is given its size
// and returns that of the new one. It returns what the new one is.
func copyChanged(out *zip.Writer, entry *zip.File, modified time.Time, change func(partition.ReaderWriterAt, int64) (int64, error)) (is signed.Content, err error) {
	f, err := os.CreateTemp("", "pushcam-part-")
	if err != nil {
		return is, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	r, err := entry.Open()
	if err != nil {
		return is, err
	}
	defer r.Close()
	size, err := io.Copy(f, r)
	if err != nil {
		return is, err
	}
	if size, err = change(f, size); err != nil {
		return is, err
	}
	w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store, Modified: modified})
	if err != nil {
		return is, err
	}
	return signed.Describe(io.TeeReader(io.NewSectionReader(f, 0, size), w))
}

// copyAsOf copies a file of an archive as it is, but for its time: gok gives it that of
// the build, and two builds of a commit are the same.
func copyAsOf(out *zip.Writer, entry *zip.File, modified time.Time) error {
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store, Modified: modified})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
