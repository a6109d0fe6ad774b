//go:build cgo

package v4l2

import (
	"cmp"
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
	changed bool     // wanted is to be taken, not Source.Controls
	file    string   // of the camera that was started last; empty: none was
	started identity // of that file then
	quirk   quirk
	format  camera.Format
	applied map[uint32]int32  // since it was started
	touched map[uint32]string // ever, by the names that did: these are to be put back
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
// the camera does, which can be seconds. Nothing changes when some of those that
// are new cannot be had, which are ControlErrors. ControlStates tells what came
// of the others. Any goroutine may call it.
func (v *Source) SetControls(c Controls) error {
	d := &v.state.setter
	d.mu.Lock()
	defer d.mu.Unlock()
	c = maps.Clone(c)
	device, err := v.openStarted()
	if err != nil {
		d.wanted, d.changed = c, true
		v.note(nil)
		return nil // the next start sets them
	}
	defer device.Close()
	return v.change(device, c)
}

// openStarted opens the camera that was started last, also if it was plugged in again and
// found since, and no other device that has its number now. The setter's lock is held.
func (v *Source) openStarted() (*ioctl.Device, error) {
	d := &v.state.setter
	if d.file == "" {
		return nil, errors.New("no camera was started yet")
	}
	now, err := identify(d.file)
	if err != nil {
		return nil, err
	}
	n := v.state.tried.Load()
	known := now == d.started || n != nil && n.file == d.file && n.identity == now
	if !known && v.state.running.Load() == nil { // while it streams, its number is nobody else's
		return nil, fmt.Errorf("%w: %s was unplugged", camera.ErrNoCamera, d.file)
	}
	return ioctl.Open(d.file)
}

// change sets controls, or leaves all as it was.
func (v *Source) change(device controls, c Controls) error {
	d := &v.state.setter
	infos, err := device.Controls()
	if err != nil {
		return err
	}
	before, wanted, changed, quality := v.wanted(), d.wanted, d.changed, v.state.quality.Load()
	touched, said := maps.Clone(d.touched), d.said
	d.wanted, d.changed = c, true
	asked := v.wanted()
	_, troubles := controlSet(infos).plan(asked, d.quirk, d.format)
	refused := ofNew(troubles, before, asked)
	var done []done
	if refused == nil {
		if done, err = v.apply(device); err == nil {
			refused = ofNew(d.said, before, asked)
		}
	}
	if err == nil && refused == nil {
		return nil
	}
	d.wanted, d.changed = wanted, changed
	v.state.quality.Store(quality)
	if err != nil {
		return err // the next start sets what was wanted before
	}
	d.touched = touched
	for _, s := range slices.Backward(done) {
		d.applied[s.id] = s.was
		if err := device.SetControl(s.id, s.was); errors.Is(err, unix.ENODEV) {
			return err
		} else if err != nil {
			d.applied[s.id], d.touched[s.id] = s.value, s.of
			refused[s.of] = fmt.Sprintf("%s is %s now, and cannot be put back: %v", s.of, cmp.Or(asked[s.of], DefaultValue), err)
		}
	}
	v.note(said)
	return refused
}

// ofNew are the troubles with what is not asked for as it was before; nil if there are none.
func ofNew(troubles map[string]string, before, asked Controls) ControlErrors {
	var refused ControlErrors
	for name, trouble := range troubles {
		if asked[name] != before[name] {
			if refused == nil {
				refused = ControlErrors{}
			}
			refused[name] = trouble
		}
	}
	return refused
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
	n := v.state.tried.Load()
	if d.file == "" && n == nil {
		return nil, errors.New("no camera was found yet")
	}
	var device *ioctl.Device
	var err error
	if d.file == "" {
		device, err = ioctl.Open(n.file)
	} else {
		device, err = v.openStarted()
	}
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
		d.touched = map[uint32]string{}
	}
	d.file, d.started, d.quirk, d.format, d.applied = n.file, n.identity, quirks[n.driver], f, map[uint32]int32{}
	_, err := v.apply(device)
	return err
}

// done is a setting that was made, with what was set before.
type done struct {
	setting
	was int32
}

// apply sets what is wanted. What cannot be had is noted; the error is that of a
// device that has gone.
func (v *Source) apply(device controls) (all []done, err error) {
	d := &v.state.setter
	wanted := v.wanted()
	if len(wanted) == 0 && len(d.touched) == 0 && !d.quirk.obeysBitRate(d.format) {
		v.note(nil)
		return nil, nil // some webcams take a while to tell
	}
	infos, err := device.Controls()
	if err != nil {
		return nil, err
	}
	set := controlSet(infos)
	settings, troubles := set.plan(wanted, d.quirk, d.format)
	quality, _ := parseQuality(wanted["quality"]) // plan has said what is wrong with it
	v.state.quality.Store(int32(quality))
	for _, s := range append(d.putBack(set, settings), set.inOrder(settings)...) {
		if value, ok := d.applied[s.id]; ok && value == s.value {
			continue
		}
		c, _ := set.find(s.id)
		was, err := device.Control(s.id)
		if err != nil { // it cannot be read
			was = c.Value
		}
		switch err := device.SetControl(s.id, s.value); {
		case errors.Is(err, unix.ENODEV):
			return nil, err
		case errors.Is(err, unix.EACCES) && s.back:
			// It is put back when no other control rules it.
		case errors.Is(err, unix.EACCES):
			troubles[s.of] = fmt.Sprintf("%s cannot be set now: another control of the camera rules it", s.of)
		case err != nil:
			troubles[s.of] = fmt.Sprintf("the camera refuses %s: %v", s.wish(wanted), err)
		default:
			all = append(all, done{s, was})
			d.applied[s.id], d.touched[s.id] = s.value, s.of
		}
	}
	v.note(troubles)
	return all, nil
}

// putBack are the settings of what was set once, and is not wanted any more.
func (d *controlSetter) putBack(set controlSet, settings []setting) (all []setting) {
	for _, id := range sortedKeys(d.touched) {
		again := slices.ContainsFunc(settings, func(s setting) bool { return s.id == id })
		if c, ok := set.find(id); ok && !again {
			all = append(all, setting{id: id, value: c.Value, of: d.touched[id], back: true})
		}
	}
	all = set.inOrder(all)
	slices.Reverse(all)
	return all
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
