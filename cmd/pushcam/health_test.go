package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher"
)

func TestSelfPicture(t *testing.T) {
	jpg := "\xff\xd8 picture \xff\xd9"
	tests := []struct {
		name string
		code int
		why  string
		body string
		want string
	}{
		{"a picture", 200, "", jpg, ""},
		{"half a picture", 200, "", jpg[:5], "no whole JPEG"},
		{"a placeholder", 503, "no camera is found", jpg, "no camera is found"},
		{"a sentence", 503, "", "The camera gave no picture within 10s\n", "503 Service Unavailable: The camera gave no picture"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			own := pusher.NewMemoryListener()
			s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/snapshot.jpg" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				if tc.why != "" {
					w.Header().Set("X-Error", tc.why)
				}
				w.WriteHeader(tc.code)
				io.WriteString(w, tc.body)
			})}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(own) }()
			defer func() { s.Close(); <-ended }()
			err := (&health{web: own.Client()}).Picture(t.Context())
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestMemoryLeft(t *testing.T) {
	left, err := memoryLeft(strings.NewReader("MemTotal:  439000 kB\nMemAvailable:     2048 kB\nBuffers: 0 kB\n"))
	if left != 2<<20 || err != nil {
		t.Errorf("%d, %v", left, err)
	}
	for _, text := range []string{"", "MemAvailable: much\n", "MemTotal: 1 kB\n"} {
		if left, err := memoryLeft(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("%q: %d", text, left)
		}
	}
}
