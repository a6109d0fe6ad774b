package pusher

import (
	"bufio"
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whatever a client sends, it is let in by no name of the Internet, read by no origin that
// the owner has not named, and has signed nothing.
func FuzzRequest(f *testing.F) {
	for _, head := range []string{
		"GET /stream?fps=5&name=x&advance_headers=1 HTTP/1.1\r\nHost: pushcam.local:80\r\nAccept: image/avif,image/apng,*/*\r\nSec-Fetch-Dest: image\r\n",
		"GET /stream?signature=a.b.c HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://home.example\r\n",
		"POST /123456789012345 HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\nOrigin: null\r\nX-Requested-With: XMLHttpRequest\r\n",
		"GET http://pushcam.local HTTP/1.0\r\nHost: 192.168.1.20.\r\nSec-Fetch-Site: cross-site\r\n",
		"GET / HTTP/1.1\r\nHost: a.local.\r\nUser-Agent: Mozilla/5.0 Gecko/1\r\nAccept: text/html,application/xhtml+xml\r\n",
	} {
		f.Add([]byte(head + "\r\n"))
	}
	const home = "https://home.example"
	s := &Server{AllowOrigins: fixed([]string{home}), Log: slog.New(slog.DiscardHandler)}
	signed := newSigner()
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		name := hostName(r.Host)
		ours := name == "" || isAddress(name) || !strings.Contains(name, ".") ||
			slices.ContainsFunc(homeDomains, func(d string) bool { return strings.HasSuffix(name, d) })
		if s.isForThisHost(r) != ours {
			t.Errorf("a request for %q is let in: %v", r.Host, !ours)
		}
		if s.allowedOrigin(r, false) != "" && r.Header.Get("Origin") != home {
			t.Errorf("the origin %q may read all", r.Header.Get("Origin"))
		}
		q, err := readStreamQuery(r)
		if err == nil && (q.interval < 0 || len(q.name) > maxName) {
			t.Errorf("the query %q is taken as %+v", r.URL.RawQuery, q)
		}
		if _, ok := signed.verify(r.URL.Path, r.URL.Query().Get("signature")); ok {
			t.Errorf("the signature in %q is good", r.URL)
		}
		if wantsSession(r) && isImageRequest(r.Header) {
			t.Error("an <img> gets a session's id")
		}
		kindOfHit(r)
		asksForPage(r)
	})
}
