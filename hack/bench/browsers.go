//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A glassCase is a browser that shows a stream, and how many cores it has (0: all).
type glassCase struct {
	browser string
	image   bool // an <img> shows it, and not the page's script
	cores   float64
}

func glassCases() (all []glassCase) {
	for _, c := range []struct {
		browser string
		cores   []float64
	}{{"chromium", []float64{0, 0.5, 0.2}}, {"firefox", []float64{0, 0.5, 0.2}}, {"webkit", []float64{0}}} {
		for _, cores := range c.cores {
			all = append(all, glassCase{c.browser, true, cores}, glassCase{c.browser, false, cores})
		}
	}
	return all
}

func (c glassCase) String() string {
	how, cpu := "page", "all cores"
	if c.image {
		how = "<img>"
	}
	if c.cores > 0 {
		cpu = fmt.Sprintf("%g cores", c.cores)
	}
	return fmt.Sprintf("%s, %s, %s", c.browser, how, cpu)
}

// A glassRun is what the screen showed.
type glassRun struct {
	of    glassCase
	fresh []float64 // ages of pictures when they appeared, in ms
	seen  []float64 // ages of what stood there, looked at every 2 ms
	fps   float64
	cores float64 // of processor time that the browser took
}

const (
	glassLength = 10 * time.Second
	glassSettle = 4 * time.Second
	glassStarts = time.Minute // how long a browser may take to show its first picture
	glassLook   = 2 * time.Millisecond
	glassLost   = 100 // looks without a code after which it is searched anew
)

// browsers are their programs, and how they show one page on all of a screen.
func browserCommand(name, profile, url string) ([]string, error) {
	switch name {
	case "chromium":
		return []string{"chromium", "--no-sandbox", "--test-type", "--disable-gpu", "--no-first-run", "--user-data-dir=" + profile,
			"--window-position=0,0", "--window-size=1280,900", "--disable-component-update", "--disable-background-networking",
			"--disable-sync", "--password-store=basic", "--app=" + url}, nil
	case "firefox":
		const settings = `user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
`
		if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(settings), 0o644); err != nil {
			return nil, err
		}
		return []string{"firefox-esr", "--no-remote", "--profile", profile, "--kiosk", url}, nil
	}
	found, err := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	if err != nil || len(found) == 0 {
		return nil, errors.New("there is no MiniBrowser; apt-get install webkit2gtk-driver")
	}
	return []string{found[0], "--geometry=1280x900", url}, nil
}

func (b *bench) measureBrowsers(ctx context.Context) (all []glassRun, err error) {
	recording, err := codedRecording()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.tools.path("coded.mjpeg"), recording, 0o644); err != nil {
		return nil, err
	}
	for range b.repeats {
		for _, c := range glassCases() {
			r, err := b.measureBrowser(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", c, err)
			}
			b.say("%-28s %5.1f fps, new p50 %4.0f p99 %4.0f, seen p50 %4.0f max %4.0f ms, %.2f cores", c, r.fps, quantile(r.fresh, 0.5), quantile(r.fresh, 0.99), quantile(r.seen, 0.5), quantile(r.seen, 1), r.cores)
			all = append(all, r)
		}
	}
	return all, nil
}

// captures notes when the pictures of a coded recording leave the camera.
type captures struct {
	mu sync.Mutex
	at [codedPictures]int64 // Unix nanoseconds; 0 is never
}

func (c *captures) of(n int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[n]
}

// watch reads the stream until the connection ends.
func (c *captures) watch(conn net.Conn) {
	io.WriteString(conn, "GET /stream?name=bench HTTP/1.1\r\nHost: "+cableServer+"\r\n\r\n")
	s, err := newSocket(conn.(*net.TCPConn))
	if err != nil {
		return
	}
	r := frameReader{src: s}
	for err = r.answer(); err == nil; {
		var f frame
		var n uint64
		if f, n, err = r.numbered(func() int64 { return time.Now().UnixNano() }); err == nil && n > 0 && n <= codedPictures {
			c.mu.Lock()
			c.at[n-1] = f.Captured
			c.mu.Unlock()
		}
	}
}

func (b *bench) measureBrowser(ctx context.Context, c glassCase) (r glassRun, err error) {
	r.of = c
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	near, far, err := newCable(ctx) // 127.0.0.1 has rights that a camera's address has not
	if err != nil {
		return r, err
	}
	defer near.close()
	defer far.close()
	const address = cableServer + ":8080"
	serving, err := (server{command: func(ctx context.Context, t *tools, address string, _ int) *exec.Cmd {
		return exec.CommandContext(ctx, t.path("pushcam"), "-listen", address, "-source", "replay:"+t.path("coded.mjpeg"), "-fps", strconv.Itoa(frameRate))
	}}).begin(ctx, b.tools, near, address, frameSize)
	if err != nil {
		return r, err
	}
	defer serving.end()
	var shots captures
	err = near.Do(func() error {
		conn, err := connect(address, 0)
		if err == nil {
			running.Go(func() { shots.watch(conn) })
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return err
	})
	if err != nil {
		return r, err
	}
	url := "http://" + address + "/view"
	if c.image {
		var l net.Listener
		if err := near.Do(func() (err error) { l, err = net.Listen("tcp4", cableServer+":8081"); return err }); err != nil {
			return r, err
		}
		page := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<!DOCTYPE html><body style="margin: 0"><img src="http://%s/stream">`, address)
		})}
		running.Go(func() { page.Serve(l) })
		defer page.Close()
		url = "http://" + cableServer + ":8081/"
	}

	dir, err := os.MkdirTemp(b.tools.dir, "browser")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	number, said, err := os.Pipe()
	if err != nil {
		return r, err
	}
	defer number.Close()
	xvfb := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-nolisten", "tcp", "-noreset", "-screen", "0", "1280x900x24", "-fbdir", dir)
	xvfb.ExtraFiles = []*os.File{said}
	err = startGroup(far, xvfb)
	said.Close()
	if err != nil {
		return r, err
	}
	defer endGroup(xvfb)
	display, err := bufio.NewReader(number).ReadString('\n')
	if err != nil {
		return r, fmt.Errorf("no screen of Xvfb: %w", err)
	}
	glass, err := openScreen(filepath.Join(dir, "Xvfb_screen0"))
	if err != nil {
		return r, err
	}
	defer glass.close()

	group, err := newCgroup(fmt.Sprintf("bench%d", os.Getpid()))
	if err != nil {
		return r, err
	}
	defer group.remove()
	if err := group.set(0); err != nil { // while it starts
		return r, err
	}
	args, err := browserCommand(c.browser, dir, url)
	if err != nil {
		return r, err
	}
	args = append(group.shell(), args...)
	browser := exec.CommandContext(ctx, args[0], args[1:]...)
	browser.Env = append(os.Environ(), "DISPLAY=:"+display[:len(display)-1], "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS=1")
	browser.Stdout, browser.Stderr = b.tools.log, b.tools.log
	if err := startGroup(far, browser); err != nil {
		return r, err
	}
	defer endGroup(browser)
	for late := time.Now().Add(glassStarts); ; {
		if _, ok := glass.picture(); ok {
			break
		}
		if time.Now().After(late) {
			return r, fmt.Errorf("it shows no picture after %v", glassStarts)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return r, err
		}
	}
	if err := group.set(c.cores); err != nil {
		return r, err
	}
	if err := sleep(ctx, glassSettle); err != nil {
		return r, err
	}
	used, err := group.used()
	if err != nil {
		return r, err
	}
	begin := time.Now()
	last, unknown := -1, 0
	for time.Since(begin) < glassLength {
		if n, ok := glass.picture(); !ok {
			if unknown++; unknown > glassLost {
				glass.lost, unknown = true, 0
			}
		} else if at := shots.of(n); at > 0 {
			unknown = 0
			age := float64(time.Now().UnixNano()-at) / 1e6
			r.seen = append(r.seen, age)
			if n != last && last >= 0 {
				r.fresh = append(r.fresh, age)
			}
			last = n
		}
		if err := sleep(ctx, glassLook); err != nil {
			return r, err
		}
	}
	took := time.Since(begin).Seconds()
	usedThen, err := group.used()
	r.fps, r.cores = float64(len(r.fresh))/took, (usedThen-used).Seconds()/took
	return r, errors.Join(err, group.set(0)) // so that it ends soon
}

// startGroup starts a program whose own processes end with it by endGroup.
func startGroup(where place, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := where.Do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}

func endGroup(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(grace, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait() // how it ends does not matter
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
