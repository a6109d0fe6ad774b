//go:build linux

// Feeder is the sensor of vcsim's camera, in the test image: it shows it the
// pictures of hack/e2e/pictures, as large as the bit rate makes them, and lets
// the tests turn vcsim's knobs over HTTP.
//
//	GET, PUT /parameters/NAME   a parameter of the module, as text
//	PUT /controls/ID            a control of the camera, as V4L2_CID_… has it
//
// VCSIM_CAMERAS is how many cameras the firmware finds: 1 if it is not set.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

const (
	parameters = "/sys/module/vcsim/parameters"
	camera     = "/dev/video0"
	maxValue   = 100 // bytes of a value
)

func main() {
	log.SetFlags(0)
	http.HandleFunc("GET /parameters/{name}", func(w http.ResponseWriter, r *http.Request) {
		value, err := parameter(r.PathValue("name"))
		reply(w, value, err)
	})
	http.HandleFunc("PUT /parameters/{name}", func(w http.ResponseWriter, r *http.Request) {
		value, err := io.ReadAll(io.LimitReader(r.Body, maxValue))
		if err == nil {
			err = os.WriteFile(filepath.Join(parameters, filepath.Base(r.PathValue("name"))), value, 0)
		}
		reply(w, "", err)
	})
	http.HandleFunc("PUT /controls/{id}", func(w http.ResponseWriter, r *http.Request) {
		value, err := io.ReadAll(io.LimitReader(r.Body, maxValue))
		if err == nil {
			err = setControl(r.PathValue("id"), string(value))
		}
		reply(w, "", err)
	})
	go func() { log.Fatal(http.ListenAndServe(":8090", nil)) }()
	log.Fatal(feed())
}

func reply(w http.ResponseWriter, value string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, value) // a client that is gone has nobody to tell
}

func parameter(name string) (string, error) {
	value, err := os.ReadFile(filepath.Join(parameters, filepath.Base(name)))
	return strings.TrimSpace(string(value)), err
}

// setControl is VIDIOC_S_CTRL.
func setControl(id, value string) error {
	n, err := strconv.ParseUint(id, 0, 32)
	if err != nil {
		return err
	}
	v, err := strconv.ParseInt(value, 0, 32)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(camera, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const vidiocSCtrl = 3<<30 | 8<<16 | 'V'<<8 | 28
	control := struct {
		id    uint32
		value int32
	}{uint32(n), int32(v)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), vidiocSCtrl, uintptr(unsafe.Pointer(&control)))
	if errno != 0 {
		return os.NewSyscallError("VIDIOC_S_CTRL", errno)
	}
	return nil
}

// feed shows the sensor one picture after the other. The program loads the
// module, when it wants to.
func feed() error {
	var sensor *os.File
	for {
		var err error
		if sensor, err = os.OpenFile("/dev/vcsim", os.O_WRONLY, 0); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	defer sensor.Close()
	cameras := cmp.Or(os.Getenv("VCSIM_CAMERAS"), "1")
	if err := os.WriteFile(filepath.Join(parameters, "cameras"), []byte(cameras), 0); err != nil {
		return fmt.Errorf("the number of cameras: %w", err)
	}
	for n := 1; ; n++ {
		size, err := frameSize()
		if err != nil {
			return err
		}
		if _, err := sensor.Write(pictures.Frame(n, size)); err != nil {
			return err
		}
	}
}

// frameSize is what the encoder's bit rate leaves for one frame, in bytes.
func frameSize() (int, error) {
	var numbers [2]int
	for i, name := range []string{"bitrate", "interval_us"} {
		text, err := parameter(name)
		if err != nil {
			return 0, err
		}
		if numbers[i], err = strconv.Atoi(text); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
	}
	return numbers[0] / 8 * numbers[1] / 1e6, nil
}
