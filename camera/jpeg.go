package camera

import (
	"bytes"
	"encoding/binary"
)

// maxSide bounds the width and the height of a picture, in pixels. The largest sensors
// of cameras for this product are about 9,300 pixels wide.
const maxSide = 16384

// The markers of ITU-T T.81, table B.1, that are told apart here.
const (
	markerTEM  = 0x01
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

// A scannedJPEG is what scan finds out about a JPEG.
type scannedJPEG struct {
	// end is the length of the picture, EOI included. If the picture is refused, it is
	// the offset of what could not be understood, and a search for the next picture can
	// go on from there.
	end           int
	width, height int
	components    int
	progressive   bool
	scans         int
	// segments is the offset behind the last segment.
	segments int
	// noEOI is set for a truncated picture that may lack nothing but EOI: it has one
	// scan, in which the data ended or the next picture began.
	noEOI bool

	quantNeeded uint8 // bit n: a component uses quantisation table n
	quant       uint8 // bit n: table n was defined
	huffman     uint8 // bit n: Huffman table n for DC was defined; bit 4+n: for AC

	edits    [maxEdits]edit // what the copy leaves out and puts in, in order
	numEdits int
}

// scan walks over the JPEG at the start of src, from SOI to the first EOI that
// is not inside a segment, and fills p, which must be zero. It makes one pass and
// allocates nothing. The kind is empty when the picture is whole.
//
// Before the first scan of the picture it passes over bytes that are no marker, and
// over markers that mean nothing there, as libjpeg does, which decodes for nearly every
// viewer. Many cheap webcams send such bytes; they are left out of the copy. Behind the
// first scan they would be damaged entropy-coded data.
func (p *scannedJPEG) scan(src []byte) DropKind {
	if len(src) == 0 {
		return DropEmpty
	}
	if len(src) < 2 || src[0] != 0xff || src[1] != markerSOI {
		return DropNoSOI
	}
	for pos := 2; ; {
		start, body := nextMarker(src, pos)
		if body > len(src) {
			p.end = len(src)
			return DropTruncated
		}
		p.end = start
		marker := src[body-1]
		alone := marker == markerTEM || marker >= markerRST0 && marker <= markerRST7 // markers without a length, which mean nothing here
		skipped := start > pos
		switch {
		case p.scans > 0 && (skipped || alone):
			return DropMalformed
		case skipped && marker == markerSOI && p.segments > 0:
			// The bytes are the rest of a segment whose length is wrong, and what
			// begins here is the thumbnail in it.
			p.end = body
			return DropMalformed
		case marker == markerSOI: // of the next picture
			if p.scans == 0 {
				return DropMalformed
			}
			p.noEOI = p.scans == 1 && !p.progressive
			return DropTruncated
		case marker == markerEOI:
			if p.scans == 0 {
				return DropMalformed
			}
			p.end = body
			return p.whole()
		case alone:
			p.replace(pos, body, "")
			pos = body
			continue
		case marker < markerSOF0: // reserved
			return DropMalformed
		case skipped:
			p.replace(pos, start, "")
		}

		if len(src)-body < 2 {
			p.end = len(src)
			return DropTruncated
		}
		next := body + int(binary.BigEndian.Uint16(src[body:]))
		if next < body+2 {
			return DropMalformed
		}
		if next > len(src) {
			p.end = len(src)
			return DropTruncated
		}
		data := src[body+2 : next]
		if kind := p.segment(marker, data, start); kind != "" {
			return kind
		}
		if marker == markerDNL || misleads(marker, data) {
			p.replace(start, next, "")
		}
		pos, p.segments = next, next
		if marker == markerSOS {
			pos = skipEntropyCoded(src, next)
			switch pos {
			case len(src):
				p.end = pos
				p.noEOI = pos > next && p.scans == 0 && !p.progressive
				return DropTruncated
			case next:
				return DropMalformed // a scan of nothing
			}
			p.scans++
		}
	}
}

// whole is empty if nothing is missing in a picture that was read to its end.
func (p *scannedJPEG) whole() DropKind {
	if p.quantNeeded&^p.quant != 0 || p.numEdits > maxEdits {
		return DropMalformed
	}
	return ""
}

// nextMarker returns the offset of the first marker at or after pos, or of the fill bytes
// before it (T.81, B.1.1.2), and the offset behind the marker. That is beyond src if
// there is no marker. FF 00 is none.
func nextMarker(src []byte, pos int) (start, end int) {
	if pos+1 < len(src) && src[pos] == 0xff && src[pos+1]-1 < 0xfe { // it nearly always is
		return pos, pos + 2
	}
	for {
		i := bytes.IndexByte(src[pos:], 0xff)
		if i < 0 {
			return len(src), len(src) + 1
		}
		start = pos + i
		end = start + 1
		for end < len(src) && src[end] == 0xff {
			end++
		}
		if end == len(src) || src[end] != 0 {
			return start, end + 1
		}
		pos = end + 1
	}
}

// skipEntropyCoded returns the offset of the first marker at or after pos that is no
// RSTn, or len(src). Nearly all bytes of a picture are passed over here, so it jumps from
// one FF to the next.
func skipEntropyCoded(src []byte, pos int) int {
	for {
		start, end := nextMarker(src, pos)
		if end > len(src) {
			return len(src)
		}
		if m := src[end-1]; m < markerRST0 || m > markerRST7 {
			return start
		}
		pos = end
	}
}

// segment reads the content, data, of a marker segment that starts at start.
func (p *scannedJPEG) segment(marker byte, data []byte, start int) DropKind {
	ok := true
	switch marker {
	case markerSOF0, markerSOF1, markerSOF2:
		return p.startOfFrame(marker, data)
	case markerDHT:
		ok = p.huffmanTables(data) && !swallowed(data)
	case markerDQT:
		ok = p.quantTables(data) && !swallowed(data)
	case markerDRI, markerDNL: // DNL tells nothing new, because SOF's height is not 0
		ok = len(data) == 2
	case markerSOS:
		ok = p.startOfScan(data, start)
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
	// With a height of 0 a DNL segment would tell it later. Browsers do not wait for
	// that.
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
		p.quantNeeded |= 1 << c[2]
	}
	return ""
}

// startOfScan checks a scan header (T.81, B.2.3), and that everything it needs came
// before it. If Huffman tables of a sequential picture are missing, it adds the standard
// ones before the scan, because decoders of M-JPEG have those built in.
func (p *scannedJPEG) startOfScan(data []byte, start int) bool {
	if p.components == 0 || p.quant == 0 || p.progressive && p.huffman == 0 {
		return false
	}
	n := 0
	if len(data) > 0 {
		n = int(data[0])
	}
	if n < 1 || n > p.components || len(data) != 4+2*n {
		return false
	}
	if p.progressive {
		return true
	}
	for c := data[1:]; len(c) > 3; c = c[2:] {
		for class, id := range [...]byte{c[1] >> 4, c[1] & 15} {
			if id > 3 {
				return false
			}
			if bit := uint8(1) << (4*class + int(id)); p.huffman&bit == 0 {
				if id > 1 {
					return false
				}
				p.huffman |= bit
				p.replace(start, start, standardHuffman[class][id])
			}
		}
	}
	return true
}

// quantTables notes which tables a DQT segment holds (T.81, B.2.4.1), and
// reports whether they are whole.
func (p *scannedJPEG) quantTables(data []byte) bool {
	for len(data) > 0 {
		size := 1 + 64
		if data[0]>>4 == 1 { // 16 bits
			size += 64
		}
		if data[0]>>4 > 1 || data[0]&15 > 3 || len(data) < size {
			return false
		}
		p.quant |= 1 << (data[0] & 15)
		data = data[size:]
	}
	return true
}

// huffmanTables notes which tables a DHT segment holds (T.81, B.2.4.2), and
// reports whether they are whole.
func (p *scannedJPEG) huffmanTables(data []byte) bool {
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
		p.huffman |= 1 << (4*(data[0]>>4) + data[0]&15)
		data = data[size:]
	}
	return true
}

// swallowed reports whether the data of a table hold the start of a picture. Then the
// table was cut off, and the next picture began in it.
func swallowed(data []byte) bool { return bytes.Contains(data, pictureStart) }

// misleads reports whether a segment that no decoder needs holds SOI or EOI, as that of
// a thumbnail does. Programs that search a stream for SOI and EOI, instead of reading
// its segments, would take it for a picture.
func misleads(marker byte, data []byte) bool {
	switch marker {
	case markerAPP0: // JFIF, and AVI1
		if !bytes.HasPrefix(data, []byte("JFXX\x00")) {
			return false
		}
	case markerAPP0 + 2:
		if bytes.HasPrefix(data, []byte("ICC_PROFILE\x00")) {
			return false
		}
	case markerAPP0 + 14: // Adobe: what the colours mean
		return false
	}
	if marker < markerAPP0 {
		return false
	}
	for {
		i := bytes.IndexByte(data, 0xff)
		if i < 0 || i+1 == len(data) {
			return false
		}
		if m := data[i+1]; m == markerSOI || m == markerEOI {
			return true
		}
		data = data[i+1:]
	}
}
