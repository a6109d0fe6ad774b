package partition

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ManifestFile is the name of Archive.Manifest in the zip.
const ManifestFile = "manifest.signed"

// An Archive is an image for updates (gokrazy archive format, .gaf): a zip of the
// boot partition and the root file system, neither compressed.
type Archive struct {
	Root, Boot *io.SectionReader
	Manifest   *io.SectionReader // what it is, signed (signed.Open); nil if nobody has signed it
	RootInfo   *Root
	BootKernel string // release of the kernel in Boot
	file       *os.File
}

// OpenArchive opens an archive and looks into it. Close must be called in the end.
func OpenArchive(path string) (a *Archive, err error) {
	info, err := os.Stat(path) // before it is opened: to open a pipe would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no image %s; make one with: pushcamctl image -o pushcam.gaf", path)
	} else if err != nil {
		return nil, err
	}
	notOurs := fmt.Errorf("%s is not an image for updates (.gaf); make one with: pushcamctl image -o pushcam.gaf", path)
	if !info.Mode().IsRegular() {
		return nil, notOurs
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	z, err := zip.NewReader(f, info.Size())
	if errors.Is(err, zip.ErrFormat) {
		return nil, notOurs
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	a = &Archive{file: f}
	for name, to := range map[string]**io.SectionReader{"root.img": &a.Root, "boot.img": &a.Boot} {
		if *to, err = stored(f, z, name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if a.Manifest, err = stored(f, z, ManifestFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.RootInfo, err = InspectRoot(a.Root, a.Root.Size()); err != nil {
		return nil, fmt.Errorf("%s: root.img: %w", path, err)
	}
	if a.BootKernel, err = KernelRelease(a.Boot); err != nil {
		return nil, fmt.Errorf("%s: boot.img: %w", path, err)
	}
	return a, nil
}

// Close closes the file.
func (a *Archive) Close() error { return a.file.Close() }

// stored is a file of the zip as a section of f, which it can be because gok does not
// compress it.
func stored(f *os.File, z *zip.Reader, name string) (*io.SectionReader, error) {
	for _, entry := range z.File {
		if entry.Name != name {
			continue
		}
		at, err := entry.DataOffset()
		if err != nil {
			return nil, err
		}
		if entry.Method != zip.Store {
			return nil, fmt.Errorf("%s is compressed, which gok never did", name)
		}
		return io.NewSectionReader(f, at, int64(entry.UncompressedSize64)), nil
	}
	return nil, fmt.Errorf("there is no %s in it: %w", name, fs.ErrNotExist)
}
