package camera

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// splitAll lists what a splitter finds: the length of each picture, or its kind.
func splitAll(t testing.TB, src io.Reader, buffer, limit int) ([]string, error) {
	t.Helper()
	s := newSplitter(src, new(Framer))
	s.buf, s.limit = make([]byte, buffer), limit
	var found []string
	for {
		f, kind, err := s.next(time.Time{})
		if len(s.buf) > limit {
			t.Fatalf("%d bytes are held, the limit is %d", len(s.buf), limit)
		}
		switch {
		case err != nil:
			return found, err
		case kind != "":
			found = append(found, string(kind))
		default:
			found = append(found, fmt.Sprint(len(f.JPEG)))
		}
	}
}

func TestSplitter(t *testing.T) {
	a := encoded(t, noisyPicture(33, 17))
	b := encoded(t, noisyPicture(70, 50))
	lenA, lenB := fmt.Sprint(len(a)), fmt.Sprint(len(b))
	header := []byte("\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 1234\r\n\r\n")
	thumbnail := seg(0xe1, join([]byte("Exif\x00\x00"), a)...)

	tests := []struct {
		name string
		src  []byte
		want []string
	}{
		{"nothing", nil, nil},
		{"no picture", bytes.Repeat([]byte("text\xff\xd8"), 5000), nil},
		{"one", a, []string{lenA}},
		{"one after another", join(a, b, a), []string{lenA, lenB, lenA}},
		{"multipart", join(header, a, header, b, header), []string{lenA, lenB}},
		{"padding", join(a, make([]byte, 5000), b, make([]byte, 5000)), []string{lenA, lenB}},
		{"without tables", join(withoutTables(t, a), b), []string{fmt.Sprint(len(a) + 3*4), lenB}}, // three segments more
		{"without EOI", join(a[:len(a)-2], header, a[:len(a)-2], b[:len(b)-2], make([]byte, 5000)), []string{fmt.Sprint(len(a) + len(header)), lenA, lenB}},
		{"half a picture between", join(a, b[:len(b)/2], a), []string{lenA, "truncated", lenA}},
		{"second half of a picture between", join(a, b[len(b)/2:], a), []string{lenA, lenA}},
		{"half a picture at the end", join(a, b[:len(b)/2]), []string{lenA, "truncated"}},
		{"thumbnails are no pictures", join(soi, thumbnail, a[2:], b), []string{lenA, lenB}},
		{"a picture that is not shown", join(soi, dqt, sof(0xc9), sos, bits, eoi, a), []string{"unsupported", lenA}},
		{"ends with half a start", join(a, soi), []string{lenA}},
	}
	for _, tt := range tests {
		for _, buffer := range []int{16, 1000, 1 << 20} {
			for name, reader := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader, "late EOF": iotest.DataErrReader,
			} {
				t.Run(fmt.Sprintf("%s/%d/%s", tt.name, buffer, name), func(t *testing.T) {
					got, err := splitAll(t, reader(bytes.NewReader(tt.src)), buffer, 1<<20)
					if !errors.Is(err, io.EOF) {
						t.Errorf("error %v, want %v", err, io.EOF)
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

func TestSplitterLimit(t *testing.T) {
	small, large := encoded(t, noisyPicture(33, 17)), encoded(t, noisyPicture(200, 200))
	src := join(small, large, small)
	got, err := splitAll(t, bytes.NewReader(src), 16, len(large)-1)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []string{fmt.Sprint(len(small)), "too-large", fmt.Sprint(len(small))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, _ = splitAll(t, bytes.NewReader(src), 16, len(large)); len(got) != 3 || got[1] == "too-large" {
		t.Errorf("with room for the large one: %v", got)
	}
}

func TestSplitterReadError(t *testing.T) {
	a := encoded(t, noisyPicture(33, 17))
	broken := errors.New("input/output error")
	got, err := splitAll(t, io.MultiReader(bytes.NewReader(a), strings.NewReader("\xff\xd8\xff"), iotest.ErrReader(broken)), 16, 1<<20)
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if diff := cmp.Diff([]string{fmt.Sprint(len(a)), "truncated"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzSplitter compares the splitter, which sees the stream through a small
// window, with the same done on all of it at once.
func FuzzSplitter(f *testing.F) {
	a := join(soi, dqt, sof(0xc0), dht, sos, bits, eoi)
	f.Add(join(a, a), 16)
	f.Add(join([]byte("--frame\r\n\r\n"), a, []byte("\r\n--frame\r\n"), a[:40], a), 100)
	f.Add(join(a, []byte{0xff, 0xd8, 0xff}), 3)
	f.Fuzz(func(t *testing.T, src []byte, buffer int) {
		if buffer < len(pictureStart) || buffer > 1<<16 {
			return
		}
		var want []string
		for rest := src; ; {
			at := bytes.Index(rest, pictureStart)
			if at < 0 {
				break
			}
			rest = rest[at:]
			var p scannedJPEG
			frame, kind := new(Framer).make(&p, p.scan(rest), rest, time.Time{})
			if kind != "" {
				want = append(want, string(kind))
			} else {
				want = append(want, fmt.Sprint(len(frame.JPEG)))
			}
			rest = rest[p.end:]
		}
		got, err := splitAll(t, bytes.NewReader(src), buffer, 1<<24)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
