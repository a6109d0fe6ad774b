package device

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	pathpkg "path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// WebInterface serves gokrazy's own web interface below a path. It passes requests on
// to gokrazy's unix socket and rewrites the links of the answers, so that they stay
// below that path. gokrazy gives everybody on that socket the rights of root, so only
// the owner may reach this handler. Only what shows and stops programs is passed on, and
// nothing by which a password alone would bring other programs onto the camera. It is for
// an image whose gokrazy has no password of its own, as ours: then gokrazy answers there
// alone.
type WebInterface struct {
	// Prefix is the path, as /gokrazy/.
	Prefix string
	// Root is where /run is looked for.
	Root Root
	// PowerOff and Reboot are called in gokrazy's place when its page asks for
	// that. They return at once.
	PowerOff, Reboot func()
	// Log gets a line when gokrazy breaks off an answer. nil discards it.
	Log *slog.Logger
}

const (
	// httpSocket is where gokrazy's web interface listens for root.
	// (github.com/gokrazy/gokrazy, HTTPUnixSocket)
	httpSocket    = "run/gokrazy-http.sock"
	dialTimeout   = 5 * time.Second
	headerTimeout = time.Minute
	// maxPage bounds what is read of a page whose links are rewritten, in bytes.
	maxPage = 4 << 20
)

// passed is what is passed on; of a path that ends with a slash all below it. It leaves
// out gokrazy's updates (/update/…): gokrazy does not ask who has signed what it writes,
// does not look into it, does not try it before it relies on it, and may write the root
// file system that runs (its rootdev); one of those paths even switches to the other root
// at a GET. It leaves out /uploadtemp/ and /divert too, by which a program that was sent
// runs as root in the place of another (its update.go), and whatever gokrazy may take one
// day.
var passed = []string{"/", "/assets/", "/status", "/log", "/stop", "/restart", "/reboot", "/poweroff"}

// passes tells whether a path is passed on.
func passes(path string) bool {
	return slices.ContainsFunc(passed, func(p string) bool {
		return path == p || p != "/" && strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) && pathpkg.Clean(path) == path
	})
}

// ServeHTTP passes a request on. It panics with http.ErrAbortHandler if an answer
// breaks off.
func (i *WebInterface) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := strings.TrimSuffix(i.Prefix, "/")
	path, below := strings.CutPrefix(r.URL.Path, prefix)
	switch {
	case below && path == "":
		http.Redirect(w, r, i.Prefix, http.StatusPermanentRedirect)
		return
	case !below || path[0] != '/':
		http.NotFound(w, r)
		return
	case !passes(path):
		words.Error(w, r, "Only gokrazy's pages are to be had here; for updates use pushcamctl update", http.StatusForbidden)
		return
	case r.Method == http.MethodPost && path == "/poweroff":
		io.WriteString(w, "Powering off...\n")
		i.PowerOff()
		return
	case r.Method == http.MethodPost && path == "/reboot":
		io.WriteString(w, "Rebooting...\n")
		i.Reboot()
		return
	}
	log := i.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "gokrazy", "gokrazy"
			p.Out.URL.Path, p.Out.URL.RawPath = path, ""
			// The owner's password is for this program.
			for _, name := range []string{"Authorization", "Accept-Encoding", "Range", "Upgrade", "Connection"} {
				p.Out.Header.Del(name)
			}
		},
		Transport:      i.transport(),
		ModifyResponse: func(resp *http.Response) error { return rewriteLinks(resp, prefix) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return
			}
			words.Error(w, r, fmt.Sprintf("gokrazy's web interface does not answer: %v", err), http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	proxy.ServeHTTP(w, r)
}

// transport has a connection per request: nothing stays open between them.
func (i *WebInterface) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			return d.DialContext(ctx, "unix", i.Root.Path(httpSocket))
		},
		DisableKeepAlives:     true,
		DisableCompression:    true,
		ResponseHeaderTimeout: headerTimeout,
	}
}

var (
	// linkInPage is where gokrazy's pages name a path of theirs. Texts in them are
	// escaped, quotes too, so that nothing else looks like it (html/template).
	linkInPage = regexp.MustCompile(`(\b(?:href|src|action) ?= ?")/([^/])`)
	// linkInScript is the one in its status.js.
	linkInScript = regexp.MustCompile(`(\bEventSource\(")/([^/])`)
)

// rewriteLinks puts prefix before the paths of an answer.
func rewriteLinks(resp *http.Response, prefix string) error {
	h := resp.Header
	h.Del("Access-Control-Allow-Origin") // it has one for everybody
	h.Del("Cache-Control")               // the server says it
	if to := h.Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		h.Set("Location", prefix+to)
	}
	var links *regexp.Regexp
	switch kind, _, _ := strings.Cut(h.Get("Content-Type"), ";"); {
	case kind == "text/html":
		links = linkInPage
	case strings.HasSuffix(kind, "/javascript"):
		links = linkInScript
	default:
		return nil
	}
	if resp.Request.Method == http.MethodHead {
		h.Del("Content-Length") // that of the page as it would be is not known
		return nil
	}
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err != nil {
		return err
	}
	if len(page) > maxPage {
		return fmt.Errorf("its page has more than %d MiB", maxPage>>20)
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	page = links.ReplaceAll(page, []byte("${1}"+strings.ReplaceAll(prefix, "$", "$$")+"/${2}"))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(page)), int64(len(page))
	h.Set("Content-Length", fmt.Sprint(len(page)))
	h.Del("Accept-Ranges")
	return nil
}
