package camera

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noisyPicture is a picture that no encoder can make small.
func noisyPicture(w, h int) *image.RGBA {
	rnd := rand.New(rand.NewPCG(1, 2))
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := uint8(rnd.Uint32())
			m.SetRGBA(x, y, color.RGBA{uint8(x) ^ v, uint8(y) + v/2, v, 255})
		}
	}
	return m
}

// encoded is m as image/jpeg writes it: SOI DQT SOF0 DHT SOS … EOI.
func encoded(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seg is a marker segment with its length.
func seg(marker byte, data ...byte) []byte {
	return append([]byte{0xff, marker, byte((len(data) + 2) >> 8), byte(len(data) + 2)}, data...)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// The parts of a small picture made by hand.
var (
	soi  = []byte{0xff, 0xd8}
	eoi  = []byte{0xff, 0xd9}
	dqt  = seg(0xdb, make([]byte, 65)...)
	dht  = seg(0xc4, join(make([]byte, 17), []byte{0x10}, make([]byte, 16))...)
	sof  = func(marker byte) []byte { return seg(marker, 8, 0, 48, 0, 64, 1, 1, 0x11, 0) }
	sos  = seg(0xda, 1, 1, 0, 0, 63, 0)
	bits = []byte{0x12, 0x34, 0xff, 0x00, 0x56}
	// standard are the tables that this picture needs.
	standard = []byte(standardHuffman[0][0] + standardHuffman[1][0])
)

// withoutTables takes the DHT segment out of a picture of image/jpeg.
func withoutTables(t testing.TB, src []byte) []byte {
	t.Helper()
	at := bytes.Index(src, []byte{0xff, markerDHT})
	length := 2 + int(src[at+2])<<8 + int(src[at+3])
	if length != 2+2+4*17+2*12+2*162 {
		t.Fatal("image/jpeg does not write the standard tables any more")
	}
	return slices.Delete(slices.Clone(src), at, at+length)
}

func TestNewFrame(t *testing.T) {
	full := encoded(t, noisyPicture(70, 50))
	small := join(soi, dqt, sof(0xc0), dht, sos, bits, eoi)
	withTables := join(soi, dqt, sof(0xc0), standard, sos, bits, eoi)
	// image/jpeg writes the standard tables in one segment in the place where
	// they are completed.
	sosAt := bytes.Index(full, []byte{0xff, 0xda})
	completed := join(withoutTables(t, full[:sosAt]), standard, []byte(standardHuffman[0][1]+standardHuffman[1][1]), full[sosAt:])
	lumaOnly := join(withoutTables(t, full[:sosAt]), standard, full[sosAt:])
	thumbnail := seg(0xe1, join([]byte("Exif\x00\x00"), full)...)
	profile := seg(0xe2, join([]byte("ICC_PROFILE\x00"), eoi)...)
	adobe := seg(0xee, join([]byte("Adobe"), eoi, make([]byte, 5))...)

	comments := func(n int, between ...byte) []byte {
		return join(soi, bytes.Repeat(join(seg(0xfe), between), n), small[2:])
	}

	tests := []struct {
		name string
		src  []byte
		want []byte // nil: dropped
		kind DropKind
	}{
		{"image/jpeg", full, full, ""},
		{"by hand", small, small, ""},
		{"zero padding", join(full, make([]byte, 4096)), full, ""},
		{"stale bytes of an older picture", join(full, full[900:]), full, ""},
		{"two pictures, as interlaced cameras send", join(full, full), full, ""},
		{"no tables", withoutTables(t, full), completed, ""},
		{"no tables, padded", join(withoutTables(t, full), make([]byte, 99)), completed, ""},
		{"half the tables", lumaOnly, completed, ""},
		{"no tables before the first scan", join(soi, dqt, sof(0xc0), sos, bits, dht, sos, bits, eoi),
			join(soi, dqt, sof(0xc0), standard, sos, bits, dht, sos, bits, eoi), ""},
		{"no tables, extended sequential", join(soi, dqt, sof(0xc1), sos, bits, eoi),
			join(soi, dqt, sof(0xc1), standard, sos, bits, eoi), ""},
		{"no tables, fill bytes before SOS", join(soi, dqt, sof(0xc0), []byte{0xff, 0xff}, sos, bits, eoi),
			join(soi, dqt, sof(0xc0), standard, []byte{0xff, 0xff}, sos, bits, eoi), ""},
		{"thumbnail in APP1", join(soi, thumbnail, full[2:]), full, ""},
		{"EOI in a comment", join(soi, seg(0xfe, eoi...), full[2:]), full, ""},
		{"EOI in a comment after the scan", join(full[:len(full)-2], seg(0xfe, eoi...), eoi), full, ""},
		{"thumbnail in JFXX", join(soi, seg(0xe0, join([]byte("JFXX\x00\x10"), full)...), full[2:]), full, ""},
		{"EOI in a private APP2", join(soi, seg(0xe2, join([]byte("MPF\x00"), eoi)...), full[2:]), full, ""},
		{"EOI in a colour profile", join(soi, profile, full[2:]), join(soi, profile, full[2:]), ""},
		{"EOI in Adobe's segment", join(soi, adobe, full[2:]), join(soi, adobe, full[2:]), ""},
		{"APP1 and a comment that mislead nobody", join(soi, seg(0xe1, 0xff, 0xd7, 0xd8, 0xff), seg(0xfe, 0xd9, 0xff, 0xff), full[2:]),
			join(soi, seg(0xe1, 0xff, 0xd7, 0xd8, 0xff), seg(0xfe, 0xd9, 0xff, 0xff), full[2:]), ""},
		{"bytes before SOI", join([]byte{0}, full), full, ""},
		{"SOI twice", join(soi, full), full, ""},
		{"first half, then the next picture", join(full[:len(full)/2], full), full, ""},
		{"next picture after the header", join(soi, dqt, small), small, ""},
		{"next picture within a table", join(soi, dqt[:20], full), full, ""},
		{"bytes between segments", join(soi, dqt, []byte{0, 7}, small[2+len(dqt):]), small, ""},
		{"stuffed byte between segments", join(soi, []byte{0xff, 0}, small[2:]), small, ""},
		{"RST and TEM between segments", join(soi, []byte{0xff, 0xd0, 0xff, 0x01, 7}, small[2:]), small, ""},
		{"DNL", join(small[:len(small)-2], seg(0xdc, 0, 48), eoi), small, ""},
		{"as many oddities as are left out", comments(maxEdits, 1), comments(maxEdits), ""},
		{"fill bytes before a segment", join(soi, []byte{0xff, 0xff, 0xff}, small[2:]), join(soi, []byte{0xff, 0xff, 0xff}, small[2:]), ""},
		{"fill bytes before EOI", join(small[:len(small)-2], []byte{0xff, 0xff}, eoi), join(small[:len(small)-2], []byte{0xff, 0xff}, eoi), ""},
		{"restart markers", join(withTables[:len(withTables)-2], []byte{0xff, 0xd0, 1, 0xff, 0xd7, 2}, eoi),
			join(withTables[:len(withTables)-2], []byte{0xff, 0xd0, 1, 0xff, 0xd7, 2}, eoi), ""},
		{"progressive", join(soi, dqt, sof(0xc2), dht, sos, bits, dht, sos, bits, dqt, seg(0xfe, 'x'), sos, bits, eoi),
			join(soi, dqt, sof(0xc2), dht, sos, bits, dht, sos, bits, dqt, seg(0xfe, 'x'), sos, bits, eoi), ""},

		{"nothing", nil, nil, DropEmpty},
		{"one byte", []byte{0xff}, nil, DropNoSOI},
		{"zeros", make([]byte, 1000), nil, DropNoSOI},
		{"text", []byte("HTTP/1.1 404 Not Found"), nil, DropNoSOI},
		{"second half only", full[len(full)/2:], nil, DropNoSOI},

		{"SOI only", soi, nil, DropTruncated},
		{"first half only", full[:len(full)/2], nil, DropTruncated},
		{"first half, then zeros", join(full[:len(full)/2], make([]byte, 4096)), nil, DropTruncated},
		{"ends within a segment", full[:40], nil, DropTruncated},
		{"ends within a length", full[:5], nil, DropTruncated},
		{"ends after the SOS header", join(soi, dqt, sof(0xc0), dht, sos), nil, DropTruncated},

		{"no scan", join(soi, dqt, sof(0xc0), dht, eoi), nil, DropMalformed},
		{"empty scan", join(soi, dqt, sof(0xc0), dht, sos, eoi), nil, DropMalformed},
		{"scan before SOF", join(soi, dqt, dht, sos, bits, eoi), nil, DropMalformed},
		{"two SOFs", join(soi, dqt, sof(0xc0), sof(0xc0), dht, sos, bits, eoi), nil, DropMalformed},
		{"no DQT", join(soi, sof(0xc0), dht, sos, bits, eoi), nil, DropMalformed},
		{"no tables, progressive", join(soi, dqt, sof(0xc2), sos, bits, eoi), nil, DropMalformed},
		{"bytes between segments after the scan", join(small[:len(small)-2], seg(0xfe), []byte{1}, eoi), nil, DropMalformed},
		{"RST after the scan's segments", join(small[:len(small)-2], seg(0xfe), []byte{0xff, 0xd0}, eoi), nil, DropMalformed},
		{"TEM in the scan", join(small[:len(small)-2], []byte{0xff, 0x01}, eoi), nil, DropMalformed},
		{"a thumbnail whose segment has a wrong length", join(soi, []byte{0xff, 0xe1, 0, 4}, []byte("Exif"), full, small[2:]), nil, DropMalformed},
		{"a segment that is too long", join(soi, seg(0xdb, make([]byte, 66)...), small[2+len(dqt):]), nil, DropMalformed},
		{"a component without its DQT", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 64, 1, 1, 0x11, 1), dht, sos, bits, eoi), nil, DropMalformed},
		{"a scan without its DHT", join(soi, dqt, sof(0xc0), dht, seg(0xda, 1, 1, 0x02, 0, 63, 0), bits, eoi), nil, DropMalformed},
		{"more oddities than are left out", comments(maxEdits+1, 1), nil, DropMalformed},
		{"DNL of 3 bytes", join(small[:len(small)-2], seg(0xdc, 0, 48, 0), eoi), nil, DropMalformed},
		{"segment of length 1", join(soi, []byte{0xff, 0xe0, 0, 1}, small[2:]), nil, DropMalformed},
		{"SOF too short", join(soi, dqt, seg(0xc0, 8, 0, 48), dht, sos, bits, eoi), nil, DropMalformed},
		{"SOF with a wrong count", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 64, 3, 1, 0x11, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"SOF with no component", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 64, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"width 0", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 0, 1, 1, 0x11, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"height 0", join(soi, dqt, seg(0xc0, 8, 0, 0, 0, 64, 1, 1, 0x11, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"width 65535", join(soi, dqt, seg(0xc0, 8, 0, 48, 255, 255, 1, 1, 0x11, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"sampling 0", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 64, 1, 1, 0x01, 0), dht, sos, bits, eoi), nil, DropMalformed},
		{"DQT cut short", join(soi, seg(0xdb, make([]byte, 64)...), sof(0xc0), dht, sos, bits, eoi), nil, DropMalformed},
		{"DHT that promises more", join(soi, dqt, sof(0xc0), seg(0xc4, append(make([]byte, 16), 9)...), sos, bits, eoi), nil, DropMalformed},
		{"DRI of 3 bytes", join(soi, dqt, sof(0xc0), dht, seg(0xdd, 0, 0, 1), sos, bits, eoi), nil, DropMalformed},
		{"SOS of more components than there are", join(soi, dqt, sof(0xc0), dht, seg(0xda, 2, 1, 0, 2, 0, 0, 63, 0), bits, eoi), nil, DropMalformed},
		{"SOS of nothing", join(soi, dqt, sof(0xc0), dht, seg(0xda), bits, eoi), nil, DropMalformed},

		{"lossless", join(soi, dqt, sof(0xc3), dht, sos, bits, eoi), nil, DropUnsupported},
		{"arithmetic", join(soi, dqt, sof(0xc9), sos, bits, eoi), nil, DropUnsupported},
		{"arithmetic conditioning", join(soi, dqt, seg(0xcc, 0, 0), sof(0xc0), sos, bits, eoi), nil, DropUnsupported},
		{"hierarchical", join(soi, dqt, seg(0xde, 8, 0, 48, 0, 64, 0), eoi), nil, DropUnsupported},
		{"JPEG-LS", join(soi, sof(0xf7), sos, bits, eoi), nil, DropUnsupported},
		{"12 bits", join(soi, dqt, seg(0xc1, 12, 0, 48, 0, 64, 1, 1, 0x11, 0), dht, sos, bits, eoi), nil, DropUnsupported},
		{"two components", join(soi, dqt, seg(0xc0, 8, 0, 48, 0, 64, 2, 1, 0x11, 0, 2, 0x11, 0), dht, sos, bits, eoi), nil, DropUnsupported},
	}
	captured := time.Now()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, kind := NewFrame(tt.src, captured)
			if kind != tt.kind {
				t.Fatalf("kind %q, want %q", kind, tt.kind)
			}
			if tt.want == nil {
				if f != nil {
					t.Fatal("a dropped frame was returned")
				}
				return
			}
			if !bytes.Equal(f.JPEG, tt.want) {
				t.Errorf("%d bytes, want %d; or others", len(f.JPEG), len(tt.want))
			}
			if !f.Time.Equal(captured) || f.Seq != 0 {
				t.Errorf("time %v, sequence %d", f.Time, f.Seq)
			}
			if cap(f.JPEG) != len(f.JPEG) {
				t.Errorf("%d bytes are kept for %d", cap(f.JPEG), len(f.JPEG))
			}
			wantW, wantH := 64, 48
			if len(tt.want) >= len(full) { // not made by hand
				wantW, wantH = 70, 50
			}
			if f.Width != wantW || f.Height != wantH {
				t.Errorf("%d×%d, want %d×%d", f.Width, f.Height, wantW, wantH)
			}
		})
	}
}

// suite are the pictures that the Go distribution tests its own decoder with;
// none when they are not installed.
func suite() []string {
	root, _ := exec.Command("go", "env", "GOROOT").Output()
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src/image/testdata/*.jpeg"))
	return files
}

// TestNewFrameSuite runs the pictures that the Go distribution tests its own
// decoder with: all samplings, progressive, restart intervals, CMYK.
func TestNewFrameSuite(t *testing.T) {
	files := suite()
	if len(files) == 0 {
		t.Skip("the Go distribution's test pictures are not installed")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, decodeErr := jpeg.Decode(bytes.NewReader(src))
			f, kind := NewFrame(src, time.Time{})
			if decodeErr != nil {
				if kind != DropTruncated { // the one broken picture is cut off
					t.Fatalf("kind %q, want %q", kind, DropTruncated)
				}
				return
			}
			if kind != "" {
				t.Fatalf("dropped: %s", kind)
			}
			got, err := jpeg.Decode(bytes.NewReader(f.JPEG))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("another picture (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewFrameAllocations(t *testing.T) {
	full := encoded(t, noisyPicture(320, 240))
	for name, src := range map[string][]byte{"with tables": full, "without": withoutTables(t, full)} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, func() { NewFrame(src, time.Time{}) }); n != 2 {
				t.Errorf("%v allocations, want 2: the Frame and its bytes", n)
			}
		})
	}
	t.Run("dropped", func(t *testing.T) {
		if n := testing.AllocsPerRun(100, func() { NewFrame(full[:300], time.Time{}) }); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	})
}

// naiveEnd is the model that the scanner is checked against: the length of the
// picture that starts src, or -1, found byte by byte without any leap.
func naiveEnd(src []byte) int {
	scan, seen := false, false
	for i := 2; i < len(src)-1; {
		marker := src[i+1]
		switch {
		case scan && (src[i] != 0xff || marker == 0xff):
			i++
		case scan && (marker == 0 || marker >= 0xd0 && marker <= 0xd7):
			i += 2
		case src[i] != 0xff:
			return -1
		case marker == 0xff:
			i++
		case marker == 0xd9:
			if !seen {
				return -1
			}
			return i + 2
		case marker < 0xc0 || marker >= 0xd0 && marker <= 0xd8 || i+4 > len(src):
			return -1
		default:
			scan = marker == 0xda
			seen = seen || scan
			i += 2 + int(src[i+2])<<8 + int(src[i+3])
		}
	}
	return -1
}

// FuzzNewFrame has image/jpeg as its oracle: what that decodes is shown, with
// the same pixels. hack/conformance has libjpeg.
func FuzzNewFrame(f *testing.F) {
	files, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(files) == 0 {
		f.Fatal("no pictures: ", err)
	}
	for _, file := range files {
		f.Add(read(f, filepath.Base(file)))
	}
	full := encoded(f, noisyPicture(33, 17))
	f.Add(full)
	f.Add(join(full, make([]byte, 64)))
	f.Add(join(full[:len(full)/2], full))
	f.Add(withoutTables(f, full))
	f.Add(join(soi, dqt, sof(0xc0), dht, sos, bits, eoi))
	f.Add(join(soi, dqt, sof(0xc2), dht, sos, bits, dht, sos, []byte{0xff, 0xd0, 1, 0xff, 0xff}, eoi))
	f.Add(join(soi, seg(0xe0, []byte("AVI1\x00\x00")...), dqt, seg(0xdd, 0, 4), sof(0xc0), sos, bits, eoi, eoi))
	f.Fuzz(func(t *testing.T, before []byte) {
		src := slices.Clone(before)
		captured := time.Unix(1, 2)
		frame, kind := NewFrame(src, captured)
		if !bytes.Equal(src, before) {
			t.Fatal("src was changed")
		}
		if (frame == nil) == (kind == "") {
			t.Fatalf("frame %v and kind %q", frame, kind)
		}
		var want image.Image
		if c, err := jpeg.DecodeConfig(bytes.NewReader(before)); err == nil && c.Width*c.Height <= 1<<20 && c.Height > 0 { // it takes pictures of no lines
			want, _ = jpeg.Decode(bytes.NewReader(before))
		}
		// Where the next picture begins within a table of a cut off one, image/jpeg
		// mixes the two.
		if bytes.Count(before, pictureStart) > 1 {
			want = nil
		}
		if frame == nil {
			var p scannedJPEG // image/jpeg paints black where libjpeg misses a table
			if p.scan(src); want != nil && kind != DropUnsupported && p.quantNeeded&^p.quant == 0 {
				t.Fatalf("dropped as %s, and image/jpeg decodes it", kind)
			}
			return
		}
		kept := slices.Clone(frame.JPEG)
		for i := range src {
			src[i] ^= 0xff
		}
		if !bytes.Equal(frame.JPEG, kept) {
			t.Fatal("src is still part of the frame")
		}
		if !bytes.HasPrefix(kept, soi) || !bytes.HasSuffix(kept, eoi) {
			t.Fatal("not from SOI to EOI")
		}
		if naiveEnd(kept) != len(kept) {
			t.Fatalf("%d bytes, the model says %d", len(kept), naiveEnd(kept))
		}
		again, kind := NewFrame(kept, captured)
		if diff := cmp.Diff(frame, again); kind != "" || diff != "" {
			t.Fatalf("not the same when done again, %q (-first +again):\n%s", kind, diff)
		}
		if want != nil {
			if diff := cmp.Diff(want, decoded(t, kept)); diff != "" {
				t.Fatalf("another picture (-want +got):\n%s", diff)
			}
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(kept)); err == nil && (c.Width != frame.Width || c.Height != frame.Height) {
			t.Fatalf("%d×%d, image/jpeg says %d×%d", frame.Width, frame.Height, c.Width, c.Height)
		}
	})
}

// BenchmarkNewFrame shows what the checks cost beside the copy that is needed
// anyway.
func BenchmarkNewFrame(b *testing.B) {
	full := encoded(b, noisyPicture(512, 324))
	bare := withoutTables(b, full)
	size := fmt.Sprintf("%dkB", len(full)/1000)
	b.Run("copy/"+size, func(b *testing.B) {
		b.SetBytes(int64(len(full)))
		b.ReportAllocs()
		var f *Frame
		for b.Loop() {
			f = &Frame{JPEG: make([]byte, len(full))}
			copy(f.JPEG, full)
		}
		runtime.KeepAlive(f)
	})
	for name, src := range map[string][]byte{"tables": full, "noTables": bare} {
		b.Run(name+"/"+size, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, kind := NewFrame(src, time.Time{}); kind != "" {
					b.Fatal(kind)
				}
			}
		})
	}
}
