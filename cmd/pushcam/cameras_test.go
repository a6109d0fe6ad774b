package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/pusher/api/apitest"
)

func TestCameras(t *testing.T) {
	spec, err := apitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		looked := 0
		var failed error
		c := &cameras{log: slog.New(slog.DiscardHandler), self: func(host string) bool { return host == "attic.local" },
			browse: func(ctx context.Context) ([]discovery.Found, error) {
				looked++
				<-ctx.Done()
				return []discovery.Found{
					{Name: "attic", Host: "attic.local", Port: 80, Path: "/", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fe80::7%eth0")}},
					{Name: "barn", Host: "barn.local", Port: 8080, Path: "/webcam", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::7")}},
					{Name: "cave", Host: "cave.local", Port: 80, Path: `/"><script>`, Addresses: []netip.Addr{netip.MustParseAddr("fe80::7%eth0")}},
					{Name: "no name", Host: `a "b.local`, Port: 80, Addresses: []netip.Addr{netip.MustParseAddr("fe80::8%eth0")}},
					{Name: "nowhere", Host: "nowhere.local", Port: 80},
				}, failed
			}}
		ask := func(code int) (urls []string) {
			t.Helper()
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/api/cameras", nil)
			r.Header.Set("Accept", "application/json")
			c.ServeHTTP(w, r)
			if err := spec.Check("/api/cameras", "GET", w.Code, w.Header().Get("Content-Type"), w.Body.Bytes()); err != nil || w.Code != code {
				t.Errorf("%d, %v", w.Code, err)
			}
			var got struct{ Cameras []foundCamera }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			for _, f := range got.Cameras {
				urls = append(urls, f.URL)
				if f.Self != (f.Name == "attic") {
					t.Errorf("%s is this one: %v", f.Name, f.Self)
				}
			}
			return urls
		}
		want := []string{"http://192.0.2.7/", "http://[2001:db8::7]:8080/webcam/", "http://cave.local/"}
		for range 3 {
			if diff := cmp.Diff(want, ask(200)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if looked != 1 {
			t.Errorf("it was looked for them %d times", looked)
		}
		time.Sleep(askAgain)
		failed = errors.New("there is no network")
		ask(503)
	})
}
