package pusher

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// nextToldRecord is a frame, or news, as README.md says how to read them.
func nextToldRecord(in io.Reader) (rec readRecord, news string, err error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(in, head); err != nil {
		return readRecord{}, "", err
	}
	length := binary.BigEndian.Uint32(head)
	body := make([]byte, length&^(1<<31))
	_, err = io.ReadFull(in, body)
	if length>>31 == 1 {
		return readRecord{}, string(body), err
	}
	return readRecord{Number: binary.BigEndian.Uint32(head[4:]), JPEG: string(body)}, "", err
}

// A page is told how the camera is at the beginning of its stream and when that changes, also
// while there are no frames, in its language and without folders. Nobody looks for news while
// nobody is told.
func TestNewsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var phase atomic.Value
		var looks atomic.Int32
		phase.Store("starting")
		r := newRig(t, func(s *Server) {
			s.News = func() map[string]any {
				looks.Add(1)
				return map[string]any{"camera": map[string]any{"phase": phase.Load(), "reason": "no camera: there is no /dev/video*"}}
			}
		})
		time.Sleep(time.Minute)
		if n := looks.Load(); n != 0 {
			t.Errorf("it was looked %d times, for nobody", n)
		}
		conn := r.request("GET", "/frames?news=1&name=page", german)
		_, in := openRecords(t, conn)
		expect := func(wantFrame uint32, wantPhase string) {
			t.Helper()
			rec, text, err := nextToldRecord(in)
			if err != nil || rec.Number != wantFrame {
				t.Fatalf("%+v, %v; want frame %d", rec, err, wantFrame)
			}
			synctest.Wait()
			if wantPhase == "" {
				return
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%v: %q", err, text)
			}
			want := map[string]any{"watching": 1.0, "camera": map[string]any{"phase": wantPhase, "reason": "keine Kamera: es gibt kein video*"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("the news (-want +got):\n%s", diff)
			}
		}
		expect(0, "starting")
		r.server.Hub.Publish(testFrame(1))
		expect(1, "")
		began := time.Now()
		phase.Store("live")
		expect(0, "live")
		if waited := time.Since(began); waited > newsEvery {
			t.Errorf("the news came after %v", waited)
		}
		r.server.Hub.Publish(testFrame(2))
		expect(2, "")
		phase.Store("fault")
		time.Sleep(newsEvery)
		synctest.Wait()
		r.server.Hub.Publish(testFrame(3)) // and behind the news, not in their place
		expect(0, "fault")
		expect(3, "")

		conn.Close()
		r.server.Hub.Publish(testFrame(4))
		synctest.Wait()
		was := looks.Load()
		time.Sleep(time.Minute)
		if now := looks.Load(); now != was {
			t.Errorf("it was looked %d times since the only page has left", now-was)
		}
	})
}

// Who does not ask for news gets none: a multipart stream never does.
func TestNoNews(t *testing.T) {
	for _, path := range []string{"/frames", "/frames?news=0", "/stream?news=1"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.server.Hub.tell(&news{text: []byte(`"old"`)})
			_, in := openRecords(t, r.request("GET", path))
			synctest.Wait()
			r.server.Hub.tell(&news{text: []byte(`"new"`)})
			r.server.Hub.Publish(testFrame(1))
			go r.stop()
			if all, err := io.ReadAll(in); err != nil || strings.Contains(string(all), `"`) {
				t.Errorf("%s: %q, %v", path, all, err)
			}
		})
	}
}

// News come between frames, whoever writes these, and never within one.
func TestNewsBetweenFrames(t *testing.T) {
	const frames, size = 300, 50_000
	server, client := pair(t, "tcp", "127.0.0.1:0")
	v := newViewer(server, time.Hour, new(ageHistogram))
	v.records, v.hears, v.language = true, true, words.English
	hub := NewHub(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		v.run(ctx, hub)
		server.Close()
	})
	_, in := openRecords(t, client)
	running.Go(func() {
		for i := range frames {
			hub.tell(&news{text: fmt.Appendf(nil, `%d`, i)})
		}
	})
	running.Go(func() {
		for seq := range uint64(frames) {
			hub.Publish(bigFrame(seq+1, size))
		}
	})
	t.Cleanup(func() {
		cancel()
		client.Close()
		running.Wait()
	})
	told, shown := -1, uint32(0)
	for told < frames-1 || shown < frames {
		rec, text, err := nextToldRecord(in)
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			var n int
			if err := json.Unmarshal([]byte(text), &n); err != nil || n <= told {
				t.Fatalf("%q after %d: %v", text, told, err)
			}
			told = n
			continue
		}
		if rec.Number < shown || rec.JPEG != string(bigFrame(uint64(rec.Number), size).JPEG) {
			t.Fatalf("frame %d after %d is not whole", rec.Number, shown)
		}
		shown = rec.Number
	}
}

// The clock counts from when the Hub was made, and whoever gives its name learns what it was
// sent.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		in, _ := r.stream("/stream?name=page")
		go drain(in)
		synctest.Wait()
		r.server.Hub.Publish(testFrame(1))
		synctest.Wait()
		time.Sleep(20*time.Millisecond + time.Nanosecond)
		for query, want := range map[string]map[string]any{
			"":               {"clock_us": 20_000.0},
			"?viewer=nobody": {"clock_us": 20_000.0},
			"?viewer=page":   {"clock_us": 20_000.0, "frames_sent": 1.0},
		} {
			var got map[string]any
			if a := r.do("GET", "/clock"+query); a.Code != 200 || json.Unmarshal([]byte(a.Body), &got) != nil {
				t.Fatalf("%+v", a)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

// A signed URL shows pictures, and whoever has it is told no news.
func TestNoNewsForSignedURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClosedRig(t)
		c.film()
		for path, want := range map[string]bool{
			c.sign("/frames", basic(viewersPassword)) + "&news=1": false,
			"/frames?news=1&token=" + c.token("page"):             true,
		} {
			_, in := openRecords(t, c.request("GET", path))
			_, text, err := nextToldRecord(in)
			if told := text != ""; err != nil || told != want {
				t.Errorf("%s: news %q, %v", path, text, err)
			}
		}
	})
}

// Those who come together are told together how many they are, and not once for each.
func TestNewsOfManyWhoCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages = 20
		r := newRig(t)
		var first io.Reader
		for i := range pages {
			_, in := openRecords(t, r.request("GET", "/frames?news=1"))
			if i == 0 {
				first = in
			} else {
				go io.Copy(io.Discard, in)
			}
		}
		told := []string{}
		for range 2 {
			_, text, err := nextToldRecord(first)
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, text)
		}
		if diff := cmp.Diff([]string{`{"watching":1}`, `{"watching":20}`}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
