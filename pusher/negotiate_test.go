package pusher

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// Who asks /stream for what, by the headers that the clients were seen to send.
func TestWantsSession(t *testing.T) {
	const navigation = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	tests := []struct {
		name   string
		header http.Header
		want   bool
	}{
		{"curl, ffmpeg, VLC", http.Header{"Accept": {"*/*"}}, false},
		{"no Accept at all", http.Header{}, false},
		{"Java's HttpURLConnection", http.Header{"Accept": {"text/html, image/gif, image/jpeg, */*; q=0.2"}}, false},
		{"axios in Node", http.Header{"Accept": {"application/json, text/plain, */*"}}, false},
		{"w3m", http.Header{"Accept": {"text/html, text/*;q=0.5, image/*, application/*"}}, false},
		{"lynx", http.Header{"Accept": {"text/html, text/plain, text/sgml, text/css, */*;q=0.01"}}, false},
		{"Indy", http.Header{"Accept": {"text/html, */*"}}, false},
		{"curl that wants text", http.Header{"Accept": {"text/plain"}}, false},
		{"curl that wants JSON", http.Header{"Accept": {"application/json"}}, false},
		{"Chrome's img", http.Header{"Accept": {"image/avif,image/webp,image/apng,*/*;q=0.8"}}, false},
		{"img of another site, for a canvas", http.Header{"Accept": {"image/avif,image/webp,image/apng,*/*;q=0.8"}, "Origin": {"http://other"}}, false},
		{"img on localhost", http.Header{"Accept": {"*/*"}, "Origin": {"http://other"}, "Sec-Fetch-Dest": {"image"}}, false},
		{"img in an Android app", http.Header{"Accept": {"image/avif,image/webp,*/*"}, "X-Requested-With": {"org.example.app"}}, false},
		{"old Safari's img", http.Header{"Accept": {"*/*"}, "Referer": {"http://pushcam.local/"}}, false},
		{"navigation", http.Header{"Accept": {navigation}}, false},
		{"navigation in an Android app", http.Header{"Accept": {navigation}, "X-Requested-With": {"org.example.app"}}, false},
		{"navigation on localhost", http.Header{"Accept": {navigation}, "Sec-Fetch-Dest": {"document"}}, false},
		{"iframe", http.Header{"Accept": {navigation}, "Sec-Fetch-Dest": {"iframe"}}, false},
		{"fetch of the stream", http.Header{"Accept": {"*/*"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}}, false},
		{"script of our own with an Origin", http.Header{"Accept": {"*/*"}, "Origin": {"http://pushcam.local"}}, false},
		{"jQuery's load", http.Header{"Accept": {"text/html, */*; q=0.01"}, "X-Requested-With": {"XMLHttpRequest"}}, true},
		{"jQuery's load from another site", http.Header{"Accept": {"text/html, */*; q=0.01"}, "Origin": {"http://other"}}, true},
		{"jQuery's load from another port", http.Header{"Accept": {"text/html, */*; q=0.01"}, "Origin": {"http://pushcam.local:8000"}}, true},
		{"jQuery's load from a file", http.Header{"Accept": {"text/html, */*; q=0.01"}, "Origin": {"null"}}, true},
		{"XMLHttpRequest from another site", http.Header{"Accept": {"*/*"}, "Origin": {"http://other"}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wantsSession(&http.Request{Host: "pushcam.local", Header: tt.header}); got != tt.want {
				t.Errorf("wantsSession = %v, want %v", got, tt.want)
			}
		})
	}
}

// An <img> of WebKit gets a stream by an address of its own, and nobody else is sent there.
func TestOwnAddress(t *testing.T) {
	const (
		safari     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"
		onIPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1"
		chrome     = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
		firefox    = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
		image      = "image/webp,image/avif,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
		navigation = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	)
	for _, tt := range []struct {
		name, method, path, agent, accept string
		want                              string // the Location without the value of once; "" is none
	}{
		{"Safari's img", "GET", "/stream", safari, image, "?once="},
		{"an old Safari's", "GET", "/stream.mjpg", safari, "*/*", "?once="},
		{"Chrome's on an iPhone, with a rate", "GET", "/stream?name=a+b&fps=5", onIPhone, image, "?fps=5&name=a+b&once="},
		{"as for mjpg-streamer", "GET", "/webcam/?action=stream", safari, image, "?action=stream&once="},
		{"Safari's img that was sent there", "GET", "/stream?once=1", safari, image, ""},
		{"Safari's address bar", "GET", "/stream", safari, navigation, ""},
		{"Safari's HEAD", "HEAD", "/stream", safari, image, ""},
		{"Safari's script", "GET", "/frames", safari, "*/*", ""},
		{"Chrome's img", "GET", "/stream", chrome, "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", ""},
		{"Firefox's img", "GET", "/stream", firefox, "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", ""},
		{"curl", "GET", "/stream", "curl/7.88.1", "*/*", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := newRig(t).request(tt.method, tt.path, "Accept: "+tt.accept, "User-Agent: "+tt.agent)
				a, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: tt.method})
				if err != nil {
					t.Fatal(err)
				}
				before, value, sent := strings.Cut(a.Header.Get("Location"), "once=")
				if sent {
					before += "once="
				}
				want := http.StatusOK
				if tt.want != "" {
					want = http.StatusFound
				}
				if a.StatusCode != want || before != tt.want || sent && len(value) < 16 {
					t.Errorf("%d, Location %q; want %d, %q and something new", a.StatusCode, a.Header.Get("Location"), want, tt.want)
				}
				if tt.want != "" && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("a browser may keep the answer: %v", a.Header)
				}
			})
		})
	}
}
