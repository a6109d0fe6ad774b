package pusher

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// homeDomains are those that nobody can have in the Internet's DNS.
var homeDomains = []string{".local", ".lan", ".home.arpa", ".internal", ".localhost"}

// isForThisHost tells whether a request may be for this host, as far as viewing goes. A
// foreign page whose domain is made to resolve to our address (DNS rebinding) would be of
// the same origin as the camera for a browser. But it needs a name that somebody can have
// in the Internet's DNS, so an address and the names that only a home network knows are
// safe. Without a name, which is HTTP/1.0, it is no browser.
func (s *Server) isForThisHost(r *http.Request) bool {
	name := hostName(r.Host)
	if name == "" || isAddress(name) || !strings.Contains(name, ".") {
		return true
	}
	named := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return isNamed(name, n) })
	}
	return named(homeDomains) || s.Names != nil && named(s.Names()) || s.Owner.isNamed(r.Host)
}

// hostName is the name or the address of a Host header (RFC 9110, 7.2), in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// isNamed tells whether a hostName is a name, or below it if it begins with a dot. An
// empty name is none.
func isNamed(host, name string) bool {
	name = strings.ToLower(name)
	return name != "" && (host == name || name[0] == '.' && strings.HasSuffix(host, name))
}

// isSameOrigin tells whether a request comes from a page of ours, a person or a program,
// and not from a page of another site. On plain http browsers send no Sec-Fetch-Site.
// They send Origin with each request of a foreign page except its GETs to navigate and to
// load pictures. So the owner's answers to GET must change nothing.
func isSameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// AnyOrigin, among Server.AllowOrigins, is every origin.
const AnyOrigin = "*"

func (s *Server) allowOrigins() []string {
	if s.AllowOrigins == nil {
		return nil
	}
	return s.AllowOrigins()
}

// allowedOrigin is what Access-Control-Allow-Origin says to a request, "" if it is not
// there. Pages of any origin may read what is open, those that the owner has named may
// read everything that viewers can. The browser sends no credentials for them.
func (s *Server) allowedOrigin(r *http.Request, open bool) string {
	origin, allowed := r.Header.Get("Origin"), s.allowOrigins()
	switch {
	case open || slices.Contains(allowed, AnyOrigin):
		return AnyOrigin
	case origin != "" && slices.Contains(allowed, origin):
		return origin
	}
	return ""
}

// allowOrigin says who may read the answer to a request.
func (s *Server) allowOrigin(h http.Header, r *http.Request, open bool) {
	if len(s.allowOrigins()) > 0 {
		h.Add("Vary", "Origin")
	}
	if origin := s.allowedOrigin(r, open); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
	}
}

// protect keeps browsers from taking an answer for something else, from running what is
// in it, and from telling others where it came from. With no-referrer they would send
// "Origin: null" with the forms of our own pages.
func (s *Server) protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; "+s.framers())
}

// framers says whose pages may show an answer in a frame.
func (s *Server) framers() string {
	return strings.Join(append([]string{"frame-ancestors 'self'"}, s.allowOrigins()...), " ")
}
