//go:build cgo

package v4l2

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// A finder chooses the camera among the device files. It is for one goroutine
// at a time.
type finder struct {
	last  camera.Device   // that frames came from
	known map[string]node // what was read of the device files, by path
	seen  map[string]identity

	probe   func(file string) (probed, error) // a test's; nil means probeDevice
	waiting func()                            // a test's: called before wait sleeps
}

// node is a device file, and what the device says of itself.
type node struct {
	camera.Device
	probed
	file     string // Path below the root
	identity identity
	err      error // it could not be opened
}

// probed is what a device answers when it is opened.
type probed struct {
	name, driver, bus string
	capabilities      uint32 // of this device file, not of the whole device
	formats           []ioctl.FormatDescription
}

// identity changes whenever a device file is made anew, and when its owner or
// permissions change.
type identity struct {
	inode, device uint64
	changed       syscall.Timespec
}

func (n node) String() string {
	if n.Name == "" {
		return n.Path
	}
	return fmt.Sprintf("%s (%s)", n.Path, n.Name)
}

// find chooses the camera that is wanted: see Source.Device.
func (f *finder) find(root, want string) (node, error) {
	nodes := f.look(root)
	if strings.HasPrefix(want, "/") {
		return f.findPath(root, want, nodes)
	}
	var cameras []node
	for _, n := range nodes {
		if n.refusal() == "" && n.matches(want) {
			cameras = append(cameras, n)
		}
	}
	if len(cameras) > 0 {
		// Encoding costs this computer a third of its time: a camera that does it
		// itself comes first. Sorting keeps the order of equals.
		slices.SortStableFunc(cameras, func(a, b node) int {
			return cmp.Or(cmp.Compare(a.rawness(), b.rawness()), cmp.Compare(b.likeness(f.last), a.likeness(f.last)))
		})
		return cameras[0], nil
	}
	return node{}, noneOf(root, want, nodes)
}

// findPath finds the camera at a path, or, when nothing is there any more, the
// one that was used last, wherever it is now.
func (f *finder) findPath(root, path string, nodes []node) (node, error) {
	file, err := filepath.EvalSymlinks(filepath.Join(root, path)) // /dev/v4l/by-id/…
	if errors.Is(err, fs.ErrNotExist) {
		for _, n := range nodes {
			if n.likeness(f.last) > 0 && n.refusal() == "" {
				return n, nil
			}
		}
		return node{}, fmt.Errorf("%w at %s: there is no such file; %s", camera.ErrNoCamera, path, seenInstead(nodes))
	}
	if err != nil {
		return node{}, err
	}
	n := f.read(root, file)
	f.seen[n.Path] = n.identity
	if n.err != nil {
		return node{}, explain(root, n, n.err)
	}
	if why := n.refusal(); why != "" {
		return node{}, blocked{fmt.Errorf("%s cannot be used: %s; %s", n, why, seenInstead(nodes))}
	}
	return n, nil
}

// look reads all device files. What was read of one holds until the file
// changes.
func (f *finder) look(root string) []node {
	var nodes []node
	f.seen = map[string]identity{}
	for _, file := range deviceFiles(root) {
		n := f.read(root, file)
		f.seen[n.Path] = n.identity
		nodes = append(nodes, n)
	}
	maps.DeleteFunc(f.known, func(path string, n node) bool { return f.seen[path] != n.identity })
	return nodes
}

// read reads one device file.
func (f *finder) read(root, file string) node {
	path := "/" + strings.TrimPrefix(strings.TrimPrefix(file, root), "/")
	n := node{file: file, Device: camera.Device{Path: path}}
	n.identity, n.err = identify(file)
	if n.err != nil {
		return n
	}
	if k, ok := f.known[path]; ok && k.identity == n.identity {
		return k
	}
	probe := f.probe
	if probe == nil {
		probe = probeDevice
	}
	if n.probed, n.err = probe(file); n.err != nil {
		return n // it is tried again
	}
	n.Name, n.Driver, n.Bus, n.Serial = plainName(n.name), n.driver, n.bus, usbSerial(root, filepath.Base(file))
	if f.known == nil {
		f.known = map[string]node{}
	}
	f.known[path] = n
	return n
}

// changed says whether a device file is there that was not at the last look, or
// was another one.
func (f *finder) changed(root string) bool {
	for _, file := range deviceFiles(root) {
		id, err := identify(file)
		if err == nil && f.seen["/dev/"+filepath.Base(file)] != id {
			return true
		}
	}
	return false
}

// deviceFiles lists /dev/video0, /dev/video1, … below root in the order of
// their numbers.
func deviceFiles(root string) []string {
	dev := filepath.Join(root, "dev")
	entries, _ := os.ReadDir(dev) // without /dev there is no camera either
	numbers := map[string]int{}
	for _, e := range entries {
		if n, ok := videoNumber(e.Name()); ok {
			numbers[filepath.Join(dev, e.Name())] = n
		}
	}
	return slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return numbers[a] - numbers[b] })
}

func videoNumber(name string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(name, "video")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

func identify(file string) (identity, error) {
	info, err := os.Stat(file)
	if err != nil {
		return identity{}, err
	}
	stat := info.Sys().(*syscall.Stat_t)
	return identity{inode: stat.Ino, device: uint64(stat.Rdev), changed: stat.Ctim}, nil
}

// probeDevice asks a device what it is. go4vl's GetCapability is the one of its
// calls that is safe: its others keep the address of a variable on the stack in
// a uintptr, and the stack may move before the kernel writes there.
func probeDevice(file string) (p probed, err error) {
	device, err := ioctl.Open(file)
	if err != nil {
		return p, err
	}
	defer device.Close()
	c, err := go4vl.GetCapability(device.FD())
	if err != nil {
		return p, fmt.Errorf("it is not a video device, or does not answer: %w", err)
	}
	p = probed{name: c.Card, driver: c.Driver, bus: c.BusInfo, capabilities: c.GetCapabilities()}
	if p.capabilities&go4vl.CapVideoCapture != 0 {
		if p.formats, err = device.Formats(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// plainName undoes what uvcvideo makes of webcams that give their one function
// the name of the product: "Integrated Camera: Integrated C", cut at 31 bytes.
func plainName(card string) string {
	if product, function, ok := strings.Cut(card, ": "); ok && strings.HasPrefix(product, function) {
		return product
	}
	return card
}

// usbSerial reads the serial number of the USB device behind a device file,
// empty when it has none.
func usbSerial(root, name string) string {
	device, err := usbDevice(root, name)
	if err != nil {
		return ""
	}
	serial, err := os.ReadFile(filepath.Join(device, "serial"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(serial))
}

// refusal says why a device cannot be used; nothing when it can.
func (n node) refusal() string {
	has := func(c uint32) bool { return n.capabilities&c != 0 }
	if n.err != nil {
		return n.err.Error()
	}
	switch _, ok := n.pixelFormat(""); {
	case has(go4vl.CapVideoMem2Mem | go4vl.CapVideoMem2MemMPlane | go4vl.CapVideoOutput | go4vl.CapVideoOutputMPlane):
		return "it converts or shows pictures, it takes none"
	case has(go4vl.CapMetadataCapture):
		return "it gives metadata, not pictures"
	case !has(go4vl.CapVideoCapture):
		return "it is not a camera"
	case !has(go4vl.CapStreaming):
		return "its driver does not stream"
	case ok:
		return ""
	case slices.ContainsFunc(n.formats, func(d ioctl.FormatDescription) bool { return isRaw(d.PixelFormat) }):
		return "it receives a sensor's data, and gives no pictures by itself"
	}
	names := list(n.formats, func(d ioctl.FormatDescription) string { return d.PixelFormat.String() })
	return "it offers neither MJPG nor JPEG nor raw pictures, but " + cmp.Or(names, "nothing")
}

// pixelFormat is what to ask the device for: the wanted one of MJPG and JPEG,
// else the other, else a raw one that this program can encode. Raw ones are for
// USB webcams only: what else gives them is a part of a camera, as the Pi's
// receivers of sensor data are, and not set up for pictures.
func (n node) pixelFormat(want string) (p ioctl.PixelFormat, ok bool) {
	mjpg, jpeg := ioctl.PixelFormat(go4vl.PixelFmtMJPEG), ioctl.PixelFormat(go4vl.PixelFmtJPEG)
	usable := []ioctl.PixelFormat{mjpg, jpeg}
	if want == jpeg.String() {
		slices.Reverse(usable)
	}
	if strings.HasPrefix(n.bus, "usb-") {
		usable = append(usable, rawFormats...)
	}
	for _, p := range usable {
		if slices.ContainsFunc(n.formats, func(d ioctl.FormatDescription) bool { return d.PixelFormat == p }) {
			return p, true
		}
	}
	return 0, false
}

// rawness is 1 for a camera whose pictures are encoded here, else 0.
func (n node) rawness() int {
	if p, ok := n.pixelFormat(""); ok && isRaw(p) {
		return 1
	}
	return 0
}

// matches says whether part occurs in what the device is called.
func (n node) matches(part string) bool {
	for _, s := range []string{n.Name, n.Bus, n.Serial} {
		if strings.Contains(strings.ToLower(s), strings.ToLower(part)) {
			return true
		}
	}
	return false
}

// likeness says how much speaks for n being the device d; 0 means nothing. A
// serial number says more than a port, but cheap webcams all have the same one.
func (n node) likeness(d camera.Device) int {
	points := 0
	if d.Serial != "" && n.Serial == d.Serial && n.Name == d.Name {
		points += 2
	}
	if d.Bus != "" && n.Bus == d.Bus {
		points++
	}
	return points
}

// noneOf says that no device is the wanted camera, and what was looked at. It is
// not ErrNoCamera when a device did not even say what it is.
func noneOf(root, want string, nodes []node) error {
	for _, n := range nodes {
		if n.err != nil {
			return explain(root, n, n.err)
		}
	}
	if want != "" {
		return fmt.Errorf("%w is called %q; %s", camera.ErrNoCamera, want, seenInstead(nodes))
	}
	return fmt.Errorf("%w: %s", camera.ErrNoCamera, seenInstead(nodes))
}

// blocked is an error that wraps camera.ErrBlocked too, without a word of its own.
type blocked struct{ error }

func (b blocked) Unwrap() error      { return b.error }
func (blocked) Is(target error) bool { return target == camera.ErrBlocked }

// explain says what an error of a device means to its owner.
func explain(root string, n node, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		by := users(root, n.Path)
		err = fmt.Errorf("%s is in use by %s: stop that program, or choose another camera (%w)", n, cmp.Or(by, "a program that this one may not look at"), err)
		if by == "" {
			return err
		}
		return blocked{err}
	case quirks[n.driver].firmware && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)):
		return fmt.Errorf("%s: its firmware refuses, or does not answer; if it stays so, switch the power off and on (%w)", n, err)
	case errors.Is(err, fs.ErrPermission):
		return blocked{fmt.Errorf("this program may not open %s: add its user to the group of that file, usually \"video\" (%w)", n, err)}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s has just gone (%w)", camera.ErrNoCamera, n, err)
	default:
		return fmt.Errorf("%s: %w", n, err)
	}
}

// seenInstead lists the device files and what is to be said of each.
func seenInstead(nodes []node) string {
	if len(nodes) == 0 {
		return "there is no /dev/video*"
	}
	return "looked at " + list(nodes, func(n node) string {
		if why := n.refusal(); why != "" {
			return n.String() + ": " + why
		}
		return n.String()
	})
}
