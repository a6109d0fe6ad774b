package v4l2

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Controls are what a camera's controls are to be set to: values by name, both as
// CheckControl has them.
//
// Some names mean the same on all cameras, whatever their drivers call it:
// rotate (degrees), hflip, vflip (on, off), exposure (auto, or a time as 10ms),
// white_balance (auto, a preset as daylight, or a temperature as 4000K), iso
// (auto, or a number), power_line (off, 50, 60, auto), bitrate (bits per second,
// as 8M) and quality (JPEG, 1 to 100). All others are a device's own names, in
// small letters with _ for all that is no letter or digit, as v4l2-ctl writes
// them. Each takes the value default.
type Controls map[string]string

// DefaultValue is what puts a control back.
const DefaultValue = "default"

// Bounds of what is taken for a name or a value, in bytes, and of Controls.
const (
	maxControlText = 64
	maxControls    = 32
)

// natives are what drivers call the controls that a name of ours sets.
var natives = map[string][]string{
	"hflip":         {"horizontal_flip"},
	"vflip":         {"vertical_flip"},
	"power_line":    {"power_line_frequency"},
	"bitrate":       {"video_bitrate"},
	"quality":       {"compression_quality"},
	"exposure":      {"auto_exposure", "exposure_time_absolute"},
	"iso":           {"iso_sensitivity", "iso_sensitivity_auto"},
	"white_balance": {"white_balance_auto_preset", "white_balance_automatic", "white_balance_temperature"},
}

// Overlap tells whether two names set the same control of a camera.
func Overlap(a, b string) bool {
	return a == b || slices.Contains(natives[a], b) || slices.Contains(natives[b], a)
}

// Change sets one of c. What was set before by another name, and would rule it, goes.
func (c Controls) Change(name, value string) {
	for other := range c {
		whole := value == DefaultValue || natives[name] != nil || len(natives[other]) == 1 // else it is only a part of the other
		if Overlap(name, other) && whole {
			delete(c, other)
		}
	}
	if value != DefaultValue {
		c[name] = value
	}
}

// CheckControl brings a control's name and value into the form in which they are
// compared and kept, or says what is wrong with them. Whether a camera has such a
// control only the camera tells.
func CheckControl(name, value string) (n, v string, err error) {
	n, v = controlName(name), strings.ToLower(strings.TrimSpace(value))
	switch {
	case n == "" || len(n) > maxControlText:
		return "", "", fmt.Errorf("a control is called as rotate or white_balance, not %.70q", name)
	case v == "" || len(v) > maxControlText || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }):
		return "", "", fmt.Errorf("the control %s has a value such as 50, on or auto, not %.70q", n, value)
	}
	return n, v, nil
}

// Check says what is wrong with c as a whole.
func (c Controls) Check() error {
	if len(c) > maxControls {
		return fmt.Errorf("at most %d controls can be set, not %d", maxControls, len(c))
	}
	return nil
}

// String is for flags: "hflip=on,iso=400".
func (c Controls) String() string {
	var parts []string
	for _, name := range sortedKeys(c) {
		parts = append(parts, name+"="+c[name])
	}
	return strings.Join(parts, ",")
}

// Set is for flags: it adds controls, of which there may be several, as
// "hflip=on,iso=400".
func (c *Controls) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return fmt.Errorf("a control is given as name=value, as rotate=180, not %.70q", part)
		}
		name, value, err := CheckControl(name, value)
		if err != nil {
			return err
		}
		if *c == nil {
			*c = Controls{}
		}
		(*c)[name] = value
	}
	return c.Check()
}

// Over gives c with what it does not have of other.
func (c Controls) Over(other Controls) Controls {
	all := maps.Clone(other)
	if all == nil {
		all = Controls{}
	}
	maps.Copy(all, c)
	return all
}

// ControlState is what became of a control that was asked for.
type ControlState struct {
	Value string `json:"value"`
	// Trouble says in a sentence why it is not set.
	Trouble string `json:"trouble,omitempty"`
}

// ControlErrors are controls that a camera does not have, or whose values it does not take:
// a sentence on each by its name.
type ControlErrors map[string]string

func (e ControlErrors) Error() string {
	var sentences []string
	for _, name := range sortedKeys(e) {
		sentences = append(sentences, e[name])
	}
	return strings.Join(sentences, "; ")
}

// Control is a control that a camera has.
type Control struct {
	Name    string   `json:"name"`
	Value   string   `json:"value"` // the present one
	Default string   `json:"default"`
	Minimum *int32   `json:"minimum,omitempty"` // of a number
	Maximum *int32   `json:"maximum,omitempty"`
	Step    *int32   `json:"step,omitempty"`
	Choices []string `json:"choices,omitempty"` // of anything else
	// ReadOnly is one that cannot be set; Inactive one that another control rules now, as
	// automatic exposure does the time.
	ReadOnly bool `json:"read_only,omitempty"`
	Inactive bool `json:"inactive,omitempty"`
}

// controlName writes a name as v4l2-ctl does (name2var in v4l2-ctl.cpp): small
// letters and digits, with one _ for what is between them.
func controlName(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
		} else {
			gap = true
		}
	}
	return b.String()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
