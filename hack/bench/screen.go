//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Pictures say which they are by a row of black and white squares, so that a screen can be
// asked what it shows.
const (
	codedPictures = 300
	codeSquare    = 32 // pixels
	codeBits      = 10
	codeSquares   = 4 + 2*codeBits
)

// codeOf is the row of picture n: white where true. It begins with a mark, and has the
// number twice, once inverted.
func codeOf(n int) (row [codeSquares]bool) {
	row[0], row[2] = true, true
	for i := range codeBits {
		bit := n>>(codeBits-1-i)&1 == 1
		row[4+i], row[4+codeBits+i] = bit, !bit
	}
	return row
}

// codedRecording is a recording of all coded pictures.
func codedRecording() ([]byte, error) {
	var all []byte
	for n := range codedPictures {
		picture, err := codedPicture(n)
		if err != nil {
			return nil, err
		}
		all = append(all, picture...)
	}
	return all, nil
}

// codedPicture is picture n. It has a stamp without a time, and with the number n+1.
func codedPicture(n int) ([]byte, error) {
	noise := rand.New(rand.NewPCG(1, uint64(n)))
	m := image.NewGray(image.Rect(0, 0, pictureWidth, pictureHeight))
	var across [pictureWidth]float64
	for x := range across {
		across[x] = 128 + 50*math.Sin(float64(x+4*n)/90)
	}
	for y := range pictureHeight {
		down := 40 * math.Sin(float64(y-3*n)/60)
		for x := range pictureWidth {
			m.Pix[y*m.Stride+x] = uint8(across[x] + down + float64(noise.IntN(20)))
		}
	}
	for i, white := range codeOf(n) {
		c := color.Black
		if white {
			c = color.White
		}
		draw.Draw(m, image.Rect(i*codeSquare, 0, (i+1)*codeSquare, codeSquare), image.NewUniform(c), image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 72}); err != nil {
		return nil, err
	}
	jpg := b.Bytes()
	return slices.Concat(jpg[:2], segment(fmt.Sprintf("%0*x%0*x", stampDigits, 0, stampDigits, n+1)), jpg[2:]), nil
}

// A screen is what Xvfb shows, read from its memory.
type screen struct {
	mem           []byte
	pixels        []byte
	stride        int // bytes of a line
	width, height int
	x, y          int // of the code; it is looked for if lost is set
	lost          bool
}

// openScreen opens a file of Xvfb's -fbdir. It is a window dump (X11/XWDFile.h).
func openScreen(file string) (*screen, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the screen: %w", err)
	}
	u32 := func(field int) int { return int(binary.BigEndian.Uint32(mem[4*field:])) }
	s := &screen{mem: mem, stride: u32(12), width: u32(4), height: u32(5), lost: true}
	s.pixels = mem[u32(0)+12*u32(19):] // behind the header and its colours
	return s, nil
}

func (s *screen) close() error { return unix.Munmap(s.mem) }

func (s *screen) white(x, y int) bool {
	p := s.pixels[y*s.stride+4*x:]
	return int(p[0])+int(p[1])+int(p[2]) > 384
}

// codeAt reads a code whose left upper corner is at x, y.
func (s *screen) codeAt(x, y int) (n int, ok bool) {
	if x < 0 || y < 0 || x+codeSquares*codeSquare > s.width || y+codeSquare > s.height {
		return 0, false
	}
	var row [codeSquares]bool
	for i := range row {
		row[i] = s.white(x+i*codeSquare+codeSquare/2, y+codeSquare/2)
	}
	for _, bit := range row[4 : 4+codeBits] {
		n <<= 1
		if bit {
			n |= 1
		}
	}
	return n, n < codedPictures && row == codeOf(n)
}

// picture tells which picture is shown. While it is being changed that is not known.
func (s *screen) picture() (n int, ok bool) {
	if !s.lost {
		return s.codeAt(s.x, s.y)
	}
	for y := 0; y < s.height-codeSquare; y += 4 {
		for x := 0; x < s.width-codeSquares*codeSquare+1; x += 4 {
			if n, ok := s.codeAt(x, y); ok {
				s.x, s.y, s.lost = x, y, false
				return n, true
			}
		}
	}
	return 0, false
}
