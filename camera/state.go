package camera

import "time"

// Phase is what a Camera is doing, in one word.
type Phase string

// The phases of a Camera.
const (
	Starting Phase = "starting"  // not yet known, or the first frame is awaited
	Idle     Phase = "idle"      // ready, nobody watches
	Live     Phase = "live"      // frames flow to somebody
	Privacy  Phase = "privacy"   // the owner has closed it
	NoCamera Phase = "no-camera" // there is none; it is looked for
	Fault    Phase = "fault"     // there is one and it does not work; it is tried again
	Stopping Phase = "stopping"  // the program ends
)

// Phases are all of them, in the order in which a camera usually goes through.
var Phases = []Phase{Starting, Idle, Live, Privacy, NoCamera, Fault, Stopping}

// State is what a Camera says of itself. It is a value: nothing in it changes
// after it was handed out.
type State struct {
	Phase  Phase     `json:"phase"`
	Reason string    `json:"reason,omitempty"` // a sentence, in Privacy, NoCamera and Fault
	Since  time.Time `json:"since"`            // when Phase or Reason last changed
	Device Device    `json:"device"`
	Format Format    `json:"format"` // of the running or the last run

	Watched bool `json:"watched"` // somebody wants frames

	Frames   uint64              `json:"frames"`   // delivered
	Dropped  map[DropKind]uint64 `json:"dropped"`  // by kind
	Restarts uint64              `json:"restarts"` // times the source was started again after it was lost
	Stalls   uint64              `json:"stalls"`   // times it gave no frame in time
	// Recovery counts what was tried to bring back frames, by the name of the Rung.
	Recovery map[string]uint64 `json:"recovery"`
}

// FrameTime is the time between two frames in the format of the last run.
func (c *Camera) FrameTime() time.Duration { return c.State().Format.FrameTime() }

// StallTime is for how long a camera of this format may give no frame until that counts as a
// stall.
func (f Format) StallTime() time.Duration { return max(stallTimeout, stallFrames*f.FrameTime()) }
