//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

func number(id uint32, name string, low, high, step, value int32) ioctl.ControlInfo {
	return ioctl.ControlInfo{ID: id, Type: ioctl.Integer, Name: name, Min: low, Max: high, Step: step, Value: value}
}

func onOff(id uint32, name string) ioctl.ControlInfo {
	return ioctl.ControlInfo{ID: id, Type: ioctl.Boolean, Name: name, Max: 1, Step: 1}
}

func menu(id uint32, name string, value int32, items map[int32]string) ioctl.ControlInfo {
	c := ioctl.ControlInfo{ID: id, Type: ioctl.Menu, Name: name, Value: value}
	for _, i := range sortedKeys(items) {
		c.Items = append(c.Items, ioctl.MenuItem{Index: i, Name: items[i]})
	}
	return c
}

func numbers(id uint32, name string, value int32, items ...int64) ioctl.ControlInfo {
	c := ioctl.ControlInfo{ID: id, Type: ioctl.IntegerMenu, Name: name, Value: value}
	for i, n := range items {
		c.Items = append(c.Items, ioctl.MenuItem{Index: int32(i), Number: n})
	}
	return c
}

// What bcm2835-v4l2 and a webcam say of their controls, in part.
var (
	piControls = controlSet{
		number(go4vl.CtrlBrightness, "Brightness", 0, 100, 1, 50),
		menu(go4vl.CtrlPowerlineFrequency, "Power Line Frequency", 1, map[int32]string{0: "Disabled", 1: "50 Hz", 2: "60 Hz", 3: "Auto"}),
		onOff(go4vl.CtrlHFlip, "Horizontal Flip"),
		onOff(go4vl.CtrlVFlip, "Vertical Flip"),
		number(go4vl.CtrlRotate, "Rotate", 0, 360, 90, 0),
		number(go4vl.CtrlMPEGVideoBitrate, "Video Bitrate", 25_000, 25_000_000, 25_000, 10_000_000),
		menu(go4vl.CtrlCameraExposureAuto, "Auto Exposure", 0, map[int32]string{0: "Auto Mode", 1: "Manual Mode"}),
		number(go4vl.CtrlCameraExposureAbsolute, "Exposure Time, Absolute", 1, 10_000, 1, 1000),
		numbers(go4vl.CtrlCameraAutoExposureBias, "Auto Exposure, Bias", 1, -4000, 0, 4000),
		menu(go4vl.CtrlCameraAutoNPresetWhiteBalance, "White Balance, Auto & Preset", 1, map[int32]string{0: "Manual", 1: "Auto", 6: "Daylight"}),
		numbers(go4vl.CtrlCameraIsoSensitivity, "ISO Sensitivity", 0, 0, 100_000, 200_000, 400_000, 800_000),
		menu(go4vl.CtrlCameraIsoSensitivityAuto, "ISO Sensitivity, Auto", 1, map[int32]string{0: "Manual", 1: "Auto"}),
		number(cidJPEGQuality, "Compression Quality", 1, 100, 1, 30),
	}
	webcamControls = controlSet{
		number(go4vl.CtrlBrightness, "Brightness", -64, 64, 1, 0),
		onOff(go4vl.CtrlAutoWhiteBalance, "White Balance, Automatic"),
		menu(go4vl.CtrlCameraExposureAuto, "Auto Exposure", 3, map[int32]string{1: "Manual Mode", 3: "Aperture Priority Mode"}),
		number(go4vl.CtrlCameraExposureAbsolute, "Exposure Time, Absolute", 3, 2047, 1, 250),
		number(go4vl.CtrlWhiteBalanceTemperature, "White Balance Temperature", 2800, 6500, 1, 4600),
		{ID: 0x9a0910, Type: ioctl.Boolean, Name: "Privacy", ReadOnly: true},
		{ID: 0x9a0911, Type: ioctl.Button, Name: "Pan, Reset"},
	}
)

var video720 = camera.Format{PixelFormat: "MJPG", Width: 1280, Height: 720, FPS: 30}

func TestControlSettings(t *testing.T) {
	tests := []struct {
		set         controlSet
		name, value string
		want        string // id=value …, or a part of the error after "!"
	}{
		{piControls, "rotate", "180", "980922=180"},
		{piControls, "rotate", "default", "980922=0"},
		{piControls, "rotate", "720", `!rotate is from 0 to 360, not "720"`},
		{piControls, "rotate", "nan", `!rotate is from 0 to 360`},
		{piControls, "hflip", "on", "980914=1"},
		{piControls, "horizontal_flip", "no", "980914=0"},
		{piControls, "vflip", "5", "!vflip is on or off"},
		{piControls, "power_line", "60", "980918=2"},
		{piControls, "power_line", "50_hz", "980918=1"},
		{piControls, "power_line", "off", "980918=0"},
		{piControls, "power_line_frequency", "3", "980918=3"},
		{piControls, "power_line", "70", "!power_line is disabled, 50_hz, 60_hz, auto, not \"70\""},
		{piControls, "exposure", "auto", "9a0901=0"},
		{piControls, "exposure", "10ms", "9a0901=1 9a0902=100"},
		{piControls, "exposure", "2s", "!exposure is auto, or a time from 100µs to 1s"},
		{webcamControls, "exposure", "auto", "9a0901=3"},
		{webcamControls, "exposure", "default", "9a0901=3"},
		{piControls, "auto_exposure_bias", "-4000", "9a0913=0"},
		{piControls, "auto_exposure_bias", "4000", "9a0913=2"},
		{piControls, "iso", "400", "9a0918=0 9a0917=3"},
		{piControls, "iso", "auto", "9a0918=1"},
		{piControls, "iso", "123", "!iso is auto, 100, 200, 400, 800, not"},
		{webcamControls, "iso", "400", "!the camera has no such control as iso; it has brightness, white_balance_automatic"},
		{piControls, "white_balance", "daylight", "9a0914=6"},
		{piControls, "white_balance", "moonlight", "!white_balance is manual, auto, daylight"},
		{webcamControls, "white_balance", "auto", "98090c=1"},
		{webcamControls, "white_balance", "4000k", "98090c=0 98091a=4000"},
		{webcamControls, "white_balance", "9000", "!white_balance is from 2800 to 6500"},
		{webcamControls, "brightness", "-64", "980900=-64"},
		{piControls, "bitrate", "6m", "9909cf=6000000"},
		{piControls, "bitrate", "6010k", "9909cf=6000000"},
		{piControls, "bitrate", "1g", "!bitrate is from 25000 to 25000000"},
		{webcamControls, "bitrate", "6m", "!the camera has no such control as bitrate"},
		{webcamControls, "privacy", "off", "!only read"},
		{webcamControls, "pan_reset", "1", "!not for a value"},
		{nil, "rotate", "0", "!no such control as rotate, and no others"},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			settings, err := tt.set.settings(tt.name, tt.value)
			if want, wrong := strings.CutPrefix(tt.want, "!"); wrong {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
				return
			}
			got := list(settings, func(s setting) string { return fmt.Sprintf("%x=%d", s.id, s.value) })
			if got = strings.ReplaceAll(got, ",", ""); err != nil || got != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestVideoBitRate(t *testing.T) {
	pi := quirks["bcm2835 mmal"]
	tests := []struct {
		name    string
		wanted  Controls
		format  camera.Format
		want    int32 // 0: none is set
		trouble string
	}{
		{"of itself", nil, video720, 13_825_000, ""},
		{"small", nil, camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 30}, 6_450_000, ""},
		{"slow", nil, camera.Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 5}, 1_075_000, ""},
		{"as much as there is", nil, camera.Format{PixelFormat: "MJPG", Width: 1920, Height: 1080, FPS: 60}, 25_000_000, ""},
		{"tiny", nil, camera.Format{PixelFormat: "MJPG", Width: 32, Height: 32, FPS: 1}, 25_000, ""},
		{"a quality", Controls{"quality": "50"}, video720, 10_375_000, ""},
		{"a bit rate", Controls{"quality": "50", "bitrate": "4m"}, video720, 4_000_000, ""},
		{"a bit rate by the driver's name", Controls{"quality": "50", "video_bitrate": "4m"}, video720, 4_000_000, ""},
		{"default", Controls{"quality": "default", "bitrate": "default"}, video720, 13_825_000, ""},
		{"no bit rate", Controls{"bitrate": "much"}, video720, 13_825_000, "bitrate is from"},
		{"no quality", Controls{"quality": "101"}, video720, 13_825_000, "quality is from 1 to 100"},
		{"stills", Controls{"quality": "50"}, camera.Format{PixelFormat: "JPEG", Width: 1280, Height: 720, FPS: 30}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			settings, troubles := piControls.plan(tt.wanted, pi, tt.format)
			got := int32(0)
			for _, s := range settings {
				if s.id == go4vl.CtrlMPEGVideoBitrate {
					got = s.value
				}
			}
			if diff := got - tt.want; max(diff, -diff) > 25_000 {
				t.Errorf("%d bit/s, want %d", got, tt.want)
			}
			said := troubles["bitrate"] + troubles["quality"]
			if !strings.Contains(said, tt.trouble) || (said == "") != (tt.trouble == "") {
				t.Errorf("trouble %q, want %q", said, tt.trouble)
			}
		})
	}
	for last, q := 0.0, 1; q <= 100; q++ {
		if rate := videoBitRate(video720, q); rate <= last {
			t.Errorf("quality %d has %.0f bit/s, less than the one before", q, rate)
		} else {
			last = rate
		}
	}
}

func TestFit(t *testing.T) {
	pi := quirks["bcm2835 mmal"]
	for _, tt := range []struct{ w, h, width, height int }{
		{1920, 1080, 1920, 1080}, {1920, 1088, 1920, 1088}, {3280, 2464, 1448, 1088}, {4056, 100, 1920, 46}, {2592, 1944, 1450, 1088},
	} {
		if got := pi.fit(ioctl.Size{Width: tt.w, Height: tt.h}); got != (ioctl.Size{Width: tt.width, Height: tt.height}) {
			t.Errorf("%d×%d fits as %v", tt.w, tt.h, got)
		}
	}
	if got := (quirk{}).fit(ioctl.Size{Width: 4000, Height: 3000}); got.Width != 4000 {
		t.Errorf("of another driver: %v", got)
	}
}

// panel is a device that has controls only.
type panel struct {
	set     controlSet
	asked   int // for its controls
	changes []string
	err     error // of setting
}

func (p *panel) Controls() ([]ioctl.ControlInfo, error) { p.asked++; return p.set, nil }
func (p *panel) Control(uint32) (int32, error)          { return 0, nil }
func (p *panel) SetControl(id uint32, value int32) error {
	p.changes = append(p.changes, fmt.Sprintf("%x=%d", id, value))
	return p.err
}

// take gives the changes since the last time.
func (p *panel) take() []string {
	c := p.changes
	p.changes = nil
	return c
}

func TestApply(t *testing.T) {
	var log strings.Builder
	v := &Source{Controls: Controls{"hflip": "on", "iso": "7"}, Log: textLog(&log)}
	p := &panel{set: piControls}
	pi := node{file: "/dev/video0", probed: probed{driver: "bcm2835 mmal"}}
	start := func() {
		t.Helper()
		if err := v.startControls(pi, p, video720); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, p.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	start()
	check("at the start", "980914=1", "9909cf=13825000")
	want := map[string]ControlState{"hflip": {Value: "on"}, "iso": {Value: "7", Trouble: `iso is auto, 100, 200, 400, 800, not "7"`}}
	if diff := cmp.Diff(want, v.ControlStates()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	start()
	check("at the next start", "980914=1", "9909cf=13825000")
	if n := strings.Count(log.String(), "iso is auto"); n != 1 {
		t.Errorf("the log says %d times that the ISO is none:\n%s", n, log.String())
	}

	var bad ControlErrors
	if err := v.change(p, Controls{"bitrate": "1k", "rotate": "180"}); !errors.As(err, &bad) || len(bad) != 1 || bad["bitrate"] == "" {
		t.Errorf("a bit rate that it does not take: %v", err)
	}
	check("of these")
	if err := v.change(p, Controls{"iso": "7", "bitrate": "6m"}); err != nil {
		t.Errorf("what was wrong before is no reason: %v", err)
	}
	check("others, while it streams", "980914=0", "9909cf=6000000")
	if _, err := v.apply(p); err != nil || p.take() != nil {
		t.Errorf("what is set was set again, %v", err)
	}

	p.err = unix.ERANGE
	if err := v.change(p, Controls{"rotate": "90"}); !errors.As(err, &bad) || !strings.Contains(bad["rotate"], "the camera refuses 90") {
		t.Errorf("refused by the camera itself: %v", err)
	}
	if s, ok := v.ControlStates()["rotate"]; ok {
		t.Errorf("what was refused is wanted: %+v", s)
	}
	p.err = fmt.Errorf("VIDIOC_S_CTRL: %w", unix.ENODEV)
	if err := v.change(p, Controls{"rotate": "180"}); !errors.Is(err, unix.ENODEV) {
		t.Errorf("unplugged: %v", err)
	}
}

// A webcam of which nothing is wanted is not asked for its controls.
func TestApplyNothing(t *testing.T) {
	p := &panel{set: webcamControls}
	v := new(Source)
	if err := v.startControls(node{file: "/dev/video0", probed: probed{driver: "uvcvideo"}}, p, video720); err != nil || p.asked > 0 || p.changes != nil {
		t.Errorf("%v, asked %d times, set %v", err, p.asked, p.changes)
	}
}

func TestDescribe(t *testing.T) {
	got := []Control{describe(piControls[0], 60), describe(piControls[1], 2), describe(piControls[2], 1), describe(piControls[8], 0)}
	low, high, step := int32(0), int32(100), int32(1)
	want := []Control{
		{Name: "brightness", Value: "60", Default: "50", Minimum: &low, Maximum: &high, Step: &step},
		{Name: "power_line_frequency", Value: "60_hz", Default: "50_hz", Choices: []string{"disabled", "50_hz", "60_hz", "auto"}},
		{Name: "horizontal_flip", Value: "on", Default: "off", Choices: []string{"off", "on"}},
		{Name: "auto_exposure_bias", Value: "-4000", Default: "0", Choices: []string{"-4000", "0", "4000"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("rotate", "180")
	f.Add("exposure", "10ms")
	f.Add("white_balance", "4000k")
	f.Add("video_bitrate", "1e300m")
	f.Fuzz(func(t *testing.T, name, value string) {
		name, value, err := CheckControl(name, value)
		if err != nil {
			return
		}
		for _, set := range []controlSet{piControls, webcamControls} {
			settings, _ := set.plan(Controls{name: value}, quirks["bcm2835 mmal"], video720)
			for _, s := range settings {
				c, ok := set.find(s.id)
				if !ok || c.Type == ioctl.Integer && (s.value < c.Min || s.value > c.Max) ||
					len(c.Items) > 0 && !hasItem(c, s.value) && s.of != "exposure" {
					t.Errorf("%s=%s sets %x to %d", name, value, s.id, s.value)
				}
			}
		}
	})
}
