//go:build linux

package main

import (
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
	"time"
)

// A glassCase is a browser that shows pictures, and how many cores it has (0: all).
type glassCase struct {
	browser string
	how     string // what shows them
	cores   float64
}

// What shows pictures.
const (
	byImage    = "<img>"
	byPage     = "page"
	fromMemory = "memory" // what draws for the page, without a network: the least that any page needs that draws what it takes itself
)

func glassCases() (all []glassCase) {
	for _, c := range []struct {
		browser string
		cores   []float64
	}{{"chromium", []float64{0, 0.5, 0.2}}, {"firefox", []float64{0, 0.5, 0.2}}, {"webkit", []float64{0}}} {
		for _, cores := range c.cores {
			all = append(all, glassCase{c.browser, byImage, cores}, glassCase{c.browser, byPage, cores})
		}
	}
	return append(all, glassCase{"webkit", fromMemory, 0})
}

func (c glassCase) String() string {
	cpu := "all cores"
	if c.cores > 0 {
		cpu = fmt.Sprintf("%g cores", c.cores)
	}
	return fmt.Sprintf("%s, %s, %s", c.browser, c.how, cpu)
}

// A glassRun is what the screen showed.
type glassRun struct {
	of     glassCase
	fresh  []float64 // ages of pictures when they appeared, in ms; none if the picture stood still
	seen   []float64 // ages of what stood there, looked at every 2 ms; none if there never was a picture
	fps    float64
	cores  float64 // of processor time that the browser took
	others float64 // cores that were busy with what is not of this measurement
}

const (
	glassLength = 8 * time.Second
	glassSettle = 3 * time.Second
	glassAdapts = 15 * time.Second // in which a page on fewer cores asks for as many frames as it draws
	glassStarts = time.Minute      // how long a browser may take to show its first picture
	glassOthers = 0.25             // cores that others may take; then a missed target is not the page's fault
	glassLook   = 2 * time.Millisecond
	glassLost   = 100 // looks without a code after which it is searched anew
)

func (b *bench) measureBrowsers(ctx context.Context) (all []glassRun, faults [2]time.Duration, err error) {
	recording, err := codedRecording()
	if err != nil {
		return nil, faults, err
	}
	if err := os.WriteFile(b.tools.path("coded.mjpeg"), recording, 0o644); err != nil {
		return nil, faults, err
	}
	if faults[0], err = pageFault(); err != nil {
		return nil, faults, err
	}
	restore, err := useLargePages()
	if err != nil {
		return nil, faults, err
	}
	defer func() { err = errors.Join(err, restore()) }()
	if faults[1], err = pageFault(); err != nil {
		return nil, faults, err
	}
	for range b.repeats {
		for _, c := range b.glassCases {
			r, err := b.measureBrowser(ctx, c)
			if err != nil {
				return nil, faults, fmt.Errorf("%v: %w", c, err)
			}
			b.say("%-28s %v", c, r)
			all = append(all, r)
		}
	}
	return all, faults, nil
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
	url, taken := "http://"+address+"/view", shots.of
	if c.how != byPage {
		var l net.Listener
		if err := near.Do(func() (err error) { l, err = net.Listen("tcp4", cableServer+":8081"); return err }); err != nil {
			return r, err
		}
		site := http.Server{Handler: otherPage(c.how, address, b.module)}
		running.Go(func() { site.Serve(l) })
		defer site.Close()
		url = "http://" + cableServer + ":8081/"
	}
	if c.how == fromMemory {
		taken = func(int) int64 { return time.Now().UnixNano() }
	}

	dir, err := os.MkdirTemp(b.tools.dir, "browser")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	xvfb, display, err := startScreen(ctx, far, dir)
	if err != nil {
		return r, err
	}
	defer endGroup(xvfb)
	// It makes each browser's window as large as the screen, so that pictures keep their size.
	windows := exec.CommandContext(ctx, "matchbox-window-manager", "-use_titlebar", "no")
	windows.Env = append(os.Environ(), "DISPLAY="+display)
	if err := startGroup(far, windows); err != nil {
		return r, err
	}
	defer endGroup(windows)
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
	meter := b.proc.meter(group, serving.pid(), xvfb.Process.Pid, os.Getpid())
	browser, err := b.startBrowser(ctx, far, c.browser, url, display, dir, group)
	if err != nil {
		return r, err
	}
	defer endGroup(browser)
	for late := time.Now().Add(glassStarts); ; {
		if _, ok := glass.picture(); ok {
			break
		}
		if time.Now().After(late) {
			r.cores, r.others, err = meter()
			return r, err // a result, too
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return r, err
		}
	}
	var l look
	if err := l.at(ctx, glass, taken, glassSettle); err != nil { // what it does after its start
		return r, err
	}
	if c.cores > 0 {
		if err := group.set(c.cores); err != nil {
			return r, err
		}
		defer group.set(0) // so that it ends soon
		if err := l.at(ctx, glass, taken, glassAdapts); err != nil {
			return r, err
		}
	}
	l.run = &r
	meter = b.proc.meter(group, serving.pid(), xvfb.Process.Pid, os.Getpid())
	begin := time.Now()
	if err := l.at(ctx, glass, taken, glassLength); err != nil {
		return r, err
	}
	took := time.Since(begin).Seconds()
	r.fps = float64(len(r.fresh)) / took
	r.cores, r.others, err = meter()
	return r, err
}

// otherPage serves what shows pictures beside the camera's own page.
func otherPage(how, camera, module string) http.Handler {
	site := http.NewServeMux()
	if how == byImage {
		site.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<!DOCTYPE html><body style="margin: 0"><img src="http://%s/stream">`, camera)
		})
		return site
	}
	const kept = 60
	site.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!DOCTYPE html><body style="margin: 0"><canvas style="display: block"></canvas><script type="module">
import { Painter } from "./frames.js";
const all = await Promise.all(Array.from({ length: %d }, (_, n) => fetch("picture?n=" + n).then(a => a.arrayBuffer())));
const painter = new Painter(document.querySelector("canvas"), () => {});
let n = 0;
setInterval(() => painter.show({ jpeg: new Uint8Array(all[n++ %% all.length]) }), %d);
</script>`, kept, 1000/frameRate)
	})
	site.HandleFunc("/frames.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(module, "pusher", "web", "frames.js"))
	})
	site.HandleFunc("/picture", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n >= kept {
			http.NotFound(w, r)
			return
		}
		jpg, err := codedPicture(n)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(jpg)
	})
	return site
}

// A look follows what a screen shows. A picture counts from when it appears: the recording
// comes again and again, and what stands still must not become young with it.
type look struct {
	run   *glassRun // takes what is seen; nil while the browser settles
	shown int       // the number of the picture plus 1
	taken int64     // when it was captured, in Unix nanoseconds
}

// see notes that picture n stands there. taken is when it was captured last; 0 is never.
func (l *look) see(n int, taken, now int64) {
	fresh := n+1 != l.shown
	if fresh && taken == 0 {
		return
	}
	if fresh {
		l.shown, l.taken = n+1, taken
	}
	if l.run == nil {
		return
	}
	age := float64(now-l.taken) / 1e6
	l.run.seen = append(l.run.seen, age)
	if fresh {
		l.run.fresh = append(l.run.fresh, age)
	}
}

// at looks at a screen for some time. taken tells when a picture was captured last.
func (l *look) at(ctx context.Context, glass *screen, taken func(n int) int64, length time.Duration) error {
	unknown := 0
	for end := time.Now().Add(length); time.Now().Before(end); {
		if n, ok := glass.picture(); ok {
			unknown = 0
			l.see(n, taken(n), time.Now().UnixNano())
		} else if unknown++; unknown > glassLost {
			glass.lost, unknown = true, 0
		}
		if err := sleep(ctx, glassLook); err != nil {
			return err
		}
	}
	return nil
}
