package image

import "fmt"

// Disk is a whole disk of this computer.
type Disk struct {
	Path     string // as /dev/sdb
	Model    string // as the disk says; may be empty
	Size     int64  // bytes
	ReadOnly bool

	node string // the device file itself, where Path may be a link to it
}

func (d *Disk) String() string {
	model := d.Model
	if model == "" {
		model = "disk"
	}
	return fmt.Sprintf("%s (%s, %.1f GB)", d.Path, model, float64(d.Size)/1e9)
}

// Large is the size in bytes above which a disk is hardly a card.
const Large = 256e9

// fits says why an image must not be written to the disk.
func (d *Disk) fits(image int64, large bool) error {
	switch {
	case d.Size == 0:
		return fmt.Errorf("%s has no card in it", d.Path)
	case d.ReadOnly:
		return fmt.Errorf("%s is write-protected: look for a small switch on the card or its adapter", d.Path)
	case d.Size < image:
		return fmt.Errorf("%s is too small for an image of %.1f GB", d, float64(image)/1e9)
	case d.Size > Large && !large:
		return fmt.Errorf("%s is larger than a card: if it is meant, say so with -large", d)
	}
	return nil
}
