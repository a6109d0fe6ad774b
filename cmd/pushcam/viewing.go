package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher"
)

// newViewing says who may look at first; nil is everybody, always, which a camera without
// an owner is for.
func newViewing(c *config, s *settings, owned bool, log *slog.Logger) *pusher.Viewing {
	if c.viewing != "closed" && !owned {
		return nil
	}
	verify, _, _ := viewersPassword(c, s)
	if verify == nil && !owned {
		log.Warn("viewing was closed on the page, and no password opens it: start pushcam with PUSHCAM_OWNER_PASSWORD in the environment")
	}
	return &pusher.Viewing{Open: c.viewing != "closed", Verify: verify, Tokens: s.tokens(), KeepTokens: s.setTokens}
}

// viewingLook is how often followViewing looks.
const viewingLook = time.Second

// followViewing has take know what is chosen on the page of the set-up network, which is
// another program's and is read from memory. It ends when the camera has an owner: whoever
// becomes that chooses it, and nobody is asked again.
func (a *appliance) followViewing(ctx context.Context, take func(chosen string)) {
	for free := a != nil; free; {
		free = a.owners.Free() // before the look, because the page says who may look first
		if s, err := setup.Load(a.root); err == nil {
			take(s.Viewing)
		}
		select {
		case <-time.After(viewingLook):
		case <-ctx.Done():
			return
		}
	}
}

// viewersPassword verifies the viewers' password, which is that of the flags or the
// environment, else that of the card, else that of the page. Of the last two only the hash
// is kept. by is where it comes from, and revision is another one for another password.
// Without a password verify is nil: the owner's and tokens serve.
func viewersPassword(c *config, s *settings) (verify func(string) bool, by origin, revision string) {
	if c.viewerPassword != "" {
		return isSecret(c.viewerPassword), c.given["viewer-password"].By, ""
	}
	hash, by := c.viewerHash, byCard
	if hash == "" {
		hash, by = s.viewerHash(), bySettings
	}
	if hash == "" {
		return nil, "", ""
	}
	viewers := device.NewOwner(hash)
	return func(password string) bool {
		ok, err := viewers.Verify(password)
		return ok && err == nil
	}, by, hash
}

// isSecret compares passwords with one that came in the clear.
func isSecret(right secret) func(password string) bool {
	sum := sha256.Sum256([]byte(right))
	return func(password string) bool {
		other := sha256.Sum256([]byte(password))
		return hmac.Equal(other[:], sum[:])
	}
}
