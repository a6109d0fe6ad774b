//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// soak is one run.
type soak struct {
	length   time.Duration
	every    time.Duration // between two samples
	visitors int
	seed     uint64
	clocks   bool   // its clock jumps; the program is compiled anew for that
	group    string // the control group in which it is; "" is none
	dir      string // the program's root, with its recording and its state
	out      io.Writer

	cmd     *exec.Cmd
	address string // of the program
	log     bytes.Buffer
	owned   bool // the program is as on an appliance, and has an owner
	changes int  // of settings, by the owner
	clock   clock
}

// settle is how long the program has at the end until all visitors are forgotten: longer
// than any of its own timeouts for those who have gone.
const settle = 30 * time.Second

// run runs the program under its visitors, and returns what was seen.
func (s *soak) run(ctx context.Context) (*record, error) {
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	defer s.cmd.Process.Kill() // if it has not ended by then
	defer s.clock.file.Close() // it is nil without a clock that jumps

	var watching sync.WaitGroup
	defer watching.Wait()
	watched, endWatching := context.WithCancel(ctx)
	defer endWatching()
	steady := &steady{age: s.clock.age}
	watching.Go(func() { steady.run(watched, s.address) })

	r := &record{budget: budget}
	if err := s.sample(ctx, r, steady, time.Time{}, time.Second); err != nil { // before anybody comes
		return nil, err
	}
	r.before, r.samples = r.samples[len(r.samples)-1], nil

	busy, end := context.WithTimeout(ctx, s.length)
	defer end()
	var all sync.WaitGroup
	for i := range s.visitors {
		v := &visitor{address: s.address, random: rand.New(rand.NewPCG(s.seed, uint64(i)))}
		all.Go(func() { v.run(busy) })
	}
	all.Go(func() { s.fail(busy, rand.New(rand.NewPCG(s.seed, uint64(s.visitors)))) })
	if s.owned {
		all.Go(func() { s.changeSettings(busy, rand.New(rand.NewPCG(s.seed, uint64(s.visitors+1)))) })
	}
	var clockErr error
	if s.clocks {
		all.Go(func() { clockErr = s.clock.run(busy, rand.New(rand.NewPCG(s.seed, uint64(s.visitors+2)))) })
	}
	err := s.sample(busy, r, steady, time.Now(), s.every)
	all.Wait()
	if err := errors.Join(err, clockErr); err != nil {
		return nil, err
	}
	s.show(true)
	calm, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	if err := r.await(calm, s); err != nil {
		return nil, err
	}
	if s.owned {
		if err := s.checkSettings(calm); err != nil {
			return nil, err
		}
	}
	endWatching()
	watching.Wait()
	r.damaged, r.frames = steady.damaged, steady.frames
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("the program has ended: %w\n%s", err, s.log.Bytes())
	}
	if err := s.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("the program's end: %w\n%s", err, s.log.Bytes())
	}
	return r, ctx.Err()
}

// budget is the program's -memory, in bytes.
const budget = 96 << 20

// start builds and starts the program, with a recording as its camera. For root, if that may
// mount, it is as on an appliance, in a root folder of its own.
func (s *soak) start(ctx context.Context) error {
	s.owned = os.Geteuid() == 0 && exec.CommandContext(ctx, "unshare", "--mount", "true").Run() == nil
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(s.dir, "pushcam"))
	if s.owned { // there are no libraries in that folder
		build.Args = append(build.Args, "-ldflags=-linkmode external -extldflags -static")
		if err := s.prepareRoot(); err != nil {
			return err
		}
	}
	if s.clocks {
		overlay, err := s.clock.build(ctx, s.dir)
		if err != nil {
			return err
		}
		build.Args = append(build.Args, "-overlay", overlay)
	}
	build.Args = append(build.Args, "github.com/pushcam/pushcam/cmd/pushcam")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	film := filepath.Join(s.dir, "film")
	if _, err := os.Stat(film); errors.Is(err, fs.ErrNotExist) {
		if err := writeFilm(film); err != nil {
			return err
		}
	}
	root := s.dir
	if s.owned {
		root = "/"
	}
	flags := []string{"-listen", "127.0.0.1:0", "-listen-tls", "", "-source", "replay:" + filepath.Join(root, "film"), "-fps", "25",
		"-memory", fmt.Sprint(budget >> 20), "-state-dir", filepath.Join(root, filepath.Dir(settingsFile)),
		"-led-sys", "none", "-led-gpio", "-1", "-button-gpio", "-1"}
	s.cmd = exec.Command(filepath.Join(s.dir, "pushcam"), flags...)
	if s.owned {
		const inRoot = `mount --rbind /proc "$0/proc" && exec chroot "$0" /pushcam "$@"`
		s.cmd = exec.Command("unshare", append([]string{"--mount", "sh", "-c", inRoot, s.dir}, flags...)...)
	}
	if s.group != "" {
		s.cmd = exec.Command("sh", append([]string{"-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, s.group}, s.cmd.Args...)...)
	}
	s.cmd.Env = append(os.Environ(), clockEnv+"="+filepath.Join(root, clockName))
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	greeting, err := bufio.NewReader(stdout).ReadString('\n')
	_, rest, ok := strings.Cut(greeting, "http://")
	if err != nil || !ok {
		s.cmd.Process.Kill()
		return fmt.Errorf("the program said %q: %w\n%s", greeting, errors.Join(err, s.cmd.Wait()), s.log.Bytes())
	}
	s.address = strings.TrimRight(rest, "/\n")
	return nil
}

// writeFilm makes a recording of 50 frames of about 40 kB.
func writeFilm(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 50 {
		img := image.NewRGBA(image.Rect(0, 0, 320, 240))
		for i := range img.Pix {
			img.Pix[i] = byte(random.Uint32())
		}
		for x := range 20 {
			for y := range 240 {
				img.Set(n*6+x, y, color.White)
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 60}); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", n)), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fail has the camera fail now and then: it vanishes, it gives damaged pictures, and the
// whole program is stopped for a moment.
func (s *soak) fail(ctx context.Context, random *rand.Rand) {
	bad := filepath.Join(s.dir, "film", "25b.jpg")
	for rest(ctx, random, 3*time.Second, 10*time.Second) {
		switch random.IntN(3) {
		case 0:
			s.show(false)
			rest(ctx, random, time.Second, 8*time.Second)
			s.show(true)
		case 1:
			os.WriteFile(bad, []byte("\xff\xd8\xff half a picture"), 0o600)
			rest(ctx, random, 3*time.Second, 6*time.Second)
			os.Remove(bad)
		case 2:
			s.cmd.Process.Signal(syscall.SIGSTOP)
			rest(ctx, random, 100*time.Millisecond, 4*time.Second)
			s.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
}

// show plugs the camera in, or unplugs it.
func (s *soak) show(in bool) {
	film, away := filepath.Join(s.dir, "film"), filepath.Join(s.dir, "away")
	if in {
		film, away = away, film
	}
	os.Rename(film, away) // it may be so already
}

// rest waits for a random time, and returns false if ctx is done.
func rest(ctx context.Context, random *rand.Rand, from, to time.Duration) bool {
	select {
	case <-time.After(from + time.Duration(random.Int64N(int64(to-from)))):
		return true
	case <-ctx.Done():
		return false
	}
}

// dial connects to the program, with a connection that ends with ctx.
func dial(ctx context.Context, address string) (net.Conn, func(), error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}
