package pusher

import (
	"net/http"
	"testing"
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
