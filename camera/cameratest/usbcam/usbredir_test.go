package usbcam

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// redirHelloPacket is what a host begins with, able to do what is said.
func redirHelloPacket(capabilities uint32) []byte {
	b := slices.Concat(u32(redirHello), u32(redirVersionLen+4), u32(0), make([]byte, redirVersionLen))
	return le.AppendUint32(b, capabilities)
}

// qemuHello is as QEMU 7.2 says it.
func qemuHello() []byte { return redirHelloPacket(0xfe) }

// redirMessage is a packet after the hello.
func redirMessage(kind uint32, id uint64, parts ...[]byte) []byte {
	data := slices.Concat(parts...)
	b := le.AppendUint32(nil, kind)
	b = le.AppendUint32(b, uint32(len(data)))
	b = le.AppendUint64(b, id)
	return append(b, data...)
}

// redirControlMessage is a control packet with the setup of the wire in it.
func redirControlMessage(id uint64, s setup, data ...byte) []byte {
	return redirMessage(redirControl, id, []byte{s.RequestType & 0x80, s.Request, s.RequestType, 0},
		u16(int(s.Value)), u16(int(s.Index)), u16(int(s.Length)), data)
}

func redirBulkMessage(id uint64, endpoint byte, length int) []byte {
	return redirMessage(redirBulk, id, []byte{endpoint, 0}, u16(length), u32(0), u16(length>>16))
}

// A redirAnswer is a packet of the webcam's, parsed.
type redirAnswer struct {
	Type uint32
	ID   uint64
	Data string
}

// redirTalk lets the webcam answer what the host says, and returns the answers.
func redirTalk(t testing.TB, w *Webcam, said ...[]byte) ([]redirAnswer, error) {
	t.Helper()
	host := &fakeHost{Reader: bytes.NewReader(bytes.Join(said, nil))}
	link := &usbredir{conn: host}
	if err := w.attach(link); err != nil {
		t.Fatal(err)
	}
	served := link.serve(w)
	var answers []redirAnswer
	for i, b := range host.answers {
		header := 16
		if i == 0 {
			header = 12
		}
		if len(b) < header || len(b)-header != int(le.Uint32(b[4:])) {
			t.Fatalf("answer %d, % x, is not one whole packet", i, b)
		}
		a := redirAnswer{Type: le.Uint32(b), Data: string(b[header:])}
		if i > 0 {
			a.ID = le.Uint64(b[8:])
		}
		answers = append(answers, a)
	}
	return answers, served
}

// TestUSBRedirConversation looks at the answers to a host that begins a stream.
func TestUSBRedirConversation(t *testing.T) {
	probe := make([]byte, probeLen)
	answers, err := redirTalk(t, &Webcam{},
		qemuHello(),
		redirMessage(redirReset, 0),
		redirControlMessage(1, setup{0x80, reqGetDescriptor, descDevice << 8, 0, 8}),
		redirControlMessage(2, setup{0x80, reqGetDescriptor, 6 << 8, 0, 10}), // qualifier: there is none
		redirMessage(redirSetConfig, 3, []byte{1}),
		redirMessage(redirGetConfig, 4),
		redirMessage(redirSetAlternative, 5, []byte{1, 0}),
		redirMessage(redirGetAlternative, 6, []byte{1}),
		redirControlMessage(7, setup{0x21, setCur, commitControl << 8, streamingInterface, probeLen}, probe...),
		redirBulkMessage(8, videoEndpoint, payloadMax),
		redirBulkMessage(9, 0x02, 512),
		redirMessage(redirCancel, 8),
		redirMessage(redirCancel, 8),
	)
	if err != io.EOF {
		t.Fatal(err)
	}
	interfaces := make([]byte, 4+4*32)
	interfaces[0] = 2
	copy(interfaces[4:], []byte{0, 1})
	copy(interfaces[4+32:], []byte{0x0e, 0x0e})
	copy(interfaces[4+64:], []byte{1, 2})
	endpoints := make([]byte, 5*32)
	for i := range 32 {
		endpoints[i] = 255
	}
	endpoints[0], endpoints[16], endpoints[17] = 0, 0, 2
	endpoints[64+17] = 1
	endpoints[96], endpoints[96+2*16], endpoints[96+2*17+1] = 64, 64, 2
	want := []redirAnswer{
		{redirHello, 0, "pushcam usbcam" + strings.Repeat("\x00", 50) + "\x72\x00\x00\x00"},
		{redirInterfaceInfo, 0, string(interfaces)},
		{redirEndpointInfo, 0, string(endpoints)},
		{redirDeviceConnect, 0, "\x02\xef\x02\x01\x09\x12\x01\x00\x00\x01"},
		{redirControl, 1, "\x80\x06\x80\x00\x00\x01\x00\x00\x08\x00" + "\x12\x01\x00\x02\xef\x02\x01\x40"},
		{redirControl, 2, "\x80\x06\x80\x04\x00\x06\x00\x00\x00\x00"},
		{redirConfigStatus, 3, "\x00\x01"},
		{redirConfigStatus, 4, "\x00\x01"},
		{redirAlternateStatus, 5, "\x00\x01\x00"},
		{redirAlternateStatus, 6, "\x00\x01\x00"},
		{redirControl, 7, "\x00\x01\x21\x00\x00\x02\x01\x00\x1a\x00"},
		{redirBulk, 9, "\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00"},
		{redirBulk, 8, "\x81\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// A reset ends the stream, and a request that a hanging webcam does not answer
// is cancelled as what it was.
func TestUSBRedirHangs(t *testing.T) {
	w := &Webcam{}
	host := &fakeHost{Reader: bytes.NewReader(qemuHello())}
	link := &usbredir{conn: host}
	if err := w.attach(link); err != nil {
		t.Fatal(err)
	}
	if err := link.serve(w); err != io.EOF {
		t.Fatal(err)
	}
	commit(t, w)
	if err := w.submit(1, 64); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Started(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Stall(true)
	host.answers = nil
	link.conn = struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(bytes.Join([][]byte{
		redirControlMessage(2, setup{0x80, reqGetDescriptor, descDevice << 8, 0, 18}),
		redirMessage(redirReset, 0),
		redirMessage(redirCancel, 2),
	}, nil)), host}
	for range 3 {
		p, err := link.readPacket()
		if err != nil {
			t.Fatal(err)
		}
		if err := link.handle(w, p); err != nil {
			t.Fatal(err)
		}
	}
	want := [][]byte{redirMessage(redirControl, 2, []byte("\x80\x06\x80\x01\x00\x01\x00\x00\x00\x00"))}
	if diff := cmp.Diff(want, host.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if w.active {
		t.Error("streams after a reset")
	}
}

func TestUSBRedirHostiles(t *testing.T) {
	tests := []struct {
		name string
		said []byte
		want string
	}{
		{"no hello", redirMessage(redirReset, 0), "hello first"},
		{"two of them", append(qemuHello(), redirMessage(redirHello, 0, make([]byte, 68))...), "hello first"},
		{"a short one", slices.Concat(u32(redirHello), u32(4), u32(0), u32(0)), "a hello of 4 bytes"},
		{"an old host", redirHelloPacket(0x32), "capabilities 0x32"},
		{"a huge packet", append(qemuHello(), slices.Concat(u32(redirControl), u32(1<<30), make([]byte, 8))...), "a packet of 1073741824 bytes"},
		{"a huge transfer", append(qemuHello(), redirBulkMessage(1, videoEndpoint, 1<<24)...), "a transfer of 16777216 bytes"},
		{"half a request", append(qemuHello(), redirMessage(redirBulk, 1, make([]byte, 9))...), "a request of 9 bytes"},
		{"an empty configuration", append(qemuHello(), redirMessage(redirSetConfig, 1)...), "type 6 of 0 bytes"},
		{"data that is not there", append(qemuHello(), redirControlMessage(1, setup{0x21, setCur, 0, 0, 26})...), "26 bytes with 0"},
		{"an unknown packet", append(qemuHello(), redirMessage(12, 1)...), "packet type 12"},
		{"too many requests", append(qemuHello(), bytes.Repeat(redirBulkMessage(1, videoEndpoint, 512), maxPending+1)...), "too many requests"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := redirTalk(t, &Webcam{}, test.said); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("served until %v, want an error with %q", err, test.want)
			}
		})
	}
}

// FuzzUSBRedir plays a host that sends anything: every answer is whole, and
// answers something that was asked.
func FuzzUSBRedir(f *testing.F) {
	f.Add([]byte{})
	f.Add(redirControlMessage(1, setup{0x80, reqGetDescriptor, descConfiguration << 8, 0, 255}))
	f.Add(slices.Concat(
		redirControlMessage(1, setup{0x21, setCur, commitControl << 8, streamingInterface, probeLen}, make([]byte, probeLen)...),
		redirBulkMessage(2, videoEndpoint, 512), redirMessage(redirCancel, 2), redirMessage(redirReset, 3)))
	f.Add(slices.Concat(redirMessage(redirSetConfig, 1, []byte{1}), redirMessage(redirGetConfig, 2),
		redirMessage(redirSetAlternative, 3, []byte{1, 0}), redirMessage(redirGetAlternative, 4, []byte{1})))
	f.Fuzz(func(t *testing.T, said []byte) {
		w := &Webcam{}
		answers, err := redirTalk(t, w, qemuHello(), said)
		if err == nil {
			t.Error("served for ever")
		}
		w.detach()
		const introduction = 4
		for _, a := range answers[min(len(answers), introduction):] {
			if !bytes.Contains(said, le.AppendUint64(nil, a.ID)) {
				t.Errorf("answer %+v to what was not asked", a)
			}
			switch a.Type {
			case redirConfigStatus, redirAlternateStatus:
			case redirControl, redirBulk:
				if len(a.Data) < redirRequestLen {
					t.Errorf("answer %+v is too short", a)
				}
			default:
				t.Errorf("answer %+v is none", a)
			}
		}
	})
}

// TestPlugRedir plugs into a host that knows as much of the protocol as it takes
// to get one picture, and unplugs at either end.
func TestPlugRedir(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &Webcam{}
	plug := func() net.Conn {
		near, far := net.Pipe()
		go far.Write(qemuHello()) // ends with far: net.Pipe has no buffer
		if err := w.PlugRedir(near); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(far, make([]byte, len(qemuHello()))); err != nil {
			t.Fatal(err)
		}
		return far
	}
	read := func(far net.Conn) redirAnswer {
		t.Helper()
		header := make([]byte, 16)
		if _, err := io.ReadFull(far, header); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, le.Uint32(header[4:]))
		if _, err := io.ReadFull(far, data); err != nil {
			t.Fatal(err)
		}
		return redirAnswer{le.Uint32(header), le.Uint64(header[8:]), string(data)}
	}

	far := plug()
	for range 3 {
		read(far) // the introduction
	}
	said := slices.Concat(
		redirControlMessage(1, setup{0x21, setCur, commitControl << 8, streamingInterface, probeLen}, make([]byte, probeLen)...),
		redirBulkMessage(2, videoEndpoint, 512))
	go far.Write(said)
	read(far)
	if _, err := w.Started(ctx); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error)
	go func() { sent <- w.Send(ctx, Picture{Data: []byte("picture")}) }()
	want := redirAnswer{redirBulk, 2, "\x81\x00\x09\x00\x00\x00\x00\x00\x00\x00" + "\x02\x83picture"}
	if diff := cmp.Diff(want, read(far)); diff != "" {
		t.Errorf("picture (-want +got):\n%s", diff)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}

	other, otherFar := net.Pipe()
	if err := w.PlugRedir(other); err == nil {
		t.Error("plugged in twice")
	}
	if _, err := otherFar.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("what was not used is left open: %v", err)
	}
	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the host does not see that the cable is pulled: %v", err)
	}

	plug().Close() // in the middle of the introduction
	if err := w.Stopped(ctx); err != nil {
		t.Error(err)
	}
	if err := w.Unplug(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Started(ctx); !errors.Is(err, ErrUnplugged) {
		t.Errorf("Started when unplugged: %v", err)
	}
}
