package device

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// OwnerFile is where the hash of the owner's password is, below /perm. An
// owner's image is made with it; updates of the root file system leave it alone.
const OwnerFile = "pushcam/owner-password"

// ErrNoOwner means that the image was made without a password, or that /perm
// could not be read: nobody can prove to be the owner.
var ErrNoOwner = errors.New("no owner's password on /perm")

const (
	// rounds is how often PBKDF2 hashes. That many take some 0.3 s on a Pi Zero 2 W
	// (reckoned, not measured). The number is stored with the hash.
	rounds    = 100_000
	maxRounds = 1_000_000
	scheme    = "pbkdf2-sha256"
	// maxOwnerFile is how much of the file is read, in bytes.
	maxOwnerFile = 1 << 10
)

// Owner knows the owner's password.
type Owner struct {
	hash    string
	unknown error // why there is none
}

// NewOwner knows the password of which this is the hash (HashPassword).
func NewOwner(hash string) *Owner { return &Owner{hash: hash} }

// ReadOwner reads what OwnerFile below root says, once: who logs in later does not
// wait for the card.
func ReadOwner(root Root) *Owner {
	f, err := os.Open(root.Path("perm", OwnerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &Owner{unknown: ErrNoOwner}
	} else if err != nil {
		return &Owner{unknown: fmt.Errorf("%w: %w", ErrNoOwner, err)}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOwnerFile))
	if err != nil {
		return &Owner{unknown: fmt.Errorf("%w: %w", ErrNoOwner, err)}
	}
	return &Owner{hash: string(bytes.TrimSpace(text))}
}

// Verify says whether password is the owner's. It takes a tenth of a second or more,
// so that passwords cannot be guessed fast: the caller should remember who has logged
// in, and let only one try at a time.
// Its error wraps ErrNoOwner if there is nothing to compare with.
func (o *Owner) Verify(password string) (bool, error) {
	if o.unknown != nil {
		return false, o.unknown
	}
	ok, err := verify(o.hash, password)
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrNoOwner, OwnerFile, err)
	}
	return ok, nil
}

// Bounds of an owner's password: in characters, and in bytes.
const (
	MinPassword = 8
	MaxPassword = 256
)

// CheckPassword refuses what could not be typed or sent, in one sentence.
func CheckPassword(text string) error {
	switch {
	case len([]rune(text)) < MinPassword:
		return fmt.Errorf("the password is too short: it takes at least %d characters", MinPassword)
	case len(text) > MaxPassword:
		return fmt.Errorf("the password is too long: it takes at most %d bytes", MaxPassword)
	case strings.ContainsFunc(text, unicode.IsControl): // RFC 7617, 2
		return errors.New("the password has a control character in it, as a tab or the end of a line, which browsers do not send")
	}
	return nil
}

// HashPassword is what OwnerFile holds for a password: scheme, rounds, salt and
// PBKDF2 of it (RFC 8018), as pbkdf2-sha256$100000$salt$hash.
func HashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	text := base64.RawStdEncoding.EncodeToString
	return strings.Join([]string{scheme, strconv.Itoa(rounds), text(salt), text(key)}, "$"), nil
}

func verify(hash, password string) (bool, error) {
	part := strings.Split(hash, "$")
	if len(part) != 4 || part[0] != scheme {
		return false, errors.New("not a hash of " + scheme)
	}
	n, err := strconv.Atoi(part[1])
	if err != nil || n < 1 || n > maxRounds {
		return false, fmt.Errorf("not a number of rounds: %q", part[1])
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(part[2])
	want, errKey := base64.RawStdEncoding.DecodeString(part[3])
	if errSalt != nil || errKey != nil || len(want) != sha256.Size {
		return false, errors.New("salt or hash is damaged")
	}
	got, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
