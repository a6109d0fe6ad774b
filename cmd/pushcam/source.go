package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/pusher/relay"
)

// source is the value of -source. What is wrong with it is for check to say.
type source struct {
	kind   string   // auto, v4l2, pattern, replay or stream; else what was given
	path   string   // of the recording
	stream *url.URL // with the password for it; nil if it is none
}

// String is without the password and the query, because /state and the log show it.
func (s *source) String() string {
	switch {
	case s.kind == "replay":
		return "replay:" + s.path
	case s.stream != nil:
		return relay.Public(s.stream)
	}
	return s.kind
}

func (s *source) Set(text string) error {
	*s = source{kind: text}
	switch kind, path, _ := strings.Cut(text, ":"); kind {
	case "replay":
		s.kind, s.path = kind, path
	case "http", "https":
		s.kind = "stream"
		s.stream, _ = relay.ParseURL(text)
	}
	return nil
}

func (s *source) check() error {
	switch {
	case s.kind == "replay" && s.path == "":
		return errors.New("-source replay: needs a path, as replay:pictures/")
	case s.kind == "stream" && s.stream == nil: // the text may have a password in it
		return errors.New("-source is the URL of a stream, as http://pushcam.local/stream")
	case !slices.Contains([]string{"auto", "v4l2", "pattern", "replay", "stream"}, s.kind):
		return fmt.Errorf("-source is auto, v4l2, pattern, replay:PATH or the URL of a stream, not %q", s.kind)
	}
	return nil
}

// newCamera watches over what -source asks for, which may be the webcam. here is what the
// program serves on, and asked what the owner wants at the moment.
func newCamera(c *config, webcam *v4l2.Source, asked func() camera.Settings, here net.Addr, log *slog.Logger) *camera.Camera {
	return &camera.Camera{
		Source:   newSource(c, webcam, asked, here),
		IdleHold: c.idleHold,
		AlwaysOn: c.alwaysOn,
		Log:      log,
	}
}

// newSource makes what -source asks for.
func newSource(c *config, webcam *v4l2.Source, asked func() camera.Settings, here net.Addr) camera.Source {
	switch {
	case c.source.kind == "replay":
		return madeSource(func() camera.Source { return &camera.Replay{Path: c.source.path, Settings: asked()} })
	case c.source.kind == "pattern":
		return madeSource(func() camera.Source { return &camera.Pattern{Settings: asked()} })
	case c.source.kind == "stream":
		return newRelay(c, here)
	case c.source.kind == "v4l2", c.device != "" && c.given["device"].By != bySettings:
		return webcam
	}
	return &camera.Fallback{Source: webcam, Otherwise: func(why error) camera.Source {
		return &camera.Pattern{Settings: asked(), Caption: why.Error()}
	}}
}

// madeSource is one that is made anew for each run, with the settings of the moment.
type madeSource func() camera.Source

func (m madeSource) Check() (camera.Device, error) { return m().Check() }

func (m madeSource) Run(ctx context.Context, sink camera.Sink) error { return m().Run(ctx, sink) }

func newRelay(c *config, here net.Addr) *relay.Source {
	s := &relay.Source{URL: c.source.stream, Dial: new(finder).dial}
	if _, ok := c.given["fps"]; ok {
		s.FPS = c.fps
	}
	if tcp, ok := here.(*net.TCPAddr); ok {
		s.Own = func(a netip.AddrPort) bool { return int(a.Port()) == tcp.Port }
	}
	return s
}

// lookTime is how long it is looked for a pushcam on the network.
const lookTime = 2 * time.Second

// A finder connects to one camera as the system does. Not every system knows names below
// .local, so that these are also looked for by our own multicast DNS.
type finder struct {
	mu    sync.Mutex
	found netip.Addr // by multicast DNS, the last time
}

func (f *finder) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil || !strings.HasSuffix(strings.ToLower(name), ".local") {
		return dialFor(ctx, network, address)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found.IsValid() {
		if conn, err := dialFor(ctx, network, net.JoinHostPort(f.found.String(), port)); err == nil {
			return conn, nil
		}
		f.found = netip.Addr{}
	}
	if conn, err := dialFor(ctx, network, address); err == nil {
		return conn, nil
	}
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	there, err := new(discovery.Browser).Browse(looking)
	if err != nil {
		return nil, err
	}
	for _, camera := range there {
		if strings.EqualFold(camera.Host, name) && len(camera.Addresses) > 0 {
			f.found = camera.Addresses[0]
			return dialFor(ctx, network, net.JoinHostPort(f.found.String(), port))
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// dialFor tries for so long only that there is time for another way.
func dialFor(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime/2)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, network, address)
}
