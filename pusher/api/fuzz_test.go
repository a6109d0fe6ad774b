package api

import (
	"net/http"
	"testing"
)

// Whatever is sent, it is answered with a sentence, or all of it was of the settings' kinds.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{`{"size":"big","fps":1.5,"count":3,"on":true,"password":null}`, `{"fps":1e999}`, `{"count":9223372036854775808}`, `{"fps":1,"fps":2}`, `null`, `[[`, `{"on":{}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d := new(desk)
		w := ask(&Document{Settings: d}, "PATCH", body, "If-Match", "*")
		switch {
		case w.Code == http.StatusOK && d.changed == 1:
		case w.Code >= 400 && w.Code < 500 && d.changed == 0 && w.Body.Len() > 0:
		default:
			t.Errorf("%d %s, after %d changes", w.Code, w.Body, d.changed)
		}
		if d.fps != 0 && (d.fps < 0.1 || d.fps > 60) {
			t.Errorf("%v pictures per second", d.fps)
		}
	})
}
