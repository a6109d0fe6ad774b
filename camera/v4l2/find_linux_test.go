//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	go4vl "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2/internal/ioctl"
)

// formats makes the answer of a device that offers these pixel formats.
func formats(names ...string) (all []ioctl.FormatDescription) {
	for _, n := range names {
		p := ioctl.PixelFormat(uint32(n[0]) | uint32(n[1])<<8 | uint32(n[2])<<16 | uint32(n[3])<<24)
		all = append(all, ioctl.FormatDescription{PixelFormat: p})
	}
	return all
}

const streams = go4vl.CapVideoCapture | go4vl.CapStreaming

// The devices of the tests: what they answer, and their USB serial number.
var (
	webcam   = probed{"HD Pro Webcam C920", "uvcvideo", "usb-0000:00:14.0-1", streams, formats("YUYV", "MJPG")}
	metadata = probed{"HD Pro Webcam C920", "uvcvideo", "usb-0000:00:14.0-1", go4vl.CapMetadataCapture | go4vl.CapStreaming, nil}
	cheap    = probed{"USB 2.0 Camera", "uvcvideo", "usb-0000:00:14.0-2", streams, formats("MJPG")}
	raw      = probed{"Raw Camera", "uvcvideo", "usb-0000:00:14.0-3", streams, formats("YUYV", "GREY")}
	receiver = probed{"unicam", "unicam", "platform:fe801000.csi", streams, formats("YUYV", "pBAA")}
	video    = probed{"Video Camera", "uvcvideo", "usb-0000:00:14.0-4", streams, formats("H264")}
	stills   = probed{"Stills", "stills", "platform:stills", streams, formats("YUYV", "JPEG")}
	pi       = probed{"mmal service 16.1", "bcm2835 mmal", "platform:bcm2835_v4l2-0", streams, formats("YU12", "JPEG", "H264", "MJPG")}
	codec    = probed{"bcm2835-codec-decode", "bcm2835-codec", "platform:bcm2835-codec", go4vl.CapVideoMem2MemMPlane | go4vl.CapStreaming, nil}
	oldM2M   = probed{"old-m2m", "old-m2m", "platform:old-m2m", streams | go4vl.CapVideoOutput, formats("MJPG")}
	reader   = probed{"read() only", "old", "isa", go4vl.CapVideoCapture | go4vl.CapReadWrite, formats("MJPG")}
)

// machine is a root with made-up devices.
type machine struct {
	finder
	root   string
	opened []string // paths that were probed
}

func newMachine(t *testing.T) *machine {
	m := &machine{root: t.TempDir()}
	m.write(t, "dev/null", "")
	return m
}

func (m *machine) write(t *testing.T, path, content string) {
	t.Helper()
	file := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plug makes a device file for a device with a USB serial number.
func (m *machine) plug(t *testing.T, name string, answer probed, err error, serial string) {
	t.Helper()
	m.write(t, "dev/"+name, "")
	if serial != "" {
		m.write(t, "sys/devices/usb-"+name+"/serial", serial+"\n")
		m.write(t, "sys/devices/usb-"+name+"/interface/uevent", "")
		m.write(t, "sys/class/video4linux/"+name+"/uevent", "")
		link := filepath.Join(m.root, "sys/class/video4linux", name, "device")
		if err := os.Symlink("../../../devices/usb-"+name+"/interface", link); err != nil {
			t.Fatal(err)
		}
	}
	before := m.probe
	m.probe = func(file string) (probed, error) {
		if filepath.Base(file) == name {
			m.opened = append(m.opened, name)
			return answer, err
		}
		return before(file)
	}
}

func (m *machine) unplug(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.root, "dev", name)); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	type dev struct {
		name   string
		answer probed
		serial string
	}
	var (
		video0 = dev{"video0", webcam, "A1"}
		video1 = dev{"video1", metadata, "A1"}
		video2 = dev{"video2", cheap, ""}
	)
	tests := []struct {
		name    string
		devices []dev
		last    camera.Device
		want    string
		path    string // found; else the error:
		err     string
		none    bool // the error is ErrNoCamera
	}{
		{name: "the first", devices: []dev{video0, video1, video2}, path: "/dev/video0"},
		{name: "numbers, not letters", devices: []dev{{"video10", cheap, ""}, {"video9", webcam, ""}}, path: "/dev/video9"},
		{name: "never metadata", devices: []dev{{"video0", metadata, ""}, {"video1", webcam, ""}}, path: "/dev/video1"},
		{name: "never a converter", devices: []dev{{"video0", codec, ""}, {"video1", oldM2M, ""}, {"video2", pi, ""}}, path: "/dev/video2"},
		{name: "only what streams", devices: []dev{{"video0", reader, ""}, {"video1", webcam, ""}}, path: "/dev/video1"},
		{name: "JPEG will do", devices: []dev{{"video0", raw, ""}, {"video1", stills, ""}}, path: "/dev/video1"},
		{name: "the one of before by serial", devices: []dev{video2, {"video3", webcam, "A1"}},
			last: camera.Device{Name: webcam.name, Bus: "usb-elsewhere", Serial: "A1"}, path: "/dev/video3"},
		{name: "the one of before by bus", devices: []dev{video0, video2},
			last: camera.Device{Name: cheap.name, Bus: cheap.bus}, path: "/dev/video2"},
		{name: "the port decides between equal serials", devices: []dev{
			{"video0", probed{webcam.name, "uvcvideo", "usb-9", streams, webcam.formats}, "0001"},
			{"video1", webcam, "0001"},
		}, last: camera.Device{Name: webcam.name, Bus: webcam.bus, Serial: "0001"}, path: "/dev/video1"},
		{name: "another maker's serial says nothing", devices: []dev{video2, {"video3", stills, "A1"}},
			last: camera.Device{Name: webcam.name, Bus: webcam.bus, Serial: "A1"}, path: "/dev/video2"},
		{name: "by name", devices: []dev{video0, video1, video2}, want: "usb 2.0", path: "/dev/video2"},
		{name: "by bus", devices: []dev{video0, video1, video2}, want: "14.0-2", path: "/dev/video2"},
		{name: "by serial", devices: []dev{video2, {"video3", webcam, "A1"}}, want: "a1", path: "/dev/video3"},
		{name: "by path", devices: []dev{video0, video1, video2}, want: "/dev/video2", path: "/dev/video2"},
		{name: "by path, although another was used before", devices: []dev{video0, video2}, want: "/dev/video2",
			last: camera.Device{Name: webcam.name, Bus: webcam.bus, Serial: "A1"}, path: "/dev/video2"},
		{name: "path gone, back elsewhere", devices: []dev{{"video1", cheap, ""}, {"video2", webcam, "A1"}}, want: "/dev/video0",
			last: camera.Device{Name: webcam.name, Path: "/dev/video0", Bus: webcam.bus, Serial: "A1"}, path: "/dev/video2"},
		{name: "path gone, another one there", devices: []dev{video2}, want: "/dev/video0",
			last: camera.Device{Name: webcam.name, Path: "/dev/video0", Bus: webcam.bus, Serial: "A1"}, none: true,
			err: "no camera at /dev/video0: there is no such file; looked at /dev/video2 (USB 2.0 Camera)"},
		{name: "path never there", devices: []dev{video0}, want: "/dev/video7", none: true,
			err: "no camera at /dev/video7: there is no such file; looked at /dev/video0 (HD Pro Webcam C920)"},
		{name: "path of metadata", devices: []dev{video0, video1}, want: "/dev/video1",
			err: "/dev/video1 (HD Pro Webcam C920) cannot be used: it gives metadata, not pictures; " +
				"looked at /dev/video0 (HD Pro Webcam C920), /dev/video1 (HD Pro Webcam C920): it gives metadata, not pictures"},
		{name: "raw pictures, if there are no others", devices: []dev{{"video0", metadata, ""}, {"video1", raw, ""}}, path: "/dev/video1"},
		{name: "raw pictures, by path", devices: []dev{video0, {"video1", raw, ""}}, want: "/dev/video1", path: "/dev/video1"},
		{name: "never raw ones before MJPG", devices: []dev{{"video0", raw, ""}, video2},
			last: camera.Device{Name: raw.name, Bus: raw.bus}, path: "/dev/video2"},
		{name: "path without pictures", devices: []dev{{"video0", video, ""}}, want: "/dev/video0",
			err: "/dev/video0 (Video Camera) cannot be used: it offers neither MJPG nor JPEG nor raw pictures, but H264; " +
				"looked at /dev/video0 (Video Camera): it offers neither MJPG nor JPEG nor raw pictures, but H264"},
		{name: "name of none", devices: []dev{video0}, want: "logitech", none: true,
			err: `no camera is called "logitech"; looked at /dev/video0 (HD Pro Webcam C920)`},
		{name: "nothing", none: true, err: "no camera: there is no /dev/video*"},
		{name: "no camera among them", devices: []dev{{"video0", codec, ""}, {"video1", receiver, ""}, {"video2", video, ""}}, none: true,
			err: "no camera: looked at /dev/video0 (bcm2835-codec-decode): it converts or shows pictures, it takes none, " +
				"/dev/video1 (unicam): it receives a sensor's data, and gives no pictures by itself, " +
				"/dev/video2 (Video Camera): it offers neither MJPG nor JPEG nor raw pictures, but H264"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.last = tt.last
			for _, d := range tt.devices {
				m.plug(t, d.name, d.answer, nil, d.serial)
			}
			n, err := m.find(m.root, tt.want)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || errors.Is(err, camera.ErrNoCamera) != tt.none {
					t.Fatalf("got %q, %v\nwant %q, ErrNoCamera: %v", n, err, tt.err, tt.none)
				}
				return
			}
			if err != nil || n.Path != tt.path {
				t.Fatalf("got %q, %v\nwant %s", n.Path, err, tt.path)
			}
			for _, d := range tt.devices {
				if "/dev/"+d.name == n.Path {
					want := camera.Device{Name: d.answer.name, Path: n.Path, Driver: d.answer.driver, Bus: d.answer.bus, Serial: d.serial}
					if diff := cmp.Diff(want, n.Device); diff != "" {
						t.Errorf("device (-want +got):\n%s", diff)
					}
				}
			}
		})
	}
}

func TestFindFollowsLinks(t *testing.T) {
	m := newMachine(t)
	m.plug(t, "video0", webcam, nil, "")
	m.plug(t, "video2", cheap, nil, "")
	m.write(t, "dev/v4l/by-id/.keep", "")
	if err := os.Symlink("../../video2", filepath.Join(m.root, "dev/v4l/by-id/usb-cheap-index0")); err != nil {
		t.Fatal(err)
	}
	n, err := m.find(m.root, "/dev/v4l/by-id/usb-cheap-index0")
	if err != nil || n.Path != "/dev/video2" {
		t.Fatalf("got %q, %v; want /dev/video2", n.Path, err)
	}
}

// Who asks for another camera does not get the one of before, wherever that is now.
func TestAskForAnother(t *testing.T) {
	m := newMachine(t)
	m.plug(t, "video0", webcam, nil, "A1")
	m.plug(t, "video1", metadata, nil, "A1")
	m.plug(t, "video2", cheap, nil, "")
	v := &Source{Root: m.root, Device: "/dev/video0"}
	v.state.finder.probe = m.probe
	first, err := v.Check()
	if err != nil {
		t.Fatal(err)
	}
	v.state.finder.last = first // its frames came
	for _, tt := range []struct{ want, path string }{{"usb 2.0", "/dev/video2"}, {"/dev/video0", "/dev/video0"}, {"/dev/video9", ""}} {
		v.Ask(tt.want, camera.Settings{}, "MJPG")
		if d, err := v.Check(); d.Path != tt.path || (err != nil) != (tt.path == "") {
			t.Errorf("%s is %+v, %v", tt.want, d, err)
		} else if err == nil {
			v.state.finder.last = d
		}
	}
	if diff := cmp.Diff([]camera.Device{first, {Name: cheap.name, Path: "/dev/video2", Driver: cheap.driver, Bus: cheap.bus}}, v.Cameras()); diff != "" {
		t.Errorf("cameras (-want +got):\n%s", diff)
	}
}

func TestPlainName(t *testing.T) {
	for card, want := range map[string]string{
		"HD Pro Webcam C920":              "HD Pro Webcam C920",
		"Integrated Camera: Integrated C": "Integrated Camera",
		"Webcam: Infrared":                "Webcam: Infrared",
		"":                                "",
	} {
		if got := plainName(card); got != want {
			t.Errorf("plainName(%q) = %q, want %q", card, got, want)
		}
	}
}

func TestFindPrefersMJPG(t *testing.T) {
	if p, ok := (node{probed: pi}).pixelFormat(""); !ok || p.String() != "MJPG" {
		t.Errorf("got %s, %v; want MJPG: the Pi's JPEG comes first in its list and is slow", p, ok)
	}
	if p, ok := (node{probed: webcam}).pixelFormat(""); !ok || p.String() != "MJPG" {
		t.Errorf("got %s, %v; want MJPG, not YUYV, which would have to be encoded", p, ok)
	}
}

// TestFindOpensOnce: opening wakes a USB webcam that sleeps.
func TestFindOpensOnce(t *testing.T) {
	m := newMachine(t)
	m.plug(t, "video0", metadata, nil, "")
	m.plug(t, "video1", webcam, nil, "")
	find := func(want ...string) {
		t.Helper()
		m.opened = nil
		if _, err := m.find(m.root, ""); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.opened); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}
	}
	find("video0", "video1")
	find()
	m.unplug(t, "video1")
	if _, err := m.find(m.root, ""); !errors.Is(err, camera.ErrNoCamera) {
		t.Fatalf("got %v, want ErrNoCamera", err)
	}
	m.plug(t, "video1", cheap, nil, "")
	find("video1")
	find()
}

func TestFindCannotOpen(t *testing.T) {
	t.Attr("fault", "camera | a device that may not be opened, is in use, is broken, or is just going | a sentence for each | the next look")
	tests := []struct {
		name string
		err  error
		none bool // the answer is ErrNoCamera
		says string
	}{
		{"no permission", unix.EACCES, false,
			`this program may not open /dev/video0: add its user to the group of that file, usually "video" (permission denied)`},
		{"in use", unix.EBUSY, false,
			`/dev/video0 is in use by a program that this one may not look at: stop that program, or choose another camera (device or resource busy)`},
		{"broken", unix.EIO, false, `/dev/video0: input/output error`},
		{"gone meanwhile", unix.ENODEV, true, `no camera: /dev/video0 has just gone (no such device)`},
	}
	for _, tt := range tests {
		for _, want := range []string{"", "/dev/video0"} {
			t.Run(fmt.Sprintf("%s, wanted %q", tt.name, want), func(t *testing.T) {
				m := newMachine(t)
				m.plug(t, "video0", probed{}, tt.err, "")
				_, err := m.find(m.root, want)
				if !errors.Is(err, tt.err) || errors.Is(err, camera.ErrNoCamera) != tt.none || err.Error() != tt.says {
					t.Errorf("got %v\nwant %s", err, tt.says)
				}
				if got, want := errors.Is(err, camera.ErrBlocked), tt.err == unix.EACCES; got != want {
					t.Errorf("it is ErrBlocked: %v, want %v", got, want)
				}
				m.plug(t, "video0", webcam, nil, "")
				if n, err := m.find(m.root, want); err != nil {
					t.Errorf("when it can be opened: %v, %v; want it tried again", n, err)
				}
			})
		}
	}
}

func TestExplain(t *testing.T) {
	camera := func(driver string) node {
		return node{Device: camera.Device{Path: "/dev/video0"}, probed: probed{driver: driver}}
	}
	tests := []struct {
		name string
		node node
		err  error
		want string
	}{
		{"Pi, format", camera("bcm2835 mmal"), fmt.Errorf("VIDIOC_S_FMT: %w", unix.EINVAL), "its firmware refuses"},
		{"Pi, start", camera("bcm2835 mmal"), fmt.Errorf("VIDIOC_STREAMON: %w", unix.EPERM), "its firmware refuses"},
		{"Pi, permission", camera("bcm2835 mmal"), unix.EACCES, "may not open"},
		{"webcam, format", camera("uvcvideo"), fmt.Errorf("VIDIOC_S_FMT: %w", unix.EINVAL), "/dev/video0: VIDIOC_S_FMT: invalid argument"},
		{"webcam, permission", camera("uvcvideo"), unix.EPERM, "may not open"},
	}
	for _, tt := range tests {
		if err := explain("/", tt.node, tt.err); !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
