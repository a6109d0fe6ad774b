//go:build linux

package portal

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/words"
)

const (
	readTimeout  = 10 * time.Second // for a request
	writeTimeout = 30 * time.Second // for its answer, on the way to which passwords are hashed
	stopTimeout  = time.Second      // for all answers together, at the end
	maxHeader    = 8 << 10          // bytes
	maxForm      = 8 << 10          // bytes
	maxConns     = 48               // at a time
	// guessPause is after a wrong owner's password, so that nobody tries many.
	guessPause = 2 * time.Second
	// leaving is how long after the form was taken the page says so to whoever asks: a
	// button that was touched twice gets the same answer twice.
	leaving = 15 * time.Second
)

// pageURL is where the page is, and cameraURL where the camera is.
var (
	pageURL   = "http://" + Address.Addr().String() + "/"
	cameraURL = "http://" + CameraAddress.Addr().String() + "/"
)

// A web answers HTTP in the set-up network.
type web struct {
	*Portal
	origin *http.CrossOriginProtection
	style  string // of the page, and those of script, for its Content-Security-Policy
	script string

	one  chan struct{} // holds a token while a form is being worked on
	mu   sync.Mutex
	took *taken // nil: no form was taken yet
}

// taken is a form that was taken.
type taken struct {
	at      time.Time
	network string
	host    string
	trouble string // a sentence, empty if all was kept
}

func newWeb(p *Portal) *web {
	s := &web{Portal: p, origin: http.NewCrossOriginProtection(), style: hashOf(pageStyle), one: make(chan struct{}, 1)}
	for _, l := range words.Languages {
		s.script += hashOf(script(l)) + " "
	}
	return s
}

// serveWeb answers on l, which it closes, until ctx is done or l fails.
func serveWeb(ctx context.Context, l net.Listener, answer http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           answer,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false) // so that no connection is held for nothing
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	err := server.Serve(netutil.LimitListener(l, maxConns))
	if stop() {
		server.Close()
		return err
	}
	<-ended
	return ctx.Err()
}

// ServeHTTP sends whoever asks for anything else to the page. By that, phones see that
// the network leads nowhere yet, and show the page: Android asks for /generate_204 and
// /gen_204, Apple's systems for /hotspot-detect.html and /library/test/success.html,
// Windows for /connecttest.txt, /ncsi.txt and /redirect, Firefox for /canonical.html and
// /success.txt, each of a host of theirs.
func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !isPage(r) {
		w.Header().Set("Location", pageURL)
		w.WriteHeader(http.StatusFound)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if t := s.left(); t != nil {
			s.write(w, http.StatusOK, leavingPage(s.Portal, words.For(w, r), t))
			return
		}
		s.writeForm(w, r, http.StatusOK, s.first(r), "")
	case http.MethodPost:
		s.post(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		words.Error(w, r, "The page takes GET and POST.", http.StatusMethodNotAllowed)
	}
}

// isPage tells whether a request is for the page by its address. One by a name is for
// somebody else, or is made by a page that has us under its own name (DNS rebinding).
func isPage(r *http.Request) bool {
	host := r.Host
	if name, port, err := net.SplitHostPort(host); err == nil && port == "80" {
		host = name
	}
	return host == Address.Addr().String() && r.URL.Path == "/"
}

// first is the form before anybody has typed.
func (s *web) first(r *http.Request) *form {
	f := &form{host: s.Hostname, country: s.Settings.Country}
	if f.country == "" {
		f.country = likelyCountry(r.Header.Get("Accept-Language"))
	}
	if len(s.Settings.Networks) > 0 {
		f.choose(s.Portal, s.Settings.Networks[0].SSID)
	}
	return f
}

func (s *web) post(w http.ResponseWriter, r *http.Request) {
	if err := s.origin.Check(r); err != nil {
		words.Error(w, r, says.foreign, http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		words.Error(w, r, says.notForm, http.StatusRequestEntityTooLarge)
		return
	} else if err != nil || len(r.PostForm) == 0 {
		words.Error(w, r, says.notForm, http.StatusBadRequest)
		return
	}
	select { // one at a time: passwords are hashed
	case s.one <- struct{}{}:
		defer func() { <-s.one }()
	case <-r.Context().Done():
		return
	}
	if t := s.left(); t != nil {
		s.write(w, http.StatusOK, leavingPage(s.Portal, words.For(w, r), t))
		return
	}
	if s.Owner.Free() {
		s.Owner.Verify("") // somebody may have become it on the camera's own page
	}
	f := read(r.PostForm)
	t := s.check(f)
	if len(f.wrong) == 0 && t.password == "" {
		s.verify(r.Context(), f)
	}
	if len(f.wrong) > 0 {
		s.writeForm(w, r, http.StatusUnprocessableEntity, f, "")
		return
	}
	taken, err := s.submit(t)
	if err != nil {
		s.Log.Error("what was typed on the set-up page is not taken", "err", err)
		s.writeForm(w, r, http.StatusInternalServerError, f, says.notSaved+sentence(err))
		return
	}
	s.Log.Info("a network was typed on the set-up page; the camera leaves for it", "network", taken.network, "from", r.RemoteAddr)
	s.write(w, http.StatusOK, leavingPage(s.Portal, words.For(w, r), taken))
}

// verify compares the owner's password, and takes its time if it is another one.
func (s *web) verify(ctx context.Context, f *form) {
	right, err := s.Owner.Verify(f.password)
	switch {
	case err != nil:
		f.wrong[passwordField] = sentence(err)
	case right:
		return
	default:
		f.wrong[passwordField] = says.wrongPassword
	}
	select {
	case <-ctx.Done():
	case <-time.After(guessPause):
	}
}

// submit hands on what was typed. What is returned says so to later requests as well.
func (s *web) submit(t typed) (*taken, error) {
	hash := ""
	if t.password != "" {
		var err error
		if hash, err = device.HashPassword(t.password); err != nil {
			return nil, err
		}
	}
	err := s.Submit(func(settings *setup.Settings) { t.apply(settings, hash) })
	if err != nil && !errors.Is(err, setup.ErrNotKept) {
		return nil, err
	}
	took := &taken{at: time.Now(), network: text(t.network.SSID), host: s.Hostname}
	if t.host != "" {
		took.host = t.host
	}
	if err != nil {
		s.Log.Error("what was typed on the set-up page is not kept", "err", err)
		took.trouble = says.notKept + sentence(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = took
	return took, nil
}

// left is the form that was taken just before, or nil.
func (s *web) left() *taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took == nil || time.Since(s.took.at) > leaving {
		return nil
	}
	return s.took
}

func (s *web) writeForm(w http.ResponseWriter, r *http.Request, code int, f *form, trouble string) {
	s.write(w, code, formPage(s.Portal, words.For(w, r), f, trouble))
}

func (s *web) write(w http.ResponseWriter, code int, page string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src "+s.style+"; script-src "+s.script+"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(code)
	w.Write([]byte(page)) // it fails only if the phone has left
}
