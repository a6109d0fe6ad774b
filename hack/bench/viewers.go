//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watching is how viewers look at a stream.
type watching struct {
	Address string
	Viewers int
	FPS     float64       // a viewer reads at most so many frames; 0 for all
	Stall   time.Duration // it stops reading after this time; 0 for never
	Rate    float64       // bytes per second that it reads at most; 0 for all
	Pause   time.Duration // after each frame
	Buffer  int           // of each connection's receiver, in bytes; 0 is the system's own
	Pages   bool          // viewers do as the page does: they take /frames with its news, and ask for the clock
}

func (w *watching) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("watch", flag.ContinueOnError)
	fs.StringVar(&w.Address, "address", "", "")
	fs.IntVar(&w.Viewers, "viewers", 1, "")
	fs.Float64Var(&w.FPS, "fps", 0, "")
	fs.DurationVar(&w.Stall, "stall", 0, "")
	fs.Float64Var(&w.Rate, "rate", 0, "")
	fs.DurationVar(&w.Pause, "pause", 0, "")
	fs.IntVar(&w.Buffer, "buffer", 0, "")
	fs.BoolVar(&w.Pages, "pages", false, "")
	return fs
}

const (
	// How long a server has to start, and then to give another viewer a frame.
	connectTime = 20 * time.Second
	firstTime   = 20 * time.Second
	// watchAtOnce is how many viewers come at once. A camera refuses an address that opens
	// more connections than some dozens before they are streams.
	watchAtOnce = 32
)

// watch opens the streams. When each has its first frame, it writes the port of the
// last one's connection to out. When in ends, it closes the streams and writes what
// they saw.
func (w watching) watch(ctx context.Context, in io.Reader, out io.Writer) error {
	var (
		running sync.WaitGroup
		closing atomic.Bool
		seen    = make([]frames, w.Viewers)
		errs    = make(chan error, w.Viewers)
		firsts  = make(chan struct{}, w.Viewers)
		conns   []net.Conn
	)
	hangUp := func() {
		closing.Store(true)
		for _, c := range conns {
			c.Close()
		}
		running.Wait()
	}
	defer hangUp()
	begun := 0
	awaitFirst := func() error {
		select {
		case <-firsts:
			begun++
			return nil
		case err := <-errs:
			return err
		case <-time.After(firstTime):
			return fmt.Errorf("not everyone had a frame within %v", firstTime)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for i := range w.Viewers {
		if i-begun >= watchAtOnce {
			if err := awaitFirst(); err != nil {
				return err
			}
		}
		conn, err := connect(w.Address, w.Buffer)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
		running.Go(func() {
			err := w.view(conn, func(f frame) {
				if len(seen[i]) == 0 {
					firsts <- struct{}{}
				}
				seen[i] = append(seen[i], f)
			})
			if !closing.Load() && err != nil {
				errs <- fmt.Errorf("viewer %d: %w", i, err)
			}
		})
	}
	for begun < w.Viewers {
		if err := awaitFirst(); err != nil {
			return err
		}
	}
	_, local, _ := net.SplitHostPort(conns[w.Viewers-1].LocalAddr().String())
	if _, err := fmt.Fprintln(out, local); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // ends with the process: a read cannot be interrupted
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-errs:
		return err
	case err := <-ended:
		if err != nil {
			return err
		}
	}
	hangUp()
	return gob.NewEncoder(out).Encode(seen)
}

// connect waits for the server to start. The receive buffer has to be set before.
func connect(address string, buffer int) (conn net.Conn, err error) {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if buffer > 0 {
			err = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) })
		}
		return err
	}}
	for deadline := time.Now().Add(connectTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err = dialer.Dial("tcp4", address); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("no server: %w", err)
}

// view calls saw for each frame until the connection ends. The stream's name is the
// connection's port; see isListed.
func (w watching) view(conn net.Conn, saw func(frame)) error {
	_, local, _ := net.SplitHostPort(conn.LocalAddr().String())
	path := "stream?"
	if w.Pages {
		path = "frames?news=1&"
	}
	if _, err := fmt.Fprintf(conn, "GET /%sname=%s HTTP/1.1\r\nHost: %s\r\n\r\n", path, local, w.Address); err != nil {
		return err
	}
	s, err := newSocket(conn.(*net.TCPConn))
	if err != nil {
		return err
	}
	s.rate = w.Rate
	r := frameReader{src: s}
	if err := r.answer(); err != nil {
		return err
	}
	next := r.next
	if w.Pages {
		next = r.record
		asking := askClock("http://" + w.Address + "/clock?viewer=" + local)
		defer asking()
	}
	begin := time.Now()
	for n := 1; w.Stall == 0 || time.Since(begin) < w.Stall; n++ {
		f, err := next(func() int64 { return time.Now().UnixNano() })
		if err != nil {
			return err
		}
		saw(f)
		time.Sleep(w.Pause)
		if w.FPS > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(n) / w.FPS * float64(time.Second)))))
		}
	}
	return nil
}

// askClock asks for the clock as often as a page that is live, until the returned function is
// called.
func askClock(url string) (stop func()) {
	done := make(chan struct{})
	go func() {
		client := http.Client{Transport: new(http.Transport), Timeout: 4 * time.Second}
		defer client.CloseIdleConnections()
		for {
			if resp, err := client.Get(url); err == nil { // the stream's own error tells if the server is gone
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			select {
			case <-done:
				return
			case <-time.After(pageAsks):
			}
		}
	}()
	return func() { close(done) }
}

// pageAsks is asks.settled of pusher/web/live.js.
const pageAsks = 10 * time.Second

// viewers is a process that watches.
type viewers struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	port int // of the last viewer
}

// startViewers returns when every viewer has its first frame.
func startViewers(ctx context.Context, t *tools, where place, w watching) (*viewers, error) {
	cmd := exec.CommandContext(ctx, t.self, "watch", "-address="+w.Address, "-viewers="+strconv.Itoa(w.Viewers),
		"-fps="+strconv.FormatFloat(w.FPS, 'g', -1, 64), "-stall="+w.Stall.String(),
		"-rate="+strconv.FormatFloat(w.Rate, 'g', -1, 64), "-pause="+w.Pause.String(),
		"-buffer="+strconv.Itoa(w.Buffer), "-pages="+strconv.FormatBool(w.Pages))
	cmd.Stderr = t.log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(where, cmd); err != nil {
		return nil, err
	}
	v := &viewers{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := v.out.ReadString('\n')
	if err == nil {
		v.port, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no stream from %s: %w", w.Address, err), v.cmd.Wait())
	}
	return v, nil
}

// end closes the streams and returns what each viewer saw, in order.
func (v *viewers) end() ([]frames, error) {
	if err := v.in.Close(); err != nil {
		return nil, err
	}
	var seen []frames
	err := gob.NewDecoder(v.out).Decode(&seen)
	return seen, errors.Join(err, v.cmd.Wait())
}
