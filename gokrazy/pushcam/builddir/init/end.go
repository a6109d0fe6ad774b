package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/kenshaw/evdev"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// end waits until the system is asked to end, and ends it. It takes gokrazy's place in
// that: gokrazy ends the program first, whose LEDs are dark then although the card is
// still written to, and unmounts /perm, for which it waits for ever if the card hangs.
// It returns only if the kernel refuses.
func end() error {
	signals := make(chan os.Signal, 1)
	signal.Ignore(unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2) // takes them from gokrazy
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	pressed := make(chan string, 1)
	watchPowerKeys(pressed)
	power := device.OpenPower()
	e := &device.Ending{
		Program:   "/user/pushcam",
		Kill:      unix.Kill,
		EndOthers: power.EndOthers,
		Settle:    new(card.Card).Settle,
		PowerOff:  power.Off,
		Restart:   power.Restart,
		Log:       log.Printf,
	}
	select {
	case s := <-signals:
		return e.Do(s != unix.SIGTERM, fmt.Sprintf("process 1 got the signal %q", s))
	case name := <-pressed:
		return e.Do(true, fmt.Sprintf("the power key of %q was pressed", name))
	}
}

// watchPowerKeys tells when a power key is pressed, of those input devices that were
// there when gokrazy looked. It takes them for itself alone, so that gokrazy, which has
// them open too, hears nothing (EVIOCGRAB).
func watchPowerKeys(pressed chan<- string) {
	files, _ := filepath.Glob("/dev/input/event*") // the pattern is right
	for _, file := range files {
		dev, err := evdev.OpenFile(file)
		if err != nil {
			log.Printf("a power key may not be heard: %v", err)
			continue
		}
		if !dev.KeyTypes()[evdev.KeyPower] {
			dev.Close()
			continue
		}
		if err := dev.Lock(); err != nil {
			log.Printf("the power key of %q: %v", dev.Name(), err)
			dev.Close()
			continue
		}
		log.Printf("the power key of %q switches off", dev.Name())
		go func() { // as long as the device is there
			defer dev.Close()
			for event := range dev.Poll(context.Background()) {
				if key, ok := event.Type.(evdev.KeyType); ok && key == evdev.KeyPower && event.Value == 1 {
					select {
					case pressed <- dev.Name():
					default: // it is known
					}
				}
			}
		}()
	}
}
