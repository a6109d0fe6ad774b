package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

const keysPath = update.Path + "keys"

func (p *program) keys(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		remove = fs.String("remove", "", "take away the key with this `fingerprint`: what it has signed is refused from then on")
		yes    = fs.Bool("yes", false, "do not ask before the last key is taken away")
		given  = passwordFlag(fs)
		trust  = newTrustFlags(fs)
	)
	return func(ctx context.Context, operands []string) error {
		const help = "pushcamctl keys -h"
		if len(operands) == 0 {
			return p.misused(errors.New("which pushcam? Give its name or address; pushcamctl find lists them"), help)
		}
		cam, err := parseRemote(operands[0])
		if err != nil {
			return p.misused(err, help)
		}
		if err := p.owner(cam, given, trust); err != nil {
			return err
		}
		resp, err := cam.Get(ctx, keysPath)
		if err != nil {
			return err
		}
		var known remoteKeys
		if err := cam.decode(resp, &known, "its keys for updates"); err != nil {
			return err
		}
		if *remove != "" {
			return p.removeKey(ctx, cam, *remove, known.Keys, *yes)
		}
		return p.listKeys(cam, &known)
	}
}

// remoteKeys are those by which a camera takes updates.
type remoteKeys struct {
	Signed bool                `json:"signed"` // updates have to be
	Keys   []update.TrustedKey `json:"keys"`
}

// whence is what an owner reads of where a camera has a key from.
var whence = map[update.Origin]string{
	update.FromCard:    "made its card",
	update.FromUpdate:  "came later",
	update.FromRelease: "of the release",
	update.FromSetting: "of a setting",
}

// without is what follows when a camera has no key any more.
const without = "it takes no update at all until its button is pressed three times for a second each, or update-key= is in pushcam.txt on its card"

func (p *program) listKeys(cam *remote, known *remoteKeys) error {
	switch {
	case len(known.Keys) > 0:
	case known.Signed:
		fmt.Fprintf(p.stdout, "%s knows no key any more: %s\n", cam, without)
	default:
		fmt.Fprintf(p.stdout, "%s knows no key yet: it takes every update that comes with its password, and keeps the key of the first signed one\n", cam)
	}
	mine, err := p.ownFingerprint()
	if err != nil {
		return err
	}
	for _, k := range known.Keys {
		line := fmt.Sprintf("%s  %-14s", discovery.Printable(k.Fingerprint), whence[k.From])
		if k.Fingerprint == mine {
			line += "  (this computer)"
		}
		if k.Comment != "" {
			line += "  " + discovery.Printable(k.Comment)
		}
		fmt.Fprintln(p.stdout, line)
	}
	return nil
}

// ownFingerprint is that of this user's key for updates; "" if there is none yet.
func (p *program) ownFingerprint() (string, error) {
	path, err := p.signerPath()
	if err != nil {
		return "", err
	}
	s, err := signed.LoadSigner(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return s.Key().Fingerprint(), nil
}

func (p *program) removeKey(ctx context.Context, cam *remote, fingerprint string, known []update.TrustedKey, yes bool) error {
	if !slices.ContainsFunc(known, func(k update.TrustedKey) bool { return k.Fingerprint == fingerprint }) {
		return fmt.Errorf("%s knows no key %s; %s lists those that it knows", cam, fingerprint, p.command("keys", cam.String()))
	}
	query := url.Values{"key": {fingerprint}}
	if len(known) == 1 {
		if !yes {
			fmt.Fprintf(p.stderr, "This is the only key that %s knows. Without it, %s.\nTake it away? [y/N] ", cam, without)
			if err := p.askYes(fmt.Sprintf("%s still has its key", cam)); err != nil {
				return err
			}
		}
		query.Set("last", "yes")
	}
	resp, err := cam.Send(ctx, update.Request{Method: http.MethodDelete, Path: keysPath + "?" + query.Encode()}, answerTimeout)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s takes no update by the key %s any more\n", cam, fingerprint)
	return resp.Body.Close()
}
