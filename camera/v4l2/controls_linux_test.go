//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

// focusing is a webcam that refuses what uvcvideo does: a distance while automatic focus is
// on, and what the webcam itself does not take.
type focusing struct {
	values  map[uint32]int32
	refuses map[uint32]int32
	gone    bool
}

// idFocus and idFocusAuto are V4L2_CID_FOCUS_ABSOLUTE and V4L2_CID_FOCUS_AUTO of
// linux/v4l2-controls.h. Webcams have the switch behind the number.
const (
	idFocus     = 0x9a090a
	idFocusAuto = 0x9a090c
)

func newFocusing() *focusing {
	return &focusing{
		values:  map[uint32]int32{go4vl.CtrlBrightness: 40, go4vl.CtrlContrast: 32, idFocus: 0, idFocusAuto: 1},
		refuses: map[uint32]int32{},
	}
}

func (f *focusing) Controls() ([]ioctl.ControlInfo, error) {
	auto := onOff(idFocusAuto, "Focus, Automatic Continuous")
	auto.Value = 1
	return []ioctl.ControlInfo{
		number(go4vl.CtrlBrightness, "Brightness", 0, 100, 1, 50),
		number(go4vl.CtrlContrast, "Contrast", 0, 64, 1, 32),
		number(idFocus, "Focus, Absolute", 0, 250, 5, 0),
		auto,
	}, nil
}

func (f *focusing) Control(id uint32) (int32, error) { return f.values[id], nil }

func (f *focusing) SetControl(id uint32, value int32) error {
	bad, refuses := f.refuses[id]
	switch {
	case f.gone:
		return unix.ENODEV
	case id == idFocus && f.values[idFocusAuto] == 1:
		return unix.EACCES
	case refuses && value == bad:
		return unix.ERANGE
	}
	f.values[id] = value
	return nil
}

// What rules another control is set before it, whatever the two are called, and put back
// behind it.
func TestOrderOfControls(t *testing.T) {
	f := newFocusing()
	v := &Source{Controls: Controls{"focus_absolute": "30", "focus_automatic_continuous": "off"}}
	check := func(what string, focus, auto int32) {
		t.Helper()
		if f.values[idFocus] != focus || f.values[idFocusAuto] != auto {
			t.Errorf("%s the focus is %d, automatic %d; want %d and %d", what, f.values[idFocus], f.values[idFocusAuto], focus, auto)
		}
	}
	if err := v.startControls(node{file: "/dev/video0"}, f, video720); err != nil {
		t.Fatal(err)
	}
	check("at the start", 30, 0)
	var refused ControlErrors
	if err := v.change(f, Controls{"focus_absolute": "50"}); !errors.As(err, &refused) || refused["focus_absolute"] != "focus_absolute cannot be set now: another control of the camera rules it" {
		t.Errorf("with the switch put back: %v", err)
	}
	check("after that", 30, 0)
	if err := v.change(f, nil); err != nil {
		t.Error(err)
	}
	check("put back", 0, 1)
	for _, c := range []Controls{{"focus_automatic_continuous": "off", "focus_absolute": "60"}, {"focus_automatic_continuous": "on"}} {
		if err := v.change(f, c); err != nil {
			t.Error(err)
		}
	}
	check("with the switch on again", 0, 1)
}

// A driver's own name goes before one of ours, and each control is set once.
func TestControlOfTwoNames(t *testing.T) {
	settings, troubles := webcamControls.plan(Controls{"exposure": "10ms", "auto_exposure": "aperture_priority_mode", "white_balance": "4000k", "white_balance_temperature": "4500"}, quirk{}, video720)
	var got []string
	for _, s := range settings {
		got = append(got, fmt.Sprintf("%x=%d of %s", s.id, s.value, s.of))
	}
	want := []string{"98090c=0 of white_balance", "9a0902=100 of exposure", "9a0901=3 of auto_exposure", "98091a=4500 of white_balance_temperature"}
	if diff := cmp.Diff(want, got); diff != "" || len(troubles) > 0 {
		t.Errorf("%v (-want +got):\n%s", troubles, diff)
	}
}

// Each control that the camera refuses is named, and then all are as they were: also one that
// another program had set.
func TestRefusedTogether(t *testing.T) {
	f := newFocusing()
	v := new(Source)
	if err := v.startControls(node{file: "/dev/video0"}, f, video720); err != nil {
		t.Fatal(err)
	}
	asked := Controls{"brightness": "77", "contrast": "13", "focus_absolute": "30", "focus_automatic_continuous": "off"}
	for _, tt := range []struct {
		name    string
		refuses map[uint32]int32
		asked   Controls
		want    ControlErrors
		changes map[uint32]int32
	}{
		{"by its limits", nil, Controls{"brightness": "101", "contrast": "65", "focus_absolute": "0"}, ControlErrors{
			"brightness": `brightness is from 0 to 100, not "101"`, "contrast": `contrast is from 0 to 64, not "65"`,
		}, nil},
		{"by itself", map[uint32]int32{go4vl.CtrlBrightness: 77, go4vl.CtrlContrast: 13}, asked, ControlErrors{
			"brightness": "the camera refuses 77: numerical result out of range", "contrast": "the camera refuses 13: numerical result out of range",
		}, nil},
		{"and not to be put back", map[uint32]int32{go4vl.CtrlContrast: 13, go4vl.CtrlBrightness: 40}, asked, ControlErrors{
			"contrast":   "the camera refuses 13: numerical result out of range",
			"brightness": "brightness is 77 now, and cannot be put back: numerical result out of range",
		}, map[uint32]int32{go4vl.CtrlBrightness: 77}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := maps.Clone(f.values)
			maps.Copy(want, tt.changes)
			f.refuses = tt.refuses
			err := v.change(f, tt.asked)
			var got ControlErrors
			errors.As(err, &got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(want, f.values); diff != "" {
				t.Errorf("the camera has (-want +got):\n%s", diff)
			}
			if s := v.ControlStates(); len(s) > 0 {
				t.Errorf("wanted is %v", s)
			}
		})
	}

	// What the camera does not take back either, its owner hears.
	f.refuses = nil
	if err := v.change(f, Controls{"contrast": "10"}); err != nil {
		t.Fatal(err)
	}
	f.refuses = map[uint32]int32{go4vl.CtrlContrast: 32}
	var refused ControlErrors
	if err := v.change(f, nil); !errors.As(err, &refused) || refused["contrast"] != "the camera refuses default: numerical result out of range" || v.ControlStates()["contrast"].Value != "10" {
		t.Errorf("%v, and wanted is %v", err, v.ControlStates())
	}

	// A camera that goes meanwhile comes back with what was wanted before.
	f.gone, f.refuses = true, nil
	if err := v.change(f, Controls{"contrast": "20"}); !errors.Is(err, unix.ENODEV) {
		t.Errorf("gone: %v", err)
	}
	f.gone = false
	if err := v.startControls(node{file: "/dev/video0"}, f, video720); err != nil || f.values[go4vl.CtrlContrast] != 10 {
		t.Errorf("back: %v, contrast %d", err, f.values[go4vl.CtrlContrast])
	}
}

// When the camera is unplugged, another device may take its number, as a capture card that is
// none of ours. It is not asked in the camera's place, and nothing of it is changed.
func TestControlsWhenAnotherTakesTheNumber(t *testing.T) {
	t.Attr("fault", "camera | another device has its number when a control is set | the other is left alone, and the control is set when the camera is back | at its start")
	file := filepath.Join(t.TempDir(), "video0")
	write := func() identity {
		t.Helper()
		if err := os.WriteFile(file+".new", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		id, err := identify(file)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	v := new(Source)
	n := node{file: file, identity: write()}
	v.state.tried.Store(&n)
	if err := v.startControls(n, newFocusing(), camera.Format{}); err != nil {
		t.Fatal(err)
	}
	write()
	if err := v.SetControls(Controls{"brightness": "60"}); err != nil {
		t.Errorf("the other device was asked: %v", err)
	}
	if _, err := v.DeviceControls(); err == nil {
		t.Error("the other device's controls are shown as the camera's")
	}
	if got := v.ControlStates()["brightness"].Value; got != "60" {
		t.Errorf("the brightness that is wanted is %q", got)
	}
}
