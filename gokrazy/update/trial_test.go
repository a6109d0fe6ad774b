package update

import (
	"context"
	"errors"
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
		checks func() checks
		want   string        // part of the reason; "" for well
		after  time.Duration // within a look
	}{
		{"all well", true, false, func() checks { return checks{} }, "", 30 * time.Second},
		{"no camera, as before", false, false, func() checks { return checks{picture: at(0, 0, "none")} }, "", 30 * time.Second},
		{"the camera is closed", true, true, func() checks { return checks{picture: at(0, 0, "none")} }, "", 30 * time.Second},
		{"a slow camera", true, false, func() checks { return checks{picture: at(45, ever, "starting")} }, "", 76 * time.Second},
		{"no picture", true, false, func() checks { return checks{picture: at(0, 0, "no camera")} }, "gives no picture: no camera", time.Minute},
		{"a picture at first", true, false, func() checks { return checks{picture: at(0, 20, "gone")} }, "within 2m0s: the camera, which worked before, gives no picture: gone", 2 * time.Minute},
		{"a picture that hangs", true, false, func() checks { return checks{picture: hangs} }, "deadline", time.Minute},
		{"a break, and then all well", true, false, func() checks {
			first, then := at(0, 20, ""), at(30, ever, "away")
			return checks{picture: func(ctx context.Context) error {
				if first(ctx) == nil {
					return nil
				}
				return then(ctx)
			}}
		}, "", 60 * time.Second},
		{"HTTP does not answer", false, false, func() checks { return checks{answers: at(0, 0, "refused")} }, "HTTP server does not answer: refused", time.Minute},
		{"the board gets hot", true, false, func() checks { return checks{board: now(at(0, 10, "it has 90 °C"))} }, "90 °C", 2 * time.Minute},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := tc.checks()
				h.private = tc.closed
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
				err := watch(t.Context(), &h, tc.camera, func(string) { waited++ })
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
		h := checks{answers: fine, picture: fine, board: func() error { return nil }}
		if err := watch(ctx, &h, true, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
