package setup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is how large an owner's file may be, in bytes.
const maxText = 64 << 10

// A piece is a part of a file's text that knows where each of its bytes is in the file,
// so that a secret can be overwritten where it stands. Libraries for TOML and YAML give
// values and not their places, which is why this package reads what it needs of those
// formats itself; besides, a YAML library is larger than all of it, and would be part
// of process 1.
type piece struct {
	text string // UTF-8
	at   []int  // offsets in the file, of each byte and of the end
	star string // an asterisk in the file's encoding
	line int
}

func (p piece) slice(from, to int) piece {
	return piece{p.text[from:to], p.at[from : to+1], p.star, p.line}
}

// from is p without its first n bytes.
func (p piece) from(n int) piece { return p.slice(n, len(p.text)) }

// isBlank also takes for a blank what people paste without seeing it.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200B' || r == '\uFEFF' || r == 0
}

func (p piece) trim() piece {
	left := len(p.text) - len(strings.TrimLeftFunc(p.text, isBlank))
	right := len(strings.TrimRightFunc(p.text, isBlank))
	return p.slice(left, max(left, right))
}

// cut splits p at the first of any of these characters.
func (p piece) cut(separators string) (before, after piece, found bool) {
	i := strings.IndexAny(p.text, separators)
	if i < 0 {
		return p, p.slice(len(p.text), len(p.text)), false
	}
	return p.slice(0, i), p.from(i + 1), true
}

const (
	doubleQuotes = "\"“”„‟«»"
	singleQuotes = "'‘’‚‛"
)

// unquote takes off the quotes around p, the smart ones of word processors too.
func (p piece) unquote() piece {
	first, n := utf8.DecodeRuneInString(p.text)
	last, m := utf8.DecodeLastRuneInString(p.text)
	for _, quotes := range []string{doubleQuotes, singleQuotes} {
		if len(p.text) >= n+m && strings.ContainsRune(quotes, first) && strings.ContainsRune(quotes, last) {
			return p.slice(n, len(p.text)-m)
		}
	}
	return p
}

// blanked is a secret that was taken over: only asterisks.
func (p piece) blanked() bool {
	return p.text != "" && strings.Trim(p.text, "*") == ""
}

// lines are those of a text file as any editor writes it: UTF-8 with or without a byte
// order mark, UTF-16, or else Windows 1252, with the ends of lines of any system. Each line
// is decoded by itself, so a secret that is overwritten changes no other line.
func lines(data []byte) ([]piece, error) {
	if len(data) > maxText {
		return nil, fmt.Errorf("it has more than %d bytes and is not read", maxText)
	}
	d := decoder{data: data, width: 1, star: "*"}
	switch {
	case bytes.HasPrefix(data, []byte("\uFEFF")):
		d.start = 3
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		d.start, d.width, d.order, d.star = 2, 2, binary.LittleEndian, "*\x00"
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		d.start, d.width, d.order, d.star = 2, 2, binary.BigEndian, "\x00*"
	case len(data) > 1 && data[0] != 0 && data[1] == 0: // no mark, and ASCII at first
		d.width, d.order, d.star = 2, binary.LittleEndian, "*\x00"
	case len(data) > 1 && data[0] == 0 && data[1] != 0:
		d.width, d.order, d.star = 2, binary.BigEndian, "\x00*"
	}
	var all []piece
	for from, at := d.start, d.start; ; at += d.width {
		c := d.unit(at)
		if c >= 0 && c != '\n' && c != '\r' {
			continue
		}
		line := d.decode(from, at)
		line.line = len(all) + 1
		if all = append(all, line); c < 0 {
			return all, nil
		}
		if c == '\r' && d.unit(at+d.width) == '\n' {
			at += d.width
		}
		from = at + d.width
	}
}

// A decoder makes text of a file's bytes.
type decoder struct {
	data  []byte
	start int              // behind the byte order mark
	width int              // of a unit, in bytes
	order binary.ByteOrder // if a unit has two
	star  string
}

// unit is the one at an offset; -1 at the end of the file.
func (d *decoder) unit(at int) rune {
	switch {
	case at+d.width > len(d.data):
		return -1
	case d.width == 2:
		return rune(d.order.Uint16(d.data[at:]))
	}
	return rune(d.data[at])
}

// windows1252 are the characters 0x80 to 0x9F of what Windows calls ANSI, where it is not
// Latin 1: the euro sign, and the quotes and the apostrophe that phones have in the names of
// their networks.
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F\u0090‘’“”•–—˜™š›œ\u009DžŸ")

// decode never fails: every byte is something in Windows 1252.
func (d *decoder) decode(from, to int) piece {
	var text strings.Builder
	var all []int
	switch raw := d.data[from:to]; {
	case d.width == 1 && utf8.Valid(raw):
		text.Write(raw)
		for at := from; at < to; at++ {
			all = append(all, at)
		}
	default:
		for at := from; at < to; at += d.width {
			r, start := d.unit(at), at
			if utf16.IsSurrogate(r) && at+d.width < to {
				if both := utf16.DecodeRune(r, d.unit(at+d.width)); both != utf8.RuneError {
					r = both
					at += d.width
				}
			}
			if d.width == 1 && r >= 0x80 && r <= 0x9F {
				r = windows1252[r-0x80]
			}
			n, _ := text.WriteRune(r)
			for range n {
				all = append(all, start)
			}
		}
	}
	return piece{text: text.String(), at: append(all, to), star: d.star}
}

// blank overwrites p in data, which is the file, by asterisks of the same length.
func (p piece) blank(data []byte) {
	from, to := p.at[0], p.at[len(p.text)]
	for i := from; i < to; i++ {
		data[i] = p.star[(i-from)%len(p.star)]
	}
}
