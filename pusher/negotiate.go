package pusher

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// This file reads from a request what kind of client it is. On plain http browsers send
// Sec-Fetch headers only to localhost, so Accept, Origin and User-Agent have to do. What
// a library sends by default must not decide: Java's HttpURLConnection accepts text/html
// first and axios application/json, and both want the stream.

// isImageRequest tells an <img>.
func isImageRequest(h http.Header) bool {
	return h.Get("Sec-Fetch-Dest") == "image" || strings.HasPrefix(h.Get("Accept"), "image/")
}

// wantsSession tells the script of a JPGPusher page, which asks /stream for a
// session's id, from everybody else, who wants the stream. jQuery sends
// X-Requested-With to its own origin, and browsers send Origin to others. (The
// name of an Android app in X-Requested-With is no script.)
func wantsSession(r *http.Request) bool {
	h := r.Header
	if isImageRequest(h) {
		return false
	}
	return h.Get("X-Requested-With") == "XMLHttpRequest" ||
		h.Get("Origin") != "" && !isSameOrigin(r) && !strings.Contains(h.Get("Accept"), "image/")
}

// wantsHeaderAhead says whether the header of each part goes ahead of its frame.
// Blink (Chrome, Edge) and WebKit (Safari) show a part when they have the whole
// header of the next one (crbug 527446); Firefox does with the boundary behind a
// part. Everybody else gets Content-Length, which is not known ahead. A relay
// that passes the stream on to a browser, as Home Assistant does, hides it, and
// asks by ?advance_headers=1, which is ustreamer's name for it.
func wantsHeaderAhead(q url.Values, h http.Header) (bool, error) {
	switch v := q.Get("advance_headers"); v {
	case "0", "1":
		return v == "1", nil
	case "":
	default:
		return false, fmt.Errorf("advance_headers is 0 or 1, not %q", v)
	}
	if strings.Contains(h.Get("User-Agent"), "Gecko/") { // the others say "like Gecko"
		return false, nil
	}
	// Programs that accept image/jpeg do not name what only browsers can show.
	// Blink names image/apng also when a person has opened the stream itself.
	accept := h.Get("Accept")
	return h.Get("Sec-Fetch-Dest") == "image" || strings.Contains(accept, "image/apng") ||
		strings.HasPrefix(accept, "image/") && strings.Contains(accept, "image/svg+xml"), nil
}

// once, in the query of a stream's address, makes it one that nobody asked for before.
const once = "once"

// needsOwnAddress tells an <img> of WebKit (Safari, all browsers of iOS, kiosks) whose
// address was perhaps asked for before. Of a page that it knows WebKit asks for the pictures
// while the page itself is on its way, and the <img> waits for the end of that answer. A
// stream has no end, so from the third visit on nothing was shown of it (the FIXME in
// SpeculativeLoadManager::retrieve, WebKit's NetworkCacheSpeculativeLoadManager.cpp). It
// takes a redirect for the end, and the other address as it comes.
func needsOwnAddress(r *http.Request) bool {
	agent := r.UserAgent()
	return r.Method == http.MethodGet && strings.Contains(agent, "AppleWebKit/") && !strings.Contains(agent, "Chrom") && // so says Blink
		!asksForPage(r) && !r.URL.Query().Has(once)
}

// giveOwnAddress leads to the same, by an address that was never asked for. It is relative,
// so that it is right behind a proxy, too.
func giveOwnAddress(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	query.Set(once, rand.Text())
	noStore(w.Header())
	w.Header().Set("Location", "?"+query.Encode())
	w.WriteHeader(http.StatusFound)
}

// hitKind is what a request to /<id> is meant to be.
type hitKind int

const (
	hitUnknown   hitKind = iota // a player, an address bar, Safari's <img> or a script of our own origin
	hitImage                    // an <img>
	hitKeepAlive                // a script
)

func kindOfHit(r *http.Request) hitKind {
	switch {
	case r.Method == http.MethodPost:
		return hitKeepAlive
	case isImageRequest(r.Header):
		return hitImage
	case r.Header.Get("Sec-Fetch-Dest") == "empty", r.Header.Get("Origin") != "":
		return hitKeepAlive
	}
	return hitUnknown
}
