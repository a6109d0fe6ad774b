//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

// web keeps no connections, because the machine's reboots would break them.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// getTimeout is how long an answer may take. stateTimeout is the same for one that needs
// no camera. It is short, because QEMU's router takes connections to a machine that is
// not up yet and tries to pass them on only after 6, 18 and 42 s: a new connection is
// sooner there. A busy machine gets more and more, up to maxStateTimeout.
const (
	getTimeout      = 2 * time.Minute
	stateTimeout    = 2 * time.Second
	maxStateTimeout = time.Minute
)

// get asks the appliance for a page.
func (m *machine) get(path string, timeout time.Duration) (code int, header http.Header, body []byte, err error) {
	return m.do(http.MethodGet, path, timeout, func(*http.Request) {})
}

// owned sends a request as the owner.
func (m *machine) owned(method, path string) (code int, header http.Header, body []byte, err error) {
	return m.do(method, path, getTimeout, func(r *http.Request) { r.SetBasicAuth("owner", password) })
}

func (m *machine) do(method, path string, timeout time.Duration, prepare func(*http.Request)) (code int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	prepare(req)
	resp, err := web.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, resp.Header, body, err
}

// state is what the tests look at in /state.
type state struct {
	Camera camera.State `json:"camera"`
	Panel  struct {
		Pattern string `json:"pattern"`
		LEDs    int    `json:"leds"`
		Button  bool   `json:"button"`
	} `json:"panel"`
	Card struct {
		Answers bool   `json:"answers"`
		Trouble string `json:"trouble"`
		Count   int    `json:"troubles"`
		Perm    int64  `json:"perm_bytes"`
	} `json:"card"`
	Settings struct {
		Privacy bool   `json:"privacy"`
		Unkept  bool   `json:"unkept"`
		Trouble string `json:"trouble"`
	} `json:"settings"`
	Flags map[string]struct {
		Value string `json:"value"`
		By    string `json:"by"`
	} `json:"flags"`
	Program struct {
		Version string `json:"version"`
		System  string `json:"system"`
	} `json:"program"`
	Update struct {
		Phase   update.Phase  `json:"phase"`
		Message string        `json:"message"`
		Last    update.Record `json:"last"`
	} `json:"update"`
	Board struct {
		Model    string `json:"model"`
		Resident int64  `json:"resident_bytes"`
	} `json:"board"`
	Network struct {
		Host  string        `json:"host"`
		Links []status.Link `json:"links"`
		Clock status.Clock  `json:"clock"`
		WiFi  *status.Radio `json:"wifi"`
	} `json:"network"`
	Kernel struct {
		Release string   `json:"release"`
		Package string   `json:"package"`
		Drivers []string `json:"camera_drivers"`
	} `json:"kernel"`
	Frame *struct {
		AgeMS float64 `json:"age_ms"`
	} `json:"frame"`
	Viewers []struct {
		Sent    uint64  `json:"frames_sent"`
		Seconds float64 `json:"seconds"`
		AgeMS   float64 `json:"age_ms"`
	} `json:"viewers"`
	Recovery struct {
		Restart struct {
			Reason string `json:"reason"`
		} `json:"restart"`
		Reboot struct {
			Reason string `json:"reason"`
		} `json:"reboot"`
	} `json:"recovery"`
	Setup struct {
		Problems []struct {
			Line int    `json:"line"`
			Text string `json:"text"`
		} `json:"problems"`
		Trouble string `json:"trouble"`
	} `json:"setup"`
	TLS struct {
		Fingerprint string `json:"fingerprint"`
	} `json:"tls"`
	ID       string  `json:"id"`
	Hostname string  `json:"hostname"`
	Unowned  bool    `json:"unowned"`
	Uptime   float64 `json:"uptime_s"`
}

func (m *machine) state() (s state, err error) {
	timeout := max(stateTimeout, time.Duration(m.slow.Load()))
	code, _, body, err := m.get("/state", timeout)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		m.slow.Store(int64(min(2*timeout, maxStateTimeout)))
		return s, err
	case err != nil:
		return s, err
	case code != http.StatusOK:
		return s, fmt.Errorf("/state: status %d: %s", code, body)
	}
	return s, json.Unmarshal(body, &s)
}

// is waits until ok returns true for the state.
func (m *machine) is(t *testing.T, what string, ok func(state) bool) (s state) {
	t.Helper()
	m.await(t, what, func() (err error) {
		if s, err = m.state(); err != nil {
			return err
		}
		if !ok(s) {
			return fmt.Errorf("the state is %+v", s)
		}
		return nil
	})
	return s
}

// now is the present state.
func (m *machine) now(t *testing.T) state {
	t.Helper()
	return m.is(t, "the state", func(state) bool { return true })
}

// picture waits until a snapshot is a picture of the webcam.
func (m *machine) picture(t *testing.T) {
	t.Helper()
	m.await(t, "a picture", func() error {
		if _, err := m.state(); err != nil {
			return err
		}
		code, _, body, err := m.get("/snapshot.jpg", getTimeout)
		if err != nil {
			return err
		}
		if code != http.StatusOK {
			return fmt.Errorf("status %d", code)
		}
		_, err = pictures.Number(body)
		return err
	})
}

// metrics looks for lines in /metrics.
func (m *machine) metrics(t *testing.T, want ...string) {
	t.Helper()
	code, _, body, err := m.get("/metrics", getTimeout)
	if err != nil || code != http.StatusOK {
		t.Errorf("/metrics: status %d, %v", code, err)
		return
	}
	for _, line := range want {
		if !strings.Contains(string(body), line+"\n") {
			t.Errorf("/metrics lacks %q:\n%s", line, body)
		}
	}
}

// A viewer reads a stream with the strict parser.
type viewer struct {
	m      *machine
	opened time.Time
	resets int32 // of the machine before
	conn   net.Conn
	stream *pushertest.StreamReader
}

// stream opens a stream, until the test is over, or for the time of patience.
func (m *machine) stream(t *testing.T) *viewer {
	t.Helper()
	conn, err := dialStream(t.Context(), strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m.watch(conn)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &viewer{m, time.Now(), m.resets.Load(), conn, s}
}

// dialStream asks for a stream.
func dialStream(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET /stream.mjpg HTTP/1.0\r\nHost: %s\r\n\r\n", address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// next is the next part of the stream, which must go on.
func (v *viewer) next(t *testing.T) pushertest.Part {
	t.Helper()
	part, err := v.stream.Next()
	if err != nil {
		t.Fatalf("the stream ended; the machine began anew %d times since it opened: %v", v.m.resets.Load()-v.resets, err)
	}
	return part
}

// picture is the next picture of the camera, and its number. A placeholder in between is
// the product's fault, unless the machine was so busy that the webcam itself stood
// still.
func (v *viewer) picture(t *testing.T) (n int, jpg []byte) {
	t.Helper()
	for {
		part := v.next(t)
		n, err := pictures.Number(part.JPEG)
		switch {
		case err == nil:
			return n, part.JPEG
		case !errors.Is(err, pictures.ErrNotTaken) || v.m.cam == nil || !v.m.cam.paused(v.opened):
			t.Fatal(err)
		}
	}
}

// await reads the stream until a picture of the webcam comes or, if webcams is false, a
// placeholder.
func (v *viewer) await(t *testing.T, webcams bool) {
	t.Helper()
	for {
		part := v.next(t)
		if _, err := pictures.Number(part.JPEG); (err == nil) == webcams {
			return
		}
	}
}

// end reads the stream until it ends.
func (v *viewer) end(t *testing.T) {
	t.Helper()
	for {
		_, err := v.stream.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the stream does not end: %v", err)
		}
		if err != nil {
			return
		}
	}
}

// keepWatching has a viewer, who comes again whenever the stream ends, until the test
// does.
func (m *machine) keepWatching(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		for ctx.Err() == nil {
			if resp, err := web.Do(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			select { // the program or the machine may be starting
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-left
	})
}
