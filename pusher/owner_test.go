package pusher

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const ownersPassword = "correct-horse"

func withOwner(answers map[string]http.Handler) func(*Server) {
	return func(s *Server) {
		s.Owner = &Owner{
			Verify: func(password string) (bool, error) {
				time.Sleep(250 * time.Millisecond)
				return password == ownersPassword, nil
			},
			Names:   func() []string { return []string{"", "pushcam", "pushcam.local"} },
			Answers: answers,
		}
	}
}

// An owner who closes only its side of the connection, as nc does, gets its answer,
// also when somebody else's password is being verified meanwhile.
func TestHalfClosedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOwner(map[string]http.Handler{"/api/log": says("log")}))
		first := r.request("GET", "/api/log", basic(ownersPassword))
		synctest.Wait()
		client, server := net.Pipe()
		defer client.Close()
		r.l.conns <- halfClosed{server, strings.NewReader("GET /api/log HTTP/1.1\r\nHost: pushcam.local\r\n" + basic(ownersPassword) + "\r\n\r\n")}
		go io.Copy(io.Discard, first)
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(body) != "log /api/log" || err != nil {
			t.Errorf("%s %q, %v", resp.Status, body, err)
		}
	})
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", text, r.URL.Path) })
}

func basic(password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("gokrazy:"+password))
}

// ask is do with a Host of one's own; without one there is no such line.
func (r *rig) ask(host, path string, header ...string) answer {
	r.t.Helper()
	conn := r.dial()
	defer conn.Close()
	if host != "" {
		header = append(header, "Host: "+host)
	}
	version := "1.1"
	if host == "" {
		version = "1.0"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/%s\r\n%s\r\n\r\n", path, version, strings.Join(header, "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatalf("%s of %q: %v", path, host, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{Code: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

func TestOwnerOnly(t *testing.T) {
	right := basic(ownersPassword)
	tests := []struct {
		name, host, path string
		header           []string
		code             int
		body             string // a part of it
	}{
		{"no password", "pushcam.local", "/own", nil, 401, "needs the owner's password\n"},
		{"empty password", "pushcam.local", "/own", []string{basic("")}, 401, "needs the owner's password\n"},
		{"wrong password", "pushcam.local", "/own", []string{basic("wrong")}, 401, "not the owner's password\n"},
		{"another scheme", "pushcam.local", "/own", []string{"Authorization: Bearer " + ownersPassword}, 401, "needs"},
		{"not base64", "pushcam.local", "/own", []string{"Authorization: Basic %%%"}, 401, "needs"},
		{"right", "pushcam.local", "/own", []string{right}, 200, "own /own"},
		{"folder", "pushcam.local", "/folder/a/b", []string{right}, 200, "folder /folder/a/b"},
		{"folder without its slash", "pushcam.local", "/folder", []string{right}, 200, "folder /folder"},
		{"in the folder, of its own", "pushcam.local", "/folder/own", []string{right}, 200, "within /folder/own"},
		{"escaped", "pushcam.local", "/%6fwn", nil, 401, "needs"},
		{"below what is no folder", "pushcam.local", "/own/x", []string{right}, 404, `nothing at "/own/x"`},
		{"only begins alike", "pushcam.local", "/folders", []string{right}, 404, `nothing at "/folders"`},
		{"behind mjpg-streamer's prefix", "pushcam.local", "/webcam/own", []string{right}, 404, "nothing at"},

		{"name", "pushcam", "/own", []string{right}, 200, "own"},
		{"name with port", "PushCam.Local.:8080", "/own", []string{right}, 200, "own"},
		{"localhost", "localhost", "/own", []string{right}, 200, "own"},
		{"IPv4", "192.0.2.7:80", "/own", []string{right}, 200, "own"},
		{"IPv6", "[2001:db8::7]", "/own", []string{right}, 200, "own"},
		{"IPv6 with port", "[2001:db8::7]:80", "/own", []string{right}, 200, "own"},
		{"rebound name", "evil.example", "/own", []string{right}, 403, `not for "evil.example"`},
		{"name that begins alike", "pushcam.local.evil.example", "/own", []string{right}, 403, "not for"},
		{"name that looks like an address", "192.0.2.7.evil.example", "/own", []string{right}, 403, "not for"},
		{"no name", "", "/own", []string{right}, 403, "not for"},
		{"only a dot", ".", "/own", []string{right}, 403, "not for"},
		{"only a port", ":80", "/own", []string{right}, 403, "not for"},

		{"from our page", "pushcam.local", "/own", []string{right, "Origin: http://pushcam.local"}, 200, "own"},
		{"from our page over TLS", "pushcam.local", "/own", []string{right, "Sec-Fetch-Site: same-origin", "Origin: https://pushcam.local"}, 200, "own"},
		{"typed", "pushcam.local", "/own", []string{right, "Sec-Fetch-Site: none"}, 200, "own"},
		{"another origin", "pushcam.local", "/own", []string{right, "Origin: http://evil.example"}, 403, "another site"},
		{"another port", "pushcam.local", "/own", []string{right, "Origin: http://pushcam.local:8123"}, 403, "another site"},
		{"no origin that it tells", "pushcam.local", "/own", []string{right, "Origin: null"}, 403, "another site"},
		{"no origin at all", "pushcam.local", "/own", []string{right, "Origin: ://"}, 403, "another site"},
		{"another site", "pushcam.local", "/own", []string{right, "Sec-Fetch-Site: cross-site"}, 403, "another site"},
		{"a neighbour's site", "pushcam.local", "/own", []string{right, "Sec-Fetch-Site: same-site", "Origin: http://pushcam.local"}, 403, "another site"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own"), "/folder/": says("folder"), "/folder/own": says("within")}))
				a := r.ask(tt.host, tt.path, tt.header...)
				if a.Code != tt.code || !strings.Contains(a.Body, tt.body) {
					t.Errorf("%d %q, want %d with %q", a.Code, a.Body, tt.code, tt.body)
				}
				if a.Code == 404 {
					return
				}
				if h := a.Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Content-Security-Policy") != "frame-ancestors 'self'" ||
					!strings.Contains(h.Get("Cache-Control"), "no-store") || (a.Code == 401) != strings.HasPrefix(h.Get("WWW-Authenticate"), `Basic realm="pushcam"`) {
					t.Errorf("header %v", h)
				}
			})
		})
	}
}

// On a PC nobody is the owner, and there is nothing to own.
func TestNoOwnedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if a := newRig(t).ask("pushcam.local", "/gokrazy/", basic(ownersPassword)); a.Code != 404 {
			t.Errorf("%+v", a)
		}
	})
}

func TestNoPasswordToCompareWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own")}), func(s *Server) {
			s.Owner.Verify = func(string) (bool, error) { return false, errors.New("no password on /perm") }
		})
		for _, header := range [][]string{nil, {basic(ownersPassword)}} {
			a := r.ask("pushcam", "/own", header...)
			if a.Code != 403 || !strings.Contains(a.Body, "Nobody can prove to be the owner: no password on /perm; write the card") {
				t.Errorf("%v: %+v", header, a)
			}
		}
	})
}

// What wrong passwords cost is said to their sender, and is in the log without the
// passwords. The right one is only delayed, and not refused.
func TestWrongPasswordsAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		r := newRig(t, withOwner(map[string]http.Handler{"/own": says("own")}), func(s *Server) {
			s.Log = slog.New(slog.NewTextHandler(&said, nil))
		})
		for _, wait := range []time.Duration{0, 1 * time.Second, 2 * time.Second, 4 * time.Second} {
			start := time.Now()
			if a := r.ask("pushcam", "/own", basic("guessed-it")); a.Code != 401 || time.Since(start) != wait+verifyTime {
				t.Errorf("after %v, want %v: %+v", time.Since(start), wait, a)
			}
		}
		if a := r.ask("pushcam", "/own", basic("guessed-it")); a.Code != 429 || a.Header.Get("Retry-After") != "5" ||
			a.Body != "Too many wrong passwords were tried; try again in 5s\n" {
			t.Errorf("the fifth: %+v", a)
		}
		start := time.Now()
		if a := r.ask("pushcam", "/own", basic(ownersPassword)); a.Code != 200 || time.Since(start) > maxDelay+verifyTime {
			t.Errorf("the right one, after %v: %+v", time.Since(start), a)
		}
		r.stop()
		if s := said.String(); strings.Count(s, "a wrong password") != 4 || strings.Contains(s, "guessed-it") || strings.Contains(s, ownersPassword) {
			t.Errorf("the log says %q", s)
		}
	})
}

// An answer that goes on for minutes is not cut off by the deadlines of short
// ones, ends with the server, and with a client that takes nothing.
func TestLongAnswer(t *testing.T) {
	t.Attr("fault", "abuse | a reader of the log who takes nothing | nobody waits for it | –")
	endless := func(ended *atomic.Bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer ended.Store(true)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "line\n"); err != nil {
					return
				}
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-time.After(25 * time.Second):
				case <-r.Context().Done():
				}
			}
		})
	}
	tests := map[string]func(r *rig, body *bufio.Reader) (maxWait time.Duration){
		"server ends": func(r *rig, _ *bufio.Reader) time.Duration {
			r.stop()
			return 0
		},
		"client takes nothing": func(*rig, *bufio.Reader) time.Duration { return 25*time.Second + writeTimeout },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended atomic.Bool
				r := newRig(t, withOwner(map[string]http.Handler{"/own": endless(&ended)}))
				conn := r.request("GET", "/own", basic(ownersPassword))
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%v, %v", resp, err)
				}
				body := bufio.NewReader(resp.Body)
				for i := range 10 {
					if line, err := body.ReadString('\n'); err != nil || line != "line\n" {
						t.Fatalf("line %d: %q, %v", i, line, err)
					}
				}
				wait := end(r, body)
				time.Sleep(wait + time.Second)
				synctest.Wait()
				if !ended.Load() {
					t.Error("it still runs")
				}
			})
		})
	}
}

// An upload may take minutes, while it moves.
func TestLongBody(t *testing.T) {
	take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(2 * writeTimeout) // it thinks
		fmt.Fprint(w, n)
	})
	send := func(t *testing.T, pause time.Duration) answer {
		r := newRig(t, withOwner(map[string]http.Handler{"/own": take}))
		conn := r.request("PUT", "/own", basic(ownersPassword), "Content-Length: 20")
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for range 20 {
				time.Sleep(pause)
				if _, err := conn.Write([]byte{'x'}); err != nil {
					return
				}
			}
		})
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		return answer{Code: resp.StatusCode, Body: string(body)}
	}
	synctest.Test(t, func(t *testing.T) {
		if a := send(t, 9*time.Second); a.Code != 200 || a.Body != "20" {
			t.Errorf("a slow one: %+v", a)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if a := send(t, 11*time.Second); a.Code != 400 || !strings.Contains(a.Body, "timeout") {
			t.Errorf("one that stops: %+v", a)
		}
	})
}
