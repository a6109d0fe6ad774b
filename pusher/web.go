package pusher

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"strconv"
)

// The pages are files as they are: what gets into one does not run, because their
// policy allows no scripts and no styles but those of these files.
//
//go:embed web/*.html web/*.js web/*.css web/*.svg web/*.webmanifest
var webFiles embed.FS

// pageFiles are the paths of webFiles that answer under their own names.
var pageFiles = []string{
	"/page.js", "/view.js", "/live.js", "/frames.js", "/clock.js", "/zoom.js", "/words.js",
	"/page.css", "/icon.svg", "/manifest.webmanifest",
}

// page answers with the viewer page.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	page := webFile("index.html")
	if s.Viewing != nil {
		page = bytes.Replace(page, []byte(logoutMark), []byte(logoutForm), 1)
	}
	s.writePage(w, page)
}

// view answers with the picture alone, for walls and for frames in other pages.
func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	if p := passOf(r); p != nil && p.token && asksForPage(r) {
		query := r.URL.Query()
		query.Del("token")
		s.beginLogin(w, r, p, "view?"+query.Encode()) // what is in the page comes without the token
		return
	}
	s.writePage(w, webFile("view.html"))
}

func (s *Server) writePage(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; "+s.framers())
	writeFile(w, ".html", page)
}

// pageFile answers with one of pageFiles.
func (s *Server) pageFile(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	writeFile(w, path.Ext(name), webFile(name))
}

// webFile is what a file has in it, which the caller must not change.
func webFile(name string) []byte {
	content, err := webFiles.ReadFile("web/" + name)
	if err != nil {
		panic(err) // it is built in
	}
	return content
}

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
	".webmanifest": "application/manifest+json",
}
