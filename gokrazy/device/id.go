package device

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// IDFile is where the camera's id is, below /perm. An owner's image is made with it, one
// for everybody without; updates of the root file system leave it alone.
const IDFile = "pushcam/id"

const maxIDFile = 256 // bytes

var idText = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// NewID makes the id of a new card: 26 letters and digits, of 130 random bits.
func NewID() string { return rand.Text() }

// IsID tells whether a text is an id. What other computers tell is not always one,
// and programs use an id as a file's name.
func IsID(text string) bool { return idText.MatchString(text) }

// ID is what the camera says of itself to whoever asks, so that its owner's computer
// knows it again under another name or address. It is no secret and proves nothing.
// Cards that were written with one image have the same id, as they have the same
// password.
//
// A card that was made without one, or whose id is damaged, is given one for good: the
// same to all programs that ask. The error says why there is none.
func ID(root Root) (string, error) {
	if id, err := readID(root); id != "" || err != nil {
		return id, err
	}
	unlock, err := durable.Lock(context.Background(), idLock(root))
	if err != nil {
		return "", fmt.Errorf("the camera's id: %w", err)
	}
	defer unlock()
	if id, err := readID(root); id != "" || err != nil { // another program was faster
		return id, err
	}
	id := NewID()
	if err := durable.WriteFile(root.Path("perm", IDFile), []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("keep the camera's id: %w", err)
	}
	return id, nil
}

// idLock is had by the one program that makes an id.
func idLock(root Root) string { return root.Path("run", IDFile) + ".lock" }

// readID returns "" if there is none.
func readID(root Root) (string, error) {
	text, err := durable.ReadFile(root.Path("perm", IDFile), maxIDFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the camera's id: %w", err)
	}
	if id := strings.TrimSpace(string(text)); IsID(id) {
		return id, nil
	}
	return "", nil
}
