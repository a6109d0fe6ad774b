// Package pushertest reads what package pusher sends, more strictly than any
// player does.
package pushertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Part is one frame of a multipart stream.
type Part struct {
	JPEG    []byte
	Seq     uint64    // X-Frame
	Capture time.Time // X-Timestamp, to the microsecond
}

// ErrClosed ends a stream that closed with its final boundary, as a server does
// that stops; a stream that just breaks off gives io.ErrUnexpectedEOF.
var ErrClosed = errors.New("the stream ended with its closing boundary")

// A StreamReader parses a multipart/x-mixed-replace stream by RFC 2046 and by
// what the field's players rely on: CRLF everywhere, a boundary before the
// first part, a Content-Length in every part that is exact to the byte, and the
// next boundary directly behind the frame.
type StreamReader struct {
	// Head is the answer to the request, status line and header.
	Status string
	Header textproto.MIMEHeader

	r        *bufio.Reader
	boundary string
	began    bool
}

// NewStreamReader reads the answer's head from r.
func NewStreamReader(r io.Reader) (*StreamReader, error) {
	s := &StreamReader{r: bufio.NewReaderSize(r, 64<<10)}
	var err error
	if s.Status, err = s.line(); err != nil {
		return nil, fmt.Errorf("status line: %w", err)
	}
	if s.Header, err = s.header(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	const multipart = "multipart/x-mixed-replace; boundary="
	contentType := s.Header.Get("Content-Type")
	var ok bool
	if s.boundary, ok = strings.CutPrefix(contentType, multipart); !ok {
		return s, fmt.Errorf("Content-Type is %q, want %s…", contentType, multipart)
	}
	if s.boundary == "" || strings.HasPrefix(s.boundary, "-") || strings.ContainsAny(s.boundary, "\"; \t") {
		return s, fmt.Errorf("boundary %q would trip a strict parser", s.boundary)
	}
	return s, nil
}

// Next returns the next part, with its bytes in memory of its own.
func (s *StreamReader) Next() (Part, error) {
	if !s.began {
		line, err := s.line()
		if err != nil {
			return Part{}, err
		}
		if line != "--"+s.boundary {
			return Part{}, fmt.Errorf("the stream begins with %q, not with its boundary", line)
		}
		s.began = true
	}
	h, err := s.header()
	if err != nil {
		return Part{}, fmt.Errorf("part header: %w", err)
	}
	h.Del("X-Waiting") // goes ahead, to see whether this reader reads
	if len(h) == 0 {
		return Part{}, s.closing()
	}
	p, err := parsePart(h)
	if err != nil {
		return Part{}, err
	}
	if _, err := io.ReadFull(s.r, p.JPEG); err != nil {
		return Part{}, fmt.Errorf("part body: %w", unexpected(err))
	}
	if !bytes.HasPrefix(p.JPEG, []byte{0xff, 0xd8}) || !bytes.HasSuffix(p.JPEG, []byte{0xff, 0xd9}) {
		return Part{}, errors.New("the part is not one JPEG from SOI to EOI")
	}
	delimiter := "\r\n--" + s.boundary + "\r\n"
	got := make([]byte, len(delimiter))
	if _, err := io.ReadFull(s.r, got); err != nil {
		return Part{}, fmt.Errorf("boundary behind a part: %w", unexpected(err))
	}
	if string(got) != delimiter {
		return Part{}, fmt.Errorf("behind a part stands %q, want %q", got, delimiter)
	}
	return p, nil
}

// closing reads what follows an empty part: the closing delimiter and the end.
func (s *StreamReader) closing() error {
	rest, err := io.ReadAll(io.LimitReader(s.r, 1024))
	if err != nil {
		return unexpected(err)
	}
	if want := "--" + s.boundary + "--\r\n"; string(rest) != want {
		return fmt.Errorf("an empty part is followed by %q, want %q and the end", rest, want)
	}
	return ErrClosed
}

const maxPart = 64 << 20 // bytes; a larger Content-Length is a broken stream

func parsePart(h textproto.MIMEHeader) (Part, error) {
	if t := h.Get("Content-Type"); t != "image/jpeg" {
		return Part{}, fmt.Errorf("a part's Content-Type is %q, want image/jpeg", t)
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil || n < 4 || n > maxPart {
		return Part{}, fmt.Errorf("a part's Content-Length is %q", h.Get("Content-Length"))
	}
	seq, err := strconv.ParseUint(h.Get("X-Frame"), 10, 64)
	if err != nil {
		return Part{}, fmt.Errorf("a part's X-Frame is %q", h.Get("X-Frame"))
	}
	stamp := h.Get("X-Timestamp")
	seconds, err := strconv.ParseFloat(stamp, 64)
	_, frac, _ := strings.Cut(stamp, ".")
	if err != nil || len(frac) != 6 || seconds < 0 || seconds > math.MaxInt32*10 {
		return Part{}, fmt.Errorf("a part's X-Timestamp is %q, want seconds with six digits behind the point", stamp)
	}
	return Part{JPEG: make([]byte, n), Seq: seq, Capture: time.UnixMicro(int64(math.Round(seconds * 1e6)))}, nil
}

// header reads "Name: value" lines up to the empty one.
func (s *StreamReader) header() (textproto.MIMEHeader, error) {
	h := textproto.MIMEHeader{}
	for range 64 {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		if line == "" {
			return h, nil
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is no header line", line)
		}
		h.Add(name, value)
	}
	return nil, errors.New("more than 64 header lines")
}

// line reads up to CRLF, which it insists on.
func (s *StreamReader) line() (string, error) {
	b, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", unexpected(err)
	}
	line, ok := strings.CutSuffix(string(b), "\r\n")
	if !ok {
		return "", fmt.Errorf("%q does not end with CRLF", b)
	}
	return line, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
