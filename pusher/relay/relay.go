// Package relay gives the frames of another camera's stream, so that a computer can show
// one camera to more viewers than the camera's board could serve, and show a network
// camera that is not a pushcam.
package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/camera"
)

// How long is waited for what. A Camera takes a source that has not answered after 5 s,
// or not started after 10 s, for one that hangs.
const (
	dialTimeout   = 4 * time.Second
	answerTimeout = 5 * time.Second
	// measureFrames is how many frames are timed to know the stream's rate.
	measureFrames = 20
)

// maxSaid bounds how much is read of an answer that is no stream, in bytes.
const maxSaid = 300

// A Source is a camera.Source whose frames come from a stream over HTTP: that of a
// pushcam, an ESP32-CAM, mjpg-streamer, ustreamer, or anything else that sends JPEGs one
// after another. Its fields must not change while it is used.
type Source struct {
	// URL is the stream's, http or https. A user and a password in it are sent as Basic
	// authentication, and are never shown.
	URL *url.URL
	// FPS is the least frame rate that is expected, in frames per second, so that a slow
	// stream is not taken for one that has stalled. Zero means that it is not known.
	FPS float64
	// Dial connects to the other camera. nil means the system's way.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Own tells whether an address is one that this program serves on. nil means that none
	// is. A program that showed its own stream would show it for ever.
	Own func(netip.AddrPort) bool
}

var _ camera.Source = (*Source)(nil)

// ParseURL makes a stream's URL of what an owner has given.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("a stream has a URL as http://pushcam.local/stream") // text may have a password in it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return nil, fmt.Errorf("a stream has a URL as http://pushcam.local/stream, not %s", Public(u))
	}
	u.Fragment = ""
	return u, nil
}

// Check looks whether the other camera's computer answers, without asking for the stream,
// which would start that camera.
func (s *Source) Check() (camera.Device, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	port := s.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[s.URL.Scheme]
	}
	conn, err := s.dial(ctx, "tcp", net.JoinHostPort(s.URL.Hostname(), port))
	if err != nil {
		return s.device(), s.unreachable(err)
	}
	return s.device(), conn.Close()
}

func (s *Source) device() camera.Device {
	return camera.Device{Name: "stream", Path: Public(s.URL)}
}

// Public is a stream's URL without what may be secret in it: password and query.
func Public(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// errSelf is the error for a stream that is this program's own.
var errSelf = fmt.Errorf("%w: that stream is this program's own; name another camera's", camera.ErrBlocked)

// A dialError is one of dial, among those of a request.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func (s *Source) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := s.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	here, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	there, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err == nil && here.Addr() == there.Addr() && s.Own != nil && s.Own(there) {
		conn.Close()
		return nil, errSelf
	}
	return conn, nil
}

// unreachable is the sentence for an err of dial.
func (s *Source) unreachable(err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errSelf):
		return errSelf
	case errors.As(err, &dns):
		return fmt.Errorf("%w: there is no computer with the name %s on this network", camera.ErrNoCamera, s.URL.Hostname())
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing serves at %s", camera.ErrNoCamera, s.URL.Host)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s does not answer", camera.ErrNoCamera, s.URL.Host)
	default:
		return fmt.Errorf("%w: %s cannot be reached: %w", camera.ErrNoCamera, s.URL.Host, err)
	}
}

// Run takes the stream until ctx is done or the stream ends.
func (s *Source) Run(ctx context.Context, sink camera.Sink) error {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			conn, err := s.dial(ctx, network, address)
			if err != nil {
				return nil, dialError{err}
			}
			return conn, nil
		},
		ResponseHeaderTimeout: answerTimeout,
		TLSHandshakeTimeout:   dialTimeout,
		MaxConnsPerHost:       2, // the stream, and the clock
		DisableCompression:    true,
	}
	defer transport.CloseIdleConnections()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	web := &http.Client{Transport: transport, CheckRedirect: redirect}
	answer, err := s.ask(ctx, web)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	parts, err := newParts(answer.Header.Get("Content-Type"), answer.Body)
	if err != nil {
		return err
	}
	err = s.pass(parts, func() *clock { return newClock(web, s.URL) }, sink)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxRedirects bounds how often a stream may be elsewhere.
const maxRedirects = 10

// redirect follows a stream that is elsewhere. Go would tell that place in Referer where the
// stream was, with the token in its URL.
func redirect(next *http.Request, before []*http.Request) error {
	next.Header.Del("Referer")
	if len(before) > maxRedirects {
		return fmt.Errorf("it sends on to another address %d times", len(before))
	}
	return nil
}

// ask asks for the stream.
func (s *Source) ask(ctx context.Context, web *http.Client) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL.String(), nil)
	if err != nil {
		return nil, errors.New("the URL of the stream cannot be asked for")
	}
	answer, err := web.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var timeout net.Error
		var dial dialError
		switch inner := errors.Unwrap(err); {
		case errors.As(err, &dial):
			return nil, s.unreachable(dial.error)
		case errors.As(err, &timeout) && timeout.Timeout():
			return nil, fmt.Errorf("%s does not answer", s.URL.Host)
		default: // inner, because err tells the whole URL
			return nil, fmt.Errorf("the stream of %s: %w", s.URL.Host, inner)
		}
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s wants a password: -source http://user:password@%s…", camera.ErrBlocked, s.URL.Host, s.URL.Host)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s has nothing at %s", camera.ErrBlocked, s.URL.Host, s.URL.Path)
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid))
	return nil, fmt.Errorf("%s says %s: %s", s.URL.Host, answer.Status, strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " "))
}

// pass gives the stream's frames to the sink until the stream ends, and returns why.
func (s *Source) pass(parts *parts, newClock func() *clock, sink camera.Sink) error {
	var (
		framer      camera.Framer
		format      camera.Format
		other       *clock
		frames      int
		began, last time.Time
	)
	defer func() {
		if other != nil {
			other.stop()
		}
	}()
	for {
		picture, err := parts.next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s has ended the stream", s.URL.Host)
		}
		if err != nil {
			return fmt.Errorf("the stream of %s: %w", s.URL.Host, err)
		}
		now := time.Now()
		captured := now
		if picture.stamp != 0 {
			if other == nil {
				other = newClock()
			}
			captured = other.captured(picture.stamp, now)
		}
		if captured.Before(last) {
			captured = last // it is known better now how old the frames are
		}
		last = captured
		frame, kind := framer.Frame(picture.jpeg, captured)
		if kind != "" {
			sink.Drop(kind, 1)
			continue
		}
		switch frames++; {
		case frames == 1:
			began = now
			format = camera.Format{PixelFormat: "JPEG", Width: frame.Width, Height: frame.Height, FPS: s.FPS}
			sink.Started(s.device(), format)
		case frames == measureFrames+1 && now.After(began):
			format.FPS = measureFrames / now.Sub(began).Seconds()
			sink.Started(s.device(), format)
		case format.Width != frame.Width || format.Height != frame.Height:
			format.Width, format.Height = frame.Width, frame.Height
			sink.Started(s.device(), format)
		}
		sink.Frame(frame)
	}
}

// newParts reads the pictures of a body.
func newParts(contentType string, body io.Reader) (*parts, error) {
	kind, about, _ := mime.ParseMediaType(contentType) // some cameras write a boundary that no parser likes
	switch {
	case strings.HasPrefix(strings.ToLower(contentType), "multipart/"):
		return &parts{in: bufio.NewReaderSize(body, readSize), limit: maxPicture, boundary: strings.Trim(about["boundary"], "-")}, nil
	case kind == "text/html":
		return nil, fmt.Errorf("%w: that is a page; name the stream that it shows, as http://pushcam.local/stream", camera.ErrBlocked)
	case kind == "image/jpeg":
		return nil, fmt.Errorf("%w: that is one picture; name the stream, as http://pushcam.local/stream", camera.ErrBlocked)
	}
	return nil, fmt.Errorf("%w: that is no stream of pictures (multipart), but %.60q", camera.ErrBlocked, contentType)
}
