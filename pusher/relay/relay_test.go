package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink collects what a Source gives.
type sink struct {
	frames  []*camera.Frame
	came    []time.Time // when each frame did
	device  camera.Device
	format  camera.Format
	dropped map[camera.DropKind]int
	more    chan struct{} // closed by the frame that is waited for
	want    int
}

// awaitFrames makes a sink whose more is closed when it has n frames.
func awaitFrames(n int) *sink {
	return &sink{dropped: make(map[camera.DropKind]int), more: make(chan struct{}), want: n}
}

func (s *sink) Started(d camera.Device, f camera.Format) { s.device, s.format = d, f }
func (s *sink) Restarted()                               {}
func (s *sink) Drop(kind camera.DropKind, n int)         { s.dropped[kind] += n }
func (s *sink) Frame(f *camera.Frame) {
	s.came = append(s.came, time.Now())
	if s.frames = append(s.frames, f); len(s.frames) == s.want {
		close(s.more)
	}
}

// take runs the source until its sink has enough, and returns why it ended if it did
// before.
func (s *sink) take(t *testing.T, source *Source) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	ended := make(chan error)
	go func() { ended <- source.Run(ctx, s) }()
	select {
	case <-s.more:
		cancel(enough)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("Run ended with %v, want the cause of its context", err)
		}
		return nil
	case err := <-ended:
		cancel(nil)
		return err
	}
}

func streamOf(t *testing.T, url string) *Source {
	t.Helper()
	u, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return &Source{URL: u}
}

type health struct{}

func (health) Health() error            { return nil }
func (health) FrameTime() time.Duration { return time.Second / 30 }

// serve serves what the camera gives as a pushcam does, and returns its address.
func serve(t *testing.T, source camera.Source) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cam := &camera.Camera{Source: source}
	hub := pusher.NewHub(cam.SetDemand)
	cam.Deliver = hub.Publish
	server := &pusher.Server{Hub: hub, Camera: health{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cam.Run(ctx) })
	running.Go(func() { server.Serve(ctx, l) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return l.Addr().String()
}

// A pushcam shows another one's frames as they are, and with their ages, also over two
// hops; and only while somebody watches.
func TestRelayOfRelay(t *testing.T) {
	first := &camera.Pattern{Settings: camera.Settings{Width: 64, Height: 48, FPS: 60}}
	second := streamOf(t, "http://"+serve(t, first)+"/stream")
	last := awaitFrames(30)
	third := streamOf(t, "http://"+serve(t, second)+"/stream.mjpg?fps=50")
	if d, err := third.Check(); err != nil || !strings.HasSuffix(d.Path, "/stream.mjpg") {
		t.Errorf("Check: %v, %v", d, err)
	}
	began := time.Now()
	if err := last.take(t, third); err != nil {
		t.Fatal(err)
	}
	for i, f := range last.frames {
		if f.Width != 64 || f.Height != 48 || f.Time.Before(began) || f.Time.After(time.Now()) {
			t.Errorf("frame %d: %d×%d of %v, since %v", i, f.Width, f.Height, f.Time, began)
		}
		if i > 0 && f.Time.Before(last.frames[i-1].Time) {
			t.Errorf("frame %d is from %v, the one before from %v", i, f.Time, last.frames[i-1].Time)
		}
	}
	if last.format.Width != 64 || last.format.FPS == 0 || last.device.Name != "stream" {
		t.Errorf("%+v, %+v", last.device, last.format)
	}
}

// A frame's age is kept although the first camera's clock shows another time.
func TestAgeOverHops(t *testing.T) {
	const wrong, transit = -5 * time.Hour, 150 * time.Millisecond
	unix := func(t time.Time) string {
		return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000)
	}
	asked := make(chan struct{}, 100)
	jpeg := frameOf(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/cam/state", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"time": %s}`, unix(time.Now().Add(wrong)))
		asked <- struct{}{}
	})
	mux.HandleFunc("/cam/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		for i := 1; ; i++ {
			fmt.Fprintf(w, "--frame\r\nContent-Length: %d\r\nX-Timestamp: %s\r\nX-Frame: %d\r\n\r\n%s\r\n",
				len(jpeg), unix(time.Now().Add(wrong-transit)), i, jpeg)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			if i == 1 {
				for range clockTries {
					<-asked
				}
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	got := awaitFrames(100)
	if err := got.take(t, streamOf(t, site.URL+"/cam/stream")); err != nil {
		t.Fatal(err)
	}
	// How old each frame was when it came, at least: the first came before the clock was
	// known, and counts as captured then.
	last := got.frames[len(got.frames)-1]
	if age := got.came[len(got.came)-1].Sub(last.Time); age < transit-time.Millisecond || age > oldest {
		t.Errorf("the last frame was %v old when it came, want %v and its way here", age, transit)
	}
	if first := got.frames[0]; first.Time.After(got.came[0]) {
		t.Errorf("the first frame is from %v and came at %v", first.Time, got.came[0])
	}
}

// Whatever keeps a stream from being shown is one sentence, without the URL's secrets.
func TestNoStream(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/closed", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "viewer" || password != "sesame" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		http.Error(w, "All\n 128 places are taken", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!DOCTYPE html>") })
	mux.HandleFunc("/ends", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		fmt.Fprint(w, "--frame\r\nContent-Length: 4\r\n\r\nnone\r\n--frame\r\nContent-Length: 9\r\n\r\n")
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	host := strings.TrimPrefix(site.URL, "http://")
	own := netip.MustParseAddrPort(host)
	for _, tt := range []struct {
		url, want    string
		none, person bool // wraps ErrNoCamera, ErrBlocked
	}{
		{url: "http://" + nobody + "/stream", want: "nothing serves at " + nobody, none: true},
		{url: "http://nobody.invalid/stream", want: "there is no computer with the name nobody.invalid", none: true},
		{url: site.URL + "/closed?token=sesame", want: "wants a password", person: true},
		{url: "http://viewer:sesame@" + host + "/closed", want: "503 Service Unavailable: All 128 places are taken"},
		{url: site.URL + "/nowhere", want: "has nothing at /nowhere", person: true},
		{url: site.URL + "/page", want: "that is a page; name the stream", person: true},
		{url: site.URL + "/ends", want: "has ended the stream"},
		{url: site.URL + "/own", want: "this program's own", person: true},
	} {
		s := streamOf(t, tt.url)
		if s.URL.Hostname() == "nobody.invalid" { // no test waits for a name server
			s.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, &net.DNSError{IsNotFound: true} }
		}
		if strings.HasSuffix(tt.url, "/own") {
			s.Own = func(a netip.AddrPort) bool { return a == own }
		}
		got := awaitFrames(1)
		err := got.take(t, s)
		if err == nil {
			t.Errorf("%s: it is a stream", tt.url)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", tt.url, err)
		}
		if errors.Is(err, camera.ErrNoCamera) != tt.none || errors.Is(err, camera.ErrBlocked) != tt.person {
			t.Errorf("%s: no camera %v, blocked %v: %v", tt.url, errors.Is(err, camera.ErrNoCamera), errors.Is(err, camera.ErrBlocked), err)
		}
		if d, _ := s.Check(); strings.Contains(fmt.Sprint(d), "sesame") {
			t.Errorf("%s: the device is %v", tt.url, d)
		}
		if tt.none || strings.HasSuffix(tt.url, "/own") {
			if _, checked := s.Check(); checked == nil || checked.Error() != err.Error() {
				t.Errorf("%s: Check says %v, Run %v", tt.url, checked, err)
			}
		}
	}
	for _, text := range []string{"http://", "http:stream", "https:///stream", "http://[::1/stream", "http://a b/"} {
		if u, err := ParseURL(text); err == nil {
			t.Errorf("%q is %v", text, u)
		}
	}
}

// A stream that is elsewhere is followed there, without its token.
func TestRedirect(t *testing.T) {
	var referers []string
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		referers = append(referers, r.Referer())
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL+"/", http.StatusFound))
	defer here.Close()
	err := awaitFrames(1).take(t, streamOf(t, here.URL+"/stream?token=sesame"))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another address %d times", maxRedirects+1)) {
		t.Errorf("the source says %v", err)
	}
	if want := slices.Repeat([]string{""}, maxRedirects); !slices.Equal(referers, want) {
		t.Errorf("the other server was told of %q", referers)
	}
}

// frameOf is a JPEG.
func frameOf(t *testing.T) []byte {
	t.Helper()
	one := awaitFrames(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-one.more; cancel() }()
	(&camera.Pattern{Settings: camera.Settings{Width: 32, Height: 32, FPS: 60}}).Run(ctx, one)
	return one.frames[0].JPEG
}
