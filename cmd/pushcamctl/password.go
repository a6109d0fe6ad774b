package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

// passwords keeps the owner's passwords of the images that were made here, one file
// for each that only this user can read. A file is called NAME.ID.password, after the
// name that the image was made for and after its id, which the camera tells
// (device.ID). It was called NAME.password before there were ids.
type passwords struct {
	dir func() (string, error) // the user's settings
}

// keptPassword is the file of one.
type keptPassword struct {
	path     string
	name, id string // id is empty in a file of before there were ids
	written  time.Time
}

const passwordSuffix = ".password"

// passwordOrigin is where a password is from.
type passwordOrigin int

const (
	givenPassword passwordOrigin = iota
	oldPassword                  // kept for this name
	newPassword
)

// choose takes the given password for an image, else the one that was kept last for
// its name, else a new one.
func (k passwords) choose(name, given string) (string, passwordOrigin, error) {
	if given != "" {
		return given, givenPassword, device.CheckPassword(given)
	}
	all, err := k.all()
	if err != nil {
		return "", 0, err
	}
	if kept := newest(all, name); kept != nil {
		text, err := kept.read()
		return text, oldPassword, err
	}
	return generatePassword(), newPassword, nil
}

// of is the password of a camera that tells an id and has these names; nil if there
// is none here. What was made for another id is not for it. A camera without an id
// has a card of before there were any, or one that does not keep it.
func (k passwords) of(id string, names ...string) (*keptPassword, error) {
	all, err := k.all()
	if err != nil {
		return nil, err
	}
	for _, kept := range all {
		if id != "" && kept.id == id {
			return kept, nil
		}
	}
	for _, name := range names {
		for _, kept := range all {
			if kept.name == name && kept.id == "" {
				return kept, nil
			}
		}
		if kept := newest(all, name); id == "" && kept != nil {
			return kept, nil
		}
	}
	return nil, nil
}

func newest(all []*keptPassword, name string) *keptPassword {
	named := slices.DeleteFunc(slices.Clone(all), func(kept *keptPassword) bool { return kept.name != name })
	if len(named) == 0 {
		return nil
	}
	return slices.MaxFunc(named, func(a, b *keptPassword) int {
		return cmp.Or(a.written.Compare(b.written), cmp.Compare(a.path, b.path))
	})
}

// all are those that are kept.
func (k passwords) all() ([]*keptPassword, error) {
	dir, err := k.folder()
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the kept passwords: %w", err)
	}
	var all []*keptPassword
	for _, f := range files {
		base, ok := strings.CutSuffix(f.Name(), passwordSuffix)
		name, id, _ := strings.Cut(base, ".")
		if !ok || name == "" || id != "" && !device.IsID(id) {
			continue
		}
		kept := &keptPassword{path: filepath.Join(dir, f.Name()), name: name, id: id}
		if info, err := f.Info(); err == nil {
			kept.written = info.ModTime()
		}
		all = append(all, kept)
	}
	return all, nil
}

// read gives the password, which may begin or end with blanks.
func (kept *keptPassword) read() (string, error) {
	text, err := durable.ReadFile(kept.path, device.MaxPassword+1)
	if err != nil {
		return "", fmt.Errorf("the kept password: %w", err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// keep stores the password of a new image and returns the file that it is in.
func (k passwords) keep(name, id, password string) (path string, err error) {
	dir, err := k.folder()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name+"."+id+passwordSuffix)
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = durable.WriteFile(path, []byte(password+"\n"))
	}
	if err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	return path, nil
}

var hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// belongs files a password by the id and the present name of the camera that has taken
// it, so that the next image of that name gets it too. Another program may have done
// so already.
func (kept *keptPassword) belongs(id, name string) error {
	if id == "" {
		return nil
	}
	if !hostLabel.MatchString(name) {
		name = kept.name
	}
	path := filepath.Join(filepath.Dir(kept.path), name+"."+id+passwordSuffix)
	if err := os.Rename(kept.path, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("file the password by the camera's id: %w", err)
	}
	return nil
}

func (k passwords) folder() (string, error) {
	dir, err := k.dir()
	if err != nil {
		return "", fmt.Errorf("where to keep passwords: %w", err)
	}
	return filepath.Join(dir, "pushcam"), nil
}

// generatePassword makes a password of 80 bits that can be read out and typed:
// four groups of four, without letters that look like others.
func generatePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32 of them: 5 bits each
	random := make([]byte, 16)
	rand.Read(random)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[r%32])
	}
	return b.String()
}
