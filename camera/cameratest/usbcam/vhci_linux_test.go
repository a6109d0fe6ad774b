package usbcam

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParsePorts(t *testing.T) {
	const status = `hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010001 000003 1-1
hs  0001 004 000 00000000 000000 0-0
hs  0002 004 000 00000000 000000 0-0
ss  0015 004 000 00000000 000000 0-0
`
	tests := []struct {
		name, status string
		want, port   int
		err          string
	}{
		{"any", status, 0, 1, ""},
		{"third", status, 3, 2, ""},
		{"in use", status, 1, 0, "port 1 is in use"},
		{"superspeed", status, 16, 0, "no vhci port 16"},
		{"none", "hub port\n", 0, 0, "no vhci port is free"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			port, err := parsePorts(test.status, test.want)
			switch {
			case test.err == "" && (err != nil || port != test.port):
				t.Errorf("%d, %v; want %d", port, err, test.port)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("%d, %v; want an error with %q", port, err, test.err)
			}
		})
	}
}

// command is a message of the host.
func command(cmd, seq, in, endpoint, word5, length uint32, setup string, data ...byte) []byte {
	b := make([]byte, usbipHeaderLen)
	for at, v := range map[int]uint32{0: cmd, 4: seq, 12: in, 16: endpoint, 20: word5, 24: length} {
		binary.BigEndian.PutUint32(b[at:], v)
	}
	copy(b[40:], setup)
	return append(b, data...)
}

// FuzzUSBIP plays a host that sends anything: every answer is whole, and answers
// something that was asked.
func FuzzUSBIP(f *testing.F) {
	probe := make([]byte, probeLen)
	f.Add(command(cmdSubmit, 1, 1, 0, 0, 18, "\x80\x06\x00\x01\x00\x00\x12\x00"))
	f.Add(bytes.Join([][]byte{
		command(cmdSubmit, 1, 0, 0, 0, probeLen, "\x21\x01\x00\x02\x01\x00\x1a\x00", probe...),
		command(cmdSubmit, 2, 1, 1, 0, 512, ""),
		command(cmdUnlink, 3, 0, 0, 2, 0, ""),
	}, nil))
	f.Add(command(cmdSubmit, 1, 0, 7, 0, 1<<31, ""))
	f.Add(command(9, 1, 0, 0, 0, 0, ""))
	f.Fuzz(func(t *testing.T, said []byte) {
		host := &fakeHost{Reader: bytes.NewReader(said)}
		link, w := &usbip{conn: host}, &Webcam{}
		if err := w.attach(link); err != nil {
			t.Fatal(err)
		}
		if err := link.serve(w); err == nil {
			t.Error("served for ever")
		}
		w.detach()
		be := binary.BigEndian
		for _, answer := range host.answers {
			if len(answer) < usbipHeaderLen {
				t.Fatalf("an answer of %d bytes", len(answer))
			}
			if cmd := be.Uint32(answer); cmd != retSubmit && cmd != retUnlink {
				t.Errorf("answer %d", cmd)
			}
			if !bytes.Contains(said, answer[4:8]) {
				t.Errorf("answer to %d, which was not asked", be.Uint32(answer[4:]))
			}
			data, actual := len(answer)-usbipHeaderLen, int(be.Uint32(answer[24:]))
			if data != 0 && data != actual { // on the way out there is none
				t.Errorf("%d bytes of data, said to be %d", data, actual)
			}
		}
	})
}

// TestUSBIPConversation looks at the answers to a start of a stream.
func TestUSBIPConversation(t *testing.T) {
	host := &fakeHost{Reader: bytes.NewReader(bytes.Join([][]byte{
		command(cmdSubmit, 1, 1, 0, 0, 8, "\x80\x06\x00\x01\x00\x00\x08\x00"),  // device descriptor
		command(cmdSubmit, 2, 1, 0, 0, 10, "\x80\x06\x00\x06\x00\x00\x0a\x00"), // qualifier: there is none
		command(cmdSubmit, 3, 1, 1, 0, 512, ""),
		command(cmdUnlink, 4, 0, 0, 3, 0, ""),
		command(cmdUnlink, 5, 0, 0, 3, 0, ""),
	}, nil))}
	link, w := &usbip{conn: host}, &Webcam{}
	if err := w.attach(link); err != nil {
		t.Fatal(err)
	}
	if err := link.serve(w); err != io.EOF {
		t.Fatal(err)
	}
	answer := func(cmd, seq uint32, status int32, actual uint32, data string) []byte {
		b := command(cmd, seq, 0, 0, uint32(status), actual, "")
		return append(b, data...)
	}
	want := [][]byte{
		answer(retSubmit, 1, 0, 8, "\x12\x01\x00\x02\xef\x02\x01\x40"),
		answer(retSubmit, 2, -int32(unix.EPIPE), 0, ""),
		answer(retUnlink, 4, -int32(unix.ECONNRESET), 0, ""),
		answer(retUnlink, 5, 0, 0, ""),
	}
	if diff := cmp.Diff(want, host.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// TestUSBIPOvertaking has a request that is taken back before it comes.
func TestUSBIPOvertaking(t *testing.T) {
	host := &fakeHost{Reader: bytes.NewReader(bytes.Join([][]byte{
		command(cmdSubmit, 6, 1, 1, 0, 512, ""),
		command(cmdUnlink, 8, 0, 0, 7, 0, ""),
		command(cmdSubmit, 7, 1, 1, 0, 512, ""),
	}, nil))}
	link, w := &usbip{conn: host}, &Webcam{}
	if err := w.attach(link); err != nil {
		t.Fatal(err)
	}
	if err := link.serve(w); err != io.EOF {
		t.Fatal(err)
	}
	if len(w.pending) != 1 || w.pending[0].id != 6 {
		t.Errorf("pending are %v, want request 6 alone", w.pending)
	}
	be := binary.BigEndian
	if len(host.answers) != 1 || be.Uint32(host.answers[0]) != retUnlink || be.Uint32(host.answers[0][4:]) != 8 ||
		int32(be.Uint32(host.answers[0][20:])) != -int32(unix.ECONNRESET) {
		t.Errorf("answered %x, want command 8 answered with ECONNRESET, after request 7 came", host.answers)
	}
}
