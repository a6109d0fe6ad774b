package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// Kind is what a setting's value is.
type Kind string

const (
	String  Kind = "string"
	Number  Kind = "number" // a float64
	Integer Kind = "integer"
	Boolean Kind = "boolean"
)

// kinds are what people read of them.
var kinds = map[Kind]string{String: "a string", Number: "a number", Integer: "an integer", Boolean: "a boolean"}

// Applies says when a change of a setting serves.
type Applies string

const (
	Live    Applies = "live"    // at once
	Stream  Applies = "stream"  // at once, by a short gap in the stream
	Program Applies = "program" // when the program starts again, which it does by itself
)

// Setting is one of an owner's settings as it is now.
type Setting struct {
	Name    string `json:"-"`
	Kind    Kind   `json:"type"`
	Value   any    `json:"value"`         // nil: there is none, or it is a secret
	Set     *bool  `json:"set,omitempty"` // of a secret: there is one
	Default any    `json:"default"`
	// By is what rules: flag, environment, card, settings, or default.
	By         string  `json:"by"`
	Changeable bool    `json:"changeable"`
	Why        string  `json:"why,omitempty"` // it is not changeable
	Applies    Applies `json:"applies"`
	// Bounds of a number, if it has any.
	Minimum *float64 `json:"minimum,omitempty"`
	Maximum *float64 `json:"maximum,omitempty"`
	Choices []any    `json:"choices,omitempty"` // that there are; none is any
	// Revision is something that changes with a secret and does not tell it.
	Revision string `json:"-"`
}

// Settings are what a Document shows and changes.
type Settings interface {
	// List lists all, each time in the same order.
	List() []Setting
	// Change makes all changes, or none if it returns an error. The names are of settings
	// that are changeable, and each value is of the setting's kind, or nil for what it is
	// when the owner has not changed it. Values that cannot be are Refusals.
	Change(values map[string]any) error
	// Trouble says why changes are lost with the program; "" if they are not.
	Trouble() string
}

// A Document answers with all settings, and changes them. Whoever changes them names the
// version that they have seen, so that of two owners the second one hears of the first.
type Document struct {
	Settings Settings
	// Changed is told the new version after a change. May be nil.
	Changed func(version string)

	mu sync.Mutex // held from the look at the version to the end of a change
}

type document struct {
	Version  string             `json:"version"`
	Kept     bool               `json:"kept"`
	Trouble  string             `json:"trouble,omitempty"`
	Settings map[string]Setting `json:"settings"`
}

// Version is that of the settings as they are now.
func (d *Document) Version() string { return version(d.Settings.List()) }

func version(all []Setting) string {
	var rows []any
	for _, s := range all {
		rows = append(rows, []any{s.Name, s.Value, s.By, s.Changeable, s.Revision})
	}
	return VersionOf(rows...)
}

func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !Allows(w, r, http.MethodGet, http.MethodHead, http.MethodPatch) {
		return
	}
	if r.Method != http.MethodPatch {
		d.answer(w, r, d.Settings.List())
		return
	}
	values := make(map[string]any)
	if !Read(w, r, &values) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Settings.List()
	if r.Header.Get("If-Match") == "" {
		Fail(w, r, http.StatusPreconditionRequired, errors.New(`say which version you change: If-Match with the ETag that GET gave, or *`))
		return
	}
	if !Matches(r, version(now)) {
		Fail(w, r, http.StatusPreconditionFailed, ErrChanged)
		return
	}
	if code, err := check(now, values); err != nil {
		Fail(w, r, code, err)
		return
	}
	if err := d.Settings.Change(values); err != nil {
		code := http.StatusServiceUnavailable
		if refused := (Refusals)(nil); errors.As(err, &refused) {
			code = http.StatusUnprocessableEntity
		}
		Fail(w, r, code, err)
		return
	}
	now = d.Settings.List()
	if d.Changed != nil {
		d.Changed(version(now))
	}
	d.answer(w, r, now)
}

func (d *Document) answer(w http.ResponseWriter, r *http.Request, now []Setting) {
	all := document{Version: version(now), Trouble: d.Settings.Trouble(), Settings: make(map[string]Setting)}
	all.Kept = all.Trouble == ""
	for _, s := range now {
		all.Settings[s.Name] = s
	}
	AnswerVersion(w, r, all.Version, all)
}

// check turns values into those of the settings' kinds. Its error is Refusals.
func check(all []Setting, values map[string]any) (code int, err error) {
	unknown, refused := make(Refusals), make(Refusals)
	for name, value := range values {
		i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == name })
		switch {
		case i < 0:
			unknown[name] = fmt.Sprintf("there is no setting %.40q", name)
		case !all[i].Changeable:
			refused[name] = fmt.Sprintf("%s cannot be changed here: %s", name, all[i].Why)
		default:
			if values[name], err = all[i].parse(value); err != nil {
				refused[name] = err.Error()
			}
		}
	}
	switch {
	case len(unknown) > 0:
		return http.StatusBadRequest, unknown
	case len(refused) > 0:
		return http.StatusUnprocessableEntity, refused
	}
	return 0, nil
}

// parse checks a value, which comes from JSON, against what a setting says of itself.
func (s *Setting) parse(value any) (any, error) {
	var ok bool
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		ok = s.Kind == String
	case bool:
		ok = s.Kind == Boolean
	case json.Number:
		f, errF := v.Float64()
		i, errI := v.Int64()
		switch {
		case s.Kind == Number && errF == nil:
			value, ok = f, true
		case s.Kind == Integer && errI == nil:
			value, ok = i, true
		}
		if ok && (s.Minimum != nil && f < *s.Minimum || s.Maximum != nil && f > *s.Maximum) {
			return nil, fmt.Errorf("%s is %s, not %v", s.Name, s.bounds(), v)
		}
	}
	if !ok {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s is %s, not %.40s", s.Name, kinds[s.Kind], text)
	}
	if len(s.Choices) > 0 && !slices.Contains(s.Choices, value) {
		return nil, fmt.Errorf("%s is one of %v, not %.40v", s.Name, s.Choices, value)
	}
	return value, nil
}

func (s *Setting) bounds() string {
	switch {
	case s.Minimum == nil:
		return fmt.Sprintf("at most %v", *s.Maximum)
	case s.Maximum == nil:
		return fmt.Sprintf("at least %v", *s.Minimum)
	}
	return fmt.Sprintf("from %v to %v", *s.Minimum, *s.Maximum)
}
