package pusher

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// The pages are files as they are: what gets into one does not run, because their
// policy allows no scripts and no styles but those of these files.
//
//go:embed web/*.html web/*.js web/*.css web/*.svg web/*.png web/*.webmanifest
var webFiles embed.FS

// pageFiles are the paths of webFiles that answer under their own names.
var pageFiles = []string{
	"/page.js", "/view.js", "/wall.js", "/panel.js", "/settings.js", "/device.js", "/update.js", "/fields.js", "/ask.js",
	"/live.js", "/frames.js", "/clock.js", "/zoom.js", "/exif.js", "/words.js", "/en.js", "/de.js",
	"/page.css", "/panel.css", formStyle, "/icon.svg", "/icon-192.png", "/manifest.webmanifest",
}

// formStyle is that of the pages which ask for a password. It is for everybody, as they are.
const formStyle = "/form.css"

// page answers with the viewer page.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	page := webFile("index.html")
	if !s.isOpen() {
		page = bytes.Replace(page, []byte(logoutMark), []byte(logoutForm), 1)
	}
	if s.hasPanel() {
		page = bytes.Replace(page, []byte(panelMark), []byte(panelLink), 1)
	}
	s.writePage(w, r, page, "")
}

// panelLink is on the viewer page, where panelMark is, if the owner can change something.
const (
	panelMark = "<!-- settings -->"
	panelLink = `<a href="panel" data-label="settings"><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="3"/>` +
		`<path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2"/></svg></a>`
)

// hasPanel tells whether there is what the owner's page changes.
func (s *Server) hasPanel() bool { return s.Owner.find("/api/settings") != nil }

// panel answers with the owner's page, which asks for the password itself.
func (s *Server) panel(w http.ResponseWriter, r *http.Request) {
	writePolicy(w, "connect-src 'self' http://*.local:* https://*.local:*; "+ // for a new name
		"frame-ancestors 'self'") // no clicks through a frame
	writeHTML(w, r, webFile("panel.html"))
}

// wall answers with the page of many cameras. They are at other addresses, which only the
// page knows.
func (s *Server) wall(w http.ResponseWriter, r *http.Request) {
	s.writePage(w, r, webFile("wall.html"), "img-src 'self' http: https:; connect-src 'self' http: https:; ")
}

// view answers with the picture alone, for walls and for frames in other pages.
func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	if p := passOf(r); p != nil && p.token && asksForPage(r) {
		query := r.URL.Query()
		query.Del("token")
		s.beginLogin(w, r, p, "view?"+query.Encode()) // what is in the page comes without the token
		return
	}
	s.writePage(w, r, webFile("view.html"), "")
}

// writePage answers with a page that other pages may show in frames, as far as the owner has
// named them. more is what it may do beside what all may.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, page []byte, more string) {
	writePolicy(w, more+s.framers())
	writeHTML(w, r, page)
}

// writeHTML answers with a page in the language of who asks.
func writeHTML(w http.ResponseWriter, r *http.Request, page []byte) {
	writeFile(w, ".html", []byte(words.For(w, r).Page(string(page))))
}

func writePolicy(w http.ResponseWriter, more string) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; "+more)
}

// pageFile answers with one of pageFiles.
func (s *Server) pageFile(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	writeFile(w, path.Ext(name), webFile(name))
}

// webFile is what a file is sent as, which the caller must not change: texts come without
// indentation, scripts without comments, and both scripts and styles without spaces and ends
// of lines that mean nothing, which are for who reads the source, and a quarter of it. A
// comment must end with its line, and so must a template.
func webFile(name string) []byte { return sentFiles()[name] }

// sentFiles are all files of the pages, made for the first request.
var sentFiles = sync.OnceValue(func() map[string][]byte {
	all := make(map[string][]byte)
	entries, err := webFiles.ReadDir("web")
	if err != nil {
		panic(err) // it is built in
	}
	for _, e := range entries {
		content, err := webFiles.ReadFile("web/" + e.Name())
		if err != nil {
			panic(err)
		}
		all[e.Name()] = sentAs(e.Name(), content)
	}
	return all
})

// sentAs is a file as it is sent.
func sentAs(name string, content []byte) []byte {
	comment, isText := map[string]string{".js": "// ", ".css": "/* ", ".html": ""}[path.Ext(name)]
	if !isText {
		return content
	}
	sent := make([]byte, 0, len(content))
	for line := range bytes.Lines(content) {
		if comment != "" {
			line, _, _ = bytes.Cut(line, []byte(comment))
		}
		switch line = bytes.TrimSpace(line); path.Ext(name) {
		case ".js":
			line = withoutSpaces(line)
		case ".css":
			for _, space := range []string{" {", "{ ", ": ", ", ", "; "} {
				line = bytes.ReplaceAll(line, []byte(space), []byte(strings.TrimSpace(space)))
			}
		}
		if len(line) > 0 {
			sent = append(sent, line...)
			if comment == "" || strings.IndexByte(",;{}", line[len(line)-1]) < 0 {
				sent = append(sent, '\n')
			}
		}
	}
	return sent
}

// withoutSpaces is a line of a script without the spaces around its operators. Lines with a
// regular expression, which have backslashes or, outside of strings and templates, slashes
// without spaces, or with signs that would become another one, stay as they are. A template
// has no other one in it.
func withoutSpaces(line []byte) []byte {
	between := quoted.Split(string(line), -1) // strings and templates
	if bytes.IndexByte(line, '\\') >= 0 || slices.ContainsFunc(between, delicate.MatchString) {
		return line
	}
	var sent []byte
	for i, q := range append(quoted.FindAll(line, -1), nil) {
		sent = append(sent, operators.ReplaceAllString(between[i], "$1")...)
		sent = append(sent, q...)
	}
	return sent
}

var (
	quoted    = regexp.MustCompile("\"[^\"]*\"|`[^`]*`")
	delicate  = regexp.MustCompile("[^ ]/|/[^ ]|/$|[+-] [+-]|[`\"]")
	operators = regexp.MustCompile(` ?([=<>!?:;,{}()&|*/+-]+) ?`)
)

func writeFile(w http.ResponseWriter, extension string, content []byte) {
	w.Header().Set("Content-Type", contentTypes[extension])
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content) // a client that is gone has nobody to tell
}

var contentTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".webmanifest": "application/manifest+json",
}
