package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// signer is this user's key for updates. It is made when it is needed for the first time.
func (p *program) signer(ctx context.Context) (*signed.Signer, error) {
	path, err := p.signerPath()
	if err != nil {
		return nil, err
	}
	s, made, err := signed.LoadOrMakeSigner(ctx, path)
	if made {
		fmt.Fprintf(p.stdout, "This computer's key for updates is made: %s\n  Cameras whose cards are made here take updates by it: keep it, and a copy of it, where nobody else can read it.\n", path)
	}
	return s, err
}

func (p *program) signerPath() (string, error) {
	dir, err := p.configDir()
	if err != nil {
		return "", fmt.Errorf("where to keep the key that signs updates: %w", err)
	}
	return filepath.Join(dir, "pushcam", "update-key"), nil
}

// hintUnknown says, before minutes go into an image, that a camera will refuse what this
// computer signs. Whether its button allows it meanwhile, only the camera knows.
func (p *program) hintUnknown(ctx context.Context, cam fmt.Stringer, to *update.Status) error {
	if !to.TakesSigned || !to.Signed {
		return nil
	}
	s, err := p.signer(ctx)
	if err == nil && !takes(to, s.Key()) {
		fmt.Fprintf(p.stdout, "%s does not know this computer, and so refuses what it sends, unless its button was pressed three times for a second each in the last minutes\n", cam)
	}
	return err
}

// takes tells whether a camera takes updates by a key.
func takes(to *update.Status, key signed.Key) bool {
	return slices.Contains(to.Keys, key.Fingerprint())
}

// signature is what goes to a camera in front of an image: the image's own signature if
// the camera takes updates by that, and else one of this computer. It is nil for a camera
// of a version of before there were any.
func (p *program) signature(ctx context.Context, cam fmt.Stringer, a *partition.Archive, to *update.Status) ([]byte, error) {
	if !to.TakesSigned {
		return nil, nil
	}
	m := signed.Manifest{Version: a.RootInfo.Version, Built: a.RootInfo.Built, Arch: a.RootInfo.Arch, Camera: to.ID}
	var err error
	if m.Root, err = signed.Describe(io.NewSectionReader(a.Root, 0, a.Root.Size())); err != nil {
		return nil, err
	}
	if m.Boot, err = signed.Describe(io.NewSectionReader(a.Boot, 0, a.Boot.Size())); err != nil {
		return nil, err
	}
	by := "nobody"
	if a.Manifest != nil {
		text, key, err := own(a.Manifest, &m)
		if err != nil {
			return nil, fmt.Errorf("the image: %w; get it anew from where it is from", err)
		}
		if takes(to, key) {
			return text, nil
		}
		by = key.Fingerprint()
	}
	s, err := p.signer(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case !to.Signed:
		fmt.Fprintf(p.stdout, "From now on %s takes updates from this computer, and not from everybody who knows its password\n", cam)
	case takes(to, s.Key()):
		fmt.Fprintf(p.stdout, "The image is signed by %s, and not by anybody whom %s knows: this computer, which it knows, signs it\n", by, cam)
	}
	return m.Sign(s)
}

// own is the signature that an image has brought along, which must be of what is.
func own(r *io.SectionReader, is *signed.Manifest) ([]byte, signed.Key, error) {
	text, err := io.ReadAll(io.LimitReader(r, signed.MaxSize+1))
	if err != nil {
		return nil, "", err
	}
	m, key, err := signed.Open(text)
	if err != nil {
		return nil, "", err
	}
	if m.Version != is.Version || !reflect.DeepEqual(m.Root, is.Root) || !reflect.DeepEqual(m.Boot, is.Boot) {
		return nil, "", errors.New("it is not what was signed: it was changed, or is damaged")
	}
	return text, key, nil
}
