package camera

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func decoded(t testing.TB, src []byte) image.Image {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPublicCases has pictures as webcams send them in public bug reports: all
// but one hold base.jpg, in a way that libjpeg shows.
func TestPublicCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(files) != 17 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	want := decoded(t, read(t, "base.jpg"))
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			src := read(t, name)
			f, kind := NewFrame(src, time.Time{})
			if name == "cut-half.jpg" {
				if kind != DropTruncated {
					t.Errorf("kind %q, want %q", kind, DropTruncated)
				}
				return
			}
			if kind != "" {
				t.Fatalf("dropped: %s", kind)
			}
			if diff := cmp.Diff(want, decoded(t, f.JPEG)); diff != "" {
				t.Errorf("another picture (-want +got):\n%s", diff)
			}
			if n := naiveEnd(f.JPEG); n != len(f.JPEG) {
				t.Errorf("a strict reader finds the end at %d of %d bytes", n, len(f.JPEG))
			}
			// What programs do that look for the markers alone.
			for _, marker := range [][]byte{soi, eoi} {
				if n := bytes.Count(f.JPEG, marker); n != 1 {
					t.Errorf("% x is there %d times", marker, n)
				}
			}
		})
	}
}

// TestCutOff cuts a picture off, at each byte of its header and at some behind
// that: before another one, whose picture is shown or nothing, and at the end of
// the data.
func TestCutOff(t *testing.T) {
	for _, name := range []string{"base.jpg", "dht-luma-only.jpg", "noeoi-restarts.jpg"} {
		t.Run(name, func(t *testing.T) {
			full := read(t, name)
			whole, kind := NewFrame(full, time.Time{})
			if kind != "" {
				t.Fatal(kind)
			}
			want := decoded(t, whole.JPEG)
			bits := bytes.Index(full, []byte{0xff, markerSOS}) + 14
			end := len(bytes.TrimSuffix(full, eoi))
			for cut := range end {
				if cut > bits && cut < end-20 && cut%31 != 0 {
					continue
				}
				if _, kind := NewFrame(full[:cut], time.Time{}); kind == "" {
					t.Errorf("%d of %d bytes are shown", cut, len(full))
				}
				f, kind := NewFrame(join(full[:cut], full), time.Time{})
				switch {
				case kind != "" && cut > bits: // before that a segment may swallow the picture's header
					t.Errorf("%d bytes before the picture hide it: %s", cut, kind)
				case kind == "" && !bytes.Equal(f.JPEG, whole.JPEG) && !reflect.DeepEqual(want, decoded(t, f.JPEG)):
					t.Errorf("%d bytes before the picture change it", cut)
				}
			}
		})
	}
}

// TestFramer tells a camera that never sends EOI from one that loses it now and
// then, by the times of its frames.
func TestFramer(t *testing.T) {
	full := read(t, "base.jpg")
	noEOI, cut := full[:len(full)-2], read(t, "cut-half.jpg")
	type sent struct {
		src   []byte
		times int // at 10 fps
		kind  DropKind
		noEOI bool // after it
	}
	tests := []struct {
		name string
		sent []sent
	}{
		{"never EOI", []sent{{noEOI, 50, "", false}, {noEOI, 100, "", true}}},
		{"always EOI", []sent{{full, 100, "", false}, {cut, 1, DropTruncated, false}, {full, 10, "", false}}},
		{"no EOI now and then", []sent{
			{noEOI, 49, "", false}, {full, 1, "", false}, {noEOI, 49, "", false}, {cut, 1, DropTruncated, false}, {noEOI, 50, "", false},
		}},
		{"cut off at first", []sent{{cut, 60, DropTruncated, false}, {noEOI, 50, "", false}, {noEOI, 1, "", true}}},
		{"cut off, between two looks", []sent{{noEOI, 52, "", true}, {cut, 1, "", true}, {noEOI, 7, "", true}}},
		{"cut off for longer", []sent{{noEOI, 51, "", true}, {cut, 8, "", true}, {cut, 1, DropTruncated, false}, {noEOI, 50, "", false}}},
		{"EOI after all", []sent{{noEOI, 70, "", true}, {full, 1, "", false}, {cut, 1, DropTruncated, false}}},
		{"another fault", []sent{{noEOI, 70, "", true}, {nil, 1, DropEmpty, false}, {cut, 1, DropTruncated, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f Framer
			now := time.Unix(1, 0)
			for i, s := range tt.sent {
				for n := range s.times {
					if _, kind := f.Frame(s.src, now); kind != s.kind {
						t.Fatalf("step %d, frame %d: kind %q, want %q", i, n, kind, s.kind)
					}
					now = now.Add(100 * time.Millisecond)
				}
				if got := f.NoEOI(now.Add(-100 * time.Millisecond)); got != s.noEOI {
					t.Fatalf("step %d: no EOI %v, want %v", i, got, s.noEOI)
				}
			}
		})
	}
}

func TestPadding(t *testing.T) {
	full := read(t, "base.jpg")
	body := full[:len(full)-2]
	for i, tail := range [][]byte{nil, {0}, {0xff}, {0xff, 0xff}, make([]byte, 900), {0xff, 0xff, 0xff, 0xff}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			f, kind := NewFrame(join(body, tail), time.Time{})
			if kind != "" {
				t.Fatalf("dropped: %s", kind)
			}
			if !bytes.Equal(f.JPEG, full) {
				t.Errorf("%d bytes, want %d; or others", len(f.JPEG), len(full))
			}
		})
	}
}

// TestPaddingKeepsFF has entropy-coded data that end with a stuffed FF.
func TestPaddingKeepsFF(t *testing.T) {
	body := join(soi, dqt, sof(0xc0), dht, sos, []byte{1, 0xff, 0})
	for _, tail := range [][]byte{nil, make([]byte, 5)} {
		f := Framer{since: time.Unix(1, 0), walked: time.Unix(100, 0)} // it believes
		frame, kind := f.Frame(join(body, tail), time.Unix(100, 1))
		if kind != "" {
			t.Fatalf("dropped: %s", kind)
		}
		if want := join(body, eoi); !bytes.Equal(frame.JPEG, want) {
			t.Errorf("with %d bytes of padding: ends with % x, want % x", len(tail), frame.JPEG[len(frame.JPEG)-6:], want[len(want)-6:])
		}
	}
}
