package usbcam

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"unicode/utf16"
)

// descriptor is what GET_DESCRIPTOR asks for, nil when there is none.
func (d *uvcDevice) descriptor(kind, index byte) []byte {
	switch kind {
	case descDevice:
		const iManufacturer, iProduct = 1, 2
		var iSerial byte
		if d.serial != "" {
			iSerial = 3
		}
		// The class says that interfaces are associated; 1209:0001 is
		// pid.codes' number for tests.
		return block(descDevice, u16(0x0200), 0xef, 2, 1, 64, u16(0x1209), u16(0x0001), u16(0x0100), iManufacturer, iProduct, iSerial, 1)
	case descConfiguration:
		return d.config
	case descString:
		if index == 0 {
			return block(descString, u16(0x0409)) // English, United States
		}
		texts := []string{"pushcam", d.name, d.serial}
		if int(index) > len(texts) {
			return nil
		}
		var text []byte
		for _, c := range utf16.Encode([]rune(texts[index-1])) {
			text = le.AppendUint16(text, c)
		}
		return block(descString, text)
	}
	return nil
}

// configuration is the configuration descriptor with all that follows it: a
// camera terminal that feeds a USB output, and one streaming interface.
func (d *uvcDevice) configuration() []byte {
	const iFunction = 2
	pictureControls := d.offers(processingUnit)
	camera := block(descClassSpecific, 2, cameraTerminal, u16(0x0201), 0, 0, u16(0), u16(0), u16(0), 3, u32(int(d.offers(cameraTerminal)))[:3])
	var processing []byte
	from := cameraTerminal
	if pictureControls != 0 {
		from = processingUnit
		processing = block(descClassSpecific, 5, processingUnit, cameraTerminal, u16(0), 2, u16(int(pictureControls)), 0)
	}
	output := block(descClassSpecific, 3, outputTerminal, u16(0x0101), 0, from, 0)
	header := block(descClassSpecific, 1, u16(0x0100), u16(13+len(camera)+len(processing)+len(output)), u32(48_000_000), 1, streamingInterface)

	var formats []byte
	for i, f := range d.formats {
		formats = append(formats, d.format(byte(i+1), f)...)
	}
	var matching []byte // bmaControls of each format: none
	for range d.formats {
		matching = append(matching, 0)
	}
	total := 13 + len(matching) + len(formats)
	input := block(descClassSpecific, 1, len(d.formats), u16(total), videoEndpoint, 0, 2, 0, 0, 0, 1, matching)

	body := bytes.Join([][]byte{
		block(descAssociation, controlInterface, 2, 0x0e, 3, 0, iFunction),
		block(descInterface, controlInterface, 0, 0, 0x0e, 1, 0, iFunction),
		header, camera, processing, output,
		block(descInterface, streamingInterface, 0, 1, 0x0e, 2, 0, 0),
		input, formats,
		block(descEndpoint, videoEndpoint, 2, u16(videoPacket), 0),
	}, nil)
	return append(block(descConfiguration, u16(9+len(body)), 2, 1, 0, 0x80, 250), body...)
}

// format is a format descriptor with those of its frames (UVC 1.0 payload
// specifications for MJPEG and for uncompressed video).
func (d *uvcDevice) format(index byte, f PixelFormat) []byte {
	var out []byte
	var frameSubtype byte
	switch f {
	case MJPEG:
		frameSubtype = 7
		out = block(descClassSpecific, 6, index, len(d.modes), 1, 1, 0, 0, 0, 0)
	case YUYV:
		frameSubtype = 5
		guid := []byte("YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71")
		out = block(descClassSpecific, 4, index, len(d.modes), guid, 16, 1, 0, 0, 0, 0)
	}
	for i, m := range d.modes {
		var intervals []byte
		for _, fps := range m.FPS {
			intervals = le.AppendUint32(intervals, interval(fps))
		}
		size := frameSize(m)
		out = append(out, block(descClassSpecific, frameSubtype, i+1, 0, u16(m.Width), u16(m.Height),
			u32(bitRate(size, slices.Min(m.FPS))), u32(bitRate(size, slices.Max(m.FPS))), u32(int(size)),
			u32(int(interval(m.FPS[0]))), len(m.FPS), intervals)...)
	}
	return append(out, block(descClassSpecific, 0x0d, 1, 1, 4)...) // sRGB, BT.601
}

func bitRate(size uint32, fps float64) int {
	return int(min(float64(size)*8*fps, math.MaxUint32))
}

// block is a descriptor: its length, its type, and the parts, of which a plain
// number is one byte.
func block(kind byte, parts ...any) []byte {
	b := []byte{0, kind}
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			b = append(b, byte(v))
		case byte:
			b = append(b, v)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("descriptor part %T", part))
		}
	}
	b[0] = byte(len(b))
	return b
}

func u16(v int) []byte { return le.AppendUint16(nil, uint16(v)) }
func u32(v int) []byte { return le.AppendUint32(nil, uint32(v)) }
