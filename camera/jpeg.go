package camera

import (
	"bytes"
	"encoding/binary"
	"time"
)

// maxSide bounds the width and the height that are believed, in pixels. The
// largest sensors that cameras for this product have are about 9,300 wide.
const maxSide = 16384

// The markers of ITU-T T.81, table B.1, that are told apart here.
const (
	markerSOF0 = 0xc0 // baseline sequential
	markerSOF1 = 0xc1 // extended sequential
	markerSOF2 = 0xc2 // progressive
	markerDHT  = 0xc4
	markerDAC  = 0xcc
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDQT  = 0xdb
	markerDNL  = 0xdc
	markerDRI  = 0xdd
	markerDHP  = 0xde
	markerEXP  = 0xdf
	markerAPP0 = 0xe0
	markerJPG0 = 0xf0
	markerCOM  = 0xfe
)

// NewFrame makes a Frame of the JPEG at the start of src, which it neither
// keeps nor changes, or says why it cannot: the frame is nil exactly when the
// kind is not empty. captured becomes the frame's Time.
//
// The frame ends at the first EOI: what drivers leave after it, zero padding or
// the end of an older picture, is cut. A baseline picture without Huffman
// tables, as many UVC webcams send ("AVI1" frames), gets the standard ones:
// Safari and others do not have them built in.
//
// The structure is checked as far as a viewer needs it to show the picture.
// The entropy-coded bits themselves are not decoded, and the order of restart
// markers is left to decoders, which resynchronise.
func NewFrame(src []byte, captured time.Time) (*Frame, DropKind) {
	p, kind := scanJPEG(src)
	if kind != "" {
		return nil, kind
	}
	return p.frame(src, captured), ""
}

// A scannedJPEG is what one pass over a JPEG tells.
type scannedJPEG struct {
	// end is the length of the picture, EOI included. When the picture is
	// refused it is the offset of what could not be understood, which is where
	// a search for the next picture may go on.
	end           int
	width, height int
	components    int
	progressive   bool
	quantTables   bool // DQT was seen
	huffTables    bool // DHT was seen
	firstSOS      int  // offset of the first SOS marker, 0 when there is none
	insertTables  bool // no DHT came before firstSOS
}

// frame copies the picture out of src, from which p was scanned.
func (p *scannedJPEG) frame(src []byte, captured time.Time) *Frame {
	f := &Frame{Time: captured, Width: p.width, Height: p.height}
	if !p.insertTables {
		jpeg := make([]byte, p.end) // of a variable, with copy next: then Go does not clear it first
		copy(jpeg, src)
		f.JPEG = jpeg
		return f
	}
	f.JPEG = make([]byte, p.end+len(standardHuffmanTables))
	n := copy(f.JPEG, src[:p.firstSOS])
	n += copy(f.JPEG[n:], standardHuffmanTables)
	copy(f.JPEG[n:], src[p.firstSOS:p.end])
	return f
}

// scanJPEG walks over the JPEG at the start of src, from SOI to the first EOI
// that is not inside a segment. It makes one pass and allocates nothing. The
// kind is empty when the picture is whole.
func scanJPEG(src []byte) (p scannedJPEG, kind DropKind) {
	if len(src) == 0 {
		return p, DropEmpty
	}
	if len(src) < 2 || src[0] != 0xff || src[1] != markerSOI {
		return p, DropNoSOI
	}
	truncated := func() (scannedJPEG, DropKind) {
		p.end = len(src)
		return p, DropTruncated
	}
	pos := 2
	for {
		p.end = pos
		body := pos
		for body < len(src) && src[body] == 0xff { // a marker may have fill bytes (B.1.1.2)
			body++
		}
		if body == len(src) {
			return truncated()
		}
		marker := src[body]
		body++
		switch {
		case body == pos+1, // no FF
			marker < markerSOF0,                         // 00, TEM, reserved
			marker >= markerRST0 && marker <= markerSOI, // SOI: the next picture begins inside this one
			marker == markerDNL,
			marker == markerEOI && p.firstSOS == 0:
			return p, DropMalformed
		case marker == markerEOI:
			p.end = body
			return p, ""
		}

		if len(src)-body < 2 {
			return truncated()
		}
		next := body + int(binary.BigEndian.Uint16(src[body:]))
		if next < body+2 {
			return p, DropMalformed
		}
		if next > len(src) {
			return truncated()
		}
		if marker == markerSOS && p.firstSOS == 0 {
			p.firstSOS = pos
			p.insertTables = !p.huffTables
		}
		if kind := p.segment(marker, src[body+2:next]); kind != "" {
			return p, kind
		}
		pos = next
		if marker == markerSOS {
			pos = skipEntropyCoded(src, next)
			if pos == next && pos < len(src) {
				return p, DropMalformed // a scan of nothing
			}
		}
	}
}

// skipEntropyCoded returns the offset of the first marker at or after pos that
// is no RSTn, or len(src). This is where nearly all bytes of a picture are, so
// it leaps from one FF to the next.
func skipEntropyCoded(src []byte, pos int) int {
	for {
		i := bytes.IndexByte(src[pos:], 0xff)
		if i < 0 {
			return len(src)
		}
		start := pos + i
		pos = start + 1
		for pos < len(src) && src[pos] == 0xff { // fill bytes
			pos++
		}
		if pos == len(src) {
			return pos
		}
		if m := src[pos]; m != 0 && (m < markerRST0 || m > markerRST7) {
			return start
		}
	}
}

// segment takes in one marker segment whose content is data.
func (p *scannedJPEG) segment(marker byte, data []byte) DropKind {
	ok := true
	switch marker {
	case markerSOF0, markerSOF1, markerSOF2:
		return p.startOfFrame(marker, data)
	case markerDHT:
		p.huffTables = true
		ok = huffmanTablesFit(data)
	case markerDQT:
		p.quantTables = true
		ok = quantTablesFit(data)
	case markerDRI:
		ok = len(data) == 2
	case markerSOS:
		ok = p.startOfScan(data)
	case markerCOM:
	case markerDAC, markerDHP, markerEXP:
		return DropUnsupported
	default:
		if marker < markerAPP0 || marker >= markerJPG0 { // the other SOFs, JPEG-LS
			return DropUnsupported
		}
	}
	if !ok {
		return DropMalformed
	}
	return ""
}

// startOfFrame reads a frame header (T.81, B.2.2).
func (p *scannedJPEG) startOfFrame(marker byte, data []byte) DropKind {
	if p.components != 0 || len(data) < 6 || len(data) != 6+3*int(data[5]) {
		return DropMalformed
	}
	if precision := data[0]; precision != 8 {
		return DropUnsupported
	}
	p.progressive = marker == markerSOF2
	p.height = int(binary.BigEndian.Uint16(data[1:]))
	p.width = int(binary.BigEndian.Uint16(data[3:]))
	// A height of 0 would mean that a DNL segment tells it later, which
	// browsers do not wait for.
	if p.width == 0 || p.height == 0 || p.width > maxSide || p.height > maxSide {
		return DropMalformed
	}
	p.components = int(data[5])
	switch p.components {
	case 0:
		return DropMalformed
	case 1, 3, 4: // grey, colour, Adobe's CMYK
	default:
		return DropUnsupported
	}
	for c := data[6:]; len(c) > 0; c = c[3:] {
		if h, v := c[1]>>4, c[1]&15; h < 1 || h > 4 || v < 1 || v > 4 || c[2] > 3 {
			return DropMalformed
		}
	}
	return ""
}

// startOfScan checks a scan header (T.81, B.2.3) and that what it needs came
// before it.
func (p *scannedJPEG) startOfScan(data []byte) bool {
	if p.components == 0 || !p.quantTables || p.progressive && !p.huffTables {
		return false
	}
	n := 0
	if len(data) > 0 {
		n = int(data[0])
	}
	return n >= 1 && n <= p.components && len(data) == 4+2*n
}

// quantTablesFit reports whether a DQT segment holds whole tables (T.81, B.2.4.1).
func quantTablesFit(data []byte) bool {
	for len(data) > 0 {
		size := 1 + 64
		if data[0]>>4 == 1 { // 16 bits
			size += 64
		}
		if data[0]>>4 > 1 || data[0]&15 > 3 || len(data) < size {
			return false
		}
		data = data[size:]
	}
	return true
}

// huffmanTablesFit reports whether a DHT segment holds whole tables (T.81, B.2.4.2).
func huffmanTablesFit(data []byte) bool {
	for len(data) > 0 {
		if data[0]>>4 > 1 || data[0]&15 > 3 || len(data) < 1+16 {
			return false
		}
		size := 1 + 16
		for _, n := range data[1:17] {
			size += int(n)
		}
		if len(data) < size {
			return false
		}
		data = data[size:]
	}
	return true
}
