package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/pprof"
	"time"

	"github.com/pushcam/pushcam/camera"
)

// guard ends a program that hangs: gokrazy starts anew what exits, but pets the
// hardware watchdog whatever its programs do. It looks from outside, at what an
// owner would look at.
type guard struct {
	// state is the camera's. One that is starting or live for hangTime without a
	// frame hangs: a camera that works says within seconds that it is stalled.
	state func() camera.State
	// get asks the program's own HTTP server, which must answer something.
	get func(context.Context) error
	log *slog.Logger
	// end is called with the reason, once.
	end func(why error)
}

const (
	guardInterval = 10 * time.Second
	guardFailures = 3                // HTTP self-checks in a row
	hangTime      = 60 * time.Second // for camera.Starting and camera.Live
)

// run looks every guardInterval until ctx is done.
func (g *guard) run(ctx context.Context) {
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	failures := 0
	progress, since := camera.State{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}

		asked, cancel := context.WithTimeout(ctx, guardInterval/2)
		err := g.get(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
		default:
			failures++
			g.log.Warn("the program does not answer itself", "err", err, "times", failures)
		}
		if failures == guardFailures {
			g.end(fmt.Errorf("the HTTP server did not answer %d times: %w", failures, err))
			return
		}

		s := g.state()
		waiting := s.Phase == camera.Starting || s.Phase == camera.Live
		if !waiting || s.Frames != progress.Frames || s.Phase != progress.Phase || s.Since != progress.Since {
			progress, since = s, time.Now()
		} else if time.Since(since) >= hangTime {
			g.end(fmt.Errorf("the camera is %s for %v without a frame, and does not say why", s.Phase, time.Since(since).Round(time.Second)))
			return
		}
	}
}

// selfCheck returns a guard's get for a listener's address.
func selfCheck(a net.Addr) func(context.Context) error {
	web := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, a.Network(), a.String())
		},
	}}
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

// dump writes where all goroutines are, equal ones once: gokrazy keeps a hundred
// lines.
func dump(w io.Writer) {
	pprof.Lookup("goroutine").WriteTo(w, 1)
}
