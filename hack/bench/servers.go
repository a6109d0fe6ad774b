//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	frameSize = 100_000 // bytes
	frameRate = 30      // frames per second

	recordingLength = 90 // frames of what pushcam shows again and again
)

//go:embed fakecam.c
var fakecam []byte

// tools are the programs and pictures that the measurements use, in a folder of their
// own.
type tools struct {
	dir  string
	self string    // this program
	log  io.Writer // takes what the processes say
}

// newTools builds and draws everything. The caller removes dir.
func newTools(ctx context.Context, dir, module string, log io.Writer) (*tools, error) {
	t, err := reuseTools(dir, log)
	if err != nil {
		return nil, err
	}
	for _, size := range []int{frameSize / 5, frameSize, 3 * frameSize} {
		picture, err := newPicture(size)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(t.picture(size), picture, 0o644); err != nil {
			return nil, err
		}
		recording := bytes.Repeat(picture, recordingLength)
		if err := os.WriteFile(t.recording(size), recording, 0o644); err != nil {
			return nil, err
		}
		if size != frameSize {
			continue
		}
		if err := os.WriteFile(t.path("camera.jpg"), withoutStamp(picture), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(t.path("fakecam.c"), fakecam, 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(t.path("camera"), nil, 0o644); err != nil { // only its path counts
		return nil, err
	}
	build := exec.CommandContext(ctx, "gcc", "-O2", "-fPIC", "-shared", "-o", t.path("fakecam.so"), t.path("fakecam.c"))
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build fakecam.so: %w: %s", err, out)
	}
	build = exec.CommandContext(ctx, "go", "build", "-o", t.path("pushcam"), "./cmd/pushcam")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build pushcam: %w: %s", err, out)
	}
	return t, nil
}

// reuseTools is for a process of this program that finds dir as newTools left it.
func reuseTools(dir string, log io.Writer) (*tools, error) {
	self, err := os.Executable()
	return &tools{dir, self, log}, err
}

func (t *tools) path(name string) string { return filepath.Join(t.dir, name) }

func (t *tools) picture(size int) string { return t.path(strconv.Itoa(size) + ".jpg") }

func (t *tools) recording(size int) string { return t.path(strconv.Itoa(size) + ".mjpeg") }

// A server is a program that streams frameRate pictures of a size per second.
type server struct {
	name    string
	command func(ctx context.Context, t *tools, address string, size int) *exec.Cmd
}

var (
	ustreamer = server{"ustreamer", func(ctx context.Context, t *tools, address string, _ int) *exec.Cmd {
		host, port, _ := net.SplitHostPort(address)
		cmd := exec.CommandContext(ctx, "ustreamer", "--device="+t.path("camera"), "--format=MJPEG", "--encoder=HW",
			"--resolution="+fmt.Sprintf("%dx%d", pictureWidth, pictureHeight), "--desired-fps="+strconv.Itoa(frameRate),
			"--host="+host, "--port="+port)
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+t.path("fakecam.so"), "FAKECAM_DEVICE="+t.path("camera"),
			"FAKECAM_JPEG="+t.path("camera.jpg"), "FAKECAM_FPS="+strconv.Itoa(frameRate))
		return cmd
	}}
	// pushcam is the program as it is shipped, with a recording as its camera. To read
	// a frame from a file costs more than to take it from a driver.
	pushcam = server{"pushcam", func(ctx context.Context, t *tools, address string, size int) *exec.Cmd {
		return exec.CommandContext(ctx, t.path("pushcam"), "-listen", address, "-source", "replay:"+t.recording(size),
			"-fps", strconv.Itoa(frameRate))
	}}
	// behind is pushcam behind a camera that costs what ustreamer's does. Go is told what the
	// program tells it by itself (gcPercent, processors), which is not busy here.
	behind = server{"pushcam, fake camera", func(ctx context.Context, t *tools, address string, size int) *exec.Cmd {
		cmd := exec.CommandContext(ctx, t.self, "serve-camera", address, t.picture(size))
		cmd.Env = append(os.Environ(), "GOGC=150", "GOMAXPROCS=1")
		return cmd
	}}
	// floor writes each frame to each viewer, and does nothing else.
	floor = server{"bare writev", func(ctx context.Context, t *tools, address string, size int) *exec.Cmd {
		return exec.CommandContext(ctx, t.self, "serve-writev", address, t.picture(size))
	}}
)

const serveAddress = "127.0.0.1:8080" // each server has a network of its own

// A trial is one server in a place, measured once.
type trial struct {
	cmd  *exec.Cmd
	stop context.CancelFunc
}

// begin starts the server.
func (s server) begin(ctx context.Context, t *tools, where place, address string, size int) (*trial, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := s.command(ctx, t, address, size)
	if err := start(where, cmd); err != nil {
		stop()
		return nil, err
	}
	return &trial{cmd, stop}, nil
}

func (t *trial) pid() int { return t.cmd.Process.Pid }

// end asks the server to end, and waits.
func (t *trial) end() {
	t.stop()
	_ = t.cmd.Wait() // its error is only the signal that we sent
}
