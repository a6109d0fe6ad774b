package signed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

const (
	// RootFile is where a root file system has the keys of whom it takes updates: that
	// of a release, as ParseKeys reads it. A newer release may bring another one.
	RootFile = "/etc/pushcam-update-keys"
	// KeysFile is where the keys are that this camera alone trusts, in the program's
	// state folder: that of the computer that made its card, and those that it met later.
	KeysFile = "update-keys"
)

// Key is the public half of a key that updates are signed with, as a line of ssh's
// authorized_keys has it, without a comment: ssh-ed25519 AAAA…
type Key string

// Entry is a key with what is said of it.
type Entry struct {
	Key
	Comment string // in one line of at most maxComment bytes; may be empty
}

const maxComment = 100

// ParseEntry reads a Key, which may have a comment behind it.
func ParseEntry(text string) (Entry, error) {
	public, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 || public.Type() != ssh.KeyAlgoED25519 {
		return Entry{}, fmt.Errorf("%.40q is no key for updates: one is a line as ssh-ed25519 AAAA…", text)
	}
	return Entry{keyOf(public), strings.ToValidUTF8(comment[:min(len(comment), maxComment)], "")}, nil
}

func keyOf(public ssh.PublicKey) Key {
	return Key(bytes.TrimSpace(ssh.MarshalAuthorizedKey(public)))
}

// Fingerprint is how people tell keys from each other, and ssh-keygen -l shows it.
func (k Key) Fingerprint() string {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
	if err != nil {
		return "none"
	}
	return ssh.FingerprintSHA256(public)
}

// ErrNoKeys is of a file in which there is no key.
var ErrNoKeys = errors.New("there is no key in it")

// ParseKeys reads a file of keys: one each line; those that begin with # are comments. A
// file without a key is an error, because who had one is not to lose it unnoticed. The
// keys beside a line that is none are returned with the error.
func ParseKeys(text []byte) (all []Entry, err error) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, bad := ParseEntry(line)
		if bad != nil {
			err = cmp.Or(err, bad)
			continue
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		err = cmp.Or(err, ErrNoKeys)
	}
	return all, err
}

// FormatKeys is what ParseKeys reads.
func FormatKeys(all []Entry) []byte {
	var b bytes.Buffer
	for _, e := range all {
		fmt.Fprintln(&b, strings.TrimSpace(string(e.Key)+" "+e.Comment))
	}
	return b.Bytes()
}

// A Signer is a key with its private half.
type Signer struct{ signer ssh.Signer }

// Key is the public half.
func (s *Signer) Key() Key { return keyOf(s.signer.PublicKey()) }

const maxKeyFile = 16 << 10 // bytes

// LoadSigner reads a private key as ssh-keygen -t ed25519 -N "" makes it.
func LoadSigner(path string) (*Signer, error) {
	text, err := durable.ReadFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("the key to sign updates: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if locked := new(ssh.PassphraseMissingError); errors.As(err, &locked) {
		return nil, fmt.Errorf("the key to sign updates, %s, is locked by a password: give one without, as ssh-keygen -t ed25519 -N \"\" -f FILE makes it", path)
	}
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("%s is no key to sign updates: ssh-keygen -t ed25519 -N \"\" -f FILE makes one", path)
	}
	return &Signer{signer}, nil
}

// LoadOrMakeSigner is LoadSigner, and makes the key if there is no such file, which made
// tells. Only this user can read it. Programs may call it side by side.
func LoadOrMakeSigner(ctx context.Context, path string) (s *Signer, made bool, err error) {
	if s, err = LoadSigner(path); !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	err = os.MkdirAll(filepath.Dir(path), 0o700)
	var unlock func()
	if err == nil {
		unlock, err = durable.Lock(ctx, path+".lock")
	}
	if err != nil {
		return nil, false, fmt.Errorf("make a key to sign updates: %w", err)
	}
	defer unlock()
	if s, err = LoadSigner(path); !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	text, err := newKey()
	if err == nil {
		err = durable.WriteFile(path, text)
	}
	if err != nil {
		return nil, false, fmt.Errorf("make a key to sign updates: %w", err)
	}
	s, err = LoadSigner(path)
	return s, true, err
}

// newKey is what LoadSigner reads.
func newKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "pushcam updates")
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}
