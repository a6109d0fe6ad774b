package pusher

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// ErrUnsuitable is wrapped by errors of Owner.Choose that mean that another password
// may do.
var ErrUnsuitable = errors.New("this password is not taken")

// welcomePath is where the page of a camera without an owner sends the password.
const welcomePath = "/welcome"

const maxForm = 8 << 10 // bytes

//go:embed web/welcome.html
var welcomePage string

//go:embed web/renamed.html
var renamedPage string

// messageMark is where welcomePage says what was wrong.
const messageMark = "<!-- message -->"

func (o *Owner) isFree() bool { return o != nil && o.Free != nil && o.Free() }

// What the page offers, and who may look without the password that is chosen on it.
const (
	whoMark   = "<!-- who may look -->"
	whoOpen   = "{{Everybody on your network can watch without it.}}"
	whoClosed = "{{Who does not know it, or the viewers' password, cannot look: this camera is closed.}}"

	nameMark  = "<!-- name -->"
	nameField = `<label>{{The camera's name on your network}} <input name="name" maxlength="63" autocapitalize="off" autocomplete="off" spellcheck="false" value="%s"></label>`

	linkMark = "<!-- link -->" // to where the camera is with another name

	viewingMark  = "<!-- viewing -->"
	viewingField = `<fieldset><legend>{{Who may look?}}</legend>` +
		`<label><input type="radio" name="viewing" value="open"%s> {{Everybody on my network}}</label>` +
		`<label><input type="radio" name="viewing" value="closed"%s> {{Only who knows a password}}</label></fieldset>`
)

// welcome answers with the page of a camera without an owner. message, if there is one,
// says what was wrong with what was typed on it, and chosen is that.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, code int, message string, chosen Choice) {
	l := words.For(w, r)
	name, viewing := "", false
	if s.Owner.Offers != nil {
		name, viewing = s.Owner.Offers()
	}
	closed := chosen.Viewing == "closed" || chosen.Viewing == "" && !s.isOpen()
	marks := []string{messageMark, l.Alert(message), nameMark, "", viewingMark, "", whoMark, l.Page(whoOpen)}
	if closed {
		marks[7] = l.Page(whoClosed)
	}
	if name != "" {
		marks[3] = fmt.Sprintf(l.Page(nameField), html.EscapeString(cmp.Or(chosen.Name, name)))
	}
	if viewing {
		checked := map[bool]string{true: " checked"}
		marks[5], marks[7] = fmt.Sprintf(l.Page(viewingField), checked[!closed], checked[closed]), ""
	}
	page := strings.NewReplacer(marks...).Replace(l.Page(welcomePage))
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
	choice := Choice{r.PostForm.Get("password"), strings.TrimSpace(r.PostForm.Get("name")), r.PostForm.Get("viewing")}
	switch {
	case choice.Viewing != "" && choice.Viewing != "open" && choice.Viewing != "closed":
		fail(w, r, http.StatusBadRequest, "viewing is open or closed, not %.20q", choice.Viewing)
		return
	case choice.Password != r.PostForm.Get("again"):
		s.welcome(w, r, http.StatusUnprocessableEntity, "The two passwords differ: type the same one twice.", choice)
		return
	}
	if s.Owner.Offers != nil {
		if was, _ := s.Owner.Offers(); choice.Name == was {
			choice.Name = ""
		}
	}
	switch err := s.Owner.Choose(choice); {
	case err == nil && choice.Name != "":
		s.Log.Warn("this camera has an owner now, and a name: they were chosen on its page", "from", address(r))
		renamed(w, r, choice.Name)
	case err == nil:
		s.Log.Warn("this camera has an owner now: a password was chosen on its page", "from", address(r))
		s.beginLogin(w, r, &pass{role: theOwner, ctx: s.owners.Load().ctx}, "./")
	case errors.Is(err, ErrUnsuitable):
		s.welcome(w, r, http.StatusUnprocessableEntity, capitalized(err), choice)
	case !s.Owner.isFree():
		fail(w, r, http.StatusConflict, late)
	default:
		s.Log.Error("the owner's password cannot be kept", "err", err)
		s.welcome(w, r, http.StatusInternalServerError, capitalized(err), choice)
	}
}

// renamed answers who has given the camera another name, with which its program starts anew.
func renamed(w http.ResponseWriter, r *http.Request, name string) {
	name = html.EscapeString(strings.ToLower(name))
	link := fmt.Sprintf(`<a href="http://%s.local/">http://%[1]s.local/</a>`, name)
	page := strings.NewReplacer(nameMark, name, linkMark, link).Replace(words.For(w, r).Page(renamedPage))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.Write([]byte(page)) // it fails only if the client has left
}

// capitalized is an error as a sentence.
func capitalized(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
