package device

import (
	"crypto/rand"
	"strings"
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
