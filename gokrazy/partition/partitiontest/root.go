// Package partitiontest makes small partitions as gok makes large ones.
package partitiontest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Root is what a root file system is to have.
type Root struct {
	Version, Hostname string
	Machine           uint16   // of its programs, as in ELF; 0 is arm64
	Kernels           []string // that it has modules for
	Built             time.Time
	Without           string // path of a file that it does not have
	Size              int    // bytes of its program, at least
	WiFi              string // of firmware.File; empty is none
}

// Bytes is the file system.
func (r Root) Bytes() []byte {
	if r.Machine == 0 {
		r.Machine = 183
	}
	elf := binary.LittleEndian.AppendUint16([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"), r.Machine)
	program := append(slices.Clone(elf), make([]byte, max(0, r.Size-len(elf)))...)
	rand.NewChaCha8([32]byte{}).Read(program[len(elf):]) // which no compression makes smaller
	files := map[string][]byte{
		"gokrazy/init": elf,
		"user/pushcam": program,
		"etc/hostname": []byte(r.Hostname),
	}
	if r.Version != "" {
		files["etc/pushcam-version"] = []byte(r.Version + "\n")
	}
	for _, k := range r.Kernels {
		files["lib/modules/"+k+"/modules.dep"] = nil
	}
	if r.WiFi != "" {
		files["etc/pushcam-wifi.json"] = []byte(r.WiFi)
	}
	delete(files, r.Without)
	return squashfs(files, r.Built)
}

const blockSize = 128 << 10

// squashfs has as many inodes as fit into one metadata block.
func squashfs(files map[string][]byte, built time.Time) []byte {
	w := &squashWriter{image: make([]byte, 96)}
	root := w.folder(files, "")
	le := binary.LittleEndian
	inodeTable := len(w.image)
	w.image = append(le.AppendUint16(w.image, uint16(len(w.inodes))|0x8000), w.inodes...)
	directoryTable := len(w.image)
	w.image = append(le.AppendUint16(w.image, uint16(len(w.entries))|0x8000), w.entries...)
	fragmentTable := len(w.image)
	var head bytes.Buffer
	binary.Write(&head, le, []uint32{0x73717368, w.count, uint32(built.Unix()), blockSize, 0})
	binary.Write(&head, le, []uint16{1, 17, 0, 0, 4, 0})
	binary.Write(&head, le, []int64{int64(root), int64(len(w.image)), int64(len(w.image)), -1,
		int64(inodeTable), int64(directoryTable), int64(fragmentTable), -1})
	copy(w.image, head.Bytes())
	return append(w.image, make([]byte, 4096-len(w.image)%4096)...)
}

type squashWriter struct {
	image, inodes, entries []byte
	count                  uint32
}

func (w *squashWriter) inode(kind uint16, fields ...any) (offset int) {
	offset = len(w.inodes)
	w.count++
	var b bytes.Buffer
	for _, f := range append([]any{kind, uint16(0o555), uint32(0), uint32(0), w.count}, fields...) {
		binary.Write(&b, binary.LittleEndian, f)
	}
	w.inodes = append(w.inodes, b.Bytes()...)
	return offset
}

func (w *squashWriter) file(content []byte) (offset int) {
	start := len(w.image)
	var sizes []uint32
	for piece := range slices.Chunk(content, blockSize) {
		var z bytes.Buffer
		zw := zlib.NewWriter(&z)
		zw.Write(piece)
		zw.Close()
		if z.Len() < len(piece) {
			sizes = append(sizes, uint32(z.Len()))
			w.image = append(w.image, z.Bytes()...)
		} else {
			sizes = append(sizes, uint32(len(piece))|1<<24)
			w.image = append(w.image, piece...)
		}
	}
	return w.inode(2, uint32(start), uint32(0xFFFFFFFF), uint32(0), uint32(len(content)), sizes)
}

// folder writes all files whose paths begin with prefix.
func (w *squashWriter) folder(files map[string][]byte, prefix string) (offset int) {
	type child struct {
		name   string
		kind   uint16
		offset int
	}
	var children []child
	for _, path := range slices.Sorted(maps.Keys(files)) {
		rest, ok := strings.CutPrefix(path, prefix)
		name, _, deeper := strings.Cut(rest, "/")
		switch {
		case !ok, len(children) > 0 && children[len(children)-1].name == name:
		case deeper:
			children = append(children, child{name, 1, w.folder(files, prefix+name+"/")})
		default:
			children = append(children, child{name, 2, w.file(files[path])})
		}
	}
	start, le := len(w.entries), binary.LittleEndian
	w.entries = le.AppendUint32(w.entries, uint32(len(children)-1))
	w.entries = le.AppendUint64(w.entries, 0) // inodes are in block 0
	for _, c := range children {
		w.entries = le.AppendUint16(w.entries, uint16(c.offset))
		w.entries = le.AppendUint16(w.entries, 0)
		w.entries = le.AppendUint16(w.entries, c.kind)
		w.entries = le.AppendUint16(w.entries, uint16(len(c.name)-1))
		w.entries = append(w.entries, c.name...)
	}
	return w.inode(1, uint32(0), uint32(2), uint16(len(w.entries)-start+3), uint16(start), uint32(0))
}
