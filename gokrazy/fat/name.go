package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A name's pieces, and the entry behind them, must fit into one sector of a folder, so
// that they are written at once.
const (
	perPiece = 13 // UTF-16 units
	maxName  = perPiece * (sectorSize/entrySize - 1)
)

// shortName is a name as the entry itself has it: 8 letters and 3 of its extension,
// filled with blanks.
type shortName [11]byte

// The bits of an entry's byte 12, which others set: the name's two parts are shown in
// small letters.
const (
	lowerBase      = 0x08
	lowerExtension = 0x10
)

// checkName says why a file cannot have a name.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name) || name == "" || strings.ContainsAny(name, "\"*/:<>?\\|\x7f") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return fmt.Errorf("%q cannot be the name of a file", name)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return fmt.Errorf("%q cannot be the name of a file: it ends with a dot or a blank", name)
	case len(utf16.Encode([]rune(name))) > maxName:
		return fmt.Errorf("the name of a file has at most %d letters, not as %q", maxName, name)
	}
	return nil
}

// fits returns the short name that says the same as a name, but for its case.
func fits(name string) (short shortName, ok bool) {
	base, extension, dotted := cutExtension(name)
	if base == "" || len(base) > 8 || len(extension) > 3 || dotted && extension == "" ||
		strings.ContainsFunc(base+extension, func(r rune) bool { return !isShort(r) }) {
		return short, false
	}
	return pad(base, extension), true
}

func cutExtension(name string) (base, extension string, dotted bool) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:], true
	}
	return name, "", false
}

func pad(base, extension string) (short shortName) {
	copy(short[:], strings.ToUpper(base)+"        ")
	copy(short[8:], strings.ToUpper(extension)+"   ")
	return short
}

// isShort tells whether a short name may have a letter, in either case.
func isShort(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || strings.ContainsRune("$%'-_@~`!(){}^#&", r)
}

// shorten makes a short name for one that does not fit, as Windows does: letters of it,
// and a number that makes it another one than those that are taken.
func shorten(name string, taken map[shortName]bool) (shortName, error) {
	clean := func(s string, limit int) string {
		s = strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '.':
				return -1
			case !isShort(r):
				return '_'
			}
			return r
		}, s)
		return s[:min(limit, len(s))]
	}
	base, extension, _ := cutExtension(strings.TrimLeft(name, ". "))
	base, extension = clean(base, 8), clean(extension, 3)
	for n := 1; n <= 999_999; n++ {
		tail := fmt.Sprintf("~%d", n)
		if short := pad(base[:min(len(base), 8-len(tail))]+tail, extension); !taken[short] {
			return short, nil
		}
	}
	return shortName{}, errors.New("there are too many files with such a name")
}

// String is the name as people see it.
func (s shortName) String() string { return s.text(0) }

// text is the name with the bits for its case.
func (s shortName) text(bits byte) string {
	if s[0] == 0x05 { // stands for 0xE5, which begins an entry that is free
		s[0] = 0xE5
	}
	part := func(b []byte, lower bool) string {
		// Letters beyond ASCII are of a code page that the disk does not tell.
		// Latin-1 makes other letters of them, but each its own.
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		text := strings.TrimRight(string(runes), " ")
		if lower {
			return strings.ToLower(text)
		}
		return text
	}
	base, extension := part(s[:8], bits&lowerBase != 0), part(s[8:], bits&lowerExtension != 0)
	if extension == "" {
		return base
	}
	return base + "." + extension
}

// sum is in each piece of a long name and ties it to the short one.
func (s shortName) sum() (sum byte) {
	for _, c := range s {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// Each piece has its letters at these offsets.
var pieceAt = [perPiece]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// lastPiece is a bit of the first byte of a long name's last piece, which comes first.
const lastPiece = 0x40

// longName is the pieces of a name, in the order in which they are in a folder.
func longName(name string, short shortName) []byte {
	units := utf16.Encode([]rune(name))
	pieces := (len(units) + perPiece - 1) / perPiece
	b := make([]byte, pieces*entrySize)
	for i := range pieces {
		e := b[(pieces-1-i)*entrySize:][:entrySize]
		e[0], e[11], e[13] = byte(i+1), isLong, short.sum()
		if i == pieces-1 {
			e[0] |= lastPiece
		}
		for j, at := range pieceAt {
			unit := uint16(0xFFFF) // fills what is behind the end
			if n := i*perPiece + j; n < len(units) {
				unit = units[n]
			} else if n == len(units) {
				unit = 0
			}
			binary.LittleEndian.PutUint16(e[at:], unit)
		}
	}
	return b
}

// A pieceReader puts a long name together. Its zero value has none.
type pieceReader struct {
	units []uint16
	left  byte // pieces that are still to come
	sum   byte
	count int
}

// add takes the next entry of a folder, which is a piece of a long name.
func (p *pieceReader) add(e []byte) {
	const maxPieces = 20
	if n := e[0] &^ lastPiece; e[0]&lastPiece != 0 && n >= 1 && n <= maxPieces {
		*p = pieceReader{left: n, sum: e[13]}
	}
	if p.left == 0 || e[0]&^lastPiece != p.left || e[13] != p.sum {
		*p = pieceReader{}
		return
	}
	var piece []uint16
	for _, at := range pieceAt {
		unit := binary.LittleEndian.Uint16(e[at:])
		if unit == 0 {
			break
		}
		piece = append(piece, unit)
	}
	p.units, p.left, p.count = append(piece, p.units...), p.left-1, p.count+1
}

// name is the long name that belongs to a short one, and how many pieces it has.
func (p *pieceReader) name(short shortName) (name string, pieces int) {
	if p.count == 0 || p.left > 0 || p.sum != short.sum() || len(p.units) == 0 {
		return "", 0
	}
	return string(utf16.Decode(p.units)), p.count
}
