package pusher

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// Camera is what a Server asks about the camera behind its Hub.
type Camera interface {
	// Health is nil when frames flow or would flow on demand, else it says why not.
	Health() error
	// FrameTime is the time between two frames.
	FrameTime() time.Duration
}

// A Server answers HTTP for the frames of one Hub. Zero values of its fields
// mean the defaults they name.
type Server struct {
	Hub    *Hub
	Camera Camera
	// State gives the sections of /state beside the server's own.
	State map[string]func() any
	// News gives what pages show of the camera's state, without what changes with each
	// frame. They are told it in their streams. nil: nothing.
	News func() map[string]any
	// OwnersState gives sections that only the owner sees, at /api/state, some in the
	// place of one of State.
	OwnersState map[string]func() any
	// Metrics writes more lines of /metrics, in Prometheus' text format.
	Metrics func(io.Writer)
	Log     *slog.Logger
	// Licenses is the text at /licenses; nil: there is none.
	Licenses []byte
	// Answers are for all who may look, by path, to GET and HEAD.
	Answers map[string]http.Handler
	// Owner has answers of their own. nil: nobody does, and those paths are
	// unknown.
	Owner *Owner
	// Viewing is who may look. nil: everybody, always.
	Viewing *Viewing
	// Names returns the names under which the camera is viewed, besides its addresses and
	// those that only home networks have, as pushcam and pushcam.local. One that begins
	// with a dot stands for all below it, as .fritz.box. nil: there are no others.
	Names func() []string
	// AllowOrigins returns those whose pages may read what viewers can, as
	// https://home.example, and show the camera's page in a frame; or AnyOrigin. nil: there
	// are none.
	AllowOrigins func() []string
	// TLSPort, if it is not 0, is where everybody is sent who asks without TLS.
	TLSPort int

	Memory int64 // bytes that the whole process may use, DefaultMemory
	// Limits returns those that hold for whoever comes now. It must not wait for anything.
	// nil: the defaults.
	Limits func() Limits

	started     time.Time
	ctx         context.Context // ends the streams
	streams     sync.WaitGroup
	connections *connections
	sessions    *sessions
	frames      frameBudget
	endpoints   map[string]endpoint
	limiter     *loginLimiter // nil if nobody can have a password
	logins      *logins       // likewise
	tokens      *tokens       // this and the next are nil if viewing is always open
	signer      *signer
	hearers     atomic.Int64           // viewers that are told the news
	looking     sync.Mutex             // held while there may be news
	access      atomic.Pointer[access] // likewise
	changing    sync.Mutex             // held while access is changed
	owners      atomic.Pointer[scope]  // of what began with the owner's password
	choosing    sync.Mutex             // held while that is changed

	mu      sync.Mutex
	places  *ledger // for viewers
	viewers map[*viewer]struct{}
	totals  totals // of what is over
	// startSeconds is when the server started, in seconds since 1970; see
	// writeProcessMetrics.
	startSeconds int64

	ages ageHistogram
}

const (
	snapshotTimeout = 10 * time.Second // for a frame after the request; the camera may have to start
	readTimeout     = 10 * time.Second // for a request's header, and for its body
	writeTimeout    = 30 * time.Second // for an answer that is no stream
	idleTimeout     = 60 * time.Second // of a connection between two requests
	bodyTime        = time.Second      // for a body that nobody has read, when the request is answered
	// stopTimeout is for all streams, requests and refusals (drainTime) together, when the
	// server stops. gokrazy kills a program 2 s after it has asked it to end, and a board
	// that is busy takes a part of that.
	stopTimeout = 600 * time.Millisecond
	maxHeader   = 16 << 10 // bytes
)

// Serve answers on the listeners, which it closes, until ctx is done. Then
// every stream gets its closing boundary and Serve returns nil. A Server serves
// once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	s.Log = cmp.Or(s.Log, slog.New(slog.DiscardHandler))
	s.Memory = cmp.Or(s.Memory, DefaultMemory)
	s.frames.max = max(s.Memory-baseMemory, 0) / 3 // the kernel needs as much, and what is freed later
	s.started = time.Now()
	s.viewers = make(map[*viewer]struct{})
	s.places = newLedger(s.limits().MaxViewers)
	s.connections = newConnections(s.Log)
	s.sessions = newSessions(func() int { return s.limits().MaxSessions })
	defer s.sessions.close()

	var endStreams context.CancelFunc
	s.ctx, endStreams = context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	s.prepareLogins()
	if s.logins != nil {
		defer s.logins.closeAll()
	}
	s.endpoints = s.newEndpoints()

	web := &http.Server{
		ConnState: s.connections.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return s.connections.context(withOwn(ctx, c), c)
		},
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(errorLog{s.Log}, "", 0),
	}
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		switch given := l.(type) {
		case *MemoryListener:
		case *TLSListener:
			l = tls.NewListener(&door{Listener: given.Listener, connections: s.connections}, given.config())
		default:
			l = &door{Listener: l, connections: s.connections, refusal: refusal}
		}
		serving.Go(func() { failed <- web.Serve(l) })
	}
	serving.Go(func() { s.reportNews(s.ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}

	s.mu.Lock() // who asks for a place now gets none
	endStreams()
	s.mu.Unlock()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	s.connections.closeQuiet()
	if web.Shutdown(grace) != nil {
		web.Close()
	}
	serving.Wait()
	late := context.AfterFunc(grace, s.closeViewers)
	s.streams.Wait()
	late()
	s.connections.draining.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Limits are how many may watch, and for how long they may be silent. Zero values mean the
// defaults that they name.
type Limits struct {
	MaxViewers     int           // open streams, as many as Server.Memory allows; fewer if frames are large
	ViewerTimeout  time.Duration // a viewer that takes nothing for so long is dropped, and one of its first frames for twice as long; 10 s
	MaxSessions    int           // live sessions, half as many as Server.Memory allows viewers
	SessionFrames  int           // a session ends without a hit for this many frames, 60,
	SessionTimeout time.Duration // or for this time if that is longer, 5 s
}

// limits are those of the moment, with their defaults.
func (s *Server) limits() Limits {
	var l Limits
	if s.Limits != nil {
		l = s.Limits()
	}
	l.MaxViewers = cmp.Or(l.MaxViewers, ViewersFor(s.Memory))
	l.ViewerTimeout = cmp.Or(l.ViewerTimeout, 10*time.Second)
	l.MaxSessions = cmp.Or(l.MaxSessions, ViewersFor(s.Memory)/2)
	l.SessionFrames = cmp.Or(l.SessionFrames, 60)
	l.SessionTimeout = cmp.Or(l.SessionTimeout, 5*time.Second)
	return l
}

// sessionTimeout is how long a session lives without a hit.
func (s *Server) sessionTimeout() time.Duration {
	l := s.limits()
	return max(time.Duration(l.SessionFrames)*s.Camera.FrameTime(), l.SessionTimeout)
}

// serve answers a request, if its address has not too many under way. What nobody reads
// of its body is not waited for: the answer goes first, and then the connection is
// closed.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := connectionOf(r)
	if r.Body != http.NoBody {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		w.Header().Set("Connection", "close")
		defer func() { control.SetReadDeadline(time.Now().Add(bodyTime)) }()
	}
	if !s.connections.begin(c) {
		s.Log.Warn("a request was refused: its address has too many under way", "from", address(r))
		busy(w, r, "Your address has %d requests under way, and may have no more; try again in a few seconds", requestShare)
		return
	}
	defer s.connections.end(c)
	s.route(w, r)
}

// route finds what answers a request. Its paths are those that JPGPusher's,
// mjpg-streamer's and ustreamer's clients ask for.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	noStore(w.Header())
	s.protect(w.Header())
	if s.redirectToTLS(w, r) {
		return
	}
	if answer := s.Owner.find(r.URL.Path); answer != nil {
		s.serveOwner(w, r, answer)
		return
	}
	if !s.isForThisHost(r) {
		name := hostName(r.Host)
		s.Log.Warn("a request for another name was refused", "from", address(r), "name", name[:min(len(name), maxName)])
		fail(w, r, http.StatusForbidden, "This camera does not know that it is called %q. Open it by its address or its own name; if that is its name behind a proxy, its owner allows it as \"Also called\", or by -allow-host %s", name, name)
		return
	}

	path := cmp.Or(r.URL.Path, "/") // "GET http://pushcam.local" has none (RFC 9112, 3.2.1)
	// mjpg-streamer is usually at /webcam behind a proxy, and some proxies do not remove
	// that from the path.
	if rest, ok := strings.CutPrefix(path, "/webcam"); ok && (rest == "" || rest[0] == '/') {
		path = cmp.Or(rest, "/")
	}
	e, known := s.endpoints[path]
	if id := path[1:]; !known && isSessionID(id) {
		e, known = s.endpoints[sessionPaths], true
	}
	// A preflight has no password, and its answer tells nothing of what the camera sees.
	if r.Method != http.MethodOptions && !e.public {
		if r = s.letIn(w, r, path); r == nil {
			return
		}
	}
	if !known {
		fail(w, r, http.StatusNotFound, "There is nothing at %q; the camera is at /", path)
		return
	}
	s.allowOrigin(w.Header(), r, e.open != nil && e.open(r))
	methods := e.methods
	if methods == nil {
		methods = []string{"GET", "HEAD"}
	}
	allow := strings.Join(methods, ", ")
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allow)
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			w.Header().Set("Access-Control-Allow-Methods", allow)
			w.Header().Set("Access-Control-Allow-Headers", "*")
		}
		w.WriteHeader(http.StatusNoContent)
	case !slices.Contains(methods, r.Method):
		w.Header().Set("Allow", allow)
		fail(w, r, http.StatusMethodNotAllowed, "%s takes %s, not %s", path, allow, r.Method)
	default:
		e.answer(w, r)
	}
}

// root is the viewer page, or what mjpg-streamer answers there.
func (s *Server) root(w http.ResponseWriter, r *http.Request) {
	switch action := r.URL.Query().Get("action"); action {
	case "":
		if s.Owner.isFree() {
			s.welcome(w, r, http.StatusOK, "", Choice{})
			return
		}
		if p := passOf(r); p != nil && p.token && asksForPage(r) {
			s.beginLogin(w, r, p, "./") // what is in the page comes without the token
			return
		}
		s.page(w, r)
	case "stream":
		s.multipart(w, r)
	case "snapshot":
		s.snapshot(w, r)
	default:
		fail(w, r, http.StatusBadRequest, "action is stream or snapshot, not %q", action)
	}
}

// noStore keeps frames from being cached or held back by browsers and proxies.
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store, no-cache, must-revalidate, private, max-age=0")
	h.Set("Pragma", "no-cache")
	h.Set("X-Accel-Buffering", "no")
}

// fail answers with one sentence, in the language of who asks, as JSON if that was asked for.
func fail(w http.ResponseWriter, r *http.Request, code int, format string, args ...any) {
	message := words.For(w, r).Say(fmt.Sprintf(format, args...))
	if wantsJSON(r) {
		writeJSON(w, code, map[string]string{"error": message})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, message)
}

// wantsJSON tells whether an answer for people is to be in JSON.
func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

// busy answers that a limit is reached.
func busy(w http.ResponseWriter, r *http.Request, format string, args ...any) {
	w.Header().Set("Retry-After", "5")
	fail(w, r, http.StatusServiceUnavailable, format, args...)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	writeJSONText(w, code, v, func(text []byte) []byte { return text })
}

// writeSpokenJSON answers with what has sentences in it, in the language of who asks.
func writeSpokenJSON(w http.ResponseWriter, r *http.Request, v any) {
	writeJSONText(w, http.StatusOK, v, words.For(w, r).JSON)
}

// writePublicJSON leaves out what sentences say of where files are.
func writePublicJSON(w http.ResponseWriter, r *http.Request, v any) {
	l := words.For(w, r)
	writeJSONText(w, http.StatusOK, v, func(text []byte) []byte { return withoutFolders(l.JSON(text)) })
}

func writeJSONText(w http.ResponseWriter, code int, v any, edit func([]byte) []byte) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
	}
	b = edit(b)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(code)
	w.Write(append(b, '\n')) // it fails only if the client has left
}

// fpsLimit reads ?fps=N as the least time between two frames; 0 is no limit.
func fpsLimit(q url.Values) (time.Duration, error) {
	v := q.Get("fps")
	if v == "" {
		return 0, nil
	}
	fps, err := strconv.ParseFloat(v, 64)
	if err != nil || !(fps >= 0.01 && fps <= 1000) {
		return 0, fmt.Errorf("fps is a number from 0.01 to 1000, not %q", v)
	}
	return time.Duration(float64(time.Second) / fps), nil
}
