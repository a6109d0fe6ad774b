package camera

import (
	"bytes"
	"errors"
	"io"
	"time"
)

const (
	// maxPicture bounds the bytes of one picture of a recording.
	maxPicture = 16 << 20
	// firstBuffer is what a splitter begins with, in bytes; it doubles until
	// the pictures fit.
	firstBuffer = 256 << 10
)

// pictureStart is SOI and the beginning of the marker that must follow it.
var pictureStart = []byte{0xff, markerSOI, 0xff}

// A splitter finds the pictures in a stream of JPEGs one after another. What is
// between them, such as multipart headers or padding, is passed over. It holds
// at most limit bytes.
type splitter struct {
	src    io.Reader
	framer *Framer
	limit  int // bytes of the largest picture

	buf    []byte
	lo, hi int   // buf[lo:hi] is read and not yet used
	end    error // of src
}

func newSplitter(src io.Reader, framer *Framer) *splitter {
	return &splitter{src: src, framer: framer, limit: maxPicture, buf: make([]byte, firstBuffer)}
}

// next returns the next picture, or why the next one cannot be shown, or the error that
// ends the stream, which is io.EOF at its end.
func (s *splitter) next(captured time.Time) (*Frame, DropKind, error) {
	for {
		at := bytes.Index(s.buf[s.lo:s.hi], pictureStart)
		if at < 0 {
			// The last bytes may be the beginning of a picture.
			s.lo = max(s.lo, s.hi-len(pictureStart)+1)
			if !s.fill() {
				return nil, "", s.end
			}
			continue
		}
		s.lo += at
		src := s.buf[s.lo:s.hi]
		var p scannedJPEG
		kind := p.scan(src)
		if kind == DropTruncated && p.end == len(src) {
			if len(src) == s.limit {
				kind = DropTooLarge
			} else if s.fill() {
				continue
			}
		}
		s.lo += p.end
		frame, kind := s.framer.make(&p, kind, src, captured)
		return frame, kind, nil
	}
}

// fill reads more, behind what is not yet used, and reports whether there was more. It
// at least doubles what there is, up to the limit, because a picture is scanned again
// each time and must not cost more than a few scans.
func (s *splitter) fill() bool {
	if s.end != nil {
		return false
	}
	unused := s.buf[s.lo:s.hi]
	if len(unused) > len(s.buf)/2 && len(s.buf) < s.limit {
		s.buf = make([]byte, min(2*len(s.buf), s.limit))
	}
	s.lo, s.hi = 0, copy(s.buf, unused)
	var n int
	n, s.end = io.ReadFull(s.src, s.buf[s.hi:])
	if errors.Is(s.end, io.ErrUnexpectedEOF) {
		s.end = io.EOF
	}
	s.hi += n
	return n > 0
}
