package testcard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"slices"
)

const (
	// mcu is the side in pixels of what a JPEG with 4:2:0 colour is made of.
	mcu = 16
	// maxTile is how many MCUs a tile is wide at most. Tiles of 8 would make the
	// card 4 % smaller and each of its frames 70 % dearer.
	maxTile = 2
)

// A mosaic is a picture that is encoded as JPEG again and again while only small
// parts of it change.
//
// It is cut into tiles, one MCU high, that are restart intervals of the JPEG
// (ITU-T T.81, E.1.4): at each, the DC prediction starts from 0 and the bits
// from a whole byte. So do those of a picture of a tile's size, which is why the
// entropy-coded bytes of small pictures, joined by RSTn markers behind one
// header, are one large picture. Tiles that did not change are encoded once.
type mosaic struct {
	// canvas is the picture, its sides rounded up to whole MCUs. Who draws on
	// it says so with changed.
	canvas *image.RGBA

	width, height int // of the picture, in pixels
	options       jpeg.Options
	tile          image.Rectangle // of the first tile
	columns       int             // tiles in a row

	scans [][]byte // entropy-coded bytes of each tile, row by row
	stale []bool   // tiles to encode
	view  image.RGBA
	out   memory

	tileHead []byte // SOI to SOS, as image/jpeg writes it for a tile
	head     []byte // SOI to SOS of the whole picture
}

func newMosaic(width, height, quality int) *mosaic {
	columns, rows := (width+mcu-1)/mcu, (height+mcu-1)/mcu
	perTile := 1 // a divisor of columns, since the intervals of all rows are alike
	for n := 2; n <= maxTile; n++ {
		if columns%n == 0 {
			perTile = n
		}
	}
	m := &mosaic{
		canvas:  image.NewRGBA(image.Rect(0, 0, columns*mcu, rows*mcu)),
		width:   width,
		height:  height,
		options: jpeg.Options{Quality: quality},
		tile:    image.Rect(0, 0, perTile*mcu, mcu),
		columns: columns / perTile,
	}
	m.scans = make([][]byte, m.columns*rows)
	m.stale = make([]bool, len(m.scans))
	m.changed(m.canvas.Rect)
	return m
}

// changed says that something was drawn within r.
func (m *mosaic) changed(r image.Rectangle) {
	r = r.Intersect(m.canvas.Rect)
	if r.Empty() {
		return
	}
	w := m.tile.Dx()
	for row := r.Min.Y / mcu; row <= (r.Max.Y-1)/mcu; row++ {
		for column := r.Min.X / w; column <= (r.Max.X-1)/w; column++ {
			m.stale[row*m.columns+column] = true
		}
	}
}

// encode returns the picture as it is now. The bytes are the caller's.
func (m *mosaic) encode() ([]byte, error) {
	for i, stale := range m.stale {
		if !stale {
			continue
		}
		if err := m.encodeTile(i); err != nil {
			return nil, err
		}
		m.stale[i] = false
	}

	size := len(m.head)
	for _, scan := range m.scans {
		size += len(scan) + 2
	}
	b := append(make([]byte, 0, size), m.head...)
	for i, scan := range m.scans {
		b = append(b, scan...)
		b = append(b, 0xff, 0xd0+byte(i%8)) // RSTn
	}
	b[size-1] = 0xd9 // EOI, after the last
	return b, nil
}

// encodeTile refreshes scans[i].
func (m *mosaic) encodeTile(i int) error {
	at := image.Pt(i%m.columns*m.tile.Dx(), i/m.columns*mcu)
	m.view = image.RGBA{Pix: m.canvas.Pix[m.canvas.PixOffset(at.X, at.Y):], Stride: m.canvas.Stride, Rect: m.tile}
	m.out = m.out[:0]
	if err := jpeg.Encode(&m.out, &m.view, &m.options); err != nil {
		return err
	}
	if m.tileHead == nil {
		if err := m.readHead(m.out); err != nil {
			return err
		}
	}
	// Tiles can share a header only as long as image/jpeg gives all of them
	// the same tables.
	scan, ok := bytes.CutPrefix(m.out, m.tileHead)
	if !ok {
		return errors.New("image/jpeg does not write the same header for all tiles")
	}
	m.scans[i] = append(m.scans[i][:0], scan[:len(scan)-2]...) // without EOI
	return nil
}

// readHead makes the header of the whole picture of that of a tile: with its
// own size, and with the restart interval.
func (m *mosaic) readHead(tile []byte) error {
	sof := 0
	for pos := 2; pos+4 <= len(tile); {
		next := pos + 2 + int(binary.BigEndian.Uint16(tile[pos+2:]))
		switch marker := tile[pos+1]; {
		case marker == 0xc0: // SOF0: marker, length, precision, height, width, …
			sof = pos
		case marker == 0xda && sof > 0: // SOS
			interval := []byte{0xff, 0xdd, 0, 4, 0, byte(m.tile.Dx() / mcu)} // DRI
			m.tileHead = bytes.Clone(tile[:next])
			m.head = slices.Concat(tile[:pos], interval, tile[pos:next])
			binary.BigEndian.PutUint16(m.head[sof+5:], uint16(m.height))
			binary.BigEndian.PutUint16(m.head[sof+7:], uint16(m.width))
			return nil
		}
		pos = next
	}
	return errors.New("image/jpeg wrote a picture that is not baseline")
}

// memory is what image/jpeg writes to without putting a buffer in between.
type memory []byte

func (b *memory) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }
func (b *memory) WriteByte(c byte) error      { *b = append(*b, c); return nil }
func (b *memory) Flush() error                { return nil }
