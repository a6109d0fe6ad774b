//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	"golang.org/x/sys/unix"
)

// controlSetter sets the controls of the camera: when it starts, and when others are
// wanted. While it runs they are set through a descriptor of their own, so that no
// frame waits for a slow control; V4L2 lets anybody set controls while another
// program streams.
type controlSetter struct {
	states atomic.Pointer[map[string]ControlState]
	said   map[string]string // troubles that the log tells of

	mu      sync.Mutex // guards what follows, and is held while controls are set
	wanted  Controls
	changed bool   // wanted is to be taken, not Source.Controls
	file    string // of the camera that was started last; empty: none was
	quirk   quirk
	format  camera.Format
	applied map[uint32]int32 // since it was started
	touched map[uint32]bool  // ever: these are to be put back
}

// controls is what a device is asked for its controls.
type controls interface {
	Controls() ([]ioctl.ControlInfo, error)
	Control(id uint32) (int32, error)
	SetControl(id uint32, value int32) error
}

var _ controls = (*ioctl.Device)(nil)

// SetControls sets controls, now and whenever the camera is started, and puts
// those back that were set before and are not among them. It takes as long as
// the camera does, which can be seconds. Nothing changes when one of those that
// are new cannot be had, which is a *ControlError. ControlStates tells what came
// of the others. Any goroutine may call it.
func (v *Source) SetControls(c Controls) error {
	d := &v.state.setter
	d.mu.Lock()
	defer d.mu.Unlock()
	c = maps.Clone(c)
	var device *ioctl.Device
	err := errors.New("no camera was started yet")
	if d.file != "" {
		device, err = ioctl.Open(d.file)
	}
	if err != nil {
		d.wanted, d.changed = c, true
		v.note(nil)
		return nil // the next start sets them
	}
	defer device.Close()
	return v.change(device, c)
}

func (v *Source) change(device controls, c Controls) error {
	d := &v.state.setter
	infos, err := device.Controls()
	if err != nil {
		return err
	}
	before := v.wanted()
	_, troubles := controlSet(infos).plan(c, d.quirk, d.format)
	for _, name := range sortedKeys(troubles) {
		if c[name] != before[name] {
			return &ControlError{Name: name, Reason: troubles[name]}
		}
	}
	d.wanted, d.changed = c, true
	if err := v.apply(device); err != nil {
		return err
	}
	for _, name := range sortedKeys(c) {
		if trouble := v.ControlStates()[name].Trouble; trouble != "" && c[name] != before[name] {
			d.wanted = before // the camera itself does not take it
			if err := v.apply(device); err != nil {
				return err
			}
			return &ControlError{Name: name, Reason: trouble}
		}
	}
	return nil
}

// ControlStates is what became of the controls that were asked for.
func (v *Source) ControlStates() map[string]ControlState {
	if s := v.state.setter.states.Load(); s != nil {
		return *s
	}
	return map[string]ControlState{}
}

// DeviceControls lists what the camera has that was started last, or else found last. Any
// goroutine may call it.
func (v *Source) DeviceControls() ([]Control, error) {
	d := &v.state.setter
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.file
	if n := v.state.tried.Load(); file == "" && n != nil {
		file = n.file
	}
	if file == "" {
		return nil, errors.New("no camera was found yet")
	}
	device, err := ioctl.Open(file)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	infos, err := device.Controls()
	if err != nil {
		return nil, err
	}
	all := []Control{}
	for _, c := range infos {
		if value, err := device.Control(c.ID); err == nil { // else it cannot be read
			all = append(all, describe(c, value))
		}
	}
	return all, nil
}

// startControls sets the controls of a device that is being started.
func (v *Source) startControls(n node, device controls, f camera.Format) error {
	d := &v.state.setter
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.file != d.file {
		d.touched = map[uint32]bool{}
	}
	d.file, d.quirk, d.format, d.applied = n.file, quirks[n.driver], f, map[uint32]int32{}
	return v.apply(device)
}

// apply sets what is wanted. What cannot be had is noted; the error is that of a
// device that has gone.
func (v *Source) apply(device controls) error {
	d := &v.state.setter
	wanted := v.wanted()
	if len(wanted) == 0 && len(d.touched) == 0 && !d.quirk.obeysBitRate(d.format) {
		v.note(nil)
		return nil // some webcams take a while to tell
	}
	infos, err := device.Controls()
	if err != nil {
		return err
	}
	set := controlSet(infos)
	settings, troubles := set.plan(wanted, d.quirk, d.format)
	quality, _ := parseQuality(wanted["quality"]) // plan has said what is wrong with it
	v.state.quality.Store(int32(quality))
	var all []setting
	for id := range d.touched {
		again := slices.ContainsFunc(settings, func(s setting) bool { return s.id == id })
		if c, ok := set.find(id); ok && !again {
			all = append(all, setting{id: id, value: c.Value})
		}
	}
	for _, s := range append(all, settings...) {
		if value, ok := d.applied[s.id]; ok && value == s.value {
			continue
		}
		switch err := device.SetControl(s.id, s.value); {
		case errors.Is(err, unix.ENODEV):
			return err
		case err != nil:
			troubles[s.of] = fmt.Sprintf("the camera refuses %s: %v", wanted[s.of], err)
		default:
			d.applied[s.id], d.touched[s.id] = s.value, true
		}
	}
	v.note(troubles)
	return nil
}

// wanted is called with the setter's lock held.
func (v *Source) wanted() Controls {
	d := &v.state.setter
	c := v.Controls
	if d.changed {
		c = d.wanted
	}
	if quality := v.request().Quality; quality > 0 {
		c = c.Over(Controls{"quality": fmt.Sprint(quality)})
	}
	return c
}

// note makes known what became of the wanted controls, with the setter's lock held.
func (v *Source) note(troubles map[string]string) {
	d := &v.state.setter
	states := map[string]ControlState{}
	for name, value := range v.wanted() {
		states[name] = ControlState{Value: value, Trouble: troubles[name]}
	}
	d.states.Store(&states)
	for name, trouble := range troubles {
		if d.said[name] != trouble {
			v.logger().Warn("a control of the camera is not set", "control", name, "why", trouble)
		}
	}
	d.said = troubles
}
