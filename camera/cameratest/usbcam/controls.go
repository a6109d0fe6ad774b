package usbcam

// Controls are what the host may set of a webcam's picture (UVC 1.0, 4.2.2). Those that are
// nil it does not have.
type Controls struct {
	Brightness *Level
	// Exposure is the time in units of 100 µs. With it there is automatic exposure, which
	// is on at first, and rules the time while it is.
	Exposure *Level
	// Refuse, when not nil, is the webcam's will: it tells whether a level is refused that
	// the host sets, although it is within its limits. It must not call the Webcam.
	Refuse func(Level, int32) bool
}

// Level are a control's limits, and what it is at first.
type Level struct {
	Min, Max, Step, Default int32
}

// Brightness is what the host has set; only a plugged webcam with that control has one.
func (w *Webcam) Brightness() int32 { return w.level(processingUnit, brightnessControl) }

// Exposure is the time that the host has set, as Brightness.
func (w *Webcam) Exposure() int32 { return w.level(cameraTerminal, exposureControl) }

func (w *Webcam) level(entity, selector byte) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.dev.find(entity, selector); c != nil {
		return c.current
	}
	return 0
}

// The parts of the webcam that have controls, and their controls (UVC 1.0, A.9).
const (
	cameraTerminal = 1
	outputTerminal = 2
	processingUnit = 3

	autoExposureControl = 2
	exposureControl     = 4
	brightnessControl   = 2

	requestErrorControl = 2 // of the interface itself
	errorOutOfRange     = 4

	getRes = 0x84

	autoExposureManual   = 1 // a bit of each mode
	autoExposureAperture = 8
)

// uvcControl is one of a webcam's controls.
type uvcControl struct {
	Level
	entity, selector byte
	size             int // bytes
	current          int32
}

func newControls(c Controls) (all []*uvcControl) {
	if c.Exposure != nil {
		modes := Level{Min: 0, Max: autoExposureAperture, Step: autoExposureManual | autoExposureAperture, Default: autoExposureAperture}
		all = append(all,
			&uvcControl{modes, cameraTerminal, autoExposureControl, 1, modes.Default},
			&uvcControl{*c.Exposure, cameraTerminal, exposureControl, 4, c.Exposure.Default})
	}
	if c.Brightness != nil {
		all = append(all, &uvcControl{*c.Brightness, processingUnit, brightnessControl, 2, c.Brightness.Default})
	}
	return all
}

func (d *uvcDevice) find(entity, selector byte) *uvcControl {
	for _, c := range d.controls {
		if c.entity == entity && c.selector == selector {
			return c
		}
	}
	return nil
}

// picture answers for the controls of the picture. Why one was refused the host asks next.
func (d *uvcDevice) picture(s setup, data []byte) (reply []byte, ok bool) {
	entity, selector := byte(s.Index>>8), byte(s.Value>>8)
	if entity == 0 && selector == requestErrorControl && s.Request == getCur {
		return []byte{d.refused}, true
	}
	c := d.find(entity, selector)
	if c == nil {
		return nil, false
	}
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
		if v < c.Min || v > c.Max || d.refuse != nil && d.refuse(c.Level, v) {
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
