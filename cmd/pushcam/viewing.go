package main

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/pusher"
)

// newViewing says who may look; nil is everybody. The viewers' password is that of the flags
// or the environment, else that of the card, of which only the hash is kept. Without one the
// owner's and tokens serve.
func newViewing(c *config, s *settings) *pusher.Viewing {
	if c.viewing != "closed" {
		return nil
	}
	v := &pusher.Viewing{Tokens: s.tokens(), KeepTokens: s.setTokens}
	switch {
	case c.viewerPassword != "":
		right := sha256.Sum256([]byte(c.viewerPassword))
		v.Verify = func(password string) bool {
			sum := sha256.Sum256([]byte(password))
			return hmac.Equal(sum[:], right[:])
		}
	case c.viewerHash != "":
		viewers := device.NewOwner(c.viewerHash)
		v.Verify = func(password string) bool {
			ok, err := viewers.Verify(password)
			return ok && err == nil
		}
	}
	return v
}
