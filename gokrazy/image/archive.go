package image

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

// finishArchive copies an archive of gok's with its root file system stamped and its
// boot partition tidied.
func finishArchive(img *Image, from, to string) (err error) {
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
	changes := map[string]func(partition.ReaderWriterAt) error{"root.img": img.finishRoot, "boot.img": tidyBoot}
	for _, entry := range in.File {
		if change := changes[entry.Name]; change != nil {
			err = copyChanged(out, entry, img.Time, change)
		} else {
			err = out.Copy(entry)
		}
		if err != nil {
			return err
		}
	}
	if img.RootSize == 0 {
		return errors.New("gok wrote no root file system")
	}
	if err := out.Close(); err != nil {
		return err
	}
	return f.Sync()
}

// copyChanged copies a file of an archive as change makes it.
func copyChanged(out *zip.Writer, entry *zip.File, modified time.Time, change func(partition.ReaderWriterAt) error) error {
	f, err := os.CreateTemp("", "pushcam-part-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store, Modified: modified})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(f, 0, int64(entry.UncompressedSize64)))
	return err
}
