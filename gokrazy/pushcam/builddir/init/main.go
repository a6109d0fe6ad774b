// Init is process 1 of the appliance: gokrazy's boot, then every program of the
// image, supervised.
//
// It stands for the one that gok would generate, which holds the time of the
// build in its source, so that no two images of one commit would be the same. And
// it looks at the camera's program and at the card from outside: it ends an update's
// trial that its program does not end, and a program that hangs, and says when the
// card does not answer. It goes on when that is so, because it needs nothing from it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gokrazy/gokrazy"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/fat"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/update/card"
)

// buildTimestamp is how gokrazy tells one build from another. The linker sets
// it (package gokrazy/image).
var buildTimestamp = "unknown"

// setupTime is how long programs wait for what the owner has set on the card. New
// passwords on a slow card take most of it, once.
const setupTime = 10 * time.Second

func main() {
	log.SetFlags(log.LstdFlags | log.Lshortfile)
	// It does little and has much of its memory from the boot: what is collected more
	// often costs nothing, and leaves megabytes to the camera's program.
	debug.SetGCPercent(20)
	fmt.Printf("gokrazy build timestamp %s\n", buildTimestamp)
	var booted atomic.Bool
	// On a trial the old init has started the hardware's watchdog, and gokrazy looks
	// for that before it has mounted /dev (its runWatchdog): nobody would reset it.
	// The kernel itself has mounted it for the first init only.
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		log.Printf("devtmpfs: %v", err)
	}
	watchdog := card.TrialWatchdog{Card: new(card.Card), Booted: booted.Load, Reboot: reboot}
	go watchdog.Run()
	if err := gokrazy.Boot(buildTimestamp); err != nil {
		log.Fatal(err) // the kernel panics and starts anew: there is no system
	}
	booted.Store(true)
	fmt.Printf("model %q\n", gokrazy.Model())
	taker := setup.Taker{Boot: editBoot, Log: log.Printf,
		SetHostname: func(name string) error { return unix.Sethostname([]byte(name)) }}
	taker.TakeWithin(setupTime)
	configured, err := device.Programs("")
	if err != nil {
		log.Printf("programs start without what the image's configuration says of them: %v", err)
	}
	services, err := programs(configured, "/user", "/gokrazy")
	if err != nil {
		log.Fatal(err)
	}
	if err := gokrazy.SuperviseServices(services); err != nil {
		log.Fatal(err)
	}
	lookAfter()
	log.Fatal(end()) // the kernel panics and starts anew
}

// editBoot has edit work on the boot partition, in which the kernel's command line has
// room for the next update again: what prepares a card may have taken it.
func editBoot(edit func(*fat.FS) error) error {
	return new(card.Card).EditBoot(func(boot *fat.FS) error {
		switch restored, err := partition.RestorePadding(boot, time.Now()); {
		case err != nil:
			log.Printf("updates will fail: %v", err)
		case restored:
			log.Print("the kernel's command line on the card has room for updates again")
		}
		return edit(boot)
	})
}

// lookAfter has the card watched, and the program, and /perm grow to the card's size.
func lookAfter() {
	watch := &card.Watch{Card: new(card.Card), Log: log.Printf}
	go watch.Run(context.Background())
	program := &device.ProgramWatch{Path: "/user/pushcam", CardAnswers: watch.Answers, Log: log.Printf,
		Kill: func(pid int) error { return unix.Kill(pid, unix.SIGKILL) }}
	go program.Run(context.Background())
	go func() { // a card that hangs meanwhile is for the watch to say
		size, err := watch.Card.GrowPerm()
		if err != nil {
			log.Printf("/perm does not use the whole card: %v", err)
		}
		watch.SetPerm(size)
	}()
	// gokrazy's pages ask for the types of their files, which are looked up on the
	// card the first time.
	mime.TypeByExtension(".css")
	if _, err := device.LockText(); err != nil {
		log.Printf("init stops when the card does: %v", err)
	}
	debug.FreeOSMemory()
}

// reboot starts the system anew, with what was written to files on the card if
// that still takes anything.
func reboot(why string) {
	log.Printf("starting anew: %s", why)
	synced := make(chan struct{})
	go func() {
		unix.Sync()
		close(synced)
	}()
	select {
	case <-synced:
	case <-time.After(10 * time.Second):
	}
	log.Fatal(unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// programs are the files in the folders, in their order, but for this one, as the
// image's configuration has them started.
func programs(configured map[string]device.Program, dirs ...string) ([]*gokrazy.Service, error) {
	var services []*gokrazy.Service
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			path := filepath.Join(dir, f.Name())
			if path == "/gokrazy/init" {
				continue
			}
			p := configured[f.Name()]
			cmd := exec.Command(path, p.CommandLineFlags...)
			cmd.Env = append(os.Environ(), p.Environment...) // gokrazy adds HOME to it
			service := gokrazy.NewService
			switch {
			case p.DontStart:
				service = gokrazy.NewStoppedService
			case p.WaitForClock:
				service = gokrazy.NewWaitForClockService
			}
			services = append(services, service(cmd))
		}
	}
	return services, nil
}
