package pusher

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Viewing is who may look at a camera while it is closed to everybody else: who knows the
// viewers' password or the owner's, and who has a token. A browser logs in on a page, other
// clients send the password with HTTP Basic or the token in the URL.
type Viewing struct {
	// Open says that everybody may look at first; see Server.SetOpen.
	Open bool
	// Verify tells whether a password is the viewers'. It is called by one goroutine at a
	// time and may take long. nil: they have none, and need the owner's or a token. See
	// Server.SetViewersPassword.
	Verify func(password string) bool
	// Tokens are those that were kept.
	Tokens []Token
	// KeepTokens is told all tokens when the owner has made or revoked one. It must not
	// block, and keeps the slice. nil: they are forgotten with the program.
	KeepTokens func([]Token)
}

// errTicket is returned for a token or a signature that is not good, or no more.
var errTicket = errors.New("this URL is not good any more: its token was revoked, or its time is over")

// errForeign is returned for a page of another site that asks with a password.
var errForeign = errors.New("a page of another site may not do this")

// prepareLogins makes what is needed to know who may do what.
func (s *Server) prepareLogins() {
	var roles []role
	var known []string
	owners := s.newScope()
	s.owners.Store(&owners)
	if s.Owner != nil {
		roles, known = append(roles, theOwner), s.Owner.Known
		s.Owner = s.Owner.with("/api/state", http.HandlerFunc(s.ownersState))
		s.Owner = s.Owner.with("/api/viewers", http.HandlerFunc(s.ownersViewers))
		if s.Owner.Change != nil {
			s.Owner = s.Owner.with(passwordPath, http.HandlerFunc(s.changePassword))
		}
	}
	if s.Viewing != nil {
		s.signer, s.tokens = newSigner(), newTokens(s.ctx, s.Viewing)
		s.Owner = s.Owner.with("/api/tokens", s.tokens)
		s.changing.Lock()
		s.access.Store(&access{open: s.Viewing.Open, verify: s.Viewing.Verify, anybody: s.newScope(), viewers: s.newScope()})
		s.changing.Unlock()
		if s.Viewing.Verify != nil {
			roles = append(roles, onlyViewer)
		}
	}
	if s.Owner == nil && s.Viewing == nil {
		return
	}
	s.logins = newLogins()
	s.limiter = newLoginLimiter(s.verify, roles, known, s.Log)
	if s.Owner != nil {
		s.limiter.remember = s.Owner.Remember
	}
}

// verify tells whose password it is. Its error means that there is none.
func (s *Server) verify(password string) (role, error) {
	var none error
	if s.Owner != nil {
		ok, err := s.Owner.Verify(password)
		if err == nil && ok {
			return theOwner, nil
		}
		none = err
	}
	a := s.access.Load()
	if a == nil || a.verify == nil {
		return nobody, none
	}
	if a.verify(password) {
		return onlyViewer, nil
	}
	return nobody, nil
}

type passKey struct{}

// passOf is what a request may look with; nil if viewing is always open.
func passOf(r *http.Request) *pass {
	p, _ := r.Context().Value(passKey{}).(*pass)
	return p
}

// letIn returns a request for a path with its pass, or answers who may look and returns
// nil. A client that does not send what it has again and again, as a stream, is asked once.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, path string) *http.Request {
	a := s.access.Load()
	if a == nil || isOwn(r) {
		return r
	}
	p, err := &pass{ctx: a.anybody.ctx}, error(nil)
	if !a.open {
		p, err = s.passFor(r, path)
	} else if login := s.loginOf(r); login != nil && s.mayUseLogin(r) {
		p = login // which lasts when viewing is closed
	}
	if err != nil {
		s.turnAway(w, r, path, err)
		return nil
	}
	return r.WithContext(context.WithValue(r.Context(), passKey{}, p))
}

// passFor finds what a request has to show.
func (s *Server) passFor(r *http.Request, path string) (*pass, error) {
	query := r.URL.Query()
	if secret := query.Get("token"); secret != "" {
		if p := s.tokens.find(secret); p != nil {
			return p, nil
		}
		s.Log.Warn("a token that is not good was tried", "from", address(r))
		return nil, errTicket
	}
	if signature := query.Get("signature"); signature != "" {
		return s.signedPass(r, path, signature)
	}
	foreign := !s.mayUseLogin(r)
	if p := s.loginOf(r); p != nil && !foreign {
		return p, nil
	}
	_, password, _ := r.BasicAuth()
	if password != "" && foreign { // it does not count as a try of the address
		return nil, errForeign
	}
	return s.passBy(r, password)
}

// passBy is the pass of who knows a password. It ends with the password that was there when
// the request came: whether it was right takes a while to find out, in which the owner may
// have changed it.
func (s *Server) passBy(r *http.Request, password string) (*pass, error) {
	began, of := s.access.Load(), s.owners.Load()
	who, err := s.limiter.login(s.ctx, address(r), password)
	if err != nil {
		return nil, err
	}
	if who == onlyViewer {
		of = &began.viewers
	}
	return &pass{role: who, ctx: of.ctx, issuer: of.name}, nil
}

// mayUseLogin tells whether a request comes from a page of ours, or of an origin that the
// owner has named.
func (s *Server) mayUseLogin(r *http.Request) bool {
	return isSameOrigin(r) || s.allowedOrigin(r, false) != ""
}

// signedPass is the pass of a signed URL, which shows pictures and nothing else.
func (s *Server) signedPass(r *http.Request, path, signature string) (*pass, error) {
	issuer, ok := s.signer.verify(path, signature)
	if !ok || r.Method != http.MethodGet {
		return nil, errTicket
	}
	p := &pass{role: onlyViewer, ctx: s.ctx, signed: true}
	switch viewers, owners := s.access.Load().viewers, s.owners.Load(); issuer {
	case owners.name:
		p.ctx = owners.ctx
	case viewers.name:
		p.ctx = viewers.ctx
	default:
		by := s.logins.named(issuer)
		if by == nil {
			return nil, errTicket
		}
		p.ctx = by.ctx
	}
	return p, nil
}

// turnAway answers somebody who may not look. A browser that asks for a page gets that to
// log in. It gets no challenge that it knows, because it would open a window of its own and
// ask for a password, also for each picture in a page whose login is over.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, path string, err error) {
	var slow *tooManyTries
	switch {
	case errors.As(err, &slow):
		w.Header().Set("Retry-After", strconv.Itoa(int(slow.wait/time.Second)+1))
		fail(w, r, http.StatusTooManyRequests, "%v", err)
	case s.ctx.Err() != nil:
		busy(w, r, "The camera's program is being ended")
	case errors.Is(err, errForeign):
		fail(w, r, http.StatusForbidden, "%s", capitalized(err))
	case errors.Is(err, errTicket):
		fail(w, r, http.StatusForbidden, "%s", capitalized(err))
	case path == "/" && asksForPage(r) && s.Owner.isFree():
		s.welcome(w, r, http.StatusOK, "", Choice{})
	case asksForPage(r):
		s.loginForm(w, r, http.StatusUnauthorized, "")
	case !errors.Is(err, errPassword):
		fail(w, r, http.StatusForbidden, "Nobody may look at this camera yet: %v", err)
	default:
		w.Header().Set("WWW-Authenticate", challengeFor(r))
		fail(w, r, http.StatusUnauthorized, "This camera is closed: looking needs the viewers' password, the owner's, or a token")
	}
}

// challengeFor is how a client is asked for a password. A script of a page gets a challenge
// that its browser does not know: the page asks itself.
func challengeFor(r *http.Request) string {
	if isBrowser(r) && !asksForPage(r) {
		return `Cookie realm="pushcam"`
	}
	return `Basic realm="pushcam", charset="UTF-8"`
}

func isBrowser(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "Mozilla/") }

// asksForPage tells whether a browser shows the answer as a page of its own.
func asksForPage(r *http.Request) bool {
	return isBrowser(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "application/xhtml+xml")
}

// signURL answers with a URL of a path of pictures, for who has logged in or sent a
// password. It is relative to that of the request, as a session's is.
func (s *Server) signURL(w http.ResponseWriter, r *http.Request) {
	p := passOf(r)
	if p == nil || p.role == nobody || p.token || p.signed {
		fail(w, r, http.StatusForbidden, "URLs are signed for who has logged in, or sends a password")
		return
	}
	u, err := url.Parse(r.URL.Query().Get("path"))
	if err != nil || u.IsAbs() || u.Host != "" {
		fail(w, r, http.StatusBadRequest, "path is that of a picture, as /stream?fps=5")
		return
	}
	path := "/" + strings.TrimPrefix(u.Path, "/")
	e := s.endpoints[path]
	if isSessionID(path[1:]) {
		e = s.endpoints[sessionPaths]
	}
	if !e.picture {
		fail(w, r, http.StatusBadRequest, "path is that of a picture, as /stream?fps=5, and not %q", u.Path)
		return
	}
	query := u.Query()
	query.Set("signature", s.signer.sign(path, p.issuer, signedTime))
	writeJSON(w, http.StatusOK, map[string]any{
		"url":        "." + path + "?" + query.Encode(),
		"expires_in": signedTime.Seconds(),
	})
}
