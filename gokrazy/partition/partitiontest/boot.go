package partitiontest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/pushcam/pushcam/gokrazy/fat"
)

// Cmdline is the command line of a card whose next boot takes its second
// partition, with the room that gok leaves.
const Cmdline = "console=tty1 root=PARTUUID=60c24cc1-f3f9-427a-8199-58466c240001/PARTNROFF=1 init=/gokrazy/init rootwait panic=10"

// Padding is that room.
var Padding = strings.Repeat(" ", 64)

// BootSize is how many bytes the file system has that Boot.Bytes is the beginning of.
const BootSize = 4 << 20

// Boot is what a boot partition is to have.
type Boot struct {
	Kernel  string // release
	Cmdline string // "" is Cmdline and Padding
	Filler  string // is in another file, filler.bin
	// FillerName is another name for that file, of 8 and 3 letters.
	FillerName string
	// Owner is what the owner has put there, by its names.
	Owner map[string]string
}

// Bytes is what is used of the file system, as an image for updates has it.
func (b Boot) Bytes() []byte {
	conf := "title gokrazy\nlinux /vmlinuz\noptions " + b.cmdline()
	files := []fat.NewFile{
		{Path: "vmlinuz", Data: b.kernel(), ReadOnly: true},
		{Path: b.fillerName(), Data: []byte(b.Filler + "!"), ReadOnly: true},
		{Path: "cmdline.txt", Data: []byte(b.cmdline()), ReadOnly: true},
		{Path: "loader/entries/gokrazy.conf", Data: []byte(conf), ReadOnly: true},
	}
	for _, name := range slices.Sorted(maps.Keys(b.Owner)) {
		files = append(files, fat.NewFile{Path: name, Data: []byte(b.Owner[name])})
	}
	image := make(disk, BootSize)
	used, err := fat.Format(image, BootSize, "pushcam", time.Unix(1e9, 0), files)
	if err != nil {
		panic(err) // of a test that asks for too much
	}
	return image[:used]
}

type disk []byte

func (d disk) WriteAt(p []byte, off int64) (int, error) { return copy(d[off:], p), nil }

func (b Boot) cmdline() string { return cmp.Or(b.Cmdline, Cmdline+Padding) }

func (b Boot) fillerName() string { return cmp.Or(b.FillerName, "filler.bin") }

// kernel has a format, and a banner that crosses what a reader may take at a time.
func (b Boot) kernel() []byte {
	return []byte("MZ Linux version %s (%s)\x00" + strings.Repeat("x", 1<<20-40) + "Linux version " + b.Kernel + " (gcc) #1 SMP\x00")
}

// Gok is the file system as gok makes it, and as it is on cards of older versions: as
// large as its content, so that nobody can add a file. It has nothing of an owner's.
// (Microsoft, FAT: General Overview of On-Disk Format)
func (b Boot) Gok() []byte {
	const reserved, tableSectors, rootEntries, cluster = 4, 32, 32, 2048
	cmdline, kernel := b.cmdline(), b.kernel()
	var data []byte
	table := []byte{0xF8, 0xFF, 0xFF, 0xFF}
	store := func(content []byte) (first uint16) {
		first = uint16(2 + len(data)/cluster)
		for left := len(content); left > cluster; left -= cluster {
			table = binary.LittleEndian.AppendUint16(table, uint16(len(table)/2+1))
		}
		table = append(table, 0xFF, 0xFF)
		data = append(data, content...)
		data = append(data, make([]byte, (cluster-len(content)%cluster)%cluster)...)
		return first
	}
	loader := []byte("title gokrazy\nlinux /vmlinuz\noptions " + cmdline)
	line, conf := store([]byte(cmdline)), store(loader)
	entries := store(slices.Concat(folderEntry(".", 2), folderEntry("..", 0), fileEntry("gokraz~1", "con", "gokrazy.conf", conf, len(loader))))
	loaderDir := store(slices.Concat(folderEntry(".", 3), folderEntry("..", 0), folderEntry("entries", entries)))
	filler := b.fillerName()
	short, extension, _ := strings.Cut(filler, ".")
	root := slices.Concat(
		[]byte("gokrazy    \x08"), make([]byte, 20),
		fileEntry("vmlinuz", "", "vmlinuz", store(kernel), len(kernel)),
		fileEntry(short, extension, filler, store([]byte(b.Filler+"!")), len(b.Filler)+1),
		fileEntry("cmdline", "txt", "cmdline.txt", line, len(cmdline)),
		folderEntry("loader", loaderDir),
	)
	root = append(root, make([]byte, rootEntries*32-len(root))...)

	head := make([]byte, reserved*512)
	le := binary.LittleEndian
	copy(head[3:], "gokrazy!")
	le.PutUint16(head[11:], 512)
	head[13], head[16] = cluster/512, 1
	le.PutUint16(head[14:], reserved)
	le.PutUint16(head[17:], rootEntries)
	le.PutUint16(head[22:], tableSectors)
	copy(head[54:], "FAT16   ")
	head[510], head[511] = 0x55, 0xAA
	image := slices.Concat(head, table, make([]byte, tableSectors*512-len(table)), root, data)
	le.PutUint32(image[32:], uint32(len(image)/512))
	return image
}

func folderEntry(name string, cluster uint16) []byte { return shortEntry(name, "", 0x10, cluster, 0) }

func shortEntry(name, extension string, attributes byte, cluster uint16, size int) []byte {
	e := bytes.Repeat([]byte{' '}, 11)
	copy(e, name)
	copy(e[8:], extension)
	e = append(e, attributes)
	e = append(e, make([]byte, 14)...)
	e = binary.LittleEndian.AppendUint16(e, cluster)
	return binary.LittleEndian.AppendUint32(e, uint32(size))
}

// fileEntry has the long name before the short one.
func fileEntry(name, extension, long string, cluster uint16, size int) []byte {
	const perEntry = 13 // characters
	var all []byte
	units := append(utf16.Encode([]rune(long)), 0)
	if len(long)%perEntry == 0 {
		units = units[:len(long)]
	}
	chunks := slices.Collect(slices.Chunk(units, perEntry))
	for i, chunk := range slices.Backward(chunks) {
		text := bytes.Repeat([]byte{0xff}, 2*perEntry)
		for j, u := range chunk {
			binary.LittleEndian.PutUint16(text[2*j:], u)
		}
		order := byte(i + 1)
		if i == len(chunks)-1 {
			order |= 0x40
		}
		all = append(all, order)
		all = append(all, text[:10]...)
		all = append(all, 0x0f, 0, 0)
		all = append(all, text[10:22]...)
		all = append(all, 0, 0)
		all = append(all, text[22:]...)
	}
	short := shortEntry(name, extension, 1, cluster, size)
	sum := byte(0)
	for _, c := range short[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	for at := 0; at < len(all); at += 32 {
		all[at+13] = sum
	}
	return append(all, short...)
}
