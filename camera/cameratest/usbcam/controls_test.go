package usbcam

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var allControls = Controls{
	Brightness:   &Level{Min: -10, Max: 100, Step: 1, Default: 5},
	Contrast:     &Level{Max: 64, Step: 1, Default: 32},
	Exposure:     &Level{Min: 1, Max: 5000, Step: 1, Default: 156},
	WhiteBalance: &Level{Min: 2800, Max: 6500, Step: 10, Default: 4600},
	Focus:        &Level{Max: 250, Step: 5},
	PowerLine:    &Level{Max: 2, Step: 1, Default: 1},
	Refuse:       func(_ Level, v int32) bool { return v == 77 },
}

// What a webcam offers stands in its descriptors, as lsusb shows it.
func TestOffers(t *testing.T) {
	for _, tt := range []struct {
		name            string
		controls        Controls
		camera, picture uint32
	}{
		{"none", Controls{}, 0, 0},
		{"all", allControls, 0x02002a, 0x1443},
		{"a focus", Controls{Focus: allControls.Focus}, 0x020020, 0},
	} {
		d := newDevice(t, &Webcam{Controls: tt.controls})
		if c, p := d.offers(cameraTerminal), d.offers(processingUnit); c != tt.camera || p != tt.picture {
			t.Errorf("%s: the camera offers %#x and the picture %#x, want %#x and %#x", tt.name, c, p, tt.camera, tt.picture)
		}
		if n := int(le.Uint16(d.config[2:])); n != len(d.config) {
			t.Errorf("%s: wTotalLength is %d of %d bytes", tt.name, n, len(d.config))
		}
	}
}

// A webcam says what a control can be, takes what it can, and says why it does not take
// anything else.
func TestControlRequests(t *testing.T) {
	const wrong = "-"
	d := newDevice(t, &Webcam{Controls: allControls})
	for _, tt := range []struct {
		name    string
		kind    uvcKind
		request byte
		data    string
		want    string
		refused byte
	}{
		{"the least", brightnessKind, getMin, "", "\xf6\xff", 0},
		{"the most", whiteBalanceKind, getMax, "", "\x64\x19", 0},
		{"the step", focusKind, getRes, "", "\x05\x00", 0},
		{"the default", exposureKind, getDef, "", "\x9c\x00\x00\x00", 0},
		{"the length", powerLineKind, getLen, "", "\x01\x00", 0},
		{"set", powerLineKind, setCur, "\x02", "", 0},
		{"as set", powerLineKind, getCur, "", "\x02", 0},
		{"too much", powerLineKind, setCur, "\x03", wrong, errorOutOfRange},
		{"as before", powerLineKind, getCur, "", "\x02", errorOutOfRange},
		{"below zero", brightnessKind, setCur, "\xff\xff", "", errorOutOfRange},
		{"its will", contrastKind, setCur, "\x4d\x00", wrong, errorOutOfRange},
		{"ruled", focusKind, setCur, "\x05\x00", wrong, errorWrongState},
		{"automatic off", autoFocusKind, setCur, "\x00", "", errorWrongState},
		{"not ruled", focusKind, setCur, "\x05\x00", "", errorWrongState},
		{"too short", focusKind, setCur, "\x05", wrong, errorWrongState},
		{"no such control", uvcKind{processingUnit, 0x06, 2, 2}, getCur, "", wrong, errorWrongState},
	} {
		to := byte(fromInterface)
		if tt.request == setCur {
			to = toInterface
		}
		reply, _, ok := d.Control(setup{to, tt.request, uint16(tt.kind.selector) << 8, uint16(tt.kind.entity)<<8 | controlInterface, 8}, []byte(tt.data))
		got := string(reply)
		if !ok {
			got = wrong
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || d.refused != tt.refused {
			t.Errorf("%s: refused %d, want %d (-want +got):\n%s", tt.name, d.refused, tt.refused, diff)
		}
	}
}
