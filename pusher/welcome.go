package pusher

import (
	_ "embed"
	"errors"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// ErrUnsuitable is wrapped by errors of Owner.Choose that mean that another password
// may do.
var ErrUnsuitable = errors.New("this password is not taken")

// welcomePath is where the page of a camera without an owner sends the password.
const welcomePath = "/welcome"

const maxForm = 8 << 10 // bytes

//go:embed web/welcome.html
var welcomePage string

// messageMark is where welcomePage says what was wrong.
const messageMark = "<!-- message -->"

func (o *Owner) isFree() bool { return o != nil && o.Free != nil && o.Free() }

// Who may look without the password that is chosen on the page.
const (
	whoMark   = "<!-- who may look -->"
	whoOpen   = "Everybody on your network can watch without it."
	whoClosed = "Who does not know it, or the viewers' password, cannot look: this camera is closed."
)

// welcome answers with the page of a camera without an owner. message, if there is one,
// says what was wrong with what was typed on it.
func (s *Server) welcome(w http.ResponseWriter, code int, message string) {
	if message != "" {
		message = `<p role="alert">` + html.EscapeString(message) + "</p>"
	}
	who := whoOpen
	if !s.isOpen() {
		who = whoClosed
	}
	page := strings.NewReplacer(messageMark, message, whoMark, who).Replace(welcomePage)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	// Nobody is to choose a password through a frame of another site.
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self' data:; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(code)
	w.Write([]byte(page)) // it fails only if the client has left
}

// choosePassword makes the first who chooses a password the owner. That is whoever
// opens the page first, as for many devices for the home: nothing is lost to a stranger
// who is faster but this choice, because until then nobody can change the camera; the
// owner sees it at first sight, as the page no longer asks; and who has the card in
// hand sets another password with it. A time limit would only shut out owners who come
// late. What pages of other sites send is refused, so a stranger must be in the
// network.
func (s *Server) choosePassword(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.Owner == nil || s.Owner.Choose == nil:
		fail(w, r, http.StatusNotFound, "There is nothing at %q; the camera is at /", r.URL.Path)
		return
	case !s.Owner.isNamed(r.Host):
		fail(w, r, http.StatusForbidden, "This is not for %q: open the camera by its address or by its own name", r.Host)
		return
	case !isSameOrigin(r):
		fail(w, r, http.StatusForbidden, "A page of another site may not do this; open the camera's own page")
		return
	}
	const late = "This camera has an owner already. If that is not you: write password= and one of your own into pushcam.txt on the card, and start the camera with it."
	if !s.Owner.isFree() {
		fail(w, r, http.StatusConflict, late)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, r, http.StatusBadRequest, "What was sent is not this page's form: %v", err)
		return
	}
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		s.welcome(w, http.StatusUnprocessableEntity, "The two passwords differ: type the same one twice.")
		return
	}
	switch err := s.Owner.Choose(password); {
	case err == nil:
		s.Log.Warn("this camera has an owner now: a password was chosen on its page", "from", address(r))
		s.beginLogin(w, r, &pass{role: theOwner, ctx: s.ctx}, "./")
	case errors.Is(err, ErrUnsuitable):
		s.welcome(w, http.StatusUnprocessableEntity, capitalized(err))
	case !s.Owner.isFree():
		fail(w, r, http.StatusConflict, late)
	default:
		s.Log.Error("the owner's password cannot be kept", "err", err)
		s.welcome(w, http.StatusInternalServerError, capitalized(err))
	}
}

// capitalized is an error as a sentence.
func capitalized(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
