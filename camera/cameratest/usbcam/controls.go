package usbcam

// Controls are what the host may set of a webcam's picture (UVC 1.0, 4.2.2). Those that are
// nil it does not have. With Exposure, WhiteBalance and Focus comes an automatic, which is on
// at first, and rules them while it is.
type Controls struct {
	Brightness *Level
	Contrast   *Level
	// Exposure is the time in units of 100 µs.
	Exposure *Level
	// WhiteBalance is the temperature in kelvin.
	WhiteBalance *Level
	// Focus is the distance in the webcam's own units.
	Focus *Level
	// PowerLine is 0 without a filter against flicker, 1 for 50 Hz, and 2 for 60 Hz.
	PowerLine *Level
	// Refuse, when not nil, is the webcam's will: it tells whether a level is refused that
	// the host sets, although it is within its limits. It must not call the Webcam.
	Refuse func(Level, int32) bool
}

// Level are a control's limits, and what it is at first.
type Level struct {
	Min, Max, Step, Default int32
}

// Brightness is what the host has set; only a plugged webcam with that control has one.
func (w *Webcam) Brightness() int32 { return w.Level(w.Controls.Brightness) }

// Exposure is the time that the host has set, as Brightness.
func (w *Webcam) Exposure() int32 { return w.Level(w.Controls.Exposure) }

// Level is what the host has set of one of the webcam's Controls; only a plugged webcam has
// one.
func (w *Webcam) Level(of *Level) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.dev.control(of); c != nil {
		return c.current
	}
	return 0
}

// Automatic tells whether what rules one of its Controls is on, as Level.
func (w *Webcam) Automatic(of *Level) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.dev.control(of)
	return c != nil && c.ruled()
}

// The parts of the webcam that have controls.
const (
	cameraTerminal = 1
	outputTerminal = 2
	processingUnit = 3
)

const (
	requestErrorControl = 2 // of the interface itself (UVC 1.0, A.9.2)
	errorWrongState     = 2
	errorOutOfRange     = 4

	getRes = 0x84

	autoExposureManual   = 1 // a bit of each mode
	autoExposureAperture = 8
)

// uvcControl is one of a webcam's controls.
type uvcControl struct {
	Level
	uvcKind
	of      *Level // what of Controls it is; nil for an automatic
	auto    *uvcControl
	current int32
}

// uvcKind is what UVC says of a control: its selector (UVC 1.0, A.9.4 and A.9.5), its bit in
// the descriptor (tables 3-6 and 3-8), and how many bytes it has.
type uvcKind struct {
	entity, selector byte
	bit              int
	size             int
}

var (
	autoExposureKind = uvcKind{cameraTerminal, 0x02, 1, 1}
	exposureKind     = uvcKind{cameraTerminal, 0x04, 3, 4}
	focusKind        = uvcKind{cameraTerminal, 0x06, 5, 2}
	autoFocusKind    = uvcKind{cameraTerminal, 0x08, 17, 1}

	brightnessKind       = uvcKind{processingUnit, 0x02, 0, 2}
	contrastKind         = uvcKind{processingUnit, 0x03, 1, 2}
	powerLineKind        = uvcKind{processingUnit, 0x05, 10, 1}
	whiteBalanceKind     = uvcKind{processingUnit, 0x0a, 6, 2}
	autoWhiteBalanceKind = uvcKind{processingUnit, 0x0b, 12, 1}
)

func newControls(c Controls) (all []*uvcControl) {
	add := func(kind uvcKind, of *Level, auto *uvcControl) {
		if of != nil {
			all = append(all, &uvcControl{*of, kind, of, auto, of.Default})
		}
	}
	ruled := func(kind uvcKind, of *Level, autoKind uvcKind, auto Level) {
		if of != nil {
			rules := &uvcControl{auto, autoKind, nil, nil, auto.Default}
			all = append(all, rules)
			add(kind, of, rules)
		}
	}
	onOff := Level{Min: 0, Max: 1, Step: 1, Default: 1}
	ruled(exposureKind, c.Exposure, autoExposureKind, Level{Max: autoExposureAperture, Step: autoExposureManual | autoExposureAperture, Default: autoExposureAperture})
	ruled(focusKind, c.Focus, autoFocusKind, onOff)
	ruled(whiteBalanceKind, c.WhiteBalance, autoWhiteBalanceKind, onOff)
	add(brightnessKind, c.Brightness, nil)
	add(contrastKind, c.Contrast, nil)
	add(powerLineKind, c.PowerLine, nil)
	return all
}

// ruled tells whether its automatic is on.
func (c *uvcControl) ruled() bool { return c.auto != nil && c.auto.current == c.auto.Default }

// control is that of one of Controls; nil if there is none.
func (d *uvcDevice) control(of *Level) *uvcControl {
	if d == nil || of == nil {
		return nil
	}
	for _, c := range d.controls {
		if c.of == of {
			return c
		}
	}
	return nil
}

// offers are the bits of the controls that a part of the webcam has.
func (d *uvcDevice) offers(entity byte) (bits uint32) {
	for _, c := range d.controls {
		if c.entity == entity {
			bits |= 1 << c.bit
		}
	}
	return bits
}

// picture answers for the controls of the picture. Why one was refused the host asks next.
func (d *uvcDevice) picture(s setup, data []byte) (reply []byte, ok bool) {
	entity, selector := byte(s.Index>>8), byte(s.Value>>8)
	if entity == 0 && selector == requestErrorControl && s.Request == getCur {
		return []byte{d.refused}, true
	}
	for _, c := range d.controls {
		if c.entity == entity && c.selector == selector {
			return d.answer(c, s, data)
		}
	}
	return nil, false
}

// answer answers for one control.
func (d *uvcDevice) answer(c *uvcControl, s setup, data []byte) (reply []byte, ok bool) {
	switch s.Request {
	case setCur:
		if s.toHost() || len(data) < c.size {
			return nil, false
		}
		v := int32(int8(data[0]))
		switch c.size {
		case 2:
			v = int32(int16(le.Uint16(data)))
		case 4:
			v = int32(le.Uint32(data))
		}
		switch {
		case c.ruled():
			d.refused = errorWrongState
			return nil, false
		case v < c.Min || v > c.Max || d.refuse != nil && d.refuse(c.Level, v):
			d.refused = errorOutOfRange
			return nil, false
		}
		c.current = v
		return nil, true
	case getCur:
		return c.bytes(c.current), true
	case getMin:
		return c.bytes(c.Min), true
	case getMax:
		return c.bytes(c.Max), true
	case getRes:
		return c.bytes(c.Step), true
	case getDef:
		return c.bytes(c.Default), true
	case getLen:
		return []byte{byte(c.size), 0}, true
	case getInfo:
		return []byte{3}, true // get and set
	}
	return nil, false
}

func (c *uvcControl) bytes(v int32) []byte { return le.AppendUint32(nil, uint32(v))[:c.size] }
