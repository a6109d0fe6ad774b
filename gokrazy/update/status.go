// Package update is both ends of an update over the network. On the camera, a
// Server takes a new root file system, has the next boot try it, and commits it or
// lets the boot after that take the old one again; on a PC, a Client sends it and
// waits for what becomes of it. gokrazy/pushcam/update.md has each step and what a
// power cut leaves.
package update

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// What a Server answers, to its owner alone. Each part is uploaded whole, with its
// SHA-256 as Content-Digest (RFC 9530). To try them, the request names the digests
// of what is meant.
//
//	GET    /api/update          Status
//	GET    /api/update/keys     {"keys": […]}, each a TrustedKey
//	DELETE /api/update/keys     ?key=FINGERPRINT takes one away, the last one only with
//	                            &last=yes, because no update is taken after that
//	PUT    /api/update/manifest what comes, signed (signed.Open); without it the others are
//	                            taken only by a camera that knows no key, and while the
//	                            window is open (Server.OpenWindow)
//	PUT    /api/update/root     a root file system
//	PUT    /api/update/boot     a boot partition, for a new kernel
//	POST   /api/update/try      ?root=DIGEST, &boot=DIGEST if that came, and
//	                            &picture=no if the owner wants it tried although the
//	                            camera gives no picture; answers with a Record
const (
	Path         = "/api/update/"
	keysPath     = "keys"
	manifestPath = "manifest"
	tryPath      = "try"
	pictureWord  = "picture"
	noPicture    = "no"
)

// Part is a part of an update.
type Part string

const (
	Root Part = "root" // the root file system, as a squashfs
	Boot Part = "boot" // the boot partition with the kernel, as a FAT file system
)

// Phase is what a Server does at the moment.
type Phase string

const (
	Starting   Phase = "" // it does not know yet where this boot stands
	Idle       Phase = "idle"
	Receiving  Phase = "receiving"
	Restarting Phase = "restarting"
	OnTrial    Phase = "trial" // this boot tries an update
)

// Outcome is what became of an update.
type Outcome string

const (
	Undecided  Outcome = "trying"
	Committed  Outcome = "committed"
	RolledBack Outcome = "rolled back"
)

// A Record is what becomes of an update. It is kept on /perm, where the old and
// the new system find it. One that others can see is never changed.
type Record struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"state"`
	From    string  `json:"from"`             // version
	To      string  `json:"to"`               // version
	Root    int     `json:"root"`             // number of the partition with the new root file system
	Kernel  string  `json:"kernel,omitempty"` // release of the new kernel, if a boot partition came too
	Saved   string  `json:"saved,omitempty"`  // SHA-256 of the copy of the old boot partition, in hex
	Key     string  `json:"key,omitempty"`    // fingerprint of the one that has signed it; "" if nobody has
	Older   bool    `json:"older,omitempty"`  // its commit is older than that of From
	Camera  bool    `json:"camera"`           // the camera gave a picture before, and so must do on trial
	Starts  int     `json:"starts"`           // of the program on trial
	Why     string  `json:"why,omitempty"`    // it was rolled back
}

// State is the part of /state about updates.
type State struct {
	Phase   Phase   `json:"phase"`
	Message string  `json:"message,omitempty"` // for people
	Signed  bool    `json:"signed"`            // updates have to be signed by whom the camera knows
	Last    *Record `json:"last,omitempty"`
}

// Status is what a Client has to know before it sends an update, and afterwards.
type Status struct {
	State
	Trouble  string `json:"trouble,omitempty"` // why updates are not possible
	ID       string `json:"id,omitempty"`      // of the camera (device.ID)
	Hostname string `json:"hostname"`
	// KeepsName says that an update may be made for another name: the camera keeps its
	// own. One that does not say it has its name only in its root file system.
	KeepsName bool `json:"keeps_name"`
	// Chips are the names of the Wi-Fi chips that the board may have, and for which what
	// runs has firmware (firmware.Chips).
	Chips []string `json:"wifi_chips,omitempty"`
	// TakesSigned says that the manifest of an update has to come first. A camera that does
	// not say it is of a version of before that.
	TakesSigned bool `json:"takes_signed"`
	// Keys are the fingerprints of the keys by which updates are taken.
	Keys []string `json:"update_keys,omitempty"`
	// Log has the last lines that the last update logged on its trial, if it was rolled
	// back and could still write them down.
	Log     string    `json:"log,omitempty"`
	Version string    `json:"version"`
	Built   time.Time `json:"built"` // the time of its commit
	Arch    string    `json:"arch"`
	Kernel  string    `json:"kernel"`   // release
	Root    int       `json:"root"`     // number of the partition that runs
	MaxRoot int64     `json:"max_root"` // bytes that a root file system may have
	MaxBoot int64     `json:"max_boot"` // bytes that a boot partition may have
}

// PictureGone is in the reason of an update that was rolled back because its trial saw
// no picture.
const PictureGone = "the camera, which worked before, gives no picture"

var (
	// ErrRefused is wrapped by errors that the same request would meet again.
	ErrRefused = errors.New("refused")
	// errBusy is wrapped, beside ErrRefused, by errors that mean that the camera does
	// something else at the moment.
	errBusy = errors.New("refused for the moment")
	// ErrPassword is wrapped by errors that mean that this is not the owner.
	ErrPassword = errors.New("the password is wrong")
	// ErrNoPicture is wrapped by errors that mean that an update is not tried
	// because the camera gives no picture, so that the trial could not find out
	// whether the camera still works. The owner can decide to do without.
	ErrNoPicture = errors.New("the camera gives no picture, so the trial could not tell whether the update works with it")
	// ErrNoWiFi is wrapped by errors that mean that an update is not tried because the
	// board's radio would have no firmware with it, which the trial does not notice where
	// there is a cable. The owner can decide to do without, as for ErrNoPicture.
	ErrNoWiFi = errors.New("the camera's Wi-Fi would not work any more")

	errNotThere = errors.New("what is to be tried is not what was uploaded last: upload it again")
)

// statusCode is the HTTP status by which a Server tells a Client what kind of error it
// is.
func statusCode(err error) int {
	return cmp.Or(statusOf(err), http.StatusInternalServerError)
}

// statusOf is 0 for an error that is none of those.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errNotThere):
		return http.StatusConflict
	case errors.Is(err, card.ErrNotFit), errors.Is(err, ErrUntrusted), errors.Is(err, signed.ErrChanged):
		return http.StatusUnprocessableEntity
	case errors.Is(err, syscall.ENOSPC):
		return http.StatusInsufficientStorage
	case errors.Is(err, ErrNoPicture), errors.Is(err, ErrNoWiFi):
		return http.StatusPreconditionRequired
	}
	return 0
}

// Refusal is the error that an answer of a camera stands for, by its status code. name
// is the camera's, and says is the sentence in its answer. Refusal is nil for a code
// that does not mean that the same request would be refused again.
func Refusal(code int, name, says string) error {
	switch code {
	case http.StatusConflict:
		return &busyError{name + " says: " + says}
	case http.StatusUnprocessableEntity, http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %s says: %s", ErrRefused, name, says)
	case http.StatusPreconditionRequired:
		return &pictureError{name + " says: " + says}
	}
	return nil
}

// busyError is errBusy in the camera's own words.
type busyError struct{ says string }

func (e *busyError) Error() string        { return "refused: " + e.says }
func (e *busyError) Is(target error) bool { return target == errBusy || target == ErrRefused }

// pictureError is ErrNoPicture in the camera's own words.
type pictureError struct{ says string }

func (e *pictureError) Error() string        { return e.says }
func (e *pictureError) Is(target error) bool { return target == ErrNoPicture || target == ErrRefused }
