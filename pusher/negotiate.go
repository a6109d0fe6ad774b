package pusher

import (
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
