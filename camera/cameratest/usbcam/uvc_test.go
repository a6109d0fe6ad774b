package usbcam

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const toInterface, fromInterface = 0x21, 0xa1 // class requests

func newDevice(t testing.TB, w *Webcam) *uvcDevice {
	t.Helper()
	d, err := newUVCDevice(w)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestConfiguration walks the descriptors as a host does: each says its length,
// and the totals are sums.
func TestConfiguration(t *testing.T) {
	d := newDevice(t, &Webcam{Formats: []PixelFormat{YUYV, MJPEG}, Modes: []Mode{{640, 480, nil}, {1920, 1080, []float64{25}}}})
	config := d.config
	if total := int(le.Uint16(config[2:])); total != len(config) {
		t.Errorf("wTotalLength is %d of %d bytes", total, len(config))
	}
	var kinds []byte
	var streaming, control int // bytes of class-specific descriptors by interface
	onInterface := -1
	for rest := config; len(rest) > 0; rest = rest[rest[0]:] {
		if n := int(rest[0]); n < 2 || n > len(rest) {
			t.Fatalf("a descriptor of %d bytes where %d are left", n, len(rest))
		}
		switch kinds = append(kinds, rest[1]); rest[1] {
		case descInterface:
			onInterface = int(rest[2])
		case descClassSpecific:
			if onInterface == controlInterface {
				control += int(rest[0])
			} else {
				streaming += int(rest[0])
			}
		}
	}
	cs := byte(descClassSpecific)
	want := slices.Concat([]byte{descConfiguration, descAssociation, descInterface, cs, cs, cs, descInterface, cs},
		[]byte{cs, cs, cs, cs}, []byte{cs, cs, cs, cs}, // two formats, each with two frames and a color
		[]byte{descEndpoint})
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	vc := 9 + 8 + 9 // after configuration, association and interface
	if got := int(le.Uint16(config[vc+5:])); got != control {
		t.Errorf("the control header says %d bytes, there are %d", got, control)
	}
	vs := vc + control + 9
	if got := int(le.Uint16(config[vs+4:])); got != streaming {
		t.Errorf("the streaming header says %d bytes, there are %d", got, streaming)
	}
}

func TestStrings(t *testing.T) {
	d := newDevice(t, &Webcam{Name: "Kamera Ü", Serial: "42"})
	got := d.descriptor(descString, 2)
	if want := "\x12\x03K\x00a\x00m\x00e\x00r\x00a\x00 \x00\xdc\x00"; string(got) != want {
		t.Errorf("name % x, want % x", got, want)
	}
	if device := d.descriptor(descDevice, 0); device[16] != 3 {
		t.Errorf("iSerialNumber is %d, want 3", device[16])
	}
	if device := newDevice(t, &Webcam{}).descriptor(descDevice, 0); device[16] != 0 {
		t.Errorf("iSerialNumber without a serial number is %d, want 0", device[16])
	}
	if got := d.descriptor(descString, 9); got != nil {
		t.Errorf("string 9 is % x, want none", got)
	}
}

func TestNegotiation(t *testing.T) {
	modes := []Mode{{640, 480, []float64{30, 15}}, {1280, 720, []float64{10}}}
	small := func(n Negotiated) Negotiated { return Negotiated{n.Format, 640, 480, 15} }
	tests := []struct {
		name          string
		adjust        func(Negotiated) Negotiated
		format, frame byte
		interval      uint32
		want          Negotiated
	}{
		{"as asked", nil, 1, 2, 1_000_000, Negotiated{MJPEG, 1280, 720, 10}},
		{"other format", nil, 2, 1, 666_667, Negotiated{YUYV, 640, 480, 15}},
		{"no such mode", nil, 9, 0, 333_333, Negotiated{MJPEG, 640, 480, 30}},
		{"no rate", nil, 1, 1, 0, Negotiated{MJPEG, 640, 480, 30}},
		{"nearest rate", nil, 1, 1, 500_000, Negotiated{MJPEG, 640, 480, 15}},
		{"its own will", small, 1, 2, 1_000_000, Negotiated{MJPEG, 640, 480, 15}},
		{"impossible will", func(n Negotiated) Negotiated { return Negotiated{"H264", 1, 1, 0.5} }, 1, 2, 1_000_000, Negotiated{MJPEG, 640, 480, 15}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDevice(t, &Webcam{Formats: []PixelFormat{MJPEG, YUYV}, Modes: modes, Adjust: test.adjust})
			var p [probeLen]byte
			p[2], p[3] = test.format, test.frame
			le.PutUint32(p[4:], test.interval)
			if _, _, ok := d.Control(setup{toInterface, setCur, probeControl << 8, streamingInterface, probeLen}, p[:]); !ok {
				t.Fatal("the proposal was refused")
			}
			answer, _, ok := d.Control(setup{fromInterface, getCur, probeControl << 8, streamingInterface, probeLen}, nil)
			if !ok || len(answer) != probeLen {
				t.Fatalf("%d bytes, %v", len(answer), ok)
			}
			_, ev, ok := d.Control(setup{toInterface, setCur, commitControl << 8, streamingInterface, probeLen}, slices.Clone(answer))
			if !ok || ev != eventCommit {
				t.Errorf("commit: event %v, %v", ev, ok)
			}
			if diff := cmp.Diff(test.want, d.Committed()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadWebcams(t *testing.T) {
	tests := []struct {
		name string
		w    *Webcam
		want string
	}{
		{"format", &Webcam{Formats: []PixelFormat{"H264"}}, `pixel format "H264"`},
		{"size", &Webcam{Modes: []Mode{{Width: 0, Height: 480}}}, "mode 0×480"},
		{"rate", &Webcam{Modes: []Mode{{640, 480, []float64{0}}}}, "at 0 fps"},
		{"rates", &Webcam{Modes: []Mode{{640, 480, slices.Repeat([]float64{5}, 33)}}}, "33 rates"},
		{"name", &Webcam{Name: strings.Repeat("x", 127)}, "longer than a USB string"},
		{"modes", &Webcam{Modes: slices.Repeat([]Mode{{Width: 640, Height: 480}}, 65)}, "more than 64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := newUVCDevice(test.w); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}

// FuzzControl plays a host that sends anything: replies stay within what was
// asked for, and what is committed is always a mode of the webcam.
func FuzzControl(f *testing.F) {
	f.Add([]byte{0x80, 6, 0, 2, 0, 0, 9, 0}, []byte{})
	f.Add([]byte{0x80, 6, 2, 3, 9, 4, 255, 0}, []byte{})
	f.Add([]byte{0x21, 1, 0, 1, 1, 0, 26, 0}, make([]byte, probeLen))
	f.Add([]byte{0x21, 1, 0, 2, 1, 0, 26, 0}, slices.Repeat([]byte{255}, probeLen))
	f.Add([]byte{0x02, 1, 0, 0, 0x81, 0, 0, 0}, []byte{})
	f.Add([]byte{0x21, 1, 0, 8, 0, cameraTerminal, 1, 0}, []byte{0})
	f.Fuzz(func(t *testing.T, request, data []byte) {
		if len(request) < 8 {
			return
		}
		d := newDevice(t, &Webcam{Formats: []PixelFormat{YUYV, MJPEG}, Controls: allControls})
		s := parseSetup([8]byte(request[:8]))
		reply, ev, ok := d.Control(s, data)
		if len(reply) > int(s.Length) || !ok && len(reply) > 0 {
			t.Errorf("%d bytes in reply to %+v, %v", len(reply), s, ok)
		}
		if ev == eventCommit && s.Request != setCur {
			t.Errorf("%+v commits", s)
		}
		n := d.Committed()
		if !slices.ContainsFunc(d.modes, func(m Mode) bool {
			return m.Width == n.Width && m.Height == n.Height && slices.Contains(m.FPS, n.FPS)
		}) {
			t.Errorf("committed to %+v", n)
		}
	})
}

func FuzzWithoutDHT(f *testing.F) {
	f.Add(picture())
	f.Add([]byte("\xff\xd8\xff\xc4\x00\x00"))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, jpg []byte) {
		if got := WithoutDHT(jpg); len(got) > len(jpg) {
			t.Errorf("%d bytes of %d", len(got), len(jpg))
		}
	})
}
