package device

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// SetupCodeFile is where the password of the camera's set-up network is, below /perm. A
// card that was made without an owner has no such file.
const SetupCodeFile = "pushcam/setup-code"

// FixedSetupCode is the password of the set-up network of a camera that has no
// SetupCodeFile. It is no secret: README tells it.
const FixedSetupCode = "pushcam-setup"

// NewSetupCode makes one of 50 random bits that can be read out and typed.
func NewSetupCode() string { return strings.ToLower(rand.Text()[:10]) }

// SetupNetwork is the name of the set-up network of the camera with an id. A part of the
// id tells two cameras apart; without an id there is none.
func SetupNetwork(id string) string {
	if !IsID(id) {
		return "pushcam-setup"
	}
	return "pushcam-setup-" + id[:4]
}

// SetupCode is the password of the camera's set-up network. If the file cannot be read, or
// is damaged, it is FixedSetupCode, and the error says why.
func SetupCode(root Root) (string, error) {
	const maxFile, min, max = 128, 8, 63 // bytes; WPA2's limits of a password
	text, err := durable.ReadFile(root.Path("perm", SetupCodeFile), maxFile)
	code := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return FixedSetupCode, nil
	case err == nil && (len(code) < min || len(code) > max):
		err = errors.New("it is damaged")
	}
	if err != nil {
		return FixedSetupCode, fmt.Errorf("the code of the set-up network: %w", err)
	}
	return code, nil
}
