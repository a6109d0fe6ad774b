package image

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// unwanted is in the boot partition as gok makes it, and of no use there: firmware
// for those who debug it, and a boot loader for PCs.
var unwanted = []string{"start_db.elf", "fixup_db.dat", "start4db.elf", "fixup4db.dat", "EFI/BOOT/BOOTX64.EFI"}

// makeBoot makes a boot partition of size bytes in the place of gok's, with the same
// files but for those that are unwanted, and the owner's. gok's is as large as its
// content, so that nobody could add a file. It returns how many bytes have something in
// them.
func (b *Builder) makeBoot(boot partition.ReaderWriterAt, size int64, modified time.Time) (used int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("boot partition: %w", err)
		}
	}()
	gok, err := fat.Open(boot)
	if err != nil {
		return 0, err
	}
	files, err := bootFiles(gok, "")
	if err != nil {
		return 0, err
	}
	files = append(files, fat.NewFile{Path: setup.TextFile, Data: setup.Text(b.Settings)})
	if used, err = partition.FormatBoot(boot, size, modified, files); err != nil {
		return 0, err
	}
	if rest := gok.Size() - used; rest > 0 {
		_, err = boot.WriteAt(make([]byte, rest), used)
	}
	return used, err
}

// bootFiles are the files of an image in a folder and below it, which are for reading
// only.
func bootFiles(f *fat.FS, dir string) (files []fat.NewFile, err error) {
	const largest = 64 << 20 // bytes of a kernel
	entries, err := f.ReadDir(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := dir + e.Name
		var below []fat.NewFile
		switch {
		case slices.Contains(unwanted, path):
		case e.Dir:
			below, err = bootFiles(f, path+"/")
		default:
			below = []fat.NewFile{{Path: path, ReadOnly: true}}
			below[0].Data, err = f.ReadFile(path, largest)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	return files, nil
}
