//go:build linux

package gpiotest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Structs of linux/gpio.h, the first version, which is enough to look and touch.
type (
	chipInfo struct {
		name, label [32]byte
		lines       uint32
	}
	lineInfo struct {
		offset, flags  uint32
		name, consumer [32]byte
	}
	handleRequest struct {
		offsets  [64]uint32
		flags    uint32
		values   [64]byte
		consumer [32]byte
		lines    uint32
		fd       int32
	}
)

const (
	getChipInfo   = 0x8044b401
	getLineInfo   = 0xc048b402
	getLineHandle = 0xc16cb403
	getLineValues = 0xc040b408

	asInput, asOutput = 1, 2
)

func TestRigSim(t *testing.T) {
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip("needs gpio-sim: run it with \"go run ./hack/rig test\"")
	}
	s, err := NewSim("pinctrl-test", "ID_SDA", "", "LED", "BUTTON")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	chip, err := os.OpenFile(s.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()

	var info chipInfo
	ioctl(t, chip.Fd(), getChipInfo, unsafe.Pointer(&info))
	if label := cstring(info.label[:]); label != "pinctrl-test" || info.lines != 4 {
		t.Errorf("chip %q with %d lines, want pinctrl-test with 4", label, info.lines)
	}
	for offset, want := range []string{"ID_SDA", "", "LED", "BUTTON"} {
		line := lineInfo{offset: uint32(offset)}
		ioctl(t, chip.Fd(), getLineInfo, unsafe.Pointer(&line))
		if got := cstring(line.name[:]); got != want {
			t.Errorf("line %d is %q, want %q", offset, got, want)
		}
	}

	const led, button = 2, 3
	for _, high := range []bool{true, false} {
		line := request(t, chip, led, asOutput, high)
		if got, err := s.Value(led); err != nil || got != high {
			t.Errorf("the LED's value is %v, %v; want %v", got, err, high)
		}
		unix.Close(line)
	}
	line := request(t, chip, button, asInput, false)
	defer unix.Close(line)
	for _, high := range []bool{true, false} {
		if err := s.Pull(button, high); err != nil {
			t.Fatal(err)
		}
		var values [64]byte
		ioctl(t, uintptr(line), getLineValues, unsafe.Pointer(&values))
		if got := values[0] == 1; got != high {
			t.Errorf("the button reads %v, pulled to %v", got, high)
		}
	}

	// A second chip lives beside the first and outlives it.
	other, err := NewSim("other", "X")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s after Remove: %v, want that it is gone", s.Path, err)
	}
	if _, err := os.Stat(other.Path); err != nil {
		t.Errorf("the other chip: %v", err)
	}
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := NewSim("none"); err == nil {
		t.Error("a chip without lines was made")
	}
}

func request(t *testing.T, chip *os.File, offset uint32, flags uint32, high bool) int {
	t.Helper()
	r := handleRequest{flags: flags, lines: 1}
	r.offsets[0] = offset
	if high {
		r.values[0] = 1
	}
	ioctl(t, chip.Fd(), getLineHandle, unsafe.Pointer(&r))
	return int(r.fd)
}

func ioctl(t *testing.T, fd, req uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, req, uintptr(arg)); errno != 0 {
		t.Fatalf("ioctl %#x: %v", req, errno)
	}
}

func cstring(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
