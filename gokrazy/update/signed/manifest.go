// Package signed is how an update says what it is, and who says so: a manifest that binds
// its parts to each other, to a kind of machine and perhaps to one camera, and a
// signature of it.
//
// The signature is one of ssh's (ssh-keygen -Y sign), by a key for Ed25519. minisign's
// would serve as well, but ssh-keygen is on every system, so that whoever wants can make,
// show and check all of this without a program of ours; its keys are known to people;
// golang.org/x/crypto, which is here for the passwords, reads them; and its namespaces
// keep what was signed for something else from being an update.
package signed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

const (
	// PieceSize is how much of a part, in bytes, has a digest of its own. The camera
	// looks at each piece before it writes it.
	PieceSize = 1 << 20
	// MaxSize bounds a signed manifest, in bytes: it has 67 for each piece, and the
	// parts of a card have some 700 together.
	MaxSize = 128 << 10

	product = "pushcam"
	maxWord = 256 // bytes
)

// Digest is a SHA-256, in JSON in hexadecimal digits.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText is for JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is for JSON.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(d) {
		return fmt.Errorf("%.80q is no SHA-256", text)
	}
	*d = Digest(b)
	return nil
}

// Manifest says what an update is.
type Manifest struct {
	Product string    `json:"product"` // always the same; Sign sets it
	Version string    `json:"version"`
	Built   time.Time `json:"built"`            // the time of its commit
	Arch    string    `json:"arch"`             // the processor that it is for, as GOARCH
	Camera  string    `json:"camera,omitempty"` // the one that it is for (device.ID); empty means all
	Root    Content   `json:"root"`             // the root file system
	Boot    Content   `json:"boot"`             // the boot partition
}

// Content says what a part of an update is.
type Content struct {
	Size   int64    `json:"size"` // bytes
	SHA256 Digest   `json:"sha256"`
	Pieces []Digest `json:"pieces"` // of PieceSize each, and what is left
}

// Describe reads a part whole.
func Describe(r io.Reader) (c Content, err error) {
	whole, piece := sha256.New(), make([]byte, PieceSize)
	for {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			whole.Write(piece[:n])
			c.Pieces = append(c.Pieces, sha256.Sum256(piece[:n]))
			c.Size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			c.SHA256 = Digest(whole.Sum(nil))
			return c, nil
		case err != nil:
			return c, err
		}
	}
}

// check returns an error for what Describe does not make.
func (c *Content) check() error {
	if c.Size <= 0 || c.Size > MaxSize*PieceSize || int64(len(c.Pieces)) != (c.Size+PieceSize-1)/PieceSize {
		return fmt.Errorf("it has %d bytes in %d pieces", c.Size, len(c.Pieces))
	}
	return nil
}

// Sign is the manifest with its signature behind it, as Open takes it.
func (m Manifest) Sign(s *Signer) ([]byte, error) {
	m.Product, m.Built = product, m.Built.UTC()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	sig, err := s.sign(text)
	if err != nil {
		return nil, err
	}
	return append(text, sig...), nil
}

var begin = []byte("-----BEGIN " + sigBlock + "-----\n")

// Open returns what Sign was given, and the key by which it is signed: the caller decides
// whether it trusts that one. The manifest is not parsed before its signature was found to
// be good.
func Open(text []byte) (*Manifest, Key, error) {
	const what = "this is no signed update: "
	if len(text) > MaxSize {
		return nil, "", fmt.Errorf(what+"it has more than %d bytes", MaxSize)
	}
	at := bytes.Index(text, begin)
	if at < 0 {
		return nil, "", errors.New(what + "it has no signature")
	}
	block, rest := pem.Decode(text[at:])
	if block == nil || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, "", errors.New(what + "its signature is cut off, or something follows it")
	}
	key, err := verify(text[:at], block)
	if err != nil {
		return nil, "", errors.New(what + err.Error())
	}
	m := new(Manifest)
	if err := json.Unmarshal(text[:at], m); err != nil {
		return nil, "", fmt.Errorf(what+"%w", err)
	}
	if err := m.check(); err != nil {
		return nil, "", fmt.Errorf(what+"%w", err)
	}
	return m, key, nil
}

func (m *Manifest) check() error {
	if m.Product != product {
		return fmt.Errorf("it is for %.40q", m.Product)
	}
	for _, word := range []string{m.Version, m.Arch, m.Camera} {
		if len(word) > maxWord || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%.40q is not a word", word)
		}
	}
	if err := m.Root.check(); err != nil {
		return fmt.Errorf("the root file system: %w", err)
	}
	if err := m.Boot.check(); err != nil {
		return fmt.Errorf("the boot partition: %w", err)
	}
	return nil
}

// ErrChanged is wrapped by errors of a Reader that mean that what arrived is not what was
// signed.
var ErrChanged = errors.New("what arrived is not what was signed")

// Reader gives the part that r has, piece by piece, each when it was found to be the one
// that the manifest names. It reads no more than that from r.
func (c *Content) Reader(r io.Reader) io.Reader {
	return &checkedReader{from: r, content: c}
}

type checkedReader struct {
	from    io.Reader
	content *Content
	next    int    // piece
	checked []byte // that is not given yet
	piece   []byte
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.checked) == 0 {
		if c.next == len(c.content.Pieces) {
			return 0, io.EOF
		}
		at := int64(c.next) * PieceSize
		if c.piece == nil {
			c.piece = make([]byte, min(PieceSize, c.content.Size))
		}
		piece := c.piece[:min(PieceSize, c.content.Size-at)]
		if _, err := io.ReadFull(c.from, piece); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if sha256.Sum256(piece) != c.content.Pieces[c.next] {
			return 0, fmt.Errorf("%w: it differs within the %d bytes from %d on", ErrChanged, len(piece), at)
		}
		c.checked = piece
		c.next++
	}
	n := copy(p, c.checked)
	c.checked = c.checked[n:]
	return n, nil
}
