package confine

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// triesEnv has the test's binary be a program that is confined below a folder, and tell as
// JSON which tries succeed.
const triesEnv = "PUSHCAM_CONFINED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(triesEnv); dir != "" {
		if err := json.NewEncoder(os.Stdout).Encode(confined(dir)); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tries are what the confined program does, and whether it is let.
var tries = []struct {
	name string
	do   func(dir string) error
	may  bool
}{
	{"makes, writes, renames and removes a file on /perm", func(dir string) error {
		file := filepath.Join(dir, "perm", "settings.json")
		return errors.Join(os.WriteFile(file+".part", []byte("{}"), 0o600), os.Rename(file+".part", file), os.Remove(file))
	}, true},
	{"makes a folder on /perm", func(dir string) error { return os.Mkdir(filepath.Join(dir, "perm", "pushcam"), 0o700) }, true},
	{"makes a socket in /run", func(dir string) error {
		l, err := net.Listen("unix", filepath.Join(dir, "run", "s"))
		return errors.Join(err, closed(l))
	}, true},
	{"writes to a device", func(dir string) error { return overwrite(filepath.Join(dir, "dev", "video0")) }, true},
	{"writes to an LED that a link names", func(dir string) error {
		return overwrite(filepath.Join(dir, "sys", "class", "leds", "ACT", "brightness"))
	}, true},
	{"writes to a device of the system, which was open before", func(string) error { _, err := os.Stdout.Write(nil); return err }, true},
	{"reads a file elsewhere", func(dir string) error { _, err := os.ReadFile(filepath.Join(dir, "etc", "hosts")); return err }, true},
	{"sends by UDP", func(string) error {
		conn, err := net.Dial("udp", "127.0.0.1:9")
		return errors.Join(err, closed(conn))
	}, true},
	{"makes a file in /etc", func(dir string) error { return os.WriteFile(filepath.Join(dir, "etc", "passwd"), nil, 0o600) }, false},
	{"overwrites a file in /etc", func(dir string) error { return overwrite(filepath.Join(dir, "etc", "hosts")) }, false},
	{"cuts a file in /etc", func(dir string) error { return os.Truncate(filepath.Join(dir, "etc", "hosts"), 0) }, false},
	{"removes a file in /etc", func(dir string) error { return os.Remove(filepath.Join(dir, "etc", "hosts")) }, false},
	{"moves a file from /etc to /perm", func(dir string) error {
		return os.Rename(filepath.Join(dir, "etc", "hosts"), filepath.Join(dir, "perm", "hosts"))
	}, false},
	{"writes to another of the kernel's attributes", func(dir string) error { return overwrite(filepath.Join(dir, "sys", "power")) }, false},
	{"makes a device", func(dir string) error {
		return unix.Mknod(filepath.Join(dir, "perm", "null"), unix.S_IFCHR|0o600, 0x103)
	}, false},
	{"makes a symbolic link on /perm", func(dir string) error { return os.Symlink("/etc/shadow", filepath.Join(dir, "perm", "link")) }, false},
	{"removes a device", func(dir string) error { return os.Remove(filepath.Join(dir, "dev", "video0")) }, false},
	{"starts a program", func(string) error { return exec.Command("/bin/true").Run() }, false},
	{"starts a program that it has written", func(dir string) error {
		file := filepath.Join(dir, "perm", "evil")
		return errors.Join(os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700), exec.Command(file).Run())
	}, false},
	{"starts itself", func(string) error { return exec.Command("/proc/self/exe", "-h").Run() }, false},
	{"mounts", func(dir string) error { return unix.Mount("none", filepath.Join(dir, "perm"), "tmpfs", 0, "") }, false},
	{"looks into another program", func(string) error { _, err := os.Readlink("/proc/1/exe"); return err }, false},
	{"listens by TCP", func(string) error {
		// With Multipath TCP, which the appliance's kernel does not have, the kernel lets it.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 0, Addr: [4]byte{127, 0, 0, 1}}), unix.Close(fd))
	}, false},
	{"connects by TCP", func(string) error {
		conn, err := net.Dial("tcp", "127.0.0.1:9")
		if errors.Is(err, unix.ECONNREFUSED) {
			err = nil // it was let, and nobody is there
		}
		return errors.Join(err, closed(conn))
	}, false},
}

// closed closes what may not be there.
func closed(c io.Closer) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

func overwrite(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("1")
	return errors.Join(err, f.Close())
}

// outcome is what a confined program tells.
type outcome struct {
	Refused string            // why it is not confined
	Tries   map[string]string // by their names
	Threads []string          // of those that were there before, which wrote in /etc
}

// confined confines this program below a folder, and tries everything, some of it from
// threads that were there before.
func confined(dir string) (o outcome) {
	const others = 3
	begin, wrote := make(chan struct{}), make(chan error)
	for range others {
		go func() {
			runtime.LockOSThread()
			<-begin
			wrote <- overwrite(filepath.Join(dir, "etc", "hosts"))
		}()
	}
	leds, _ := filepath.Glob(filepath.Join(dir, "sys/class/leds/*"))
	err := Program(Rights{
		Folders: []string{filepath.Join(dir, "perm"), filepath.Join(dir, "run"), filepath.Join(dir, "missing")},
		Files:   append(leds, filepath.Join(dir, "dev")),
	})
	if err != nil {
		return outcome{Refused: err.Error()}
	}
	close(begin)
	o.Tries = make(map[string]string)
	for range others {
		o.Threads = append(o.Threads, result(<-wrote))
	}
	for _, try := range tries {
		o.Tries[try.name] = result(try.do(dir))
	}
	return o
}

// result tells what the kernel refuses from what has failed otherwise.
func result(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EXDEV): // that is for moving a file
		return "refused"
	}
	return err.Error()
}

// A confined program may do what it has to, and is refused the rest by the kernel, in threads
// that were there before, too.
func TestProgram(t *testing.T) {
	t.Attr("fault", "abuse | a fault of the program by which a stranger could write files, start programs, mount or connect | the kernel refuses it outside /perm, memory and devices | –")
	dir := t.TempDir()
	for _, d := range []string{"perm", "run", "etc", "dev", "sys/class/leds", "sys/devices/leds/ACT"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"etc/hosts", "dev/video0", "sys/devices/leds/ACT/brightness", "sys/power"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("0"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../devices/leds/ACT", filepath.Join(dir, "sys/class/leds/ACT")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), triesEnv+"="+dir)
	cmd.Stderr = t.Output()
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got outcome
	if err := json.Unmarshal(said, &got); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if version, err := ll.LandlockGetABIVersion(); err != nil || version < 1 {
		if !strings.Contains(got.Refused, "no Landlock") {
			t.Errorf("a kernel without Landlock: %q", got.Refused)
		}
		t.Skipf("skipped: this computer's kernel has no Landlock (%v); hack/e2e sees that the image's confines the program", err)
	}
	want := outcome{Tries: make(map[string]string), Threads: []string{"refused", "refused", "refused"}}
	for _, try := range tries {
		want.Tries[try.name] = map[bool]string{true: "done", false: "refused"}[try.may]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
