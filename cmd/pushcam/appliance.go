package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gpio"
)

// isAppliance says whether this is the gokrazy image, where the program has the
// machine for itself.
func isAppliance() bool {
	_, err := os.Stat("/gokrazy/init")
	return err == nil
}

// unplugTime is how long the program waits for its end after the system was
// told to switch off.
const unplugTime = 20 * time.Second

// powerOff switches the appliance off, and shows that it is safe to unplug until
// the system ends the program, which is when ctx is done.
func powerOff(ctx context.Context, p *panel, log *slog.Logger) error {
	log.Info("switching off: the button was held")
	power := device.Power{Log: log}
	// The system's way to switch off begins with ending this program.
	if err := power.Off(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot switch off: %w", err)
	}
	p.end(gpio.SafeToUnplug)
	select {
	case <-ctx.Done():
	case <-time.After(unplugTime):
	}
	return nil
}

// newAnnouncer gives the appliance its name on the network.
func newAnnouncer(a net.Addr, log *slog.Logger) *discovery.Announcer {
	host, err := os.Hostname()
	if err != nil {
		log.Warn("the host name is not known", "err", err)
	}
	port := 80
	if tcp, ok := a.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return &discovery.Announcer{
		Hostname: host,
		Port:     port,
		Version:  programInfo().Version,
		Model:    boardModel(),
		Log:      log.With("component", "discovery"),
	}
}

// boardModel is the board's name, as "Raspberry Pi 3 Model B Rev 1.2"; empty if
// the device tree does not tell.
func boardModel() string {
	model, err := os.ReadFile("/proc/device-tree/model")
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(model), "\x00\n")
}

// boardState is the part of /state.
func boardState() any {
	return struct {
		Model string `json:"model,omitempty"`
		device.Health
	}{boardModel(), new(device.Sensors).Read()}
}

// lastWords is how long a program that hangs has to log why it ends.
const lastWords = 5 * time.Second

// newGuard guards this program on the appliance, which starts it again.
func newGuard(cam *camera.Camera, web *http.Client, stderr io.Writer, log *slog.Logger) *guard {
	log = log.With("component", "guard")
	return &guard{
		state: cam.State,
		get:   selfCheck(web),
		log:   log,
		end: func(why error) {
			time.AfterFunc(lastWords, func() { os.Exit(1) })
			log.Error("the program hangs and ends itself", "why", why)
			dump(stderr)
			os.Exit(1)
		},
	}
}

// newUpdates is for the owner's updates over the network, and tries this one if
// it is new.
func newUpdates(c *config, cam *camera.Camera, p *panel, web *http.Client, log *slog.Logger) *updates {
	log = log.With("component", "update")
	power := device.Power{Log: log}
	return &updates{
		card:    new(device.Card),
		dir:     c.stateDir,
		version: programInfo().Version,
		health: health{
			answers: selfCheck(web),
			picture: selfPicture(web),
			board:   checkBoard,
			closed:  func() bool { return cam.State().Phase == camera.Privacy },
		},
		reboot:  power.Reboot,
		onTrial: p.onTrial,
		log:     log,
	}
}
