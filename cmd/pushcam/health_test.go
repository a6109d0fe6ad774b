package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// at gives a check that fails with why except in a span of seconds since the test
// began.
func at(from, to float64, why string) func(context.Context) error {
	began := time.Now()
	return func(context.Context) error {
		if s := time.Since(began).Seconds(); s >= from && s < to {
			return nil
		}
		return errors.New(why)
	}
}

func TestHealth(t *testing.T) {
	const ever = 1e9
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	now := func(f func(context.Context) error) func() error {
		return func() error { return f(context.Background()) }
	}
	tests := []struct {
		name   string
		camera bool // worked before
		closed bool
		health func() health
		want   string        // part of the reason; "" for well
		after  time.Duration // within a look
	}{
		{"all well", true, false, func() health { return health{} }, "", 30 * time.Second},
		{"no camera, as before", false, false, func() health { return health{picture: at(0, 0, "none")} }, "", 30 * time.Second},
		{"the camera is closed", true, true, func() health { return health{picture: at(0, 0, "none")} }, "", 30 * time.Second},
		{"a slow camera", true, false, func() health { return health{picture: at(45, ever, "starting")} }, "", 76 * time.Second},
		{"no picture", true, false, func() health { return health{picture: at(0, 0, "no camera")} }, "gives no picture: no camera", time.Minute},
		{"a picture at first", true, false, func() health { return health{picture: at(0, 20, "gone")} }, "within 2m0s: the camera, which worked before, gives no picture: gone", 2 * time.Minute},
		{"a picture that hangs", true, false, func() health { return health{picture: hangs} }, "deadline", time.Minute},
		{"a break, and then all well", true, false, func() health {
			first, then := at(0, 20, ""), at(30, ever, "away")
			return health{picture: func(ctx context.Context) error {
				if first(ctx) == nil {
					return nil
				}
				return then(ctx)
			}}
		}, "", 60 * time.Second},
		{"HTTP does not answer", false, false, func() health { return health{answers: at(0, 0, "refused")} }, "HTTP server does not answer: refused", time.Minute},
		{"the board gets hot", true, false, func() health { return health{board: now(at(0, 10, "it has 90 °C"))} }, "90 °C", 2 * time.Minute},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fine := func(context.Context) error { return nil }
				h := tc.health()
				h.closed = func() bool { return tc.closed }
				if h.answers == nil {
					h.answers = fine
				}
				if h.picture == nil {
					h.picture = fine
				}
				if h.board == nil {
					h.board = now(fine)
				}
				began, waited := time.Now(), 0
				err := h.watch(t.Context(), tc.camera, func(string) { waited++ })
				if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %q in it", err, tc.want)
				}
				if took := time.Since(began); took < tc.after || took > tc.after+pictureTime+healthInterval {
					t.Errorf("decided after %v, want %v", took, tc.after)
				}
				if waited == 0 {
					t.Error("nobody was told what is waited for")
				}
			})
		})
	}
}

func TestHealthStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		fine := func(context.Context) error { return nil }
		h := health{answers: fine, picture: fine, board: func() error { return nil }, closed: func() bool { return false }}
		if err := h.watch(ctx, true, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

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
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/snapshot.jpg" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				if tc.why != "" {
					w.Header().Set("X-Error", tc.why)
				}
				w.WriteHeader(tc.code)
				io.WriteString(w, tc.body)
			}))
			defer s.Close()
			err := selfPicture(selfClient(s.Listener.Addr()))(t.Context())
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
