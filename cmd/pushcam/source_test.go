package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

// One program shows another one's stream, without showing the password for it, and does
// not show its own.
func TestStreamAsSource(t *testing.T) {
	greeting, _ := start(t, "-listen", "127.0.0.1:0", "-source", "pattern", "-size", "320x240")
	camera := greeting[strings.Index(greeting, "http://")+len("http://") : strings.LastIndex(greeting, "/")]
	greeting, _ = start(t, "-listen", "127.0.0.1:0", "-source", "http://viewer:sesame@"+camera+"/stream?fps=20&token=sesame")
	relay := greeting[strings.Index(greeting, "http://")+len("http://") : strings.LastIndex(greeting, "/")]
	conn, err := net.Dial("tcp", relay)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /stream HTTP/1.0\r\n\r\n")
	s, err := pushertest.NewStreamReader(conn)
	if err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < 5; {
		part, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if part.Seq > 0 { // before the first frame it is a placeholder
			seen++
		}
	}
	var web http.Client
	defer web.CloseIdleConnections()
	resp, err := web.Get("http://" + relay + "/state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	state, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(state), "sesame") || !strings.Contains(string(state), "320") {
		t.Errorf("%v: %s", err, state)
	}
}

func TestOwnStreamAsSource(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	start(t, "-listen", address, "-source", "http://"+address+"/stream")
	var web http.Client
	defer web.CloseIdleConnections()
	resp, err := web.Get("http://" + address + "/snapshot.jpg") // a placeholder, after it was tried
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/snapshot.jpg: %s", resp.Status)
	}
	resp, err = web.Get("http://" + address + "/state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	state, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(state), "this program's own") {
		t.Errorf("%v: %s", err, state)
	}
}

func TestSourceFlag(t *testing.T) {
	for text, want := range map[string]string{
		"auto": "auto", "v4l2": "v4l2", "pattern": "pattern", "replay:a:b/": "replay:a:b/",
		"http://a:b@cam/?action=stream": "http://cam/", "https://cam:81/stream?token=x": "https://cam:81/stream",
		"replay:": "error", "replay": "error", "http:cam": "error", "rtsp://cam/": "error", "": "error",
	} {
		var s source
		got := "error"
		if err := s.Set(text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if s.check() == nil {
			got = fmt.Sprint(&s)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
