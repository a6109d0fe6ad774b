package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

func TestFailInGerman(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		accept string
		want   []string
	}{
		{"text", errors.New("the camera does not answer: x"), "", []string{"die Kamera antwortet nicht: x\n"}},
		{"fields", Refusals{"fps": "fps is from 0.1 to 60, not 61", "size": "size is a string, not 5"}, "application/json",
			[]string{`"fps": "fps: erlaubt ist 0.1 bis 60, nicht 61"`, `"size": "size: erlaubt ist ein Text, nicht 5"`,
				`"error": "fps: erlaubt ist 0.1 bis 60, nicht 61; size: erlaubt ist ein Text, nicht 5"`}},
		{"one more", fmt.Errorf("%w; %w", Refusals{"fps": "fps is from 0.1 to 60, not 61"}, errors.New("the others stay as they were")), "application/json",
			[]string{`"error": "fps: erlaubt ist 0.1 bis 60, nicht 61; die übrigen bleiben, wie sie waren"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Language", "de")
			r.Header.Set("Accept", tt.accept)
			Fail(w, r, 422, tt.err)
			for _, s := range tt.want {
				if !strings.Contains(w.Body.String(), s) {
					t.Errorf("it does not say %s: %s", s, w.Body)
				}
			}
			if w.Code != 422 || w.Header().Get("Content-Language") != "de" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
}

// Two listen to the same event, each in a language of their own.
func TestEventsInGerman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := map[string]string{"reason": "The card does not answer."}
		e := &Events{State: func() any { return state }, Version: func() string { return "6" }}
		for language, want := range map[string]string{"de": `{"reason":"Die Karte antwortet nicht."}`, "en": `{"reason":"The card does not answer."}`} {
			in, out := io.Pipe()
			done := make(chan struct{})
			request := httptest.NewRequestWithContext(t.Context(), "GET", "/api/events", nil)
			request.Header.Set("Accept-Language", language)
			r := &reader{Reader: bufio.NewReaderSize(in, 16), in: in, head: make(http.Header), out: out}
			go func() {
				defer close(done)
				e.ServeHTTP(r, request)
			}()
			t.Cleanup(func() { in.Close(); <-done })
			if got := r.next(t); got != "state "+want {
				t.Errorf("in %s it begins with %q", language, got)
			}
			for range 2 {
				r.next(t) // settings and controls
			}
			e.tell("state", state)
			if got := r.next(t); got != "state "+want {
				t.Errorf("in %s it goes on with %q", language, got)
			}
			in.Close() // so that the next one is told alone
			e.tell("state", state)
			<-done
		}
	})
}
