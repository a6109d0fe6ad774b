package pusher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/words"
)

func TestRoutes(t *testing.T) {
	tests := []struct {
		method, path string
		code         int
		body         string // a part of it
	}{
		{"GET", "/", 200, "<!DOCTYPE html>"},
		{"HEAD", "/", 200, ""},
		{"GET", "/webcam/", 200, "<!DOCTYPE html>"},
		{"GET", "/view", 200, "<!DOCTYPE html>"},
		{"GET", "/page.js", 200, "new Live("},
		{"GET", "/webcam/page.css", 200, "#stage"},
		{"GET", "/welcome.html", 404, "nothing at"},
		{"GET", "/webcam/healthz", 200, "ok\n"},
		{"GET", "/webcamera", 404, `nothing at "/webcamera"`},
		{"GET", "/?action=dance", 400, `not "dance"`},
		{"GET", "/nowhere", 404, `nothing at "/nowhere"`},
		{"GET", "/123", 404, `nothing at "/123"`},
		{"GET", "/123456789012345", 404, "GET /stream begins a new one"},
		{"GET", "/webcam/123456789012345", 404, "no session 123456789012345"},
		{"POST", "/", 405, "not POST"},
		{"DELETE", "/stream", 405, "not DELETE"},
		{"GET", "/sessions", 405, "not GET"},
		{"GE", "/stream", 405, "not GE"},
		{"OPTIONS", "/stream", 204, ""},
		{"GET", "http://pushcam.local", 200, "<!DOCTYPE html>"},
		{"CONNECT", "pushcam.local:80", 405, "/ takes GET, HEAD, not CONNECT"},
		{"GET", "*", 404, `nothing at "*"`},
		{"HEAD", "/stream", 200, ""},
		{"HEAD", "/stream.mjpg", 200, ""},
		{"HEAD", "/frames", 200, ""},
		{"POST", "/frames", 405, "not POST"},
		{"GET", "/frames?fps=often", 400, "fps is a number"},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/state", 200, `"viewers": []`},
		{"GET", "/licenses", 404, "no licences here"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				a := r.do(tt.method, tt.path)
				if a.Code != tt.code || !strings.Contains(a.Body, tt.body) || tt.body == "" && a.Body != "" {
					t.Errorf("%d %q, want %d with %q", a.Code, a.Body, tt.code, tt.body)
				}
				if allow := a.Header.Get("Allow"); tt.code == 405 && allow == "" {
					t.Error("405 without Allow")
				}
				if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
					t.Errorf("Cache-Control is %q", cc)
				}
			})
		})
	}
}

func TestLicenses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Licenses = []byte("the licences") })
		if a := r.do("GET", "/licenses"); a.Code != 200 || a.Body != "the licences" || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%+v", a)
		}
	})
}

// Behind a proxy that has the camera at /webcam/ and nowhere else, a link that
// begins with a slash leads to the proxy's own pages.
func TestPageLinksAreRelative(t *testing.T) {
	absolute := regexp.MustCompile("(src|href|action|start_url|scope|from)\"? *[=: ] *[\"'`]?/|(fetch|import|Worker|WebSocket|open|url)\\([\"'`]?/|https?://[^w]")
	for name, content := range allWebFiles(t) {
		if links := absolute.FindAll(content, -1); len(links) > 0 {
			t.Errorf("%s has absolute links: %q", name, links)
		}
	}
}

// The pages and what they load are small, and all of it can be asked for.
func TestPageSize(t *testing.T) {
	sent := func(name string) []byte {
		if path.Ext(name) == ".html" {
			return []byte(words.English.Page(string(webFile(name))))
		}
		return webFile(name)
	}
	size := 0
	for name := range allWebFiles(t) {
		size += len(sent(name))
		if contentTypes[path.Ext(name)] == "" {
			t.Errorf("%s has no Content-Type", name)
		}
		if path.Ext(name) != ".html" && !slices.Contains(pageFiles, "/"+name) {
			t.Errorf("nothing answers with %s", name)
		}
	}
	if size > 80_000 {
		t.Errorf("the pages have %d bytes in all as they are sent, at most 80,000 are wanted", size)
	}
	var all bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(allWebFiles(t))) {
		all.Write(sent(name))
	}
	packer := exec.Command("gzip", "--best") // Go's own packs less
	packer.Stdin = &all
	packed, err := packer.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > 25_000 {
		t.Errorf("the pages have %d bytes as they are sent, packed by gzip; at most 25,000 are wanted", len(packed))
	}
}

// What a script is sent without may not be a part of its texts.
func TestScriptsAreSentWithoutComments(t *testing.T) {
	sent, source := string(webFile("live.js")), string(allWebFiles(t)["live.js"])
	if strings.Contains(sent, "// ") || strings.Contains(sent, "\n ") || !strings.Contains(sent, ";const tick=500;const ") || !strings.Contains(source, "\nconst tick = 500; // ") {
		t.Errorf("live.js is sent as:\n%s", sent)
	}
	for name, content := range allWebFiles(t) {
		for line := range strings.Lines(string(content)) {
			code, comment, _ := strings.Cut(line, "// ")
			if path.Ext(name) == ".js" && (strings.Count(code, "`")%2 != 0 || strings.Count(code, `"`)%2 != 0 || strings.Contains(comment, "*/")) {
				t.Errorf("%s: a text is cut off in %q", name, line)
			}
		}
	}
}

// Spaces go only where a script means the same without them.
func TestScriptsAreSentWithoutSpaces(t *testing.T) {
	for line, want := range map[string]string{
		`if (a - b > -1) return { a, b };`:          `if(a-b>-1)return{a,b};`,
		`say("a = b, " + c + " : d");`:              `say("a = b, "+c+" : d");`,
		`const half = all / 2;`:                     `const half=all/2;`,
		`a = b - -c;`:                               `a = b - -c;`,
		"a = b + `${c + d} \"e\"`;":                 "a=b+`${c + d} \"e\"`;",
		`name.replace(/^ = /g, "-") + rest;`:        `name.replace(/^ = /g, "-") + rest;`,
		`say("\" = " + a);`:                         `say("\" = " + a);`,
		`import { a, b } from "./a.js";`:            `import{a,b}from "./a.js";`,
		`has = /"/.test(a) + b;`:                    `has = /"/.test(a) + b;`,
		`has = /a"/.test(a) + b;`:                   `has = /a"/.test(a) + b;`,
		`for (const a of b) c = a ? .5 : typeof a;`: `for(const a of b)c=a?.5:typeof a;`,
	} {
		if got := string(withoutSpaces([]byte(line))); got != want {
			t.Errorf("%s is sent as %s, want %s", line, got, want)
		}
	}
}

// allWebFiles are the files of the pages by name.
func allWebFiles(t *testing.T) map[string][]byte {
	t.Helper()
	entries, err := webFiles.ReadDir("web")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, e := range entries {
		if all[e.Name()], err = webFiles.ReadFile("web/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestErrorsAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := r.do("GET", "/nowhere", "Accept: application/json")
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Code != 404 || !strings.Contains(got.Error, "/nowhere") {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// A snapshot is a frame captured after the request: OctoPrint and Octolapse
// move something and want to see it moved.
func TestSnapshotIsFresh(t *testing.T) {
	for _, path := range []string{"/snapshot", "/snapshot.jpg", "/?action=snapshot", "/webcam/?action=snapshot"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				cached := testFrame(1)
				r.server.Hub.Publish(cached)
				time.Sleep(time.Millisecond)
				got := make(chan answer)
				go func() { got <- r.do("GET", path) }()
				synctest.Wait()
				if !r.camera.demand.Load() {
					t.Error("a snapshot does not start the camera")
				}
				r.server.Hub.Publish(cached) // what the idle source's repeat does
				synctest.Wait()
				time.Sleep(time.Millisecond)
				fresh := testFrame(2)
				r.server.Hub.Publish(fresh)
				a := <-got
				want := http.Header{}
				for _, h := range []string{"Content-Type: image/jpeg", "Content-Length: 5", "X-Frame: 2",
					"X-Timestamp: " + string(appendUnixMicro(nil, fresh.Time)), "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"} {
					name, value, _ := strings.Cut(h, ": ")
					want.Set(name, value)
				}
				have := http.Header{}
				for name := range want {
					have.Set(name, a.Header.Get(name))
				}
				if diff := cmp.Diff(want, have); a.Code != 200 || diff != "" || !bytes.Equal([]byte(a.Body), fresh.JPEG) {
					t.Errorf("%d %q, header (-want +got):\n%s", a.Code, a.Body, diff)
				}
				synctest.Wait()
				if r.camera.demand.Load() {
					t.Error("a snapshot that is done still wants frames")
				}
			})
		})
	}
}

// halfClosed is a connection whose client has closed its side behind its request.
type halfClosed struct {
	net.Conn
	request io.Reader
}

func (c halfClosed) Read(b []byte) (int, error) { return c.request.Read(b) }

// Who has sent a request and closes only that side of the connection, as nc and
// some NVRs do, waits for its answer.
func TestSnapshotForHalfClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		client, server := net.Pipe()
		defer client.Close()
		r.l.conns <- halfClosed{server, strings.NewReader("GET /snapshot HTTP/1.1\r\nHost: pushcam.local\r\n\r\n")}
		synctest.Wait() // the server has read the end
		r.server.Hub.Publish(testFrame(1))
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Frame") != "1" {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
	})
}

func TestSnapshotHEAD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.film()
		if a := r.do("HEAD", "/snapshot"); a.Code != 200 || a.Header.Get("Content-Length") != "5" || a.Body != "" {
			t.Errorf("%+v", a)
		}
	})
}

func TestSnapshotWithoutCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Hub.ShowPlaceholder(placeholderFrame(), errUnplugged, 1)
		a := r.do("GET", "/snapshot")
		if a.Code != 503 || a.Header.Get("Content-Type") != "image/jpeg" || !strings.Contains(a.Body, "no camera") ||
			a.Header.Get("Retry-After") == "" || a.Header.Get("X-Error") != errUnplugged.Error() {
			t.Errorf("%+v", a)
		}
	})
}

func TestSnapshotDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := time.Now()
		a := r.do("GET", "/snapshot")
		if took := time.Since(start); a.Code != 503 || took != snapshotTimeout || !strings.Contains(a.Body, "no picture") {
			t.Errorf("after %v: %+v", took, a)
		}
	})
}

func TestHealthz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.camera.err = errUnplugged
		if a := r.do("GET", "/healthz"); a.Code != 503 || a.Body != errUnplugged.Error()+"\n" {
			t.Errorf("%+v", a)
		}
	})
}

func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) {
			s.State = map[string]func() any{"camera": func() any { return map[string]string{"phase": "live"} }}
		})
		s, _ := r.stream("/stream?name=" + strings.Repeat("k", 65))
		synctest.Wait()
		r.server.Hub.Publish(testFrame(4))
		r.next(s)
		time.Sleep(250 * time.Millisecond)
		r.newID()
		var got map[string]any
		if err := json.Unmarshal([]byte(r.do("GET", "/state").Body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"camera":   map[string]any{"phase": "live"},
			"frame":    map[string]any{"seq": 4.0, "width": 64.0, "height": 48.0, "bytes": 5.0, "age_ms": 250.0},
			"sessions": 1.0,
			"uptime_s": 0.25,
			"watching": 1.0,
			"clock_us": 250000.0,
			"time":     float64(time.Now().UnixMicro()) / 1e6,
			"viewers": []any{map[string]any{
				"name": strings.Repeat("k", 64), "session": false, "seconds": 0.25,
				"frames_sent": 1.0, "frames_skipped": 0.0, "bytes": got["viewers"].([]any)[0].(map[string]any)["bytes"], "age_ms": 0.0,
				"link_bits_per_s": 0.0, "link_rtt_ms": 0.0,
			}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
	})
}

// The page gets what it shows and its own stream's numbers, and nothing of the
// other viewers but how many there are.
func TestStateForThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		section := func(text string) func() any { return func() any { return text } }
		r := newRig(t, func(s *Server) {
			s.State = map[string]func() any{"camera": section("live"), "card": section("silent"), "settings": section("private"), "board": section("hot")}
		})
		for _, name := range []string{"mine", "another"} {
			s, _ := r.stream("/stream?name=" + name)
			go drain(s)
		}
		synctest.Wait()
		r.server.Hub.Publish(testFrame(4))
		synctest.Wait()
		for name, found := range map[string]bool{"mine": true, "nobody": false} {
			var got map[string]any
			a := r.do("GET", "/state?viewer="+name)
			if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Code != 200 {
				t.Fatalf("%v: %+v", err, a)
			}
			var names []any
			for _, v := range got["viewers"].([]any) {
				names = append(names, v.(map[string]any)["name"])
			}
			delete(got, "viewers")
			want := map[string]any{
				"camera": "live", "card": "silent", "settings": "private", "watching": 2.0, "clock_us": 0.0,
				"time":  float64(time.Now().Unix()), // the bubble's clock stands at a whole second
				"frame": map[string]any{"seq": 4.0, "width": 64.0, "height": 48.0, "bytes": 5.0, "age_ms": 0.0},
			}
			var wantNames []any
			if found {
				wantNames = []any{name}
			} else {
				want["error"] = `No open stream has the name "nobody"; /state lists all viewers`
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: state (-want +got):\n%s", name, diff)
			}
			if diff := cmp.Diff(wantNames, names); diff != "" {
				t.Errorf("%s: viewers (-want +got):\n%s", name, diff)
			}
		}
		for _, name := range []string{"", strings.Repeat("k", 65)} {
			if a := r.do("GET", "/state?viewer="+name); a.Code != 400 || !strings.Contains(a.Body, "viewer is the name of a stream") {
				t.Errorf("%q: %+v", name, a)
			}
		}
	})
}

// An answer that panics costs its own connection, and is not kept quiet.
func TestPanicIsLogged(t *testing.T) {
	t.Attr("fault", "system | the code of an answer panics | its connection is closed, and the log has where it was; all others go on | the next request")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		r := newRig(t, func(s *Server) {
			s.State = map[string]func() any{"camera": func() any { panic("out of film") }}
			s.Log = slog.New(slog.NewTextHandler(&said, nil))
		})
		conn := r.request("GET", "/state")
		if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		if a := r.do("GET", "/healthz"); a.Code != 200 {
			t.Errorf("the next request: %+v", a)
		}
		if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "out of film") {
			t.Errorf("the log says %q", said.String())
		}
	})
}

// A port that cannot be served any more ends Serve, and its error says why.
func TestServeError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		synctest.Wait()
		r.l.Close()
		if err := r.stop(); err != nil && !errors.Is(err, http.ErrServerClosed) && !strings.Contains(err.Error(), "closed") {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Requests that never end their header, and connections that say nothing, are
// closed.
func TestSlowRequests(t *testing.T) {
	t.Attr("fault", "abuse | headers that never end, connections that say nothing (slowloris) | they are closed after 10 s | –")
	for name, request := range map[string]string{"silent": "", "endless header": "GET / HTTP/1.1\r\nX: "} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				conn := r.dial()
				start := time.Now()
				if request != "" {
					if _, err := conn.Write([]byte(request)); err != nil {
						t.Fatal(err)
					}
				}
				buf := make([]byte, 1024)
				for {
					if _, err := conn.Read(buf); err != nil {
						break
					}
				}
				if took := time.Since(start); took > readTimeout+6*time.Second {
					t.Errorf("closed after %v", took)
				}
			})
		})
	}
}

// Connections that ask for nothing cannot keep others out, nor eat the memory:
// the one that has been quiet for the longest time makes room.
func TestTooManyConnections(t *testing.T) {
	t.Attr("fault", "abuse | connections that ask for nothing | the one that has been quiet for longest makes room | at once")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stopFilm := r.film()
		viewer, _ := r.stream("/stream") // viewers have their own places
		r.next(viewer)
		stopFilm()
		var quiet []net.Conn
		for range maxConnections {
			quiet = append(quiet, r.dial())
			time.Sleep(time.Millisecond)
		}
		if a := r.do("GET", "/healthz"); a.Code != 200 {
			t.Errorf("a request beside %d silent connections: %+v", maxConnections, a)
		}
		if _, err := quiet[0].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the oldest silent connection: %v, want its end", err)
		}
		quiet[1].SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := quiet[1].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a younger one: %v, want it open", err)
		}
	})
}

// When all are busy, one too many is told so.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range maxConnections {
			r.request("GET", "/snapshot") // there is no frame yet
		}
		synctest.Wait()
		text, err := io.ReadAll(r.dial())
		if err != nil || string(text) != refusal {
			t.Errorf("one too many got %q, %v", text, err)
		}
	})
}

// Browsers open connections ahead of their requests: the server's end does not
// wait for those, but for net/http to look that they are gone.
func TestStopWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.dial()
		io.WriteString(r.dial(), "GET /sta")
		synctest.Wait()
		start := time.Now()
		if err := r.stop(); err != nil || time.Since(start) > stopTimeout/10 {
			t.Errorf("Serve returned %v after %v", err, time.Since(start))
		}
	})
}

func TestViewersFor(t *testing.T) {
	for memory, want := range map[int64]int{0: 2, DefaultMemory: 128, 64 << 20: 64, 33 << 20: 2, 1 << 30: 1984} {
		if got := ViewersFor(memory); got != want {
			t.Errorf("ViewersFor(%d) = %d, want %d", memory, got, want)
		}
	}
}

// A placeholder that could not be drawn shows nothing, least of all the last frame.
func TestPlaceholderWithoutPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.server.Hub.Publish(testFrame(1))
		r.server.Hub.ShowPlaceholder(nil, errUnplugged, 1)
		s, _ := r.stream("/stream")
		if a := r.do("GET", "/snapshot"); a.Code != 503 || !strings.Contains(a.Body, errUnplugged.Error()) {
			t.Errorf("%+v", a)
		}
		time.Sleep(time.Minute)
		r.server.Hub.Publish(testFrame(2))
		if p := r.next(s); p.Seq != 2 {
			t.Errorf("a viewer saw frame %d, want only 2", p.Seq)
		}
	})
}
