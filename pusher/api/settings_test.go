package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk has settings of each kind. refuse is what it says to a change.
type desk struct {
	size    any
	fps     float64
	secret  string
	changed int
	refuse  error
}

func (d *desk) List() []Setting {
	least, most, set := 0.1, 60.0, d.secret != ""
	return []Setting{
		{Name: "size", Kind: String, Value: d.size, By: "settings", Changeable: true, Applies: Stream, Choices: []any{"big", "small"}},
		{Name: "fps", Kind: Number, Value: d.fps, By: "settings", Changeable: true, Applies: Stream, Minimum: &least, Maximum: &most},
		{Name: "count", Kind: Integer, Changeable: true, Applies: Live},
		{Name: "on", Kind: Boolean, Changeable: true, Applies: Live},
		{Name: "password", Kind: String, Set: &set, Changeable: true, Applies: Live, Revision: d.secret},
		{Name: "ruled", Kind: String, By: "flag", Why: "it is x by a flag", Applies: Live},
	}
}

func (d *desk) Change(values map[string]any) error {
	if d.refuse != nil {
		return d.refuse
	}
	d.changed++
	if v, ok := values["fps"]; ok {
		d.fps, _ = v.(float64)
	}
	if v, ok := values["password"].(string); ok {
		d.secret = v
	}
	if v, ok := values["size"]; ok {
		d.size = v
	}
	return nil
}

func (d *desk) Trouble() string { return "" }

func ask(h http.Handler, method, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/api/settings", strings.NewReader(body))
	r.Header.Set("Accept", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestSettingsAreRefused(t *testing.T) {
	tests := []struct {
		name, body string
		code       int
		says       string
	}{
		{"unknown", `{"sise":"big"}`, 400, `"sise": "there is no setting`},
		{"unknown beside a good one", `{"sise":"big","fps":5}`, 400, "there is no setting"},
		{"ruled elsewhere", `{"ruled":"y","fps":5}`, 422, "ruled cannot be changed here: it is x by a flag"},
		{"text for a number", `{"fps":"5"}`, 422, `fps is a number, not \"5\"`},
		{"number for a text", `{"size":5}`, 422, "size is a string, not 5"},
		{"no whole number", `{"count":1.5}`, 422, "count is an integer, not 1.5"},
		{"a list", `{"on":[true]}`, 422, "on is a boolean, not [true]"},
		{"too much", `{"fps":61}`, 422, "fps is from 0.1 to 60, not 61"},
		{"too little", `{"fps":0}`, 422, "from 0.1"},
		{"no number at all", `{"fps":1e999}`, 422, "not 1e999"},
		{"no choice", `{"size":"huge"}`, 422, "size is one of [big small], not huge"},
		{"several", `{"size":"huge","fps":0}`, 422, "; "},
		{"no object", `[1]`, 400, "send one JSON object"},
		{"null", `null`, 400, "send one JSON object"},
		{"nothing", ``, 400, "send one JSON object"},
		{"more behind it", `{} {}`, 400, "more behind it"},
		{"too long", `{"size":"` + strings.Repeat("x", maxBody) + `"}`, 413, "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := new(desk)
			if w := ask(&Document{Settings: d}, "PATCH", tt.body, "If-Match", "*"); w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) || d.changed != 0 {
				t.Errorf("%d %s, %d changes; want %d with %q", w.Code, w.Body, d.changed, tt.code, tt.says)
			}
		})
	}
}

// The second of two who change what both have seen is told so, and changes nothing.
func TestTwoOwners(t *testing.T) {
	d := &desk{fps: 30}
	var told []string
	doc := &Document{Settings: d, Changed: func(version string) { told = append(told, version) }}
	seen := ask(doc, "GET", "").Header().Get("ETag")
	if w := ask(doc, "PATCH", `{"fps":5}`); w.Code != 428 || d.changed != 0 {
		t.Errorf("without a version: %d %s", w.Code, w.Body)
	}
	w := ask(doc, "PATCH", `{"fps":5}`, "If-Match", `"other", `+seen)
	if w.Code != 200 || d.fps != 5 || len(told) != 1 || w.Header().Get("ETag") != `"`+told[0]+`"` || w.Header().Get("ETag") == seen {
		t.Fatalf("the first: %d %s, told %v", w.Code, w.Body, told)
	}
	for _, match := range []string{seen, "W/" + w.Header().Get("ETag"), `""`, "x"} {
		if w := ask(doc, "PATCH", `{"fps":10}`, "If-Match", match); w.Code != 412 || d.fps != 5 || !strings.Contains(w.Body.String(), "somebody else") {
			t.Errorf("the second, with %s: %d %s", match, w.Code, w.Body)
		}
	}
	before := doc.Version()
	if w := ask(doc, "PATCH", `{"password":"a secret"}`, "If-Match", `"`+before+`"`); w.Code != 200 || strings.Contains(w.Body.String(), "a secret") || doc.Version() == before {
		t.Errorf("a password: %d %s", w.Code, w.Body)
	}
	if w := ask(doc, "PATCH", `{"size":null}`, "If-Match", "*"); w.Code != 200 || d.size != nil {
		t.Errorf("taken back: %d %s", w.Code, w.Body)
	}
	if w := ask(doc, "PUT", `{}`); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, PATCH" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestChangeFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		says string
	}{
		{Refusals{"fps": "the camera takes 30 only"}, 422, `"fps": "the camera takes 30 only"`},
		{errors.New("the camera does not answer"), 503, "does not answer"},
	} {
		doc := &Document{Settings: &desk{refuse: tt.err}, Changed: func(string) { t.Error("somebody was told of a change") }}
		if w := ask(doc, "PATCH", `{"fps":5}`, "If-Match", "*"); w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}
