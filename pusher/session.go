package pusher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"
)

// A session is a push session as JPGPusher has it. A script fetches an id from /stream,
// an <img> shows /<id>, and the script requests /<id> again and again (a hit) to say that
// somebody still looks. Without a hit in time the session ends, and its stream with it.
// As long as the id is remembered, a hit makes it live again.
type session struct {
	live  bool
	from  netip.Addr // whom it counts for while it is live
	since time.Time  // that it is live
	until time.Time  // when it ends, or is forgotten
	timer *time.Timer
	// stream ends the stream that shows the session; nil if there is none. It is a
	// pointer so that it can be compared: a stream that has ended removes it only if it
	// is its own and not the next stream's.
	stream *context.CancelFunc
}

// remembered is how long the id of an ended session can be used again. It also bounds
// how many ids there are: each id was a live session for at least the session timeout,
// and the number of live sessions is limited.
const remembered = 2 * time.Minute

const sessionDigits = 15

// sessionUnused is how long after its beginning a session without a stream gives way to
// others.
const sessionUnused = 2 * time.Second

var (
	errUnknownSession  = errors.New("unknown session")
	errTooManySessions = errors.New("too many sessions")
)

type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
	live *ledger
	max  func() int // that may be live
}

func newSessions(max func() int) *sessions {
	return &sessions{byID: make(map[string]*session), live: newLedger(max()), max: max}
}

func isSessionID(s string) bool {
	return len(s) == sessionDigits && strings.Trim(s, "0123456789") == ""
}

// open begins a session of an address, which lives for timeout without a hit.
func (ss *sessions) open(from netip.Addr, timeout time.Duration) (id string, err error) {
	n, _ := rand.Int(rand.Reader, big.NewInt(1e15)) // that reader never fails
	id = fmt.Sprintf("%0*d", sessionDigits, n)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := new(session)
	if err := ss.enliven(s, from); err != nil {
		return "", err
	}
	ss.byID[id] = s
	s.until = time.Now().Add(timeout)
	s.timer = time.AfterFunc(timeout, func() { ss.expire(id, s) })
	return id, nil
}

// enliven makes a session live for an address, if there is room for it. ss.mu is held.
func (ss *sessions) enliven(s *session, from netip.Addr) error {
	ss.live.resize(ss.max())
	if !ss.live.room(from) && !ss.makeRoom(from) {
		return errTooManySessions
	}
	ss.live.add(from, 1)
	s.live, s.from, s.since = true, from, time.Now()
	return nil
}

// places are how many sessions may be live, and how many of one address.
func (ss *sessions) places() (all, share int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.live.max, ss.live.share
}

// makeRoom ends a session for one of an address, or returns false. Its id is forgotten,
// so that there are not more of them the faster they come. ss.mu is held.
func (ss *sessions) makeRoom(from netip.Addr) bool {
	var claims []claim
	var ids []string
	for id, s := range ss.byID {
		if s.live {
			claims = append(claims, claim{from: s.from, idle: s.stream == nil && time.Since(s.since) >= sessionUnused, since: s.since})
			ids = append(ids, id)
		}
	}
	i := ss.live.yields(from, claims)
	if i < 0 {
		return false
	}
	s := ss.byID[ids[i]]
	s.timer.Stop()
	delete(ss.byID, ids[i])
	ss.end(s)
	return true
}

// end ends a live session. ss.mu is held.
func (ss *sessions) end(s *session) {
	s.live = false
	ss.live.add(s.from, -1)
	if s.stream != nil {
		(*s.stream)()
		s.stream = nil
	}
}

// hit gives the session another timeout. If the session had ended, it is live again, for
// the address that the hit is from.
func (ss *sessions) hit(id string, from netip.Addr, timeout time.Duration) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	if s == nil {
		return errUnknownSession
	}
	if !s.live {
		if err := ss.enliven(s, from); err != nil {
			return err
		}
	}
	s.until = time.Now().Add(timeout)
	s.timer.Reset(timeout)
	return nil
}

// attach makes a new stream the one that shows the session. If another one shows it, that
// is ended if takeOver is set, and else ok is false. The caller calls the stream's done
// when it has ended.
func (ss *sessions) attach(parent context.Context, id string, takeOver bool) (stream streamOptions, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	if s == nil || !s.live || s.stream != nil && !takeOver {
		return streamOptions{}, false
	}
	stream = streamOptions{session: true, replaces: s.stream != nil}
	if stream.replaces {
		(*s.stream)()
	}
	var cancel context.CancelFunc
	stream.ctx, cancel = context.WithCancel(parent)
	s.stream = &cancel
	stream.done = func() {
		cancel()
		ss.mu.Lock()
		defer ss.mu.Unlock()
		if s.stream == &cancel {
			s.stream = nil
		}
	}
	return stream, true
}

// expire ends a session whose time is over, and forgets it the next time.
func (ss *sessions) expire(id string, s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if time.Now().Before(s.until) || ss.byID[id] != s {
		return // a hit came just before, or it gave way to another
	}
	if !s.live {
		delete(ss.byID, id)
		return
	}
	ss.end(s)
	s.until = time.Now().Add(remembered)
	s.timer.Reset(remembered)
}

// count is the number of live sessions.
func (ss *sessions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.live.total
}

// close stops all timers; streams are ended by their parent context.
func (ss *sessions) close() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.byID {
		s.timer.Stop()
	}
	clear(ss.byID)
}

// newSession answers with a new session: with its id alone, as JPGPusher does, or with
// JSON if the request is a POST. The URL in it is relative to that of the request, so
// that it is also right behind a proxy that has the camera at /webcam/.
func (s *Server) newSession(w http.ResponseWriter, r *http.Request) {
	timeout := s.sessionTimeout()
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/plain")
		return
	}
	id, err := s.sessions.open(guest(r), timeout)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Location", id) // a load balancer sends what follows to the same camera's program
	if r.Method == http.MethodPost {
		writeJSON(w, http.StatusOK, map[string]any{
			"id":              id,
			"url":             id,
			"expires_in":      timeout.Seconds(),
			"keepalive_every": (timeout / 3).Seconds(),
		})
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", fmt.Sprint(len(id)))
	fmt.Fprint(w, id)
}

// refuse answers why a session cannot be opened or found.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errTooManySessions):
		s.mu.Lock()
		s.totals.refusedSessions++
		s.mu.Unlock()
		s.Log.Warn("a session was refused", "from", address(r))
		all, share := s.sessions.places()
		busy(w, r, "All %d places for sessions are taken, or the %d that one address may have; try again in a few seconds", all, share)
	case errors.Is(err, errUnknownSession):
		w.Header().Set("Connection", "close")
		fail(w, r, http.StatusNotFound, "There is no session %s any more; GET /stream begins a new one", path.Base(r.URL.Path))
	}
}

// session answers /<id>: the session's stream, or a keep-alive's remaining time.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	id := path.Base(r.URL.Path)
	timeout := s.sessionTimeout()
	if err := s.sessions.hit(id, guest(r), timeout); err != nil {
		s.refuse(w, r, err)
		return
	}
	if kind := kindOfHit(r); kind != hitKeepAlive && r.Method == http.MethodGet {
		if _, err := readStreamQuery(r); err != nil { // before another stream is ended for it
			fail(w, r, http.StatusBadRequest, "%v", err)
			return
		}
		if stream, ok := s.sessions.attach(s.ctx, id, kind == hitImage); ok {
			if !s.serveStream(w, r, stream) {
				stream.done()
			}
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]float64{"expires_in": timeout.Seconds()})
}
