package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxPicture bounds the bytes of one picture, as in recordings.
	maxPicture = 16 << 20
	// maxHeader bounds the lines of a part's header.
	maxHeader = 64
	// readSize is how much is read at once, and the longest line of a header, in bytes.
	readSize = 64 << 10
)

// parts are the pictures of a multipart stream. Cameras write it in many ways: with the
// boundary's dashes in the Content-Type or without, with a line break before the first
// boundary or behind a picture, or without. What counts is a line with the boundary, a
// header, and as many bytes as its Content-Length says. Without that length a picture ends
// with the next boundary, which some cameras send together with the next picture only.
type parts struct {
	in       *bufio.Reader
	boundary string // without dashes in front and behind; if it is empty, the first line with two dashes tells
	limit    int    // bytes of the largest picture
	within   bool   // the line with the boundary was read
	body     bytes.Buffer
}

// A picture is what a part holds.
type picture struct {
	jpeg  []byte // perhaps a JPEG; the next part overwrites it
	stamp int64  // capture time by the other pushcam's clock, in microseconds since 1970; 0 if it is none
}

var errNoMultipart = errors.New("what it sends has no beginning of a picture in it")

// next is the next part. Its error is io.EOF at the stream's end.
func (p *parts) next() (picture, error) {
	if !p.within {
		p.body.Reset()
		if err := p.toBoundary(); err != nil {
			return picture{}, err
		}
	}
	stamp, length, err := p.header()
	if err != nil {
		return picture{}, err
	}
	p.body.Reset()
	if length < 0 {
		err = p.toBoundary()
		if errors.Is(err, io.EOF) && p.body.Len() > 0 {
			err = nil // the last picture of a stream that just ends
		}
	} else {
		p.within = false
		var n int64
		if n, err = p.body.ReadFrom(io.LimitReader(p.in, length)); err == nil && n < length {
			err = io.EOF
		}
	}
	return picture{p.body.Bytes(), stamp}, err
}

// toBoundary reads into body what comes before the line with the boundary, and that line.
func (p *parts) toBoundary() error {
	p.within = false
	for begins := true; ; { // a line
		line, err := p.in.ReadSlice('\n')
		whole := err == nil
		if begins && whole && p.isBoundary(line) {
			p.within = true
			return nil
		}
		if p.body.Len()+len(line) > p.limit {
			return errNoMultipart
		}
		p.body.Write(line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		begins = whole
	}
}

// isBoundary tells whether a line is one with the boundary. The one that ends the stream
// has two more dashes.
func (p *parts) isBoundary(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("--")) || len(line) > 200 {
		return false
	}
	text := strings.Trim(strings.TrimSpace(string(line)), "-")
	if p.boundary == "" {
		p.boundary = text
	}
	return text == p.boundary
}

// header reads a part's header. The length is -1 if it does not say. Only a pushcam
// numbers its frames; other cameras' stamps may be anything, as the time since they were
// switched on.
func (p *parts) header() (stamp, length int64, err error) {
	length = -1
	numbered := false
	for range maxHeader {
		line, err := p.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, 0, errNoMultipart
		}
		if err != nil {
			return 0, 0, err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "":
			if !numbered {
				stamp = 0
			}
			return stamp, length, nil
		case "content-length":
			if length, err = strconv.ParseInt(value, 10, 64); err != nil || length < 0 || length > int64(p.limit) {
				return 0, 0, fmt.Errorf("a picture of %.20q bytes", value)
			}
		case "x-frame":
			numbered = true
		case "x-timestamp":
			stamp = parseStamp(value)
		}
	}
	return 0, 0, errNoMultipart
}

// parseStamp reads seconds since 1970 with six digits behind the point, as pushcam writes
// them. It is 0 for anything else.
func parseStamp(text string) int64 {
	seconds, micro, ok := strings.Cut(text, ".")
	s, err := strconv.ParseUint(seconds, 10, 33)
	if err != nil || !ok || len(micro) != 6 {
		return 0
	}
	us, err := strconv.ParseUint(micro, 10, 20)
	if err != nil {
		return 0
	}
	return int64(s)*1_000_000 + int64(us)
}
