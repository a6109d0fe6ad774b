// Package firmware is about what the Wi-Fi chips of the boards need in /lib/firmware.
// gokrazy/image puts it there and writes down what it has not got (File); the appliance
// reads that, to say why there is no Wi-Fi.
package firmware

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

// Folder is where the driver brcmfmac looks for its files in an image.
const Folder = "/lib/firmware/brcm"

// File is what an image has of Contents. An image without Wi-Fi does not have it.
const File = "/etc/pushcam-wifi.json"

// NoWiFi is what to tell an owner of an image that does not have File.
const NoWiFi = "this image was made without Wi-Fi, with -no-wifi or for the stock kernel: make another one with pushcamctl image"

// A Chip is one that the driver knows.
type Chip struct {
	Name string // "BCM43455"
	// Base begins the names of its files: Base + ".bin" is the firmware, Base +
	// ".clm_blob" what it may send where, Base + ".BOARD.txt" how a board has it (NVRAM).
	Base string
}

// A Board is a kind of computer.
type Board struct {
	Name string // "Raspberry Pi 4 Model B"
	// Compatible is the first of the names that the root of its device tree has. The
	// driver looks for Base.Compatible.bin and so on before Base.bin.
	Compatible string
	// Chips are those that boards of this kind have: one of them each.
	Chips []Chip
}

// The chips of these boards (linux, drivers/net/wireless/broadcom/brcm80211/brcmfmac).
var (
	bcm43430   = Chip{"BCM43430/1", "brcmfmac43430-sdio"}
	bcm43430b0 = Chip{"BCM43430/2", "brcmfmac43430b0-sdio"}
	bcm43455   = Chip{"BCM43455", "brcmfmac43455-sdio"}
	bcm43456   = Chip{"BCM43456", "brcmfmac43456-sdio"}
)

// Boards are those with Wi-Fi among the kernel's device trees.
func Boards() []Board {
	return []Board{
		{"Raspberry Pi 3 Model B", "raspberrypi,3-model-b", []Chip{bcm43430}},
		{"Raspberry Pi 3 Model A+", "raspberrypi,3-model-a-plus", []Chip{bcm43455}},
		{"Raspberry Pi 3 Model B+", "raspberrypi,3-model-b-plus", []Chip{bcm43455}},
		{"Raspberry Pi Zero 2 W", "raspberrypi,model-zero-2-w", []Chip{bcm43430, bcm43430b0}},
		{"Raspberry Pi 4 Model B", "raspberrypi,4-model-b", []Chip{bcm43455}},
		{"Raspberry Pi 400", "raspberrypi,400", []Chip{bcm43456}},
		{"Raspberry Pi Compute Module 4", "raspberrypi,4-compute-module", []Chip{bcm43455}},
	}
}

// Contents is what an image has for Wi-Fi, and what it lacks.
type Contents struct {
	// SHA256 of each file that is in the image for Wi-Fi, by its path there, in hex.
	SHA256 map[string]string `json:"sha256"`
	// Missing is empty if every board of Boards has what it needs.
	Missing []Missing `json:"missing,omitempty"`
}

// Missing says that an image has no firmware for a chip of a board.
type Missing struct {
	Compatible string `json:"compatible"` // of the board
	Board      string `json:"board"`      // its name
	Chip       string `json:"chip"`       // its name
	// Files are those to get, by their names in Folder.
	Files []string `json:"files"`
	// Some means that other boards of this kind have another chip, for which the
	// firmware may be there: it explains only why a board has no Wi-Fi, if it has none.
	Some bool `json:"some,omitempty"`
}

// Load reads File. Its error wraps fs.ErrNotExist if the image was made without Wi-Fi.
func Load(root device.Root) (*Contents, error) {
	text, err := os.ReadFile(root.Path(File))
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads the text of File.
func Parse(text []byte) (*Contents, error) {
	c := new(Contents)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	return c, nil
}

// Here is what is missing on the board that this program runs on.
func (c *Contents) Here(root device.Root) []Missing {
	here := board(root)
	return slices.DeleteFunc(slices.Clone(c.Missing), func(m Missing) bool { return m.Compatible != here })
}

// board is the Compatible of the board that this program runs on, empty if it is no Pi.
func board(root device.Root) string {
	text, err := os.ReadFile(root.Path("proc/device-tree/compatible"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\x00")
	return first
}

// Chips are the names of the chips that a board of this kind may have, and for which
// the image that runs has firmware.
func Chips(root device.Root) (names []string) {
	c, err := Load(root)
	if err != nil {
		return nil
	}
	here := board(root)
	for _, b := range Boards() {
		for _, chip := range b.Chips {
			if b.Compatible == here && !c.Lacks(chip.Name) {
				names = append(names, chip.Name)
			}
		}
	}
	return names
}

// Lacks tells whether there is no firmware for the chip of this name.
func (c *Contents) Lacks(chip string) bool {
	return len(c.SHA256) == 0 || slices.ContainsFunc(c.Missing, func(m Missing) bool { return m.Chip == chip })
}

// String is a sentence for an owner: what is missing, and what to do.
func (m Missing) String() string {
	of := "of the " + m.Board
	if m.Some {
		of = "that some of the boards " + m.Board + " have"
	}
	return fmt.Sprintf("this image has no Wi-Fi firmware for the chip %s %s, because Debian has none: copy %s from %s of Raspberry Pi OS into a folder, and make another image with pushcamctl image -wifi-firmware FOLDER",
		m.Chip, of, list(m.Files), Folder)
}

// list joins names as in a sentence.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// maxFile bounds what is read of File, in bytes.
const maxFile = 64 << 10

// LostBy are those of the chips of these names for which a root file system has no
// firmware: a board with one of them loses its Wi-Fi by it.
func LostBy(root io.ReaderAt, chips []string) ([]string, error) {
	has := new(Contents)
	text, err := partition.ReadRootFile(root, File, maxFile)
	if err == nil {
		has, err = Parse(text)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("the image's Wi-Fi: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(chips), func(chip string) bool { return !has.Lacks(chip) }), nil
}
