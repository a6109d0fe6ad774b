package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/identity"
)

// knownCameras are the keys by which cameras have proved who they are, in a file as
// ssh's known_hosts: each line has a name or an id (device.ID), and a fingerprint. The
// last line of a name counts, so that lines are only ever added, and programs that run
// at the same time lose none.
type knownCameras struct {
	dir func() (string, error) // the user's settings
}

// maxKnown bounds the file, in bytes.
const maxKnown = 1 << 20

func (k knownCameras) path() (string, error) {
	dir, err := k.dir()
	if err != nil {
		return "", fmt.Errorf("where to keep the keys of cameras: %w", err)
	}
	return filepath.Join(dir, "pushcam", "known-cameras"), nil
}

// all gives the fingerprints by name.
func (k knownCameras) all() (map[string]string, error) {
	path, err := k.path()
	if err != nil {
		return nil, err
	}
	text, err := durable.ReadFile(path, maxKnown)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the keys of cameras: %w", err)
	}
	all := make(map[string]string)
	for line := bufio.NewScanner(bytes.NewReader(text)); line.Scan(); {
		if name, key, ok := strings.Cut(line.Text(), " "); ok && identity.IsFingerprint(key) {
			all[name] = key
		}
	}
	return all, nil
}

// add says that a camera with these names has a key.
func (k knownCameras) add(key string, names ...string) error {
	path, err := k.path()
	if err != nil || len(names) == 0 {
		return err
	}
	var lines strings.Builder
	for _, name := range names {
		fmt.Fprintf(&lines, "%s %s\n", name, key)
	}
	err = os.MkdirAll(filepath.Dir(path), 0o700)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	if err == nil {
		_, err = f.WriteString(lines.String()) // at once, so that lines of others stay whole
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("keep the camera's key: %w", err)
	}
	return nil
}

// trustFlags are those of the commands that send a password.
type trustFlags struct {
	key      string
	insecure bool
}

func newTrustFlags(fs *flag.FlagSet) *trustFlags {
	f := new(trustFlags)
	fs.Func("key", "the camera's key, a `fingerprint` as pushcam-report.txt on its card has it: this computer knows the\ncamera by it from now on, whatever it knew before", func(text string) error {
		if !identity.IsFingerprint(text) {
			return errors.New("a key is given as SHA256: and 43 letters and digits, as pushcam-report.txt on the card has it")
		}
		f.key = text
		return nil
	})
	fs.BoolVar(&f.insecure, "insecure", false, "send the password unencrypted to whoever answers: for a camera whose version is too old to\nprove who it is")
	return f
}

// compare is what to do with a key that is not known.
const compare = "compare the key with the one in pushcam-report.txt on its card, and if it is the same, give it once with -key %s"

// trust returns nil if the camera that has proved to have a key, and says that it has
// an id, is the one that the user means.
func (p *program) trust(cam *remote, f *trustFlags, key, id string) error {
	known := knownCameras{p.configDir}
	all, err := known.all()
	if err != nil {
		return err
	}
	names := cam.knownAs(id)
	var unknown []string
	other := ""
	for _, name := range names {
		switch all[name] {
		case key:
		case "":
			unknown = append(unknown, name)
		default:
			other = all[name]
		}
	}
	switch {
	case f.key == key:
		unknown = names
	case f.key != "":
		return fmt.Errorf("%s has the key %s, and not the one of -key: it is another device, and nothing was sent to it", cam, key)
	case other != "":
		return fmt.Errorf("%s is not the camera that this computer knows: its key is %s, and it was %s. Either its card was written anew, or another device pretends to be it; nothing was sent to it. "+
			"If it is yours, "+compare, cam, key, other, key)
	case len(unknown) < len(names):
	case p.askPassword == nil:
		return fmt.Errorf("this computer does not know %s yet, whose key is %s, and there is no terminal to ask you; nothing was sent to it: "+compare, cam, key, key)
	default:
		fmt.Fprintf(p.stderr, "This computer does not know %s yet. Its key is %s;\npushcam-report.txt on the camera's card tells the right one. Is it yours? [y/N] ", cam, key)
		if err := p.askYes(fmt.Sprintf("nothing was sent to %s", cam)); err != nil {
			return err
		}
	}
	return known.add(key, unknown...)
}

// mayBeInsecure returns an error if the camera is known to prove who it is, by its own
// names or by what it tells of itself: what answers without that is something else.
func (p *program) mayBeInsecure(cam *remote, told ...string) error {
	all, err := (knownCameras{p.configDir}).all()
	if err != nil {
		return err
	}
	for _, name := range append(cam.knownAs(cam.id), told...) {
		if all[name] != "" {
			return fmt.Errorf("%s has proved to this computer who it is, and can do so again: leave -insecure out", cam)
		}
	}
	return nil
}

// knownAs are the names of a camera that says that it has an id, among knownCameras. An
// address is none if there is another one: it may be another camera's tomorrow.
func (c *remote) knownAs(id string) (names []string) {
	if device.IsID(id) {
		names = append(names, id)
	}
	host := strings.TrimSuffix(strings.ToLower(c.name), ".local")
	if host == "" && len(names) == 0 {
		host = c.address.String()
	}
	if port := cmp.Or(c.port, tlsPort); host != "" && port != tlsPort {
		host += ":" + port
	}
	if host != "" {
		names = append(names, host)
	}
	return names
}
