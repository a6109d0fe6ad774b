// Package partition knows what is in the partitions of a pushcam's card: the boot partition (FAT),
// with the kernel and its command line, and the two root file systems (squashfs).
// It reads and changes them as bytes, without a kernel that mounts them, on the
// PC and on the appliance, as gok writes them.
package partition

import "io"

// ReaderWriterAt is an image, or a partition.
type ReaderWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// The partitions of a card, by their numbers.
const (
	BootPartition = 1
	RootA         = 2
	RootB         = 3
)

// OtherRoot is the root partition beside the one with this number.
func OtherRoot(number int) int { return RootA + RootB - number }
