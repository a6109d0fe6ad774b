package pusher

import (
	"context"
	"crypto/rand"
)

// access is who may look now. It is never changed: SetOpen and SetViewersPassword put
// another one in its place.
type access struct {
	open    bool
	verify  func(password string) bool // Viewing.Verify; may be nil
	anybody scope                      // of what began because viewing was open
	viewers scope                      // of what began with the viewers' password
}

// scope ends what began in it.
type scope struct {
	name string // random
	ctx  context.Context
	end  context.CancelFunc
}

func (s *Server) newScope() scope {
	sc := scope{name: rand.Text()}
	sc.ctx, sc.end = context.WithCancel(s.ctx)
	return sc
}

// isOpen tells whether everybody may look.
func (s *Server) isOpen() bool {
	a := s.access.Load()
	return a == nil || a.open
}

// SetOpen opens viewing to everybody, or closes it, also before the server runs. Closing it
// ends the streams of those who have shown nothing, and they may come again with a password.
// Viewing must not be nil.
func (s *Server) SetOpen(open bool) {
	s.changing.Lock()
	defer s.changing.Unlock()
	was := s.access.Load()
	if was == nil {
		s.Viewing.Open = open
		return
	}
	now := *was
	now.open = open
	if !open {
		now.anybody = s.newScope()
		defer was.anybody.end() // also of a request that has seen it open a moment ago
	}
	s.access.Store(&now)
}

// SetViewersPassword changes how the viewers' password is verified, as Viewing.Verify says.
// What began with the one before ends: streams, logins, and signed URLs. It waits for a
// password that is being verified. Viewing must not be nil.
func (s *Server) SetViewersPassword(verify func(password string) bool) {
	s.changing.Lock()
	defer s.changing.Unlock()
	was := s.access.Load()
	now := *was
	now.verify = verify
	s.access.Store(&now)
	// First nobody knows the one before any more, then ends what has begun with it: so what
	// is begun meanwhile ends, too.
	s.limiter.forget(s.ctx, onlyViewer, verify != nil)
	after := now
	after.viewers = s.newScope()
	s.access.Store(&after)
	was.viewers.end()
}
