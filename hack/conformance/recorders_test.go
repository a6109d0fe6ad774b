package conformance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// record runs a program that writes the pictures of a stream into a folder. It returns
// when there are enough of them or the program has ended.
func record(t *testing.T, dir string, enough int, name string, args ...string) {
	t.Helper()
	recordUntil(t, fmt.Sprintf("%d pictures", enough), func() bool {
		return len(written(t, dir)) > enough // the last one may not be whole yet
	}, name, args...)
}

// recordUntil is record with a function that tells when there are enough.
func recordUntil(t *testing.T, what string, enough func() bool, name string, args ...string) {
	t.Helper()
	need(t, name)
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	// VLC refuses to run as root.
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
		}
	}
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait() // the pictures show whether it has worked
	}()
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		<-ended
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(args, " "), log.Bytes())
		}
	}()
	await(t, func() string { return what + " from " + name }, func() bool {
		select {
		case <-ended:
			return true
		default:
			return enough()
		}
	})
}

func written(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.*g"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// These programs decode a stream and write its pictures. They need a boundary before
// the first part, CRLF, and a Content-Length in every part. What they write must be the
// camera's pictures: all its colours, and no others.
func TestRecorders(t *testing.T) {
	extra(t)
	const oneEach = 16
	const slowly = 100 // VLC writes 30 pictures a second, for a second the first
	for _, tt := range []struct {
		client, path string
		enough       int
		program      string
		args         func(t *testing.T, url, dir string) []string
	}{
		{"VLC", "/stream", slowly, "vlc", vlc},
		{"VLC", "/?action=stream", slowly, "vlc", vlc},
		{"GStreamer", "/stream", oneEach, "gst-launch-1.0", gstreamer},
		{"GStreamer", "/?action=stream", oneEach, "gst-launch-1.0", gstreamer},
		{"OpenCV", "/stream", oneEach, "/usr/bin/python3", opencv},
		{"OpenCV", "/stream.mjpg", oneEach, "/usr/bin/python3", opencv},
		{"OpenCV", "/?action=stream", oneEach, "/usr/bin/python3", opencv},
		{"motion", "/stream", oneEach, "motion", motion},
		{"motion", "/webcam/?action=stream", oneEach, "motion", motion},
	} {
		t.Run(tt.client+tt.path, func(t *testing.T) {
			t.Parallel()
			covers(t, tt.client, "decodes "+tt.path+": whole pictures of the right colours")
			p := start(t, "-source", "replay:"+recording(t), "-fps", "10")
			dir := t.TempDir()
			record(t, dir, tt.enough, tt.program, tt.args(t, p.url+tt.path, dir)...)

			files := written(t, dir)
			if len(files) < tt.enough {
				t.Fatalf("%d pictures, want %d", len(files), tt.enough)
			}
			seen := make(map[string]int)
			for _, file := range files[:tt.enough] {
				picture, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				c := colour(t, picture)
				if c == "" {
					keep(t, filepath.Base(file), picture)
					t.Errorf("%s has a colour that the camera did not show", filepath.Base(file))
				}
				seen[c]++
			}
			if len(seen) < len(colours) {
				t.Errorf("of the camera's %d colours it saw %v", len(colours), seen)
			}
		})
	}
}

// When the size of a stream changes, OpenCV goes on with the last picture as if it were
// live. So the picture that says that there is no camera has the size of the last one,
// which is not -size here.
func TestOpenCVSeesThatThereIsNoCamera(t *testing.T) {
	t.Attr("fault", "camera | the camera is lost while OpenCV reads | the picture that says so has the size of the last frame, so that it is seen | the next frame")
	extra(t)
	t.Parallel()
	covers(t, "OpenCV", "sees the picture that says that there is no camera")
	pictures, dir := recording(t), t.TempDir()
	p := start(t, "-source", "replay:"+pictures, "-fps", "10", "-size", "640x480")
	const enough = 10
	seen := 0 // pictures of the camera
	recordUntil(t, "a picture without a colour of the camera's", func() bool {
		for files := written(t, dir); seen+1 < len(files); seen++ { // the last one may not be whole yet
			picture, err := os.ReadFile(files[seen])
			if err != nil {
				t.Fatal(err)
			}
			if colour(t, picture) == "" {
				return true
			}
		}
		if seen >= enough {
			os.RemoveAll(pictures)
		}
		return false
	}, "/usr/bin/python3", opencv(t, p.url+"/stream", dir)...)
	if seen < enough {
		t.Errorf("after %d pictures of the camera, which was there, OpenCV saw another one", seen)
	}
}

func vlc(_ *testing.T, url, dir string) []string {
	return []string{"-I", "dummy", "--no-audio", "--vout", "dummy", "--video-filter", "scene", "--scene-format", "png",
		"--scene-ratio", "1", "--scene-prefix", "frame", "--scene-path", dir, url}
}

func gstreamer(_ *testing.T, url, dir string) []string {
	return strings.Fields("-q souphttpsrc is-live=true location=" + url +
		" ! multipartdemux ! jpegdec ! videoconvert ! pngenc ! multifilesink location=" + dir + "/%05d.png")
}

func opencv(t *testing.T, url, dir string) []string {
	if exec.Command("/usr/bin/python3", "-c", "import cv2").Run() != nil {
		missing(t, "python3-opencv")
	}
	const script = `import cv2, itertools, sys
stream = cv2.VideoCapture(sys.argv[1])
for n in itertools.count():
    ok, picture = stream.read()
    if not ok: sys.exit("no picture %d" % n)
    cv2.imwrite("%s/%05d.png" % (sys.argv[2], n), picture)
`
	return []string{"-c", script, url, dir}
}

// motion is a consumer here: it takes the stream for a network camera.
func motion(t *testing.T, url, dir string) []string {
	config := filepath.Join(t.TempDir(), "motion.conf")
	text := `daemon off
webcontrol_port 0
stream_port 0
netcam_url ` + url + `
width 320
height 240
framerate 30
emulate_motion on
picture_output on
picture_filename %Y%m%d%H%M%S-%q
movie_output off
target_dir ` + dir + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"-n", "-c", config}
}
