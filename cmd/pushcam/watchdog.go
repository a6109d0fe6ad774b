package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
)

// watchdog ends a program that hangs. gokrazy starts a program again that has ended,
// but it resets the hardware's watchdog whatever its programs do, so a program that
// hangs would hang for ever. The watchdog looks at what an owner would look at: the
// camera's state and the answers of the HTTP server.
type watchdog struct {
	// state is the camera's. A camera that is starting or live, or idle although
	// somebody watches, hangs if it has given no frame for hangTime, or twice its StallTime:
	// one that works says after that, or within seconds, that its frames have stopped.
	state func() camera.State
	// get asks the program's own HTTP server, which must answer something. It must do so
	// where nobody else can ask: a port that strangers have filled is no program that
	// hangs.
	get func(context.Context) error
	// beat shows process 1 after each look that all is well; nil: nobody looks. Then
	// this watchdog itself is watched.
	beat func() error
	// cardAnswers tells whether the card does; nil: it does. While it does not, a
	// program that hangs is left alone: it could not be loaded again, and may go on
	// when the card does.
	cardAnswers func() bool
	log         *slog.Logger
	// end is called once, with the reason.
	end func(why error)
}

const (
	watchInterval = 10 * time.Second
	watchPatience = 5 * time.Second // for one look
	watchFailures = 3               // looks in a row
	hangTime      = 60 * time.Second
)

// run looks every watchInterval until ctx is done.
func (d *watchdog) run(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	failures, beating := 0, true
	progress, since := camera.State{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}

		s, err := d.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			d.log.Warn("the program does not answer itself", "err", err, "times", failures)
			if failures >= watchFailures && d.mayEnd() {
				d.end(fmt.Errorf("the program did not answer itself %d times: %w", failures, err))
				return
			}
			continue
		}
		failures = 0
		if d.beat != nil {
			err := d.beat()
			if err != nil && beating {
				d.log.Warn("process 1 does not see that this program is well", "err", err)
			}
			beating = err == nil
		}

		waiting := s.Phase == camera.Starting || s.Phase == camera.Live || s.Phase == camera.Idle && s.Watched
		if !waiting || s.Frames != progress.Frames || s.Phase != progress.Phase || s.Since != progress.Since || s.Watched != progress.Watched {
			progress, since = s, time.Now()
		} else if time.Since(since) >= max(hangTime, 2*s.Format.StallTime()) && d.mayEnd() {
			d.end(fmt.Errorf("the camera is %s for %v without a frame, and does not say why", s.Phase, time.Since(since).Round(time.Second)))
			return
		}
	}
}

func (d *watchdog) mayEnd() bool { return d.cardAnswers == nil || d.cardAnswers() }

// look asks the server and the camera. If one of them hangs, nothing can end the
// goroutine that waits for it: it is left to the end of the program.
func (d *watchdog) look(ctx context.Context) (camera.State, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	got, seen := make(chan error, 1), make(chan camera.State, 1)
	go func() {
		got <- d.get(ctx)
		seen <- d.state()
	}()
	select {
	case err := <-got:
		if err != nil {
			return camera.State{}, fmt.Errorf("its HTTP server: %w", err)
		}
	case <-ctx.Done():
		return camera.State{}, fmt.Errorf("its HTTP server: %w", ctx.Err())
	}
	select {
	case s := <-seen:
		return s, nil
	case <-ctx.Done():
		return camera.State{}, fmt.Errorf("its camera's state: %w", ctx.Err())
	}
}

// lastWords is how long a program that hangs has to log why it ends: the log may be
// what hangs.
const lastWords = 5 * time.Second

// newWatchdog watches this program. What it was doing when it hung goes to lines.
func newWatchdog(cam *camera.Camera, web *http.Client, lines *asyncWriter, log *slog.Logger) *watchdog {
	return &watchdog{
		state: cam.State,
		get:   selfCheck(web),
		log:   log,
		end: func(why error) {
			time.AfterFunc(lastWords, func() { os.Exit(1) })
			log.Error("the program hangs and ends itself", "why", why)
			dump(lines)
			lines.close()
			os.Exit(1)
		},
	}
}

// selfCheck returns what asks the program's own server whether it answers anything.
func selfCheck(web *http.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://localhost/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := web.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}

// dump writes where all goroutines are, the innermost call first. Those that are in
// the same place share a line, because gokrazy keeps a hundred lines only.
func dump(w io.Writer) {
	all := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	n, _ := runtime.GoroutineProfile(all) // false if there are still more: then it gives none
	places := make(map[string]int)
	for _, r := range all[:min(n, len(all))] {
		places[place(r.Stack())]++
	}
	for _, p := range slices.Sorted(maps.Keys(places)) {
		fmt.Fprintf(w, "%d× %s\n", places[p], p)
	}
}

// place is a goroutine's calls, as
// "main.(*watchdog).run watchdog.go:45 < main.serve.func9 serve.go:102".
func place(stack []uintptr) string {
	var calls []string
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		calls = append(calls, fmt.Sprintf("%s %s:%d", path.Base(f.Function), path.Base(f.File), f.Line))
		if !more {
			return strings.Join(calls, " < ")
		}
	}
}
