// Package partition knows what is in the partitions of a pushcam's card: the boot
// partition (FAT16), with the kernel and its command line, the two root file systems
// (squashfs), and the table of all (GPT). It reads and changes them as bytes, on the PC
// and on the appliance, so that no kernel has to mount them.
//
// The squashfs is read by its own code, because no library serves: go-diskfs v1.7.0 and
// CalebQ42/squashfs v1.4.0 cannot set the times of an existing file system, which makes
// builds reproducible, and both bring three or more decompressors into the appliance's
// program for a format whose metadata gok does not compress. go-diskfs writes a partition
// table whole, where a power cut may leave half of it.
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
