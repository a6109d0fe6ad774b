package device

import (
	"bytes"
	"crypto/pbkdf2"
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

	"golang.org/x/crypto/bcrypt"
)

// OwnerFile is where the hash of the owner's password is, below /perm. An
// owner's image is made with it; updates of the root file system leave it alone.
const OwnerFile = "pushcam/owner-password"

// ErrNoOwner means that the image was made without a password, or that /perm
// could not be read: nobody can prove to be the owner.
var ErrNoOwner = errors.New("no owner's password on /perm")

// A password is hashed with bcrypt. To guess it with a graphics card takes far more than
// with PBKDF2, which was taken until 2026, as bcrypt needs 4 KB of memory for each guess.
// Argon2id would need 19 MiB (OWASP's least), and take them for every wrong password that
// somebody sends to a program with 96 MiB and a picture to deliver.
const (
	// cost takes some 0.4 s on a Pi Zero 2 W (reckoned, not measured). It is stored with
	// the hash.
	cost    = 10
	maxCost = 14
	scheme  = "bcrypt-sha256"

	oldScheme = "pbkdf2-sha256"
	maxRounds = 1_000_000
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

// HashPassword is what OwnerFile holds for a password, as bcrypt-sha256$2a$10$…. bcrypt
// takes 72 bytes at most, so it gets the SHA-256 of the password.
func HashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(short(password), cost)
	return scheme + string(hash), err
}

// short is a password as bcrypt can take it, without zero bytes, at which others' end.
func short(password string) []byte {
	sum := sha256.Sum256([]byte(password))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// isOld tells whether a hash is one of those that are replaced when the password comes.
func isOld(hash string) bool { return strings.HasPrefix(hash, oldScheme) }

func verify(hash, password string) (bool, error) {
	if isOld(hash) {
		return verifyOld(hash, password)
	}
	hash, ok := strings.CutPrefix(hash, scheme)
	if !ok {
		return false, errors.New("not a hash of " + scheme)
	}
	if n, err := bcrypt.Cost([]byte(hash)); err != nil {
		return false, err
	} else if n > maxCost {
		return false, fmt.Errorf("a hash of cost %d takes too long", n)
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), short(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// verifyOld is for PBKDF2 (RFC 8018), as pbkdf2-sha256$100000$salt$hash.
func verifyOld(hash, password string) (bool, error) {
	part := strings.Split(hash, "$")
	if len(part) != 4 || part[0] != oldScheme {
		return false, errors.New("not a hash of " + oldScheme)
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
