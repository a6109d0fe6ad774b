package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// health is what an update's trial asks this program.
type health struct {
	root device.Root
	web  *http.Client // of this program's own server
	cam  *camera.Camera
}

var _ update.Health = (*health)(nil)

func (h *health) Answers(ctx context.Context) error { return selfCheck(h.web)(ctx) }

func (h *health) Picture(ctx context.Context) error { return selfPicture(ctx, h.web) }

func (h *health) Private() bool { return h.cam.State().Phase == camera.Privacy }

const maxPicture = 32 << 20 // bytes

// selfPicture asks the program's own server for a picture.
func selfPicture(ctx context.Context, web *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/snapshot.jpg", nil)
	if err != nil {
		return err
	}
	resp, err := web.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	jpg, err := io.ReadAll(io.LimitReader(resp.Body, maxPicture))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK && resp.Header.Get("X-Error") != "":
		return errors.New(resp.Header.Get("X-Error"))
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(jpg[:min(len(jpg), 200)]))
	case !bytes.HasPrefix(jpg, []byte("\xff\xd8")) || !bytes.HasSuffix(jpg, []byte("\xff\xd9")):
		return fmt.Errorf("what it gives is no whole JPEG but %d other bytes", len(jpg))
	}
	return nil
}

const (
	minMemory  = 32 << 20 // bytes that must be left for everything
	maxCelsius = 85       // from here a Pi's firmware slows it down
)

// Board says what the board suffers from.
func (h *health) Board() error {
	if t := (&device.Sensors{Root: h.root}).Read().Temperature; t != nil && *t >= maxCelsius {
		return fmt.Errorf("the processor has %.0f °C", *t)
	}
	f, err := os.Open(h.root.Path("proc/meminfo"))
	if err != nil {
		return err
	}
	defer f.Close()
	left, err := memoryLeft(f)
	if err == nil && left < minMemory {
		err = fmt.Errorf("only %d MiB of memory are left", left>>20)
	}
	return err
}

// memoryLeft is MemAvailable of /proc/meminfo (proc(5)), in bytes.
func memoryLeft(meminfo io.Reader) (int64, error) {
	for lines := bufio.NewScanner(meminfo); lines.Scan(); {
		value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		return kilobytes << 10, err
	}
	return 0, errors.New("/proc/meminfo does not say how much memory is left")
}
