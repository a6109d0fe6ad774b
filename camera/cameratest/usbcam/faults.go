package usbcam

import (
	"encoding/binary"
	"slices"
)

// Half is the first half of a JPEG, as a webcam gives it whose transfer broke.
func Half(jpg []byte) []byte { return jpg[:len(jpg)/2] }

// WithoutDHT is a JPEG without its Huffman tables, which many webcams leave out
// because MJPEG implies the standard ones. What is not a JPEG comes back as it
// is. The result shares nothing with jpg.
func WithoutDHT(jpg []byte) []byte {
	const startOfScan, huffmanTables = 0xda, 0xc4
	out := make([]byte, 0, len(jpg))
	i := min(2, len(jpg)) // SOI
	out = append(out, jpg[:i]...)
	for i+4 <= len(jpg) && jpg[i] == 0xff && jpg[i+1] != startOfScan {
		end := i + 2 + int(binary.BigEndian.Uint16(jpg[i+2:]))
		if end > len(jpg) {
			break
		}
		if jpg[i+1] != huffmanTables {
			out = append(out, jpg[i:end]...)
		}
		i = end
	}
	return append(out, jpg[i:]...)
}

// WithoutEOI is a JPEG without its end, as many cheap webcams send every frame.
func WithoutEOI(jpg []byte) []byte { return jpg[:len(jpg)-2] }

// DoubleSOI is a JPEG with two starts, as the Logitech C910 sends it.
func DoubleSOI(jpg []byte) []byte { return slices.Concat(jpg[:2], jpg) }

// WithJunk is a JPEG with a byte between each two segments of its header, as the
// Logitech C270 sends now and then. It may end the header early in a picture
// whose segments are not those of an encoder.
func WithJunk(jpg []byte) []byte {
	const startOfScan = 0xda
	out := slices.Clone(jpg[:2])
	for i := 2; ; {
		out = append(out, 0)
		end := i + 2 + int(binary.BigEndian.Uint16(jpg[i+2:]))
		if jpg[i+1] == startOfScan {
			return append(out, jpg[i:]...)
		}
		out = append(out, jpg[i:end]...)
		i = end
	}
}

// WithThumbnail is a JPEG with a second one in an Exif segment, as cameras with
// a memory card send it. The thumbnail has at most 64 kB.
func WithThumbnail(jpg, thumbnail []byte) []byte {
	exif := slices.Concat([]byte("Exif\x00\x00"), thumbnail)
	header := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(2+len(exif)))
	return slices.Concat(jpg[:2], header, exif, jpg[2:])
}
