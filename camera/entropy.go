package camera

import "encoding/binary"

// entropyWhole reports whether all entropy-coded data of a picture that a Framer made
// are there: every block can be read, and the restart markers between them are in
// order. For a picture that is not one sequential scan it is false. Each block has two
// bits at least, so the time that it takes is bounded by the length of the data.
func entropyWhole(jpeg []byte) bool {
	var (
		tables   [2][4]huffman // by class and number
		frame    []byte        // the content of SOF
		interval int           // in MCUs; 0 when there are no restart markers
	)
	for pos := 2; ; {
		for jpeg[pos] == 0xff {
			pos++
		}
		marker, length := jpeg[pos], int(binary.BigEndian.Uint16(jpeg[pos+1:]))
		data := jpeg[pos+3 : pos+1+length]
		pos += 1 + length
		switch marker {
		case markerSOF0, markerSOF1:
			frame = data
		case markerDRI:
			interval = int(binary.BigEndian.Uint16(data))
		case markerDHT:
			for len(data) > 0 {
				n, ok := tables[data[0]>>4][data[0]&3].define(data[1:])
				if !ok {
					return false
				}
				data = data[1+n:]
			}
		case markerSOS:
			r := entropyReader{src: jpeg[pos:]}
			blocks, mcus := layout(frame, data, &tables)
			for i := range mcus {
				if interval > 0 && i > 0 && i%interval == 0 && !r.restart(i/interval-1) {
					return false
				}
				for _, b := range blocks {
					if !r.block(b.dc, b.ac) {
						return false
					}
				}
			}
			return mcus > 0
		}
	}
}

// A codedBlock is one block of an MCU.
type codedBlock struct{ dc, ac *huffman }

// layout returns the blocks of one MCU, and how many MCUs a scan has (T.81,
// A.2): none when it does not hold all components of the frame.
func layout(frame, scan []byte, tables *[2][4]huffman) (blocks []codedBlock, mcus int) {
	if frame == nil || frame[5] != scan[0] {
		return nil, 0
	}
	hMax, vMax := 1, 1
	for i := range int(frame[5]) {
		c, selector := frame[6+3*i:], scan[1+2*i:] // in the same order (B.2.3)
		if c[0] != selector[0] {
			return nil, 0
		}
		h, v := int(c[1]>>4), int(c[1]&15)
		hMax, vMax = max(hMax, h), max(vMax, v)
		for range h * v {
			blocks = append(blocks, codedBlock{&tables[0][selector[1]>>4], &tables[1][selector[1]&15]})
		}
	}
	if frame[5] == 1 { // not interleaved: an MCU is a block, whatever the sampling
		blocks, hMax, vMax = blocks[:1], 1, 1
	}
	height, width := int(binary.BigEndian.Uint16(frame[1:])), int(binary.BigEndian.Uint16(frame[3:]))
	return blocks, ((width + 8*hMax - 1) / (8 * hMax)) * ((height + 8*vMax - 1) / (8 * vMax))
}

// A huffman is a Huffman table for reading.
type huffman struct {
	values []byte
	short  [256]uint16 // by the next 8 bits: length of the code in bits << 8 | value; 0 when it is longer
	limit  [17]int     // of the codes of each length, the one after the last
	offset [17]int     // from a code of each length to the index of its value
}

// define reads a table behind its class and number (T.81, B.2.4.2), and returns the
// length of what it has read in bytes.
func (h *huffman) define(data []byte) (n int, ok bool) {
	*h = huffman{values: data[16:]}
	code := 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = n - code
		for range data[length-1] {
			if code >= 1<<length {
				return 0, false // more codes than there can be
			}
			if length <= 8 {
				first := code << (8 - length)
				for i := range 1 << (8 - length) {
					h.short[first+i] = uint16(length)<<8 | uint16(h.values[n])
				}
			}
			code++
			n++
		}
		h.limit[length] = code
		code <<= 1
	}
	return 16 + n, true
}

// An entropyReader reads entropy-coded data up to a marker. src ends with a marker.
type entropyReader struct {
	src  []byte
	bits uint64 // the last n of them are not yet used
	n    int
}

// fill makes sure that bits has enough for the longest code and the longest value
// behind it, unless the data end before.
func (r *entropyReader) fill() {
	for r.n < 32 {
		b, next := r.src[0], 1
		if b == 0xff {
			if r.src[1] != 0 {
				return
			}
			next = 2
		}
		r.bits = r.bits<<8 | uint64(b)
		r.n += 8
		r.src = r.src[next:]
	}
}

// skip passes over n bits.
func (r *entropyReader) skip(n int) bool {
	r.n -= n
	return r.n >= 0
}

// code reads one Huffman code and returns its value.
func (r *entropyReader) code(h *huffman) (value byte, ok bool) {
	r.fill()
	next := int(uint16(r.bits << 16 >> r.n)) // the next 16 bits, zeros behind the end
	if s := h.short[next>>8]; s != 0 {
		return byte(s), r.skip(int(s >> 8))
	}
	for length := 9; length <= 16; length++ {
		if code := next >> (16 - length); code < h.limit[length] {
			return h.values[h.offset[length]+code], r.skip(length)
		}
	}
	return 0, false
}

// block passes over one block (T.81, F.2.2).
func (r *entropyReader) block(dc, ac *huffman) bool {
	size, ok := r.code(dc)
	if !ok || size > 15 || !r.skip(int(size)) {
		return false
	}
	for k := 1; k < 64; k++ {
		v, ok := r.code(ac)
		run, size := int(v>>4), int(v&15)
		if !ok || !r.skip(size) {
			return false
		}
		if size == 0 && run < 15 {
			return true // the end of the block
		}
		if k += run; k > 63 {
			return false
		}
	}
	return true
}

// restart passes over the restart marker with number count modulo 8.
func (r *entropyReader) restart(count int) bool {
	start, end := nextMarker(r.src, 0)
	if start != 0 || r.src[end-1] != markerRST0+byte(count&7) {
		return false
	}
	r.src, r.n = r.src[end:], 0
	return true
}
