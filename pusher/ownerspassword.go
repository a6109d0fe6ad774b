package pusher

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// passwordPath is where the owner changes the password, if Owner.Change is not nil.
const passwordPath = "/api/password"

// changePassword gives the owner another password. It asks for the one before although the
// request has come with it or with a login: somebody else may sit at a browser that was left
// alone. What began with that one ends: logins and streams; this browser gets a new login.
func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		fail(w, r, http.StatusMethodNotAllowed, "%s takes POST, not %s", r.URL.Path, r.Method)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, r, http.StatusBadRequest, "What was sent is no form: %v", err)
		return
	}
	s.choosing.Lock()
	defer s.choosing.Unlock()
	who, err := s.limiter.login(s.ctx, address(r), r.PostForm.Get("old"))
	var slow *tooManyTries
	switch {
	case errors.As(err, &slow):
		w.Header().Set("Retry-After", strconv.Itoa(int(slow.wait/time.Second)+1))
		fail(w, r, http.StatusTooManyRequests, "%v", err)
		return
	case s.ctx.Err() != nil:
		busy(w, r, "The camera's program is being ended")
		return
	case err != nil || who != theOwner:
		fail(w, r, http.StatusUnprocessableEntity, "What was typed as the password of until now is not it")
		return
	}
	switch err := s.Owner.Change(r.PostForm.Get("new")); {
	case errors.Is(err, ErrUnsuitable):
		fail(w, r, http.StatusUnprocessableEntity, "%s", capitalized(err))
		return
	case err != nil:
		s.Log.Error("the owner's password is not changed", "err", err)
		fail(w, r, http.StatusServiceUnavailable, "%s", capitalized(err))
		return
	}
	s.Log.Warn("the owner's password was changed on the page", "from", address(r))
	byLogin := s.loginOf(r) != nil
	// First nobody knows the one before any more, then ends what has begun with it: so what
	// is begun meanwhile ends, too.
	s.limiter.forget(s.ctx, theOwner, true)
	now := s.newScope()
	s.owners.Swap(&now).end()
	if byLogin {
		s.beginLogin(w, r, &pass{role: theOwner, ctx: now.ctx}, "../panel")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
