package pusher

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Owner has answers of a Server that are only for the owner, who proves to be that
// with a password (HTTP Basic, RFC 7617, with any user name), or in a browser by the cookie
// of a login on the page.
//
// Such a request must name this host. That keeps out pages of a foreign domain that is
// made to resolve to our address (DNS rebinding). And it must not come from a page of
// another origin, because the browser would add the password that it knows.
type Owner struct {
	// Verify tells whether a password is the owner's. It is called by one goroutine at a
	// time and may take long. Its error means that there is no password to compare with;
	// its text goes into the answer.
	Verify func(password string) (bool, error)
	// Names returns the host's names on its network, for instance pushcam.local. Its
	// addresses and localhost need not be among them; an empty name is none.
	Names func() []string
	// Answers are by path; one that ends in a slash answers below it as well. They
	// may take as long as they like: a request ends when its client leaves, takes
	// nothing for 30 s or sends nothing of its body for 10 s, and when the server
	// ends. It also ends when its client acknowledges nothing of what was written for the
	// viewer timeout. So a long answer should write something now and then.
	Answers map[string]http.Handler

	// Free tells whether there is no owner yet: then the page asks the first who opens
	// it for a password, and Choose keeps that; until then nobody gets the answers. If
	// Choose's error wraps ErrUnsuitable, another choice may do. Both may be nil, and
	// Free must not wait for anything.
	Free   func() bool
	Choose func(Choice) error
	// Offers are what may be chosen with the password: another name than this one, if it
	// is not empty, and who may look. nil: neither.
	Offers func() (name string, viewing bool)

	// Change keeps another password of the owner, after the one before has come. If its
	// error wraps ErrUnsuitable, another one may do. nil: it is changed in other ways.
	Change func(password string) error

	// Known are the addresses from which the password came before the program started,
	// the latest last. Others who guess do not lock them out.
	Known []string
	// Remember is told all such addresses, at most 64, when there is another one.
	// It must not block, and keeps the slice. nil: they are forgotten with the
	// program.
	Remember func(known []string)
}

// Choice is what the first who opens the page of a camera without an owner chooses.
type Choice struct {
	Password string
	Name     string // of the camera; empty: as it is
	Viewing  string // open or closed; empty: as it is
}

// with returns the owner with one more answer; nil if there is no owner.
func (o *Owner) with(path string, answer http.Handler) *Owner {
	if o == nil {
		return nil
	}
	more := *o
	more.Answers = maps.Clone(o.Answers)
	if more.Answers == nil {
		more.Answers = make(map[string]http.Handler)
	}
	more.Answers[path] = answer
	return &more
}

// find returns the owner's answer for a path; nil if there is none.
func (o *Owner) find(path string) http.Handler {
	if o == nil {
		return nil
	}
	var at string
	for p := range o.Answers {
		below := strings.HasSuffix(p, "/") && strings.HasPrefix(path+"/", p)
		if (p == path || below) && len(p) > len(at) {
			at = p
		}
	}
	return o.Answers[at]
}

// serveOwner answers the owner, and refuses everybody else.
func (s *Server) serveOwner(w http.ResponseWriter, r *http.Request, answer http.Handler) {
	h := w.Header()
	h.Set("Content-Security-Policy", "frame-ancestors 'self'") // no clicks through a frame
	if !s.Owner.isNamed(r.Host) {
		fail(w, r, http.StatusForbidden, "This is not for %q: open the camera by its address or by its own name", r.Host)
		return
	}
	if !isSameOrigin(r) {
		s.Log.Warn("a page of another site asked for what is the owner's", "from", address(r), "page", r.Header.Get("Origin"))
		fail(w, r, http.StatusForbidden, "A page of another site may not do this; open %s itself", r.URL.Path)
		return
	}
	_, password, _ := r.BasicAuth()
	p, who, err := s.loginOf(r), nobody, error(nil)
	if p == nil || password != "" {
		// The request's context would not do, because it ends when the client closes its
		// sending side behind the request; see snapshot.
		p, err = s.passBy(r, password)
	}
	if err == nil {
		if who = p.role; who != theOwner {
			err = errPassword
		}
	}
	var slow *tooManyTries
	switch {
	case err == nil:
		s.serveLong(w, r, p.ctx, answer)
	case s.Owner.isFree() && s.ctx.Err() == nil:
		fail(w, r, http.StatusForbidden, "This camera has no owner yet: open http://%s/ in a browser and choose a password there", r.Host)
	case errors.Is(err, errPassword):
		h.Set("WWW-Authenticate", challengeFor(r))
		sentence := "This needs the owner's password"
		if password != "" {
			sentence = "That is not the owner's password"
		}
		if who == onlyViewer && password == "" {
			sentence = "You have logged in as a viewer, and this needs the owner's password"
		} else if who == onlyViewer {
			sentence = "That is the viewers' password, and this needs the owner's"
		}
		fail(w, r, http.StatusUnauthorized, "%s", sentence)
	case errors.As(err, &slow):
		h.Set("Retry-After", strconv.Itoa(int(slow.wait/time.Second)+1))
		fail(w, r, http.StatusTooManyRequests, "%v", err)
	case s.ctx.Err() != nil:
		busy(w, r, "The camera's program is being ended")
	default:
		fail(w, r, http.StatusForbidden, "Nobody can prove to be the owner: %v; write the card with an image of pushcamctl image, which has a password", err)
	}
}

// address is a client's without its port.
func address(r *http.Request) string {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr().Unmap().String()
	}
	return r.RemoteAddr // of a unix socket
}

// isNamed tells whether a Host header means this host. Of names below a home's domains
// only our own do, because the owner's password goes there.
func (o *Owner) isNamed(host string) bool {
	name := hostName(host)
	if o == nil || name == "" {
		return false
	}
	return isAddress(name) || name == "localhost" || o.Names != nil && slices.ContainsFunc(o.Names(), func(n string) bool { return isNamed(name, n) })
}

// serveLong answers, until allowed is done, without the server's deadlines for a whole
// request. Instead each read of the body and each write of the answer has a deadline.
func (s *Server) serveLong(w http.ResponseWriter, r *http.Request, allowed context.Context, answer http.Handler) {
	s.connections.keep(connectionOf(r))
	defer s.noticeLoss(connectionOf(r))()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(allowed, cancel)()
	r = r.WithContext(ctx)
	c := http.NewResponseController(w)
	if r.Body == http.NoBody {
		c.SetReadDeadline(time.Time{}) // at its deadline net/http would cancel ctx (server.go, backgroundRead)
	} else {
		r.Body = &deadlineBody{r.Body, c}
	}
	answer.ServeHTTP(&deadlineWriter{w, c}, r)
	c.SetWriteDeadline(time.Now().Add(writeTimeout)) // for what net/http still has
}

// noticeLoss has the kernel end a connection whose client acknowledges nothing for the
// viewer timeout: a telephone that has left the Wi-Fi does not say so. What it returns takes
// that back, because the next request may be one for a stream; see socket.giveUpAfter.
func (s *Server) noticeLoss(c *connection) (takeBack func()) {
	if c == nil { // it is the program's own
		return func() {}
	}
	socket, err := newSocket(c.conn)
	if _, ok := c.conn.(*net.TCPConn); !ok || err != nil {
		return func() {}
	}
	socket.giveUpAfter(s.limits().ViewerTimeout)
	return func() { socket.giveUpAfter(0) }
}

type deadlineBody struct {
	io.ReadCloser
	c *http.ResponseController
}

func (b *deadlineBody) Read(p []byte) (int, error) {
	b.c.SetReadDeadline(time.Now().Add(readTimeout))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

type deadlineWriter struct {
	http.ResponseWriter
	c *http.ResponseController
}

// Unwrap lets http.ResponseController flush.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	return w.ResponseWriter.Write(p)
}
