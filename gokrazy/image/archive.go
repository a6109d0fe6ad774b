package image

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

// finishArchive copies an archive of gok's with its root file system stamped.
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
	for _, entry := range in.File {
		if entry.Name == "root.img" {
			err = copyRoot(img, out, entry)
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

func copyRoot(img *Image, out *zip.Writer, entry *zip.File) error {
	root, err := os.CreateTemp("", "pushcam-root-")
	if err != nil {
		return err
	}
	defer os.Remove(root.Name())
	defer root.Close()
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(root, r); err != nil {
		return err
	}
	if img.RootSize, err = partition.StampRoot(root, img.Time); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(root, 0, img.RootSize)); err != nil {
		return err
	}
	img.RootSum = hex.EncodeToString(sum.Sum(nil))
	w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store, Modified: img.Time})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(root, 0, int64(entry.UncompressedSize64)))
	return err
}
