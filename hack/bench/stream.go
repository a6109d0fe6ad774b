//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A frame's JPEG begins with a comment that says when it was captured and which frame
// it is, as fakecam.c writes it: SOI, FF FE, length, 16 hexadecimal digits of Unix
// nanoseconds, 16 of the sequence number. If it has zeros instead, the part's
// X-Timestamp says when.
const (
	stampAt     = 6
	stampDigits = 16
	stampEnd    = stampAt + 2*stampDigits
)

// A frame is when a frame was captured and came to a viewer, in Unix nanoseconds.
type frame struct {
	Captured int64
	First    int64 // when its header was there
	Last     int64 // when its last byte was there
}

// age is how old the frame was when the viewer had it, in milliseconds.
func (f frame) age() float64 { return float64(f.Last-f.Captured) / 1e6 }

// A byteStream is a connection whose bytes can be skipped more cheaply than read.
type byteStream interface {
	io.Reader
	Discard(n int) error
}

// A frameReader finds frames in any streamer's multipart stream. It trusts
// Content-Length and looks only at headers and stamps, so that 100 of them leave the
// processor to the server.
type frameReader struct {
	src    byteStream
	buf    [2048]byte
	lo, hi int
}

var errNoFrame = errors.New("this is no multipart stream")

// head reads up to and including an empty line. The bytes are valid until the
// next call of a method.
func (r *frameReader) head() ([]byte, error) {
	for {
		if i := bytes.Index(r.buf[r.lo:r.hi], []byte("\r\n\r\n")); i >= 0 {
			h := r.buf[r.lo : r.lo+i+4]
			r.lo += len(h)
			return h, nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// fill waits for bytes and reads those that are there.
func (r *frameReader) fill() error {
	if r.lo > 0 {
		r.hi = copy(r.buf[:], r.buf[r.lo:r.hi])
		r.lo = 0
	}
	if r.hi == len(r.buf) {
		return fmt.Errorf("%w: no end of the header in %d bytes", errNoFrame, r.hi)
	}
	n, err := r.src.Read(r.buf[r.hi:])
	r.hi += n
	if n > 0 {
		return nil
	}
	return err
}

// answer reads the answer to the request.
func (r *frameReader) answer() error {
	h, err := r.head()
	if err != nil {
		return err
	}
	if status, _, _ := bytes.Cut(h, []byte("\r\n")); !bytes.Contains(status, []byte(" 200 ")) {
		return fmt.Errorf("%w: the answer is %q", errNoFrame, status)
	}
	return nil
}

// next reads one frame of the camera. It passes over pictures without a stamp, which
// streamers show while they have no frame.
func (r *frameReader) next(now func() int64) (frame, error) {
	for {
		f, err := r.part(now)
		if err != nil || f.Captured != 0 {
			return f, err
		}
	}
}

// part reads one part. Captured is 0 if its picture has no stamp.
func (r *frameReader) part(now func() int64) (frame, error) {
	f, _, err := r.numbered(now)
	return f, err
}

// numbered is part, and tells the stamp's number.
func (r *frameReader) numbered(now func() int64) (f frame, n uint64, err error) {
	h, err := r.head()
	if err != nil {
		return frame{}, 0, err
	}
	f.First = now()
	size, err := strconv.Atoi(field(h, "Content-Length: "))
	if err != nil || size < stampEnd {
		return frame{}, 0, fmt.Errorf("%w: a part's header is %q", errNoFrame, h)
	}
	stamp := field(h, "X-Timestamp: ") // before fill moves the header
	for r.hi-r.lo < stampEnd {
		if err := r.fill(); err != nil {
			return frame{}, 0, err
		}
	}
	if f.Captured, err = captured(r.buf[r.lo:r.hi], stamp); err != nil {
		return frame{}, 0, err
	}
	if f.Captured != 0 { // else it has no stamp
		n, _ = strconv.ParseUint(string(r.buf[r.lo+stampAt+stampDigits:r.lo+stampEnd]), 16, 64)
	}
	if err := r.pass(size); err != nil {
		return frame{}, 0, err
	}
	f.Last = now()
	return f, n, nil
}

// record reads one frame of pushcam's /frames (README.md), and what is told before it. When
// it was captured is not known, because that is told in another clock.
func (r *frameReader) record(now func() int64) (frame, error) {
	const head, news = 16, 1 << 31
	size := 0
	for size == 0 { // such a record means nothing
		for r.hi-r.lo < head {
			if err := r.fill(); err != nil {
				return frame{}, err
			}
		}
		size = int(binary.BigEndian.Uint32(r.buf[r.lo:]))
		r.lo += head
		if size&news != 0 {
			if err := r.pass(size &^ news); err != nil {
				return frame{}, err
			}
			size = 0
		}
	}
	f := frame{First: now()}
	if err := r.pass(size); err != nil {
		return frame{}, err
	}
	f.Last = now()
	f.Captured = f.Last
	return f, nil
}

// pass reads n bytes that nobody needs.
func (r *frameReader) pass(n int) error {
	have := min(r.hi-r.lo, n)
	r.lo += have
	return r.src.Discard(n - have)
}

// field returns the value of a header line.
func field(h []byte, name string) string {
	_, after, _ := bytes.Cut(h, []byte(name))
	value, _, _ := bytes.Cut(after, []byte("\r\n"))
	return string(value)
}

// stampHead is what precedes the stamp's digits.
var stampHead = []byte{0xff, 0xd8, 0xff, 0xfe, 0, 2 + 2*stampDigits}

// captured is when the picture was captured, by its own stamp or the part's
// header; 0 if it has no stamp.
func captured(jpeg []byte, header string) (int64, error) {
	if !bytes.HasPrefix(jpeg, stampHead) {
		return 0, nil
	}
	ns, err := strconv.ParseInt(string(jpeg[stampAt:stampAt+stampDigits]), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: a stamp is %q", errNoFrame, jpeg[stampAt:stampEnd])
	}
	if ns != 0 {
		return ns, nil
	}
	s, err := strconv.ParseFloat(header, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: X-Timestamp is %q", errNoFrame, header)
	}
	return int64(s*1e6) * 1e3, nil
}

// putStamp writes a time and a number into a picture that has room for a stamp.
func putStamp(jpeg []byte, at time.Time, seq uint64) {
	b := jpeg[stampAt:stampAt]
	for _, v := range []uint64{uint64(at.UnixNano()), seq} {
		s := strconv.AppendUint(nil, v, 16)
		for range stampDigits - len(s) {
			b = append(b, '0')
		}
		b = append(b, s...)
	}
}

// A socket is a TCP connection that throws bytes away without copying them.
type socket struct {
	net.Conn
	raw  syscall.RawConn
	drop func(fd uintptr) bool // made once
	left int
	err  error
	rate float64   // bytes per second; 0 is no limit
	due  time.Time // of the next bytes
}

const (
	// rateChunk is what a reader at a rate reads at once.
	rateChunk = 8 << 10
	// rateCatchUp is the most that a reader makes up for when it has slept too long.
	rateCatchUp = 20 * time.Millisecond
)

func newSocket(c *net.TCPConn) (*socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: c, raw: raw}
	s.drop = s.dropSome
	return s, nil
}

// Discard skips n bytes, which it waits for.
func (s *socket) Discard(n int) error {
	if n == 0 {
		return nil
	}
	for chunk := n; n > 0 && s.err == nil; n -= chunk {
		if s.rate > 0 {
			time.Sleep(time.Until(s.due))
			chunk = min(n, rateChunk)
		}
		s.left, s.err = chunk, nil
		if err := s.raw.Read(s.drop); err != nil {
			return err
		}
		if s.rate > 0 {
			if now := time.Now(); now.Sub(s.due) > rateCatchUp {
				s.due = now
			}
			s.due = s.due.Add(time.Duration(float64(chunk) / s.rate * float64(time.Second)))
		}
	}
	return s.err
}

// dropSome tells whether all is skipped. For TCP, MSG_TRUNC discards bytes instead of
// copying them (tcp(7)).
func (s *socket) dropSome(fd uintptr) bool {
	for s.left > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, 0, uintptr(s.left), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EAGAIN:
			return false
		case errno == unix.EINTR:
		case errno != 0:
			s.err = errno
			return true
		case n == 0:
			s.err = io.ErrUnexpectedEOF
			return true
		default:
			s.left -= int(n)
		}
	}
	return true
}
