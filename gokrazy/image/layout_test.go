package image

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cardHeader is the beginning of an image of size bytes, as gok makes it.
func cardHeader(size int64) []byte {
	const mb = 1 << 20 / sectorSize
	b := make([]byte, 2*sectorSize+4*128)
	b[510], b[511] = 0x55, 0xAA
	gpt := b[sectorSize:]
	copy(gpt, "EFI PART")
	binary.LittleEndian.PutUint64(gpt[72:], 2)
	binary.LittleEndian.PutUint32(gpt[84:], 128)
	ends := []int64{4 * mb, 104 * mb, 604 * mb, 1104 * mb, size/sectorSize - 34}
	for i, first := range ends[:4] {
		entry := b[2*sectorSize+i*128:]
		binary.LittleEndian.PutUint64(entry[32:], uint64(first))
		binary.LittleEndian.PutUint64(entry[40:], uint64(ends[i+1]-1))
	}
	return b
}

func TestReadLayout(t *testing.T) {
	const mib = 1 << 20
	header := cardHeader(DefaultSize)
	got, err := readLayout(bytes.NewReader(header), DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	want := &layout{
		boot:  span{4 * mib, 100 * mib},
		rootA: span{104 * mib, 500 * mib},
		rootB: span{604 * mib, 500 * mib},
		perm:  span{1104 * mib, DefaultSize - 1104*mib - 34*sectorSize},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(layout{}, span{})); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
	tests := []struct {
		name   string
		damage func([]byte) []byte
		size   int64
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, DefaultSize, "too short"},
		{"text", func(b []byte) []byte { return bytes.Repeat([]byte("text"), len(b)/4) }, DefaultSize, "no partition table"},
		{"MBR only", func(b []byte) []byte { clear(b[sectorSize:]); return b }, DefaultSize, "no partition table"},
		{"entries elsewhere", func(b []byte) []byte { b[sectorSize+72] = 3; return b }, DefaultSize, "another way"},
		{"one partition too few", func(b []byte) []byte { clear(b[2*sectorSize+3*128:]); return b }, DefaultSize, "partition 4"},
		{"cut off", func(b []byte) []byte { return b }, 1 << 30, "partition 3"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := tc.damage(bytes.Clone(header))
			if _, err := readLayout(bytes.NewReader(b), tc.size); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func FuzzReadLayout(f *testing.F) {
	f.Add(cardHeader(DefaultSize), int64(DefaultSize))
	f.Add(cardHeader(1<<40), int64(1<<40))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		l, err := readLayout(bytes.NewReader(b), size)
		if err != nil {
			return
		}
		for _, s := range []span{l.boot, l.rootA, l.rootB, l.perm} {
			if s.offset < 0 || s.size <= 0 || s.offset+s.size > size {
				t.Errorf("partition %+v of %d bytes", s, size)
			}
		}
	})
}
