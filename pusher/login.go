package pusher

import (
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// Where the page to log in sends the password, and where the viewer page ends a login.
const (
	loginPath  = "/login"
	logoutPath = "/logout"
)

// The names of a login's cookie. With TLS it has one of its own, because a browser does not
// let what comes without TLS replace a cookie that is for TLS alone (RFC 6265bis, 5.7): who
// had logged in by https could not log in by http any more.
const (
	loginCookie       = "pushcam"
	secureLoginCookie = "pushcam-tls"
)

//go:embed web/login.html
var loginPage string

// Where loginPage says what a login is good for.
const (
	headingMark  = "<!-- heading -->"
	sentenceMark = "<!-- sentence -->"
)

// logoutForm is on the viewer page of a camera that is closed, where logoutMark is.
const (
	logoutMark = "<!-- log out -->"
	logoutForm = `<form method="post" action="logout"><button data-label="leave">` +
		`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M14 5H5v14h9M10 12h10M16.5 8.5 20 12l-3.5 3.5"/></svg></button></form>`
)

// loginForm answers with the page to log in. message, if there is one, says what was wrong
// with what was typed on it.
func (s *Server) loginForm(w http.ResponseWriter, r *http.Request, code int, message string) {
	l := words.For(w, r)
	heading, sentence := "This camera is closed.", "Who knows its password may look: the one for viewers, or the owner's."
	if s.isOpen() {
		heading, sentence = "Log in.", "The owner's password opens what only the owner may change."
	}
	page := strings.NewReplacer(messageMark, l.Alert(message), headingMark, l.Say(heading), sentenceMark, l.Say(sentence)).Replace(l.Page(loginPage))
	h := w.Header()
	if code == http.StatusUnauthorized { // which has to have one (RFC 9110, 15.5.2)
		h.Set("WWW-Authenticate", `Cookie realm="pushcam"`)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	// Nobody is to type a password into a frame of another site.
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(code)
	w.Write([]byte(page)) // it fails only if the client has left
}

// login answers with the page to log in, and to the password that was typed on it with a
// login.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.loginForm(w, r, http.StatusOK, "")
		return
	}
	if !isSameOrigin(r) { // it does not count as a try of the address
		fail(w, r, http.StatusForbidden, "A page of another site may not do this; open the camera's own page")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, r, http.StatusBadRequest, "What was sent is not this page's form: %v", err)
		return
	}
	refuse := s.loginForm
	if wantsJSON(r) { // it is a script's, which shows the sentence itself
		refuse = func(w http.ResponseWriter, r *http.Request, code int, message string) {
			fail(w, r, code, "%s", message)
		}
	}
	p, err := s.passBy(r, r.PostForm.Get("password"))
	var slow *tooManyTries
	switch {
	case err == nil:
		s.beginLogin(w, r, p, "./")
	case errors.As(err, &slow):
		w.Header().Set("Retry-After", strconv.Itoa(int(slow.wait/time.Second)+1))
		refuse(w, r, http.StatusTooManyRequests, err.Error()+".")
	case s.ctx.Err() != nil:
		busy(w, r, "The camera's program is being ended")
	case errors.Is(err, errPassword):
		refuse(w, r, http.StatusUnauthorized, "That is neither the viewers' password nor the owner's.")
	default:
		refuse(w, r, http.StatusForbidden, "Nobody may look at this camera yet: "+err.Error()+".")
	}
}

// beginLogin gives a browser a cookie, which ends with the pass, and leads it to a page;
// a script gets 204. SameSite keeps pages of other sites from using it.
func (s *Server) beginLogin(w http.ResponseWriter, r *http.Request, p *pass, page string) {
	name := loginCookie
	if r.TLS != nil {
		name = secureLoginCookie
	}
	setLoginCookie(w, r, name, s.logins.open(p.ctx, p.role), int(loginTime/time.Second))
	if wantsJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Location", page)
	w.WriteHeader(http.StatusSeeOther)
}

// setLoginCookie gives a browser a cookie for so many seconds, or takes it away.
func setLoginCookie(w http.ResponseWriter, r *http.Request, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: cookiePath(r), MaxAge: seconds, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
}

// cookiePath has a cookie be for where the browser sees the camera, which may be at /webcam/
// behind a proxy: other programs there are not to get it. What is at the top says nothing, and
// the browser takes its path (RFC 6265, 5.1.4). Below that, as at /api/password, only the page
// that asks knows it: so far protect lets the browser tell.
func cookiePath(r *http.Request) string {
	if strings.Count(r.URL.Path, "/") == 1 {
		return ""
	}
	if page, err := url.Parse(r.Referer()); err == nil {
		path := page.EscapedPath()
		if end := strings.LastIndexByte(path, '/'); end > 0 {
			return path[:end]
		}
	}
	return "/"
}

// loginCookies are those of a request. Without TLS a browser sends only those that were
// given without it.
func loginCookies(r *http.Request) []*http.Cookie {
	return append(r.CookiesNamed(secureLoginCookie), r.CookiesNamed(loginCookie)...)
}

// loginOf is the pass of the login that a request's cookies name; nil if there is none.
// There may be more of them: another camera behind the same name has its own.
func (s *Server) loginOf(r *http.Request) *pass {
	for _, c := range loginCookies(r) {
		if p := s.logins.named(loginName(c.Value)); p != nil {
			return p
		}
	}
	return nil
}

// logout ends the logins that a request's cookies name, and the streams that they have
// opened.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if !isSameOrigin(r) {
		fail(w, r, http.StatusForbidden, "A page of another site may not do this; open the camera's own page")
		return
	}
	for _, c := range loginCookies(r) {
		s.logins.close(loginName(c.Value))
		setLoginCookie(w, r, c.Name, "", -1)
	}
	w.Header().Set("Location", "./")
	w.WriteHeader(http.StatusSeeOther)
}
