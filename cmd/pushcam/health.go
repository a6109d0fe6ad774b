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
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// health decides whether an update is well, by looking from outside as far as it
// can.
type health struct {
	answers func(context.Context) error // the program's own HTTP server, anything
	picture func(context.Context) error // and a picture that was taken after the request
	board   func() error
	closed  func() bool // by its owner: then there can be no picture
}

const (
	healthInterval = 2 * time.Second
	wellTime       = 30 * time.Second // for which all is well, without a break
	firstWellTime  = 60 * time.Second // until it is for the first time: a USB camera may take its time
	// verdictTime is before card.TrialTime, so that the reason is known.
	verdictTime = 2 * time.Minute
)

// watch returns nil when all was well for wellTime, or why it was not in time. It
// tells wait what it is waiting for.
func (h *health) watch(ctx context.Context, camera bool, wait func(string)) error {
	began := time.Now()
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	var since time.Time // that it is well; zero if it is not
	ever := false
	for {
		err := h.look(ctx, camera)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			since = time.Time{}
			wait(err.Error())
			if !ever && now.Sub(began) >= firstWellTime {
				return fmt.Errorf("it was not well within %v: %w", firstWellTime, err)
			}
		case since.IsZero():
			since, ever = now, true
			fallthrough
		default:
			well := now.Sub(since)
			if well >= wellTime {
				return nil
			}
			wait(fmt.Sprintf("well for %.0f of %.0f s", well.Seconds(), wellTime.Seconds()))
		}
		if now.Sub(began) >= verdictTime {
			return fmt.Errorf("it was not well for %v on end within %v: %w", wellTime, verdictTime, errOrNever(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func errOrNever(err error) error {
	if err == nil {
		return errors.New("it is well only now and then")
	}
	return err
}

func (h *health) look(ctx context.Context, camera bool) error {
	if err := h.board(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	if camera && !h.closed() {
		if err := h.picture(ctx); err != nil {
			return fmt.Errorf("the camera, which worked before, gives no picture: %w", err)
		}
		return nil
	}
	if err := h.answers(ctx); err != nil {
		return fmt.Errorf("the HTTP server does not answer: %w", err)
	}
	return nil
}

const (
	pictureTime = 15 * time.Second // more than the server allows itself
	maxPicture  = 32 << 20         // bytes
)

// selfPicture returns a health's picture for the program's own server.
func selfPicture(web *http.Client) func(context.Context) error {
	return func(ctx context.Context) error {
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
}

const (
	minMemory  = 32 << 20 // bytes that must be left for everything
	maxCelsius = 85       // from here a Pi's firmware slows it down
)

// checkBoard says what the board suffers from.
func checkBoard() error {
	if t := new(device.Sensors).Read().Temperature; t != nil && *t >= maxCelsius {
		return fmt.Errorf("the processor has %.0f °C", *t)
	}
	f, err := os.Open("/proc/meminfo")
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
