package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/words"
)

// streamHead is the head of the answer to a stream's request, without its end. The stream
// ends with the connection, because chunked encoding breaks simple players (esphome
// feature 960). All players take HTTP/1.0 with Connection: close.
func streamHead(records bool) string {
	return "HTTP/1.0 200 OK\r\n" +
		"Connection: close\r\n" +
		"Content-Type: " + contentType(records) + "\r\n" +
		"Cache-Control: no-store, no-cache, must-revalidate, private, max-age=0\r\n" +
		"Pragma: no-cache\r\n" +
		"X-Accel-Buffering: no\r\n"
}

// maxName bounds the name that a viewer gives itself, in bytes.
const maxName = 64

// streamQuery is what the query of a stream's URL asks for.
type streamQuery struct {
	interval time.Duration // ?fps=, as the time between two frames at least; 0 is no limit
	ahead    bool          // ?advance_headers=, else as it suits the client
	name     string        // ?name=
	news     bool          // ?news=1, for records
}

func readStreamQuery(r *http.Request) (q streamQuery, err error) {
	values := r.URL.Query()
	if q.interval, err = fpsLimit(values); err != nil {
		return q, err
	}
	name := values.Get("name")
	q.name = strings.Clone(name[:min(len(name), maxName)]) // so that it does not keep the whole header in memory
	q.news = values.Get("news") == "1"
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
	if needsOwnAddress(r) {
		giveOwnAddress(w, r)
		return
	}
	s.serveStream(w, r, streamOptions{ctx: s.ctx, done: func() {}})
}

// streamOptions is what differs between a plain stream and that of a push session.
type streamOptions struct {
	ctx      context.Context // ends the stream
	session  bool            // it is a push session's
	records  bool            // it is one of records, and not multipart
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
		w.Header().Set("Content-Type", contentType(o.records))
		w.Header().Set("Connection", "close")
		return false
	}
	from := guest(r)
	if why := s.reservePlace(from, o.replaces); why != "" {
		s.Log.Warn("a viewer was refused", "from", address(r), "why", why)
		busy(w, r, "%s; try again in a few seconds", why)
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.releasePlace(from, nil, err)
		fail(w, r, http.StatusInternalServerError, "This connection cannot carry a stream: %v", err)
		return false
	}
	v := newViewer(conn, s.limits().ViewerTimeout, &s.ages)
	ctx, cancel := context.WithCancel(o.ctx)
	v.from, v.cancel, v.frames = from, cancel, &s.frames
	v.origin = s.allowedOrigin(r, false)
	v.session, v.records, v.interval, v.name = o.session, o.records, query.interval, query.name
	v.ahead = query.ahead && !o.records
	p := passOf(r)
	if v.hears = query.news && o.records && (p == nil || !p.signed); v.hears { // a signed URL shows pictures and nothing else
		v.language = words.For(w, r)
	}
	// A browser's network process reads everything at once, however slowly the browser
	// shows it. To ask it would tell nothing.
	v.link.asks = !v.ahead && !strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
	s.addViewer(v)
	if v.hears && s.hearers.Add(1) == 1 { // else they are half a second old at most
		s.lookForNews()
	}
	stay := func() bool { return true }
	if p != nil {
		stay = context.AfterFunc(p.ctx, cancel)
	}
	go func() {
		defer stay()
		s.Log.Info("viewer came", "viewer", v.address)
		err := v.run(ctx, s.Hub)
		cancel()
		v.link.closing(evicted(err))
		if evicted(err) {
			socketOf(conn).Close()
		} else {
			conn.Close()
		}
		o.done()
		if v.yielded.Load() {
			err = errYielded
		}
		if v.hears {
			s.hearers.Add(-1)
		}
		s.releasePlace(from, v, err)
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
	greeting := streamHead(v.records)
	if v.origin != "" {
		greeting += "Access-Control-Allow-Origin: " + v.origin + "\r\n"
	}
	if v.records {
		greeting += "X-Content-Type-Options: nosniff\r\n\r\n"
	} else {
		greeting += "\r\n--" + boundary + "\r\n"
	}
	if v.ahead {
		greeting += headAhead
	}
	if _, err := v.conn.Write([]byte(greeting)); err != nil {
		return err
	}
	first, leave := h.watch()
	defer leave()
	defer v.giveFrame()
	return v.serve(ctx, h, first)
}

func leftWhy(err error) string {
	switch {
	case err == nil:
		return "the stream was ended"
	case errors.Is(err, errYielded):
		return errYielded.Error()
	case evicted(err):
		return errStalled.Error()
	default:
		return "it closed the connection"
	}
}

// reservePlace takes one of the places for viewers for an address, or says why it cannot
// have one. With oneIsFreed there may be one more, which another stream of its is giving back.
// Whoever has reserved a place adds a viewer, and releases the place in the end.
func (s *Server) reservePlace(from netip.Addr, oneIsFreed bool) (why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return "The camera's program is being ended"
	}
	s.places.resize(s.placesFor(s.Hub.newest.Load().frame))
	free := s.places.room(from) || oneIsFreed && s.places.total <= s.places.max
	if !free && !s.makePlace(from) {
		s.totals.refusedViewers++
		if s.places.spent(from) {
			return fmt.Sprintf("Your address has %d of the %d places for viewers, and may have no more", s.places.share, s.places.max)
		}
		return fmt.Sprintf("All %d places for viewers are taken", s.places.max)
	}
	s.places.add(from, 1)
	s.streams.Add(1)
	return ""
}

// placesFor is how many places for viewers there are while the camera's frames are like f,
// which may be nil: all, or so many that two frames for each fit into the memory.
func (s *Server) placesFor(f *camera.Frame) int {
	all := s.limits().MaxViewers
	if f == nil || 2*len(f.JPEG) <= viewerMemory {
		return all
	}
	return min(max(all*viewerMemory/(2*len(f.JPEG)), 2), all)
}

// makePlace has a viewer give its place to one from an address, or returns false. s.mu is
// held.
func (s *Server) makePlace(from netip.Addr) bool {
	var (
		claims  []claim
		viewers []*viewer
		newest  = s.Hub.newest.Load().n
	)
	for v := range s.viewers {
		if !v.unplaced {
			claims = append(claims, claim{from: v.from, idle: v.isSlow(newest), since: v.since})
			viewers = append(viewers, v)
		}
	}
	i := s.places.yields(from, claims)
	if i < 0 {
		return false
	}
	s.places.add(viewers[i].from, -1)
	viewers[i].unplaced = true
	viewers[i].yield()
	return true
}

func (s *Server) addViewer(v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.first = s.Hub.newest.Load().n
	s.viewers[v] = struct{}{}
	s.totals.viewers++
}

// releasePlace gives back a place of an address; v is who had it, if anybody, and why it
// left.
func (s *Server) releasePlace(from netip.Addr, v *viewer, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v != nil {
		delete(s.viewers, v)
		s.totals.count(v)
		if evicted(why) {
			s.totals.evicted++
		}
	}
	if v == nil || !v.unplaced {
		s.places.add(from, -1)
	}
	s.streams.Done()
}

// closeViewers closes all viewers' connections, which ends writes that are under way.
func (s *Server) closeViewers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		socketOf(v.conn).Close()
	}
}
