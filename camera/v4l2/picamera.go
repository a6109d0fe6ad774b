package v4l2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// What is special about the Raspberry Pi's camera with its firmware's driver,
// drivers/staging/vc04_services/bcm2835-camera, is here and in quirks.

// PiCameraModule is the kernel module of the Pi camera's driver.
const PiCameraModule = "bcm2835-v4l2"

// piCameraDriver is what that calls itself in V4L2.
const piCameraDriver = "bcm2835 mmal"

// Up to this size in pixels the driver gives video by itself. Beyond it, it gives
// stills only, unless it was told when it was loaded.
const piVideoWidth, piVideoHeight = 1920, 1088

// PiCameraParameters are those of PiCameraModule with which it gives video of a size
// in pixels; empty if it does so by itself.
func PiCameraParameters(width, height int) string {
	if width <= piVideoWidth && height <= piVideoHeight {
		return ""
	}
	return fmt.Sprintf("max_video_width=%d max_video_height=%d", max(width, piVideoWidth), max(height, piVideoHeight))
}

// Diagnosis is what a system shows of why its Pi camera is not found.
type Diagnosis struct {
	Model     string   // of the board, "Raspberry Pi 3 Model B Rev 1.2"; empty: not known
	Driver    bool     // the kernel has the camera's driver
	Loaded    bool     // and it is loaded
	Service   bool     // the firmware answers the kernel: its interface VCHIQ is there
	GPUMemory int      // MiB that the firmware keeps for itself; 0: not known
	Kernel    []string // lines of the kernel's log about camera and firmware, the oldest first
}

// minGPUMemory is what the firmware's camera needs, in MiB (gpu_mem in the
// Raspberry Pi documentation, config.txt).
const minGPUMemory = 128

const unsupported = "Camera Module 3 and modules of other makers are not supported"

// Cause says in a sentence why a Pi camera may not be found, and what to do.
func (c Diagnosis) Cause() string {
	pi5 := strings.Contains(c.Model, "Raspberry Pi 5") || strings.Contains(c.Model, "Compute Module 5")
	says := func(parts ...string) string { // what the kernel says
		for _, part := range parts {
			for _, line := range c.Kernel {
				if strings.Contains(line, part) {
					return line
				}
			}
		}
		return ""
	}
	noMemory := says("Not enough GPU mem", "mmal init failed")
	noAnswer := says("Videocore not initialized", "Failed to initialise VCHI", "Failed to connect VCHI", "Failed to open VCHI")
	const config = "config.txt on the card needs start_x=1 and gpu_mem=128, as images of pushcamctl have it"
	switch {
	case pi5:
		return "a Pi 5 takes USB webcams only, with an image of \"pushcamctl image -kernel stock\""
	case !strings.HasPrefix(c.Model, "Raspberry Pi") && !c.Service:
		return "this board is no Raspberry Pi, and takes USB webcams only"
	case !c.Driver && !c.Loaded:
		return "this image's kernel has no driver for the Pi camera, only for USB webcams: make the image without -kernel stock"
	case !c.Service, noAnswer != "":
		return "the Pi's firmware does not answer, which has the camera: " + config
	case !c.Loaded:
		return "the Pi camera's driver is not loaded yet; if it stays so, the log says why"
	case noMemory != "":
		return "the Pi's firmware has no camera in it, or too little memory: " + config + " (kernel: " + noMemory + ")"
	case says("timed out waiting for sync completion") != "":
		return "the Pi's firmware does not answer: switch the power off and on"
	case 0 < c.GPUMemory && c.GPUMemory < minGPUMemory:
		return "the Pi's firmware has too little memory for a camera: " + config
	}
	return "the Pi's firmware finds none on the camera connector: switch off, and seat the cable at both ends; " + unsupported
}

// HasPiCameraDriver tells whether the kernel of the system whose files are below root
// has the Pi camera's driver, by what is on its disk.
func HasPiCameraDriver(root string) bool {
	indexes, _ := filepath.Glob(filepath.Join(root, "lib/modules/*/modules.dep")) // else none
	return slices.ContainsFunc(indexes, func(index string) bool {
		return bytes.Contains(readUpTo(index, maxIndex), []byte("/"+PiCameraModule+".ko"))
	})
}

// Diagnose looks at the system whose files are below root, on a board of this model,
// with the driver or without. What cannot be read is taken for missing. It reads no
// disk, which may not answer when it is needed.
func Diagnose(root, model string, driver bool) Diagnosis {
	exists := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return err == nil
	}
	c := Diagnosis{
		Model:     model,
		Driver:    driver,
		Loaded:    exists("sys/module/" + strings.ReplaceAll(PiCameraModule, "-", "_")),
		Service:   exists("dev/vchiq") || exists("sys/bus/vchiq-bus/devices/bcm2835-camera"),
		GPUMemory: gpuMemory(root),
	}
	if f, err := openKernelLog(filepath.Join(root, "dev/kmsg")); err == nil {
		defer f.Close()
		c.Kernel = readKernelLog(f)
	}
	return c
}

const (
	maxIndex = 4 << 20 // bytes of modules.dep; Debian's kernel, which has all modules, has 700 kB
	maxReg   = 4096    // bytes of a property in the device tree
)

// readUpTo reads the first bytes of a file; none if it cannot be read.
func readUpTo(file string, limit int64) []byte {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, limit)) // what there is of it
	return data
}

// gpuMemory finds the firmware's memory by what it leaves to the kernel. The
// firmware's is at the top of the first 512 MiB or 1 GiB, and the kernel's first bank
// ends where it begins.
func gpuMemory(root string) int {
	for _, name := range []string{"memory@0", "memory"} {
		if reg := readUpTo(filepath.Join(root, "proc/device-tree", name, "reg"), maxReg); reg != nil {
			return parseGPUMemory(reg)
		}
	}
	return 0
}

// parseGPUMemory reads the first bank in the reg of a memory node (devicetree
// specification, 2.3.6): with two cells for an address and one or two for a size,
// or one for each, as Pis have it.
func parseGPUMemory(reg []byte) int {
	var end uint64
	switch {
	case len(reg)%12 == 0 && len(reg) > 0:
		end = binary.BigEndian.Uint64(reg) + uint64(binary.BigEndian.Uint32(reg[8:]))
	case len(reg)%16 == 0 && len(reg) > 0:
		end = binary.BigEndian.Uint64(reg) + binary.BigEndian.Uint64(reg[8:])
	case len(reg) == 8:
		end = uint64(binary.BigEndian.Uint32(reg)) + uint64(binary.BigEndian.Uint32(reg[4:]))
	}
	for _, total := range []uint64{512 << 20, 1 << 30} {
		if total*5/8 < end && end < total { // nobody gives it more
			return int((total - end) >> 20)
		}
	}
	return 0
}

const (
	maxKernelLog  = 2 << 20 // bytes that are read
	maxKernelLine = 160     // bytes of a line that are kept
	maxKept       = 16      // lines
)

// readKernelLog reads /dev/kmsg, one record with each read(2), to its present end
// (Documentation/ABI/testing/dev-kmsg).
func readKernelLog(f io.Reader) []string {
	var text bytes.Buffer
	record := make([]byte, 8192) // what the kernel has for one: PRINTK_MESSAGE_MAX is less
	for text.Len() < maxKernelLog {
		n, err := f.Read(record)
		text.Write(record[:n])
		if err != nil && !errors.Is(err, syscall.EPIPE) { // EPIPE: older ones were overwritten meanwhile
			break
		}
	}
	return cameraLines(text.Bytes())
}

// cameraLines are the lines about camera and firmware in what /dev/kmsg gives,
// without what is in front of them.
func cameraLines(text []byte) (all []string) {
	for line := range bytes.Lines(text) {
		head, message, ok := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		if !ok || bytes.Count(head, []byte(",")) < 2 { // else it is a property of the line before
			continue
		}
		for _, word := range []string{"mmal", "vchiq", "bcm2835-v4l2", "bcm2835_v4l2", "VCHI", "Videocore", "GPU mem", "waiting for sync"} {
			if bytes.Contains(message, []byte(word)) {
				// The kernel has escaped what cannot be printed.
				message = message[:min(len(message), maxKernelLine)]
				all = append(all, strings.ToValidUTF8(string(message), ""))
				break
			}
		}
	}
	return all[max(0, len(all)-maxKept):]
}
