package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/commandline"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/pusher"
)

// config is the program's settings.
type config struct {
	root      device.Root // of the system's files
	appliance bool        // the system is gokrazy's, and this program has it for itself
	given     map[string]given
	problems  []setup.Problem // of the card's files
	ownerHash string          // of a password that /perm could not keep; or ""
	// setUpViewing is who may look as the page of the set-up network says; or "".
	setUpViewing string
	// with reads the settings again, with these flags of the page's.
	with func(page map[string]string) (*config, error)

	ownerPassword secret // on a PC

	listen      string
	listenTLS   string
	tlsCert     string
	tlsKey      string
	tlsRedirect bool

	viewing        string // open or closed
	viewerPassword secret
	viewerHash     string // of the viewers' password on the card; or ""

	verbose slog.Level
	version bool

	stateDir string

	gpioChip      string
	led           bool
	ledGPIO       int
	ledActiveLow  bool
	ledSys        string
	buttonGPIO    int
	buttonHold    time.Duration
	privacyButton bool

	source   source
	device   string
	size     size
	fps      float64
	quality  int
	bitrate  bitrate
	format   string
	controls v4l2.Controls
	idleHold time.Duration
	alwaysOn bool

	allowHosts   list
	allowOrigins list
	updateKeys   keyList

	memory         int // MiB
	maxViewers     int
	viewerTimeout  time.Duration
	maxSessions    int
	sessionFrames  int
	sessionTimeout time.Duration
}

func (c *config) settings() camera.Settings {
	return camera.Settings{Width: c.size.width, Height: c.size.height, FPS: c.fps, Quality: c.quality}
}

// groups is the order in which -h shows the flags.
var groups = []struct {
	title string
	flags []string
}{
	{"Camera", []string{"source", "device", "size", "fps", "quality", "bitrate", "format", "control", "idle-hold", "always-on"}},
	{"Viewers", []string{"listen", "listen-tls", "tls-cert", "tls-key", "tls-redirect", "max-viewers", "viewer-timeout", "max-sessions", "session-frames", "session-timeout", "allow-host", "allow-origin", "viewing", "viewer-password", "owner-password"}},
	{"LED and button", []string{"led", "led-sys", "led-gpio", "led-active-low", "button-gpio", "button-hold", "privacy-button", "gpio-chip"}},
	{"Program", []string{"state-dir", "update-key", "memory", "log-level", "version"}},
}

// errUsage is returned for bad flags, after the reason was printed.
var errUsage = errors.New("usage")

// defaults are those that differ between the appliance and a PC.
type defaults struct {
	listen, listenTLS   string
	ledSys              string
	ledGPIO, buttonGPIO int
	stateDir            string
}

func (c *config) defaults() defaults {
	if c.appliance {
		return defaults{listen: ":80", listenTLS: ":443", ledSys: "auto", ledGPIO: 17, buttonGPIO: 3, stateDir: c.root.Path("perm/pushcam")}
	}
	d := defaults{listen: ":8080", ledSys: "none", ledGPIO: -1, buttonGPIO: -1}
	if dir, err := os.UserConfigDir(); err == nil {
		d.stateDir = filepath.Join(dir, "pushcam")
	}
	return d
}

// flags makes the flag set that fills c.
func (c *config) flags() *flag.FlagSet {
	d := c.defaults()
	c.size = size{1280, 720}
	fs := flag.NewFlagSet("pushcam", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed once, below

	c.source.kind = "auto"
	fs.Var(&c.source, "source", "`what` gives the pictures: auto, v4l2, pattern, replay:PATH (a folder of JPEGs or an\n.mjpeg file), or the URL of another camera's stream; auto takes the first camera, and on a PC without\none the test pattern")
	fs.StringVar(&c.device, "device", "", "the camera: a `path`, or a part of its name or bus; without it the first one with MJPEG")
	fs.Var(&c.size, "size", "`size` of the picture in pixels, as 1280x720; the camera may adjust it")
	fs.Float64Var(&c.fps, "fps", 30, "`pictures` per second; the camera may adjust it")
	fs.IntVar(&c.quality, "quality", 0, "JPEG `quality` from 1 to 100; 0 leaves it to the camera")
	fs.Var(&c.bitrate, "bitrate", "`bits` per second of the Pi camera's video, as 8M or 800k; without it what suits -size,\n-fps and -quality")
	fs.StringVar(&c.format, "format", "mjpg", "`mjpg`, or jpeg: with the Pi camera single pictures, better and slow")
	fs.Var(&c.controls, "control", "`name=value` of a control of the camera: rotate=180, hflip=on, exposure=10ms,\nwhite_balance=daylight, iso=400, power_line=60, brightness=60 and what else it has; as often as you like")
	fs.DurationVar(&c.idleHold, "idle-hold", 10*time.Second, "`time` for which the camera runs on after the last viewer has left")
	fs.BoolVar(&c.alwaysOn, "always-on", false, "keep the camera running while nobody watches")

	fs.StringVar(&c.listen, "listen", d.listen, "`address` to serve on: :8080, 127.0.0.1:8080, [::1]:8080 or unix:/path")
	fs.StringVar(&c.listenTLS, "listen-tls", d.listenTLS, "`address` to serve on with TLS (https), as :8443; without it there is none")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "`file` with a certificate of your own for that, and those that lead to its authority (PEM);\nwithout it one that the camera has signed itself, of which browsers warn")
	fs.StringVar(&c.tlsKey, "tls-key", "", "`file` with the key of that certificate (PEM)")
	fs.BoolVar(&c.tlsRedirect, "tls-redirect", false, "send everybody who comes without TLS to https; not for use behind a proxy")
	fs.IntVar(&c.maxViewers, "max-viewers", 0, "`number` of open streams at most; 0 is as many as -memory allows, 128 by default")
	fs.DurationVar(&c.viewerTimeout, "viewer-timeout", 10*time.Second, "`time` after which a viewer that takes nothing is dropped")
	fs.IntVar(&c.maxSessions, "max-sessions", 0, "`number` of push sessions at most; 0 is half of the viewers that -memory allows")
	fs.IntVar(&c.sessionFrames, "session-frames", 60, "`number` of frames without a keep-alive after which a push session ends,")
	fs.DurationVar(&c.sessionTimeout, "session-timeout", 5*time.Second, "or `time`, if that is longer")

	c.allowHosts.check, c.allowOrigins.check = checkHost, checkOrigin
	fs.Var(&c.allowHosts, "allow-host", "`name` under which the camera is opened too, as behind a proxy: cam.example.org, or\n.example.org for all below it; several with commas. Its addresses, names without a dot and those below\n.local, .lan, .home.arpa and .internal are allowed")
	fs.Var(&c.allowOrigins, "allow-origin", "`origin` of a page whose scripts may read pictures and the state, and which may show the\ncamera's page in a frame: https://home.example:8123, or * for all; several with commas")

	fs.StringVar(&c.viewing, "viewing", "open", "`who` may look: open is everybody on the network, closed is who knows a password")
	fs.Var(&c.viewerPassword, "viewer-password", "`password` of the viewers, for -viewing closed; rather in the environment, as\nPUSHCAM_VIEWER_PASSWORD, because everybody on this computer sees flags")

	fs.Var(&c.ownerPassword, "owner-password", "`password` of the owner on a PC, who changes the camera on its page; rather in the\nenvironment, as PUSHCAM_OWNER_PASSWORD")

	fs.BoolVar(&c.led, "led", true, "the LEDs show how the camera is; without it they do only if something is wrong or ends")
	fs.StringVar(&c.ledSys, "led-sys", d.ledSys, "the board's own LED, by its `name` in /sys/class/leds; auto is a Pi's ACT LED, none is none")
	fs.IntVar(&c.ledGPIO, "led-gpio", d.ledGPIO, "GPIO `line` of a status LED; -1 is none")
	fs.BoolVar(&c.ledActiveLow, "led-active-low", false, "that LED is on while its line is low")
	fs.IntVar(&c.buttonGPIO, "button-gpio", d.buttonGPIO, "GPIO `line` of a button to ground; -1 is none")
	fs.DurationVar(&c.buttonHold, "button-hold", gpio.DefaultHold, "`time` for which the button is held to switch off")
	fs.BoolVar(&c.privacyButton, "privacy-button", true, "a short press closes the camera, and opens it again")
	fs.StringVar(&c.gpioChip, "gpio-chip", "", "`name` or label of the GPIO chip; without it the one with a Pi's pins")

	fs.StringVar(&c.stateDir, "state-dir", d.stateDir, "`folder` for what is changed while the program runs")
	fs.Var(&c.updateKeys, "update-key", "`key` of a computer whose updates the appliance takes: ssh-ed25519 AAAA…, as that computer's pushcamctl\nupdate names it; several with commas")
	fs.IntVar(&c.memory, "memory", pusher.DefaultMemory>>20, "memory budget of the whole program in `MiB`")
	fs.TextVar(&c.verbose, "log-level", slog.LevelInfo, "what to log: debug, info, warn or error")
	fs.BoolVar(&c.version, "version", false, "print the version and exit")
	commandline.Explain(fs)
	return fs
}

// parse reads the settings: from the command line, else from the environment, where
// -idle-hold is called PUSHCAM_IDLE_HOLD, else from the card's file, where it is called
// idle-hold, else from the page: see config.with. What the card has and cannot be is left out, and among c.problems.
func parse(root device.Root, args []string, getenv func(string) string, card setup.Setup, stdout, stderr io.Writer) (*config, error) {
	_, fs, err := readFlags(root, args, getenv, nil, nil)
	if errors.Is(err, flag.ErrHelp) {
		usage(fs, stdout)
		return nil, err
	}
	if err != nil {
		fmt.Fprintf(stderr, "pushcam: %v; pushcam -h lists the flags\n", err)
		return nil, errUsage
	}
	flags, problems := cardFlags(card, fs, func(flags map[string]string) (err error) {
		_, _, err = readFlags(root, args, getenv, flags, nil)
		return err
	})
	var with func(page map[string]string) (*config, error)
	with = func(page map[string]string) (*config, error) {
		c, _, err := readFlags(root, args, getenv, flags, page)
		if err != nil {
			return nil, err
		}
		c.problems, c.ownerHash, c.viewerHash, c.with = append(card.Problems, problems...), card.Password, card.ViewerPassword, with
		c.setUpViewing = card.Viewing
		c.complete()
		return c, nil
	}
	return with(nil)
}

// budget is -memory in bytes.
func (c *config) budget() int64 { return int64(c.memory) << 20 }

// complete fills in what follows from other settings.
func (c *config) complete() {
	if c.source.kind == "auto" && c.appliance {
		c.source.kind = "v4l2" // who mounted a camera is not helped by a test pattern
	}
	if c.idleHold == 0 {
		c.idleHold = time.Nanosecond // at once: camera.Camera takes 0 for its default
	}
	if c.maxViewers == 0 {
		c.maxViewers = pusher.ViewersFor(c.budget())
	}
	if c.maxSessions == 0 {
		c.maxSessions = pusher.ViewersFor(c.budget()) / 2
	}
}

// readFlags reads the settings and checks them. It gives the flag set for its usage.
func readFlags(root device.Root, args []string, getenv func(string) string, card, page map[string]string) (*config, *flag.FlagSet, error) {
	c := &config{root: root, appliance: root.Gokrazy()}
	fs := c.flags()
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("pushcam takes flags only, not %q", fs.Arg(0))
	}
	if err == nil {
		c.given, err = fill(fs, []layer{
			{byEnvironment, func(flag string) (string, string) { return getenv(envName(flag)), envName(flag) }},
			{byCard, func(flag string) (string, string) { return card[flag], flag + " on the card" }},
			{bySettings, func(flag string) (string, string) { return page[flag], flag }},
		})
	}
	if err == nil {
		err = c.check()
	}
	return c, fs, err
}

func envName(flag string) string {
	return "PUSHCAM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// controlsOver are the camera's controls. Those that the settings have go before those
// that the owner has set while the program ran, which are kept.
func (c *config) controlsOver(kept v4l2.Controls) map[string]given {
	all := make(map[string]given)
	for name, value := range c.controls {
		all[name] = given{value, c.given["control"].By}
	}
	if c.bitrate != "" {
		all["bitrate"] = given{string(c.bitrate), c.given["bitrate"].By}
	}
	if c.quality > 0 {
		all["quality"] = given{strconv.Itoa(c.quality), c.given["quality"].By}
	}
	fixed := slices.Collect(maps.Keys(all))
	for name, value := range kept {
		if !slices.ContainsFunc(fixed, func(f string) bool { return v4l2.Overlap(f, name) }) {
			all[name] = given{value, bySettings}
		}
	}
	return all
}

// isCameraFile tells whether a path is one of Video4Linux.
func isCameraFile(path string) bool {
	return filepath.Clean(path) == path && (strings.HasPrefix(path, "/dev/video") || strings.HasPrefix(path, "/dev/v4l/"))
}

// check refuses values that no camera or server can mean.
func (c *config) check() error {
	if err := c.source.check(); err != nil {
		return err
	}
	switch {
	case !(c.fps > 0 && c.fps <= 1000):
		return fmt.Errorf("-fps is above 0 and at most 1000, not %v", c.fps)
	case c.given["device"].By == bySettings && strings.HasPrefix(c.device, "/") && !isCameraFile(c.device):
		// To open another file could do anything: a watchdog would reboot the board.
		return fmt.Errorf("-device is a camera as /dev/video0, or a part of its name or bus, not %q", c.device)
	case c.quality < 0 || c.quality > 100:
		return fmt.Errorf("-quality is from 1 to 100, not %d", c.quality)
	case c.format != "mjpg" && c.format != "jpeg":
		return fmt.Errorf("-format is mjpg or jpeg, not %q", c.format)
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key go together: a certificate and its key")
	case c.listenTLS == "" && (c.tlsCert != "" || c.tlsRedirect):
		return errors.New("-tls-cert and -tls-redirect need an address for TLS, as -listen-tls :8443")
	case c.viewing != "open" && c.viewing != "closed":
		return fmt.Errorf("-viewing is open or closed, not %q", c.viewing)
	case c.ownerPassword != "" && c.appliance:
		return errors.New("-owner-password is for a PC: on the appliance the owner's password is password= on the card, or chosen on the page")
	case c.ownerPassword != "" && device.CheckPassword(string(c.ownerPassword)) != nil:
		return fmt.Errorf("-owner-password: %w", device.CheckPassword(string(c.ownerPassword)))
	case c.viewing == "closed" && c.given["viewing"].By != bySettings && !c.appliance && c.viewerPassword == "" && c.ownerPassword == "":
		// What its owner has closed on the page stays closed without a password, too.
		return errors.New("-viewing closed needs a password: set PUSHCAM_VIEWER_PASSWORD in the environment")
	case c.viewerPassword != "" && device.CheckPassword(string(c.viewerPassword)) != nil:
		return fmt.Errorf("-viewer-password: %w", device.CheckPassword(string(c.viewerPassword)))
	case c.idleHold < 0:
		return fmt.Errorf("-idle-hold is a time from 0, not %v", c.idleHold)
	case c.maxViewers < 0:
		return fmt.Errorf("-max-viewers is from 0, not %d", c.maxViewers)
	case c.maxSessions < 0:
		return fmt.Errorf("-max-sessions is from 0, not %d", c.maxSessions)
	case c.given["max-viewers"].By == bySettings && c.maxViewers > pusher.ViewersFor(c.budget()):
		return fmt.Errorf("-max-viewers is at most %d here, for which the memory is enough, and not %d", pusher.ViewersFor(c.budget()), c.maxViewers)
	case c.given["max-sessions"].By == bySettings && c.maxSessions > pusher.ViewersFor(c.budget()):
		return fmt.Errorf("-max-sessions is at most %d here, for which the memory is enough, and not %d", pusher.ViewersFor(c.budget()), c.maxSessions)
	case c.ledGPIO < -1 || c.buttonGPIO < -1:
		return errors.New("-led-gpio and -button-gpio are line numbers from 0, or -1 for none")
	case c.ledGPIO >= 0 && c.ledGPIO == c.buttonGPIO:
		return fmt.Errorf("-led-gpio and -button-gpio are both line %d", c.ledGPIO)
	case c.buttonHold < 500*time.Millisecond || c.buttonHold > time.Minute:
		return fmt.Errorf("-button-hold is from 500ms to 1m, not %v", c.buttonHold)
	case c.memory < 40 || c.memory > 1<<20:
		return fmt.Errorf("-memory is from 40 MiB, not %d", c.memory)
	case c.viewerTimeout < time.Second:
		return fmt.Errorf("-viewer-timeout is at least 1s, not %v", c.viewerTimeout)
	case c.sessionFrames < 1:
		return fmt.Errorf("-session-frames is at least 1, not %d", c.sessionFrames)
	case c.sessionTimeout < time.Second:
		return fmt.Errorf("-session-timeout is at least 1s, not %v", c.sessionTimeout)
	}
	return nil
}

func usage(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, "pushcam shows a camera to browsers and players on the network.\n\n"+
		"Usage: pushcam [flags]\n\n"+
		"Each flag can also be given as an environment variable, -idle-hold as PUSHCAM_IDLE_HOLD.\n")
	for _, g := range groups {
		fmt.Fprintf(out, "\n%s:\n", g.title)
		for _, name := range g.flags {
			f := fs.Lookup(name)
			value, text := flag.UnquoteUsage(f)
			fmt.Fprintf(out, "  %s\n      %s", strings.TrimSpace("-"+name+" "+value), strings.ReplaceAll(text, "\n", "\n      "))
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
				fmt.Fprintf(out, " (default %s)", f.DefValue)
			}
			fmt.Fprintln(out)
		}
	}
}

// exitCode is 2 for a wrong command line, 1 for anything else that failed.
func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	defer time.AfterFunc(asyncEnd, func() { os.Exit(1) }).Stop() // nobody may read stderr
	fmt.Fprintf(os.Stderr, "pushcam: %v\n", err)
	return 1
}
