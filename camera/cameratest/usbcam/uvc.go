package usbcam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf16"
)

// A PixelFormat is what a webcam can send.
type PixelFormat string

// The formats that the simulated webcam knows.
const (
	MJPEG PixelFormat = "MJPG"
	YUYV  PixelFormat = "YUYV"
)

// A Mode is a picture size and the rates it is offered at.
type Mode struct {
	Width, Height int       // pixels
	FPS           []float64 // frames per second; the first is the default, none means 30, 15 and 10
}

// Negotiated is what the host and the webcam agreed on.
type Negotiated struct {
	Format        PixelFormat
	Width, Height int // pixels
	FPS           float64
}

// Numbers of the one function that the webcam has.
const (
	controlInterface   = 0
	streamingInterface = 1
	videoEndpoint      = 0x81 // bulk IN 1
	videoPacket        = 512  // wMaxPacketSize at high speed

	// payloadMax is the size of a payload in bytes. uvcvideo asks for as many
	// at once, which is the most that it does (32 packets).
	payloadMax = 32 * videoPacket
)

// USB 2.0 table 9-4 and 9-5, UVC 1.0 appendix A.
const (
	reqClearFeature     = 0x01
	reqGetDescriptor    = 0x06
	reqGetConfiguration = 0x08
	reqSetConfiguration = 0x09
	reqGetInterface     = 0x0a
	reqSetInterface     = 0x0b

	descDevice        = 1
	descConfiguration = 2
	descString        = 3
	descInterface     = 4
	descEndpoint      = 5
	descAssociation   = 11
	descClassSpecific = 0x24

	setCur  = 0x01
	getCur  = 0x81
	getMin  = 0x82
	getMax  = 0x83
	getLen  = 0x85
	getInfo = 0x86
	getDef  = 0x87

	probeControl  = 1
	commitControl = 2
	probeLen      = 26 // UVC 1.0, table 4-47
)

// A setup is the 8 bytes that begin a control transfer (USB 2.0, table 9-2).
type setup struct {
	RequestType, Request byte
	Value, Index, Length uint16
}

func parseSetup(b [8]byte) setup {
	return setup{b[0], b[1], le.Uint16(b[2:]), le.Uint16(b[4:]), le.Uint16(b[6:])}
}

func (s setup) toHost() bool { return s.RequestType&0x80 != 0 }

// isFirst says whether it is what a host asks first of a device whose port it has
// reset: for the start of its device descriptor. (The reset itself ends in the hub.)
func (s setup) isFirst() bool {
	return s.toHost() && s.Request == reqGetDescriptor && s.Value>>8 == descDevice && s.Index == 0
}

func (s setup) kind() byte { return s.RequestType & 0x60 } // standard, class, vendor

const (
	kindStandard = 0x00
	kindClass    = 0x20
)

var le = binary.LittleEndian

// An event is what a control request meant for the video stream.
type event int

const (
	eventNone   event = iota
	eventCommit       // the host is about to stream what is committed
	eventStop         // the host has ended the stream
)

// uvcDevice is a USB Video Class 1.0 webcam with one bulk endpoint, as its host
// sees it through control requests. It knows nothing of buses or of time, and
// is used by one goroutine at a time.
type uvcDevice struct {
	name, serial string
	formats      []PixelFormat
	modes        []Mode
	adjust       func(Negotiated) Negotiated
	controls     []*uvcControl
	refuse       func(Level, int32) bool
	refused      byte // why a control was refused last

	config        []byte
	probe, commit [probeLen]byte
}

// newUVCDevice checks the configuration of a webcam and fills in its defaults.
func newUVCDevice(w *Webcam) (*uvcDevice, error) {
	d := &uvcDevice{name: w.Name, serial: w.Serial, adjust: w.Adjust,
		controls: newControls(w.Controls), refuse: w.Controls.Refuse,
		formats: slices.Clone(w.Formats), modes: slices.Clone(w.Modes)}
	if d.name == "" {
		d.name = "Simulated Webcam"
	}
	if len(d.formats) == 0 {
		d.formats = []PixelFormat{MJPEG}
	}
	if len(d.modes) == 0 {
		d.modes = []Mode{{Width: 640, Height: 480}, {Width: 1280, Height: 720}}
	}
	for _, s := range []string{d.name, d.serial} {
		if len(utf16.Encode([]rune(s))) > 126 {
			return nil, fmt.Errorf("%.20q… is longer than a USB string of 126 characters", s)
		}
	}
	for _, f := range d.formats {
		if f != MJPEG && f != YUYV {
			return nil, fmt.Errorf("pixel format %q: expected %s or %s", f, MJPEG, YUYV)
		}
	}
	for i, m := range d.modes {
		if m.Width < 2 || m.Width > 8192 || m.Height < 2 || m.Height > 8192 {
			return nil, fmt.Errorf("mode %d×%d: expected 2 to 8192 pixels each way", m.Width, m.Height)
		}
		if len(m.FPS) == 0 {
			d.modes[i].FPS = []float64{30, 15, 10}
		}
		for _, fps := range m.FPS {
			if !(fps >= 0.1 && fps <= 1000) {
				return nil, fmt.Errorf("mode %d×%d at %g fps: expected 0.1 to 1000", m.Width, m.Height, fps)
			}
		}
		if len(m.FPS) > 32 {
			return nil, fmt.Errorf("mode %d×%d offers %d rates: a descriptor holds 32 here", m.Width, m.Height, len(m.FPS))
		}
	}
	if n := len(d.formats) * len(d.modes); n > 64 {
		return nil, errors.New("more than 64 formats and modes")
	}
	d.config = d.configuration()
	d.fill(&d.probe)
	d.commit = d.probe
	return d, nil
}

// Control answers one control request; data is what the host sent with it. A
// request that the webcam does not know is refused: ok is false, and the
// transport says so with a stall of endpoint 0.
func (d *uvcDevice) Control(s setup, data []byte) (reply []byte, ev event, ok bool) {
	switch s.kind() {
	case kindStandard:
		reply, ev, ok = d.standard(s)
	case kindClass:
		if s.RequestType&0x1f == 1 && s.Index == streamingInterface {
			reply, ev, ok = d.streaming(s, data)
		} else if s.RequestType&0x1f == 1 && byte(s.Index) == controlInterface {
			reply, ok = d.picture(s, data)
		}
	}
	return reply[:min(len(reply), int(s.Length))], ev, ok
}

func (d *uvcDevice) standard(s setup) (reply []byte, ev event, ok bool) {
	switch {
	case s.Request == reqGetDescriptor && s.toHost():
		reply = d.descriptor(byte(s.Value>>8), byte(s.Value))
		return reply, eventNone, reply != nil
	case s.Request == reqGetInterface && s.toHost(): // there is one alternative
		return []byte{0}, eventNone, true
	case s.toHost(): // GET_STATUS, GET_CONFIGURATION
		return []byte{1, 0}, eventNone, true
	case s.Request == reqClearFeature && s.RequestType&0x1f == 2 && s.Index == videoEndpoint:
		// UVC names no way to end a bulk stream. uvcvideo does as Windows does
		// and clears the endpoint's halt (uvc_video.c, uvc_video_stop_transfer).
		return nil, eventStop, true
	case s.Request == reqSetConfiguration, s.Request == reqSetInterface:
		return nil, eventStop, true
	}
	return nil, eventNone, true
}

// streaming answers the probe and commit controls (UVC 1.0, 4.3.1.1): the host
// proposes, the webcam answers with what it makes of it, the host commits that.
func (d *uvcDevice) streaming(s setup, data []byte) (reply []byte, ev event, ok bool) {
	var cur *[probeLen]byte
	switch s.Value >> 8 {
	case probeControl:
		cur = &d.probe
	case commitControl:
		cur = &d.commit
	default:
		return nil, eventNone, false
	}
	switch s.Request {
	case setCur:
		if s.toHost() || len(data) < probeLen {
			return nil, eventNone, false
		}
		copy(cur[:], data)
		d.fill(cur)
		if cur == &d.commit {
			return nil, eventCommit, true
		}
		return nil, eventNone, true
	case getCur:
		return cur[:], eventNone, true
	case getMin, getMax, getDef:
		// uvcvideo takes them for hints only. All are what would be used now.
		q := *cur
		d.fill(&q)
		return q[:], eventNone, true
	case getLen:
		return []byte{probeLen, 0}, eventNone, true
	case getInfo:
		return []byte{3}, eventNone, true // get and set
	}
	return nil, eventNone, false
}

// fill makes a proposal of the host into one that the webcam can keep.
func (d *uvcDevice) fill(p *[probeLen]byte) {
	n := d.parse(p)
	if d.adjust != nil {
		n = d.adjust(n)
	}
	format := max(slices.Index(d.formats, n.Format), 0)
	mode := max(slices.IndexFunc(d.modes, func(m Mode) bool { return m.Width == n.Width && m.Height == n.Height }), 0)
	m := d.modes[mode]
	p[2], p[3] = byte(format+1), byte(mode+1)
	le.PutUint32(p[4:], interval(nearest(m.FPS, n.FPS)))
	le.PutUint32(p[18:], frameSize(m))
	le.PutUint32(p[22:], payloadMax)
}

// parse reads a proposal; numbers that the webcam does not have mean its
// defaults.
func (d *uvcDevice) parse(p *[probeLen]byte) Negotiated {
	format, mode := d.formats[0], d.modes[0]
	if i := int(p[2]); i >= 1 && i <= len(d.formats) {
		format = d.formats[i-1]
	}
	if i := int(p[3]); i >= 1 && i <= len(d.modes) {
		mode = d.modes[i-1]
	}
	fps := mode.FPS[0]
	if iv := le.Uint32(p[4:]); iv != 0 {
		fps = 1e7 / float64(iv)
	}
	return Negotiated{Format: format, Width: mode.Width, Height: mode.Height, FPS: nearest(mode.FPS, fps)}
}

// Committed is what the host asked to be streamed.
func (d *uvcDevice) Committed() Negotiated { return d.parse(&d.commit) }

// FrameSize is the most bytes that a frame of the committed mode may have.
func (d *uvcDevice) FrameSize() int { return int(le.Uint32(d.commit[18:])) }

// interval is a frame rate as UVC says it, in units of 100 ns.
func interval(fps float64) uint32 { return uint32(math.Round(1e7 / fps)) }

func nearest(rates []float64, want float64) float64 {
	return slices.MinFunc(rates, func(a, b float64) int {
		da, db := math.Abs(a-want), math.Abs(b-want)
		switch {
		case da < db:
			return -1
		case da > db:
			return 1
		}
		return 0
	})
}

// frameSize bounds a frame in bytes; uvcvideo makes its buffers of this size.
func frameSize(m Mode) uint32 { return uint32(m.Width) * uint32(m.Height) * 2 }
