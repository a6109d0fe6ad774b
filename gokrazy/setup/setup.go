package setup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/durable"
)

// A Network is a wireless network that the camera may join.
type Network struct {
	SSID     []byte    // 1 to 32 bytes
	PSK      *[32]byte // nil is an open network
	Priority int       // the first in the file has the highest
}

// Settings are what an owner has set. The zero value of each field means that it is
// not set.
type Settings struct {
	Hostname string // one DNS label; without it the name is the image's
	// Password is the hash of a new owner's password (device.HashPassword). Save writes
	// it to device.OwnerFile. Load returns it only if it could not be kept there, so
	// that it serves until the power goes.
	Password string
	// ViewerPassword is the hash of the viewers' password (device.HashPassword).
	ViewerPassword string `json:",omitempty"`
	// Viewing is who may look, open or closed, as it was chosen on the page of the set-up
	// network. The camera's program takes it among its own settings.
	Viewing  string    `json:",omitempty"`
	Country  string    // ISO 3166-1 alpha-2, as DE
	Networks []Network // the highest priority first
	// Flags are those of the camera's program, by their names without a hyphen. They are
	// as the owner wrote them: only that program knows which there are.
	Flags map[string]string
}

// A Problem is what is wrong with a file of the owner's, in one clear sentence.
type Problem struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // 0 is the file as a whole
	Text string `json:"text"`
}

func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s, line %d: %s", p.File, p.Line, p.Text)
}

// A Place is where on the card an owner has written something.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Setup is what is set now, and what was wrong with it.
type Setup struct {
	Settings
	Problems []Problem
	// Places are where the flags are that come from the card's file, by their names.
	Places map[string]Place
	// CardHostname is the name that the card's files said last; "" if they never said one.
	// Hostname is another one if it was changed later.
	CardHostname string
}

// File is where the settings are, below /perm as they are kept and below /run as they
// serve.
const File = "pushcam/setup.json"

// maxFile bounds what is read of it, in bytes; a larger file is not ours.
const maxFile = 256 << 10

// running is File below /run.
type running struct {
	Settings Settings         `json:"settings"`
	Problems []Problem        `json:"problems,omitempty"`
	Places   map[string]Place `json:"places,omitempty"`
	// CardHostname is that of Setup.
	CardHostname string `json:"card_hostname,omitempty"`
}

// kept is File below /perm.
type kept struct {
	Settings Settings `json:"settings"`
	// Taken is what the card's files said last, which tells later what an owner has
	// changed in them. Its Password is a hash.
	Taken Settings `json:"taken"`
	// Uncleared says that older copies of secrets may be on the card where no file is.
	Uncleared bool `json:"uncleared,omitempty"`
	// ClearFrom is where they are looked for next (fat.FS.ClearFree).
	ClearFrom int `json:"clear_from,omitempty"`
	// Blanked says that the secrets in the card's files were overwritten after they were
	// taken: what stands there now was written since, even if it is the same.
	Blanked bool `json:"blanked,omitempty"`
}

// Load returns the settings that serve. Before process 1 has taken them, and on a PC,
// there are none, which is no error. Whoever waits for a change (the wireless network
// was typed on the page) is told by Save's caller, not by Load.
func Load(root device.Root) (Setup, error) {
	var r running
	err := read(root.Path("run", File), &r)
	return Setup{r.Settings, r.Problems, r.Places, r.CardHostname}, err
}

// keepTime is how long Save waits for the card. A slow one takes some seconds.
const keepTime = 15 * time.Second

var errCard = fmt.Errorf("the card has not answered for %v", keepTime)

// Save changes the settings: first in /run, where they serve from then on, then in /perm,
// each file whole and durable. change gets what serves; it may keep the slices and maps.
// A Password goes to device.OwnerFile.
//
// If /perm cannot be written, or the card hangs, what was changed serves all the same
// until the power goes, and the error wraps ErrNotKept. Programs may call it side by
// side.
func Save(root device.Root, change func(*Settings) error) error { return save(root, change, keepNow) }

// ErrNotKept is wrapped by errors that mean that settings serve, and are not kept.
var ErrNotKept = errors.New("the settings last only until the power goes")

func save(root device.Root, change func(*Settings) error, keep func(device.Root) error) error {
	if err := changeRunning(root, change); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), keepTime, errCard)
	defer cancel()
	// Whoever waits for a card that hangs has this lock, so there is one at most.
	unlock, err := lockCard(ctx, root)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	kept := make(chan error, 1)
	go func() {
		defer unlock()
		kept <- keep(root)
	}()
	select {
	case err = <-kept:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return err
}

// lockCard lets one at a time write to /perm.
func lockCard(ctx context.Context, root device.Root) (unlock func(), err error) {
	return durable.Lock(ctx, root.Path("run", File)+".keep")
}

// changeRunning changes the settings that serve.
func changeRunning(root device.Root, change func(*Settings) error) error {
	path := root.Path("run", File)
	unlock, err := durable.Lock(context.Background(), path+".lock") // nobody who has it waits for the card
	if err != nil {
		return fmt.Errorf("change the settings: %w", err)
	}
	defer unlock()
	var now running
	if err := read(path, &now); err != nil {
		return err
	}
	if err := change(&now.Settings); err != nil {
		return err
	}
	return durable.WriteJSON(path, now)
}

// keepNow has /perm keep what serves.
func keepNow(root device.Root) error {
	now, err := Load(root)
	if err != nil {
		return err
	}
	k, err := readKept(root)
	if err != nil {
		return err
	}
	k.Settings = now.Settings
	if err := keep(root, k); err != nil {
		return err
	}
	return changeRunning(root, func(s *Settings) error {
		if s.Password == now.Password {
			s.Password = "" // it is kept
		}
		return nil
	})
}

// keep writes to /perm: the password first, because the other file says that it was
// taken.
func keep(root device.Root, k kept) error {
	if k.Settings.Password != "" {
		if err := durable.WriteFile(root.Path("perm", device.OwnerFile), []byte(k.Settings.Password+"\n")); err != nil {
			return err
		}
		k.Settings.Password = ""
	}
	return durable.WriteJSON(root.Path("perm", File), k)
}

// readKept reads what /perm has. A damaged file is as none: the owner can write the
// settings again, and would not know of another way.
func readKept(root device.Root) (k kept, err error) {
	err = read(root.Path("perm", File), &k)
	if errors.Is(err, errDamaged) {
		return kept{}, nil
	}
	return k, err
}

var errDamaged = errors.New("the settings are damaged")

// read leaves v as it is if there is no such file.
func read(path string, v any) error {
	text, err := durable.ReadFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w: %w", path, errDamaged, err)
	}
	return nil
}

// Prefer puts a network before all others, in the place of the one of its name. Of more than
// the card's file may have, the last is given up.
func (s *Settings) Prefer(n Network) {
	others := slices.DeleteFunc(slices.Clone(s.Networks), func(o Network) bool { return bytes.Equal(o.SSID, n.SSID) })
	for _, o := range others {
		n.Priority = max(n.Priority, o.Priority+1)
	}
	s.Networks = append([]Network{n}, others[:min(len(others), maxNetworks-1)]...)
}

// clone returns settings that share nothing with s.
func (s Settings) clone() Settings {
	s.Networks = slices.Clone(s.Networks)
	s.Flags = maps.Clone(s.Flags)
	return s
}

// networkJSON is a network in a file: a name may have any bytes.
type networkJSON struct {
	SSID     string `json:"ssid_hex"`
	PSK      string `json:"psk_hex,omitempty"`
	Priority int    `json:"priority"`
}

// MarshalJSON is for this package's files.
func (n Network) MarshalJSON() ([]byte, error) {
	j := networkJSON{SSID: hex.EncodeToString(n.SSID), Priority: n.Priority}
	if n.PSK != nil {
		j.PSK = hex.EncodeToString(n.PSK[:])
	}
	return json.Marshal(j)
}

// UnmarshalJSON is for this package's files. It refuses what cannot be a network.
func (n *Network) UnmarshalJSON(text []byte) error {
	var j networkJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	ssid, err := hex.DecodeString(j.SSID)
	if err != nil || len(ssid) < 1 || len(ssid) > maxSSID {
		return fmt.Errorf("%q is no network's name in hexadecimal digits", j.SSID)
	}
	*n = Network{SSID: ssid, Priority: j.Priority}
	if j.PSK != "" {
		key, ok := hexKey(j.PSK)
		if !ok {
			return errors.New("a network's key has 64 hexadecimal digits")
		}
		n.PSK = key
	}
	return nil
}
