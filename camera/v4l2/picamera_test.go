package v4l2

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPiCameraParameters(t *testing.T) {
	for s, want := range map[[2]int]string{
		{1280, 720}:  "",
		{1920, 1088}: "",
		{2592, 1944}: "max_video_width=2592 max_video_height=1944",
		{1280, 1944}: "max_video_width=1920 max_video_height=1944",
	} {
		if got := PiCameraParameters(s[0], s[1]); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}

func TestCause(t *testing.T) {
	const pi3 = "Raspberry Pi 3 Model B Rev 1.2"
	works := Diagnosis{Model: pi3, Driver: true, Loaded: true, Service: true, GPUMemory: 128}
	with := func(change func(*Diagnosis)) Diagnosis {
		c := works
		change(&c)
		return c
	}
	const noMemory = "vchiq_mmal_component_init: failed to create component -12 (Not enough GPU mem?)"
	tests := []struct {
		name      string
		diagnosis Diagnosis
		want      []string
	}{
		{"all is well but the cable", works, []string{"firmware finds none", "cable", "Camera Module 3"}},
		{"QEMU with a simulated firmware", with(func(c *Diagnosis) { c.Model, c.GPUMemory = "linux,dummy-virt", 0 }), []string{"firmware finds none", "cable"}},
		{"Pi 5", with(func(c *Diagnosis) { c.Model = "Raspberry Pi 5 Model B Rev 1.0" }), []string{"Pi 5", "USB webcams", "-kernel stock"}},
		{"CM5", with(func(c *Diagnosis) { c.Model = "Raspberry Pi Compute Module 5 Rev 1.0" }), []string{"Pi 5", "-kernel stock"}},
		{"a laptop", Diagnosis{}, []string{"no Raspberry Pi", "USB webcams"}},
		{"stock kernel", Diagnosis{Model: pi3, Service: true}, []string{"no driver for the Pi camera", "without -kernel stock"}},
		{"driver is not loaded", with(func(c *Diagnosis) { c.Loaded = false }), []string{"not loaded yet", "log"}},
		{"firmware does not answer", with(func(c *Diagnosis) { c.Service = false }), []string{"firmware does not answer", "start_x=1", "gpu_mem=128"}},
		{"no firmware at all, as in QEMU", with(func(c *Diagnosis) { c.Kernel = []string{"bcm2835_vchiq: core: Videocore not initialized"} }), []string{"firmware does not answer", "start_x=1"}},
		{"firmware times out", with(func(c *Diagnosis) { c.Kernel = []string{"timed out waiting for sync completion"} }), []string{"does not answer", "power"}},
		{"firmware without a camera", with(func(c *Diagnosis) {
			c.Kernel = []string{"other", "bcm2835-v4l2-0: bcm2835_mmal_probe: mmal init failed: -22"}
		}),
			[]string{"no camera in it", "start_x=1", "mmal init failed: -22"}},
		{"component does not fit", with(func(c *Diagnosis) { c.Kernel = []string{noMemory, "mmal init failed"} }), []string{"too little memory", "gpu_mem=128", noMemory}},
		{"gpu_mem", with(func(c *Diagnosis) { c.GPUMemory = 76 }), []string{"too little memory", "gpu_mem=128"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.diagnosis.Cause()
			for _, part := range tt.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q lacks %q", got, part)
				}
			}
			if len(got) > 350 || strings.Contains(got, "\n") {
				t.Errorf("%d bytes: %q", len(got), got)
			}
		})
	}
}

func TestDiagnose(t *testing.T) {
	t.Attr("fault", "camera | a camera module that is not found: cable, memory, driver, firmware | each has its own sentence with what to do | –")
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(Diagnosis{}, Diagnose(root, "", HasPiCameraDriver(root))); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
	write("proc/device-tree/memory@0/reg", "\x00\x00\x00\x00\x38\x00\x00\x00")
	write("lib/modules/6.12.117-pushcam/modules.dep", "kernel/bcm2835-v4l2.ko: kernel/a.ko\n")
	write("dev/vchiq", "")
	write("sys/module/bcm2835_v4l2/refcnt", "0\n")
	write("dev/kmsg", "6,400,5000,-;usb 1-1: new device\n SUBSYSTEM=usb mmal\n3,401,5001,-;bcm2835-v4l2-0: mmal init failed: -22\n DEVICE=+x\n")
	want := Diagnosis{Model: "Raspberry Pi 3 Model B Rev 1.2", Driver: true, Loaded: true, Service: true, GPUMemory: 128}
	if runtime.GOOS == "linux" {
		want.Kernel = []string{"bcm2835-v4l2-0: mmal init failed: -22"}
	}
	if diff := cmp.Diff(want, Diagnose(root, want.Model, HasPiCameraDriver(root))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGPUMemory(t *testing.T) {
	words := func(all ...uint32) (b []byte) {
		for _, w := range all {
			b = binary.BigEndian.AppendUint32(b, w)
		}
		return b
	}
	tests := []struct {
		name string
		reg  []byte
		want int
	}{
		{"Pi 3", words(0, 0x38000000), 128},
		{"Zero 2 W", words(0, 0x18000000), 128},
		{"Pi 4, 4 GB", words(0, 0, 0x3b400000, 0, 0x40000000, 0xbc000000), 76},
		{"64 bits", words(0, 0, 0, 0x38000000), 128},
		{"QEMU, all of it", words(0, 0x40000000), 0},
		{"elsewhere", words(0, 0x40000000, 0, 0x40000000), 0},
		{"odd", []byte{1, 2, 3}, 0},
		{"none", nil, 0},
	}
	for _, tt := range tests {
		if got := parseGPUMemory(tt.reg); got != tt.want {
			t.Errorf("%s: %d MiB, want %d", tt.name, got, tt.want)
		}
	}
}

func FuzzCameraLines(f *testing.F) {
	f.Add([]byte("6,1,2,-;mmal\n SUBSYSTEM=x\n4,2,3,c;vchiq \xff;;\n"))
	f.Add([]byte(";mmal\n,,;mmal"))
	f.Add([]byte(strings.Repeat("1,2,3,-;"+strings.Repeat("vchiq\x01", 100)+"\n", 100)))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := cameraLines(text)
		if len(lines) > maxKept {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if len(line) > maxKernelLine || !utf8.ValidString(line) || strings.Contains(line, "\n") {
				t.Errorf("kept %q", line)
			}
		}
		Diagnosis{Kernel: lines}.Cause()
	})
}

func FuzzGPUMemory(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0x38, 0, 0, 0})
	f.Fuzz(func(t *testing.T, reg []byte) {
		if m := parseGPUMemory(reg); m < 0 || m > 1024 {
			t.Errorf("%x: %d MiB", reg, m)
		}
	})
}
