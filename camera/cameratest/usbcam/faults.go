package usbcam

import "encoding/binary"

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
