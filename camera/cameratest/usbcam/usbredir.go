package usbcam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// PlugRedir plugs the webcam into a virtual machine. conn leads to QEMU, to the
// character device of one like
//
//	-chardev socket,id=webcam,path=webcam.sock,server=on,wait=off
//	-device usb-redir,chardev=webcam
//
// and belongs to the webcam from now on. Unplug must be called in the end. The
// virtual machine notices that by itself, some time later.
func (w *Webcam) PlugRedir(conn net.Conn) error {
	t := &w.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	link := &usbredir{conn: timedConn{conn}}
	if err := t.connect(w, conn, link, link.serve); err != nil {
		return fmt.Errorf("plug: %w", err)
	}
	return nil
}

// timedConn is a connection whose writes do not take for ever: QEMU does not read
// while its machine is paused.
type timedConn struct{ net.Conn }

// redirTimeout is how long one packet may take to be sent.
const redirTimeout = 10 * time.Second

func (c timedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(redirTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// usbredir speaks the USB redirection protocol for one webcam, as the side that
// has the device (spice/usbredir, docs/usb-redirection-protocol.md; what QEMU
// makes of it is in hw/usb/redirect.c).
type usbredir struct {
	conn io.ReadWriter // a timedConn, but for tests

	greeted bool // the host has said hello
	// ignored are the control requests that the webcam, which hangs, does not
	// answer; it bounds them.
	ignored map[uint64]redirRequest
}

// Packet types. Those that are answered are answered with the type behind them;
// control and bulk packets with their own.
const (
	redirHello           = 0
	redirDeviceConnect   = 1
	redirReset           = 3
	redirInterfaceInfo   = 4
	redirEndpointInfo    = 5
	redirSetConfig       = 6
	redirGetConfig       = 7
	redirConfigStatus    = 8
	redirSetAlternative  = 9
	redirGetAlternative  = 10
	redirAlternateStatus = 11
	redirCancel          = 21
	redirControl         = 100
	redirBulk            = 101
)

// Status of an answer.
const (
	redirSuccess   = 0
	redirCancelled = 1
	redirStall     = 4
)

const (
	// redirCapabilities are what both sides must be able to do: they decide
	// what packets look like. QEMU has them all, and wants the last for xHCI.
	redirCapabilities = 1<<1 | // the device's version in device_connect
		1<<4 | // packet sizes in ep_info
		1<<5 | // ids of 64 bits
		1<<6 //   bulk packets of more than 64 KiB

	redirVersionLen = 64 // bytes of a hello's text
	redirRequestLen = 10 // bytes that begin a control or bulk packet
	redirTables     = 32 // entries in interface_info and ep_info

	// redirMaxPacket bounds a packet of the host's, and what it asks for, in
	// bytes.
	redirMaxPacket = 1 << 20
)

// A redirPacket is what either side sends. An answer has the ID of what it
// answers.
type redirPacket struct {
	Type uint32
	ID   uint64
	Data []byte
}

// readPacket reads the host's next packet. Ids have 64 bits from the first packet
// after the hello.
func (u *usbredir) readPacket() (redirPacket, error) {
	var b [16]byte
	header := b[:]
	if !u.greeted {
		header = b[:12]
	}
	if _, err := io.ReadFull(u.conn, header); err != nil {
		return redirPacket{}, err
	}
	p := redirPacket{Type: le.Uint32(header), ID: le.Uint64(b[8:])}
	length := le.Uint32(header[4:])
	if length > redirMaxPacket {
		return p, fmt.Errorf("usbredir: a packet of %d bytes", length)
	}
	p.Data = make([]byte, length)
	_, err := io.ReadFull(u.conn, p.Data)
	return p, err
}

// send writes one packet, whole: a connection does one Write after the other.
func (u *usbredir) send(kind uint32, id uint64, parts ...any) error {
	b := make([]byte, 8, 64)
	if kind == redirHello {
		b = le.AppendUint32(b, uint32(id))
	} else {
		b = le.AppendUint64(b, id)
	}
	header := len(b)
	for _, part := range parts {
		var err error
		if b, err = binary.Append(b, le, part); err != nil {
			return err
		}
	}
	le.PutUint32(b, kind)
	le.PutUint32(b[4:], uint32(len(b)-header))
	_, err := u.conn.Write(b)
	return err
}

// serve answers the host until one of the two hangs up.
func (u *usbredir) serve(w *Webcam) error {
	var version [redirVersionLen]byte
	copy(version[:], "pushcam usbcam")
	if err := u.send(redirHello, 0, version, uint32(redirCapabilities)); err != nil {
		return err
	}
	for {
		p, err := u.readPacket()
		if err != nil {
			return err
		}
		if err := u.handle(w, p); err != nil {
			return err
		}
	}
}

func (u *usbredir) handle(w *Webcam, p redirPacket) error {
	if u.greeted == (p.Type == redirHello) {
		return errors.New("usbredir: the host does not say hello first, and once")
	}
	switch p.Type {
	case redirHello:
		return u.introduce(w, p)
	case redirReset:
		w.reset()
		return nil
	case redirSetConfig, redirGetConfig, redirSetAlternative, redirGetAlternative:
		return u.configure(w, p)
	case redirCancel:
		return u.cancel(w, p.ID)
	case redirControl:
		return u.control(w, p)
	case redirBulk:
		return u.bulk(w, p)
	}
	return fmt.Errorf("usbredir: packet type %d", p.Type)
}

// introduce answers the hello by telling what device there is.
func (u *usbredir) introduce(w *Webcam, p redirPacket) error {
	if len(p.Data) < redirVersionLen+4 {
		return fmt.Errorf("usbredir: a hello of %d bytes", len(p.Data))
	}
	if has := le.Uint32(p.Data[redirVersionLen:]); has&redirCapabilities != redirCapabilities {
		return fmt.Errorf("usbredir: the host has capabilities %#x, not all of %#x", has, redirCapabilities)
	}
	u.greeted = true

	var interfaces struct {
		Count                             uint32
		Number, Class, Subclass, Protocol [redirTables]byte
	}
	interfaces.Count = 2
	for i, number := range []byte{controlInterface, streamingInterface} {
		interfaces.Number[i], interfaces.Class[i], interfaces.Subclass[i] = number, 0x0e, byte(i+1)
	}
	var endpoints struct {
		Kind, Interval, Interface [redirTables]byte
		PacketSize                [redirTables]uint16
	}
	const kindControl, kindBulk, none, in = 0, 2, 255, 16
	for i := range endpoints.Kind {
		endpoints.Kind[i] = none
	}
	const video = in + videoEndpoint&0x0f
	endpoints.Kind[0], endpoints.PacketSize[0] = kindControl, 64
	endpoints.Kind[in], endpoints.PacketSize[in] = kindControl, 64
	endpoints.Kind[video], endpoints.PacketSize[video] = kindBulk, videoPacket
	endpoints.Interface[video] = streamingInterface

	get := setup{RequestType: 0x80, Request: reqGetDescriptor, Value: descDevice << 8, Length: 18}
	return w.control(0, get, nil, func(device []byte, _ bool) error {
		const highSpeed = 2
		return errors.Join(
			u.send(redirInterfaceInfo, 0, interfaces),
			u.send(redirEndpointInfo, 0, endpoints),
			// The class, subclass and protocol, and the numbers of vendor, product
			// and version are as in the descriptor.
			u.send(redirDeviceConnect, 0, byte(highSpeed), device[4:7], device[8:14]))
	})
}

// configure does what the protocol has packets of its own for, although they are
// control requests on the wire.
func (u *usbredir) configure(w *Webcam, p redirPacket) error {
	lengths := map[uint32]int{redirSetConfig: 1, redirGetConfig: 0, redirSetAlternative: 2, redirGetAlternative: 1}
	if len(p.Data) != lengths[p.Type] {
		return fmt.Errorf("usbredir: packet type %d of %d bytes", p.Type, len(p.Data))
	}
	const fromDevice, toInterface, fromInterface = 0x80, 0x01, 0x81
	var s setup
	answer := uint32(redirAlternateStatus)
	switch p.Type {
	case redirSetConfig:
		s, answer = setup{Request: reqSetConfiguration, Value: uint16(p.Data[0])}, redirConfigStatus
	case redirGetConfig:
		s, answer = setup{RequestType: fromDevice, Request: reqGetConfiguration, Length: 1}, redirConfigStatus
	case redirSetAlternative:
		s = setup{RequestType: toInterface, Request: reqSetInterface, Index: uint16(p.Data[0]), Value: uint16(p.Data[1])}
	case redirGetAlternative:
		s = setup{RequestType: fromInterface, Request: reqGetInterface, Index: uint16(p.Data[0]), Length: 1}
	}
	return w.control(p.ID, s, nil, func(got []byte, ok bool) error {
		return u.send(answer, p.ID, redirStatus(ok), p.Data, got)
	})
}

func redirStatus(ok bool) byte {
	if ok {
		return redirSuccess
	}
	return redirStall
}

// A redirRequest begins a control or a bulk packet, and its answer.
type redirRequest struct {
	control bool
	header  [redirRequestLen]byte
}

// answer sends a request back with its status and its data. length is what the
// answer says of the latter, in bytes.
func (u *usbredir) answer(id uint64, r redirRequest, status byte, length int, data []byte) error {
	if r.control {
		r.header[3] = status
		le.PutUint16(r.header[8:], uint16(length))
		return u.send(redirControl, id, r.header, data)
	}
	r.header[1] = status
	le.PutUint16(r.header[2:], uint16(length))
	le.PutUint16(r.header[8:], uint16(length>>16))
	return u.send(redirBulk, id, r.header, data)
}

func parseRequest(p redirPacket) (r redirRequest, data []byte, err error) {
	if len(p.Data) < redirRequestLen {
		return r, nil, fmt.Errorf("usbredir: a request of %d bytes", len(p.Data))
	}
	r = redirRequest{control: p.Type == redirControl, header: [redirRequestLen]byte(p.Data)}
	return r, p.Data[redirRequestLen:], nil
}

func (u *usbredir) control(w *Webcam, p redirPacket) error {
	r, data, err := parseRequest(p)
	if err != nil {
		return err
	}
	h := r.header
	if h[0]&0x0f != 0 {
		return u.answer(p.ID, r, redirStall, 0, nil)
	}
	s := setup{RequestType: h[2], Request: h[1], Value: le.Uint16(h[4:]), Index: le.Uint16(h[6:]), Length: le.Uint16(h[8:])}
	if !s.toHost() && len(data) != int(s.Length) || s.toHost() && len(data) != 0 {
		return fmt.Errorf("usbredir: a control request of %d bytes with %d", s.Length, len(data))
	}
	answered := false
	err = w.control(p.ID, s, data, func(reply []byte, ok bool) error {
		answered = true
		length := len(reply)
		if ok && !s.toHost() {
			length = len(data)
		}
		return u.answer(p.ID, r, redirStatus(ok), length, reply)
	})
	if err == nil && !answered {
		if u.ignored == nil {
			u.ignored = map[uint64]redirRequest{}
		}
		u.ignored[p.ID] = r
	}
	return err
}

func (u *usbredir) bulk(w *Webcam, p redirPacket) error {
	r, _, err := parseRequest(p)
	if err != nil {
		return err
	}
	length := int(le.Uint16(r.header[2:])) | int(le.Uint16(r.header[8:]))<<16
	switch {
	case length > redirMaxPacket:
		return fmt.Errorf("usbredir: a transfer of %d bytes", length)
	case r.header[0] != videoEndpoint:
		return u.answer(p.ID, r, redirStall, 0, nil)
	}
	return w.submit(p.ID, length)
}

// Complete implements bus.
func (u *usbredir) Complete(id uint64, data []byte) error {
	return u.answer(id, videoRequest(), redirSuccess, len(data), data)
}

// videoRequest is the host's request for video, which all look the same but for
// their length.
func videoRequest() redirRequest {
	return redirRequest{header: [redirRequestLen]byte{videoEndpoint}}
}

// cancel takes a request back, which is answered once more then. One that was
// answered already crossed the host's packet.
func (u *usbredir) cancel(w *Webcam, id uint64) error {
	return w.cancel(id, func(open bool) error {
		if !open {
			return nil
		}
		r, ok := u.ignored[id]
		if !ok {
			r = videoRequest()
		}
		delete(u.ignored, id)
		return u.answer(id, r, redirCancelled, 0, nil)
	})
}
