package pusher

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// streamHead is the head of the answer to a stream's request. The stream ends with the
// connection, because chunked encoding breaks simple players (esphome feature 960). All
// players take HTTP/1.0 with Connection: close.
const streamHead = "HTTP/1.0 200 OK\r\n" +
	"Connection: close\r\n" +
	"Content-Type: multipart/x-mixed-replace; boundary=" + boundary + "\r\n" +
	"Cache-Control: no-store, no-cache, must-revalidate, private, max-age=0\r\n" +
	"Pragma: no-cache\r\n" +
	"X-Accel-Buffering: no\r\n" +
	"Access-Control-Allow-Origin: *\r\n" +
	"\r\n"

// maxName bounds the name that a viewer gives itself, in bytes.
const maxName = 64

// streamQuery is what the query of a stream's URL asks for.
type streamQuery struct {
	interval time.Duration // ?fps=, as the time between two frames at least; 0 is no limit
	ahead    bool          // ?advance_headers=, else as it suits the client
	name     string        // ?name=
}

func readStreamQuery(r *http.Request) (q streamQuery, err error) {
	values := r.URL.Query()
	if q.interval, err = fpsLimit(values); err != nil {
		return q, err
	}
	name := values.Get("name")
	q.name = strings.Clone(name[:min(len(name), maxName)]) // so that it does not keep the whole header in memory
	q.ahead, err = wantsHeaderAhead(values, r.Header)
	return q, err
}

// stream answers /stream: a multipart stream, or a session's id for a JPGPusher
// page's script.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	if wantsSession(r) {
		s.newSession(w, r)
		return
	}
	s.multipart(w, r)
}

// multipart answers with a stream that is not part of a session.
func (s *Server) multipart(w http.ResponseWriter, r *http.Request) {
	s.serveStream(w, r, streamOptions{ctx: s.ctx, done: func() {}})
}

// streamOptions is what differs between a plain stream and that of a push session.
type streamOptions struct {
	ctx      context.Context // ends the stream
	session  bool            // it is a push session's
	replaces bool            // takes the place of another stream, which is ending
	done     func()          // called after its end
}

// serveStream makes the request's connection a viewer, which runs in a goroutine of its
// own, so that net/http can free its memory for the request. If that is not possible,
// serveStream answers why, and returns false.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, o streamOptions) bool {
	query, err := readStreamQuery(r)
	if err != nil {
		fail(w, r, http.StatusBadRequest, "%v", err)
		return false
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
		w.Header().Set("Connection", "close")
		return false
	}
	if !s.reservePlace(o.replaces) {
		busy(w, r, "All %d places for viewers are taken; try again in a few seconds", s.MaxViewers)
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.releasePlace(nil, err)
		fail(w, r, http.StatusInternalServerError, "This connection cannot carry a stream: %v", err)
		return false
	}
	v := newViewer(conn, s.ViewerTimeout, &s.ages)
	v.session, v.interval, v.ahead, v.name = o.session, query.interval, query.ahead, query.name
	// A browser's network process reads everything at once, however slowly the browser
	// shows it. To ask it would tell nothing.
	v.link.asks = !v.ahead && !strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
	s.addViewer(v)
	go func() {
		s.Log.Info("viewer came", "viewer", v.address)
		err := v.run(o.ctx, s.Hub)
		v.link.closing(evicted(err))
		conn.Close()
		o.done()
		s.releasePlace(v, err)
		s.Log.Info("viewer left", "viewer", v.address, "after", time.Since(v.since).Round(time.Second),
			"frames", v.sent.Load(), "skipped", v.skipped.Load(), "why", leftWhy(err))
	}()
	return true
}

// run greets the viewer and serves it.
func (v *viewer) run(ctx context.Context, h *Hub) error {
	if err := v.conn.SetDeadline(time.Now().Add(v.timeout)); err != nil {
		return err
	}
	greeting := streamHead + "--" + boundary + "\r\n"
	if v.ahead {
		greeting += headAhead
	}
	if _, err := v.conn.Write([]byte(greeting)); err != nil {
		return err
	}
	first, leave := h.watch()
	defer leave()
	return v.serve(ctx, h, first)
}

func leftWhy(err error) string {
	switch {
	case err == nil:
		return "the stream was ended"
	case evicted(err):
		return errStalled.Error()
	default:
		return "it closed the connection"
	}
}

// reservePlace takes one of the places for viewers. It returns false if all are taken.
// With oneIsFreed there is one more, which another stream is giving back. Whoever has
// reserved a place adds a viewer, and releases the place in the end.
func (s *Server) reservePlace(oneIsFreed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	places := s.MaxViewers
	if oneIsFreed {
		places++
	}
	if s.places >= places || s.ctx.Err() != nil {
		s.totals.refusedViewers++
		return false
	}
	s.places++
	s.streams.Add(1)
	return true
}

func (s *Server) addViewer(v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewers[v] = struct{}{}
	s.totals.viewers++
}

// releasePlace gives back a place; v is who had it, if anybody, and why it left.
func (s *Server) releasePlace(v *viewer, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v != nil {
		delete(s.viewers, v)
		s.totals.count(v)
		if evicted(why) {
			s.totals.evicted++
		}
	}
	s.places--
	s.streams.Done()
}

// closeViewers closes all viewers' connections, which ends writes that are under way.
func (s *Server) closeViewers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		v.conn.Close()
	}
}
