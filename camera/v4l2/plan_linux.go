//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
)

// cidJPEGQuality is V4L2_CID_JPEG_COMPRESSION_QUALITY of linux/v4l2-controls.h,
// which go4vl v0.2.0 does not name.
const cidJPEGQuality = 0x009d0903

// setting is what a control of a device is to be set to.
type setting struct {
	id    uint32
	value int32
	of    string // the name in Controls
	back  bool   // it is not wanted any more
}

// wish is the value that it comes from.
func (s setting) wish(wanted Controls) string {
	if s.back {
		return DefaultValue
	}
	return wanted[s.of]
}

// sameNames are our names for single controls, which drivers name differently.
var sameNames = map[string]uint32{
	"rotate":     go4vl.CtrlRotate,
	"hflip":      go4vl.CtrlHFlip,
	"vflip":      go4vl.CtrlVFlip,
	"power_line": go4vl.CtrlPowerlineFrequency,
	"bitrate":    go4vl.CtrlMPEGVideoBitrate,
	"quality":    cidJPEGQuality,
}

// several are our names for what more than one control makes together.
var several = map[string]func(controlSet, string) ([]setting, error){
	"exposure":      controlSet.exposure,
	"iso":           controlSet.iso,
	"white_balance": controlSet.whiteBalance,
}

// errNoControl is for a control that the camera does not have.
var errNoControl = errors.New("the camera has no such control")

// controlSet is the controls of a device.
type controlSet []ioctl.ControlInfo

// plan says how the controls that a device has are to be set for what is wanted,
// in order, and what cannot be had of it. A driver's own names go before ours.
func (s controlSet) plan(wanted Controls, q quirk, f camera.Format) (all []setting, troubles map[string]string) {
	troubles = map[string]string{}
	names := slices.SortedStableFunc(slices.Values(sortedKeys(wanted)), func(a, b string) int { return len(natives[b]) - len(natives[a]) })
	for _, name := range names {
		if name == "quality" && (q.obeysBitRate(f) || isRawName(f.PixelFormat)) {
			continue // below
		}
		settings, err := s.settings(name, wanted[name])
		if err != nil {
			troubles[name] = err.Error()
			continue
		}
		for i := range settings {
			settings[i].of = name
			all = slices.DeleteFunc(all, func(s setting) bool { return s.id == settings[i].id })
		}
		all = append(all, settings...)
	}
	quality, err := parseQuality(wanted["quality"])
	switch {
	case isRawName(f.PixelFormat): // rawEncoder takes it
		if err != nil {
			troubles["quality"] = err.Error()
		}
		return all, troubles
	case !q.obeysBitRate(f):
		return all, troubles
	case err != nil:
		troubles["quality"] = err.Error()
	}
	if quality == 0 {
		quality = defaultVideoQuality
	}
	rate, ok := s.find(go4vl.CtrlMPEGVideoBitrate)
	given := slices.ContainsFunc(all, func(s setting) bool { return s.id == rate.ID && wanted[s.of] != DefaultValue })
	if ok && !given {
		all = slices.DeleteFunc(all, func(s setting) bool { return s.id == rate.ID })
		all = append(all, setting{id: rate.ID, value: nearest(rate, videoBitRate(f, quality)), of: "quality"})
	}
	return all, troubles
}

// parseQuality reads a JPEG quality; 0 is the default.
func parseQuality(value string) (int, error) {
	if value == "" || value == DefaultValue {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100 {
		return 0, fmt.Errorf("quality is from 1 to 100, not %q", value)
	}
	return n, nil
}

// settings are what one of Controls comes to.
func (s controlSet) settings(name, value string) ([]setting, error) {
	if together, ok := several[name]; ok {
		return together(s, value)
	}
	c, ok := s.named(name)
	if !ok {
		return nil, s.lacks(name)
	}
	return one(c, name, value)
}

func one(c ioctl.ControlInfo, name, value string) ([]setting, error) {
	if c.ReadOnly {
		return nil, fmt.Errorf("%s cannot be set, only read", name)
	}
	v, err := parseValue(c, name, value)
	return []setting{{id: c.ID, value: v}}, err
}

func (s controlSet) lacks(name string) error {
	names := list(s, func(c ioctl.ControlInfo) string { return controlName(c.Name) })
	if names == "" {
		return fmt.Errorf("%w as %s, and no others", errNoControl, name)
	}
	return fmt.Errorf("%w as %s; it has %s", errNoControl, name, names)
}

// inOrder are settings in an order in which a camera takes them: while automatic focus is on,
// it refuses a distance. What rules others is a switch or a menu, and what is ruled a number.
func (s controlSet) inOrder(all []setting) []setting {
	number := func(one setting) int {
		if c, _ := s.find(one.id); c.Type == ioctl.Integer {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b setting) int { return number(a) - number(b) })
}

func (s controlSet) named(name string) (ioctl.ControlInfo, bool) {
	if id, ok := sameNames[name]; ok {
		return s.find(id)
	}
	i := slices.IndexFunc(s, func(c ioctl.ControlInfo) bool { return controlName(c.Name) == name })
	if i < 0 {
		return ioctl.ControlInfo{}, false
	}
	return s[i], true
}

func (s controlSet) find(id uint32) (ioctl.ControlInfo, bool) {
	i := slices.IndexFunc(s, func(c ioctl.ControlInfo) bool { return c.ID == id })
	if i < 0 {
		return ioctl.ControlInfo{}, false
	}
	return s[i], true
}

// exposure is auto, or a time.
func (s controlSet) exposure(value string) ([]setting, error) {
	mode, ok := s.find(go4vl.CtrlCameraExposureAuto)
	if !ok {
		return nil, s.lacks("exposure")
	}
	const auto, manual, aperturePriority = 0, 1, 3 // enum v4l2_exposure_auto_type
	switch value {
	case DefaultValue:
		return []setting{{id: mode.ID, value: mode.Value}}, nil
	case "auto":
		if hasItem(mode, auto) {
			return []setting{{id: mode.ID, value: auto}}, nil
		}
		return []setting{{id: mode.ID, value: aperturePriority}}, nil // webcams without a shutter call it so
	}
	t, err := time.ParseDuration(value)
	duration, ok := s.find(go4vl.CtrlCameraExposureAbsolute)
	const unit = 100 * time.Microsecond
	switch {
	case !ok:
		return nil, errors.New("the camera takes no time for exposure, only auto")
	case err != nil || t < time.Duration(duration.Min)*unit || t > time.Duration(duration.Max)*unit:
		return nil, fmt.Errorf("exposure is auto, or a time from %v to %v, not %q", time.Duration(duration.Min)*unit, time.Duration(duration.Max)*unit, value)
	}
	return []setting{{id: mode.ID, value: manual}, {id: duration.ID, value: nearest(duration, float64(t)/float64(unit))}}, nil
}

// iso is auto, or a film's number. The driver's are a thousand times that.
func (s controlSet) iso(value string) ([]setting, error) {
	number, ok := s.find(go4vl.CtrlCameraIsoSensitivity)
	mode, ok2 := s.find(go4vl.CtrlCameraIsoSensitivityAuto)
	if !ok || !ok2 {
		return nil, s.lacks("iso")
	}
	const manual, auto = 0, 1 // enum v4l2_iso_sensitivity_auto_type
	if value == "auto" || value == DefaultValue {
		return []setting{{id: mode.ID, value: auto}}, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	var known []string
	for _, item := range number.Items {
		if item.Number == 0 {
			continue
		}
		if err == nil && item.Number == n*1000 {
			return []setting{{id: mode.ID, value: manual}, {id: number.ID, value: item.Index}}, nil
		}
		known = append(known, strconv.FormatInt(item.Number/1000, 10))
	}
	return nil, fmt.Errorf("iso is auto, %s, not %q", strings.Join(known, ", "), value)
}

// whiteBalance is auto or a preset on cameras that have some, else auto or a
// temperature.
func (s controlSet) whiteBalance(value string) ([]setting, error) {
	if preset, ok := s.find(go4vl.CtrlCameraAutoNPresetWhiteBalance); ok {
		return one(preset, "white_balance", value)
	}
	auto, ok := s.find(go4vl.CtrlAutoWhiteBalance)
	if !ok {
		return nil, s.lacks("white_balance")
	}
	switch value {
	case DefaultValue:
		return []setting{{id: auto.ID, value: auto.Value}}, nil
	case "auto":
		return []setting{{id: auto.ID, value: 1}}, nil
	}
	kelvin, ok := s.find(go4vl.CtrlWhiteBalanceTemperature)
	if !ok {
		return nil, fmt.Errorf("white_balance is auto on this camera, not %q", value)
	}
	settings, err := one(kelvin, "white_balance", strings.TrimSuffix(value, "k"))
	return append([]setting{{id: auto.ID, value: 0}}, settings...), err
}

func hasItem(c ioctl.ControlInfo, index int32) bool {
	return slices.ContainsFunc(c.Items, func(i ioctl.MenuItem) bool { return i.Index == index })
}

// parseValue reads the value of one control.
func parseValue(c ioctl.ControlInfo, name, value string) (int32, error) {
	if value == DefaultValue {
		return c.Value, nil
	}
	switch c.Type {
	case ioctl.Boolean:
		switch value {
		case "on", "true", "yes", "1":
			return 1, nil
		case "off", "false", "no", "0":
			return 0, nil
		}
		return 0, fmt.Errorf("%s is on or off, not %q", name, value)
	case ioctl.Menu, ioctl.IntegerMenu:
		return choose(c, name, value)
	case ioctl.Integer:
		v, err := parseNumber(value)
		if err != nil || !(v >= float64(c.Min) && v <= float64(c.Max)) {
			return 0, fmt.Errorf("%s is from %d to %d, not %q", name, c.Min, c.Max, value)
		}
		return nearest(c, v), nil
	}
	return 0, fmt.Errorf("%s is not for a value", name)
}

// choose finds an item of a menu by its name, by its first word, or by its
// number.
func choose(c ioctl.ControlInfo, name, value string) (int32, error) {
	if c.Type == ioctl.Menu {
		value = controlName(value)
	}
	for _, says := range []func(ioctl.MenuItem) string{
		itemName,
		func(i ioctl.MenuItem) string { first, _, _ := strings.Cut(itemName(i), "_"); return first },
		func(i ioctl.MenuItem) string { return strings.ReplaceAll(itemName(i), "disabled", "off") },
		func(i ioctl.MenuItem) string { return strconv.Itoa(int(i.Index)) },
	} {
		for _, item := range c.Items {
			if says(item) == value {
				return item.Index, nil
			}
		}
	}
	return 0, fmt.Errorf("%s is %s, not %q", name, list(c.Items, itemName), value)
}

func itemName(i ioctl.MenuItem) string {
	if i.Name == "" {
		return strconv.FormatInt(i.Number, 10)
	}
	return controlName(i.Name)
}

// parseNumber takes 8000000, 8000k and 8M, in small letters.
func parseNumber(s string) (float64, error) {
	factor := 1.0
	if rest, ok := strings.CutSuffix(s, "k"); ok {
		s, factor = rest, 1e3
	} else if rest, ok := strings.CutSuffix(s, "m"); ok {
		s, factor = rest, 1e6
	}
	v, err := strconv.ParseFloat(s, 64)
	return v * factor, err
}

// describe says what a control is, and is at.
func describe(c ioctl.ControlInfo, value int32) Control {
	d := Control{Name: controlName(c.Name), Value: valueName(c, value), Default: valueName(c, c.Value), ReadOnly: c.ReadOnly, Inactive: c.Inactive}
	switch c.Type {
	case ioctl.Boolean:
		d.Choices = []string{"off", "on"}
	case ioctl.Menu, ioctl.IntegerMenu:
		for _, item := range c.Items {
			d.Choices = append(d.Choices, itemName(item))
		}
	default:
		d.Minimum, d.Maximum, d.Step = &c.Min, &c.Max, &c.Step
	}
	return d
}

func valueName(c ioctl.ControlInfo, value int32) string {
	if c.Type == ioctl.Boolean {
		return map[bool]string{false: "off", true: "on"}[value != 0]
	}
	for _, item := range c.Items {
		if item.Index == value {
			return itemName(item)
		}
	}
	return strconv.Itoa(int(value))
}
