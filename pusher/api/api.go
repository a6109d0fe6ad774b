// Package api is what an owner's page and programs read and change while the camera runs:
// its settings, as one document with a version, and what happens, as events. openapi.json
// describes it, and what else is behind /api.
package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/words"
)

//go:embed openapi.json
var description []byte

// Description answers with openapi.json.
func Description(w http.ResponseWriter, r *http.Request) {
	if !Allows(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(description) // a client that is gone has nobody to tell
}

// Allows answers with 405 if a request's method is none of these, and returns false.
func Allows(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	Fail(w, r, http.StatusMethodNotAllowed, fmt.Errorf("%s takes %s, not %s", r.URL.Path, allow, r.Method))
	return false
}

// Answer answers in JSON, with its sentences in the language of who asks.
func Answer(w http.ResponseWriter, r *http.Request, code int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, text = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
	}
	text = words.For(w, r).JSON(text)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n'))
}

// Refusals are sentences on what is wrong with a request, by field.
type Refusals map[string]string

func (r Refusals) Error() string {
	names := slices.Sorted(maps.Keys(r))
	sentences := make([]string, len(names))
	for i, name := range names {
		sentences[i] = r[name]
	}
	return strings.Join(sentences, "; ")
}

// in are the refusals in a language.
func (r Refusals) in(l *words.Language) Refusals {
	said := make(Refusals)
	for name, sentence := range r {
		said[name] = l.Say(sentence)
	}
	return said
}

// Fail answers with an error, in the language of who asks: as JSON if that was asked for, and
// with one for each field if it is Refusals, or begins with them; else as text.
func Fail(w http.ResponseWriter, r *http.Request, code int, err error) {
	l := words.For(w, r)
	answer := struct {
		Error  string            `json:"error"`
		Fields map[string]string `json:"fields,omitempty"`
	}{Error: l.Say(err.Error())}
	var refused Refusals
	if errors.As(err, &refused) {
		said := refused.in(l)
		answer.Fields = said
		if err.Error() == refused.Error() {
			answer.Error = said.Error()
		} else if more, ok := strings.CutPrefix(err.Error(), refused.Error()+"; "); ok {
			answer.Error = said.Error() + "; " + l.Say(more)
		}
	}
	if !strings.HasPrefix(r.Header.Get("Accept"), "application/json") {
		http.Error(w, answer.Error, code)
		return
	}
	Answer(w, r, code, answer)
}

// maxBody bounds what is read of a request, in bytes.
const maxBody = 8 << 10

// Read reads a request's body, which is one JSON object, into v, as encoding/json does. It
// refuses fields that v does not have. Numbers in an any are a json.Number. If it returns
// false, it has answered why.
func Read(w http.ResponseWriter, r *http.Request, v any) bool {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooMuch *http.MaxBytesError
	switch {
	case errors.As(err, &tooMuch):
		Fail(w, r, http.StatusRequestEntityTooLarge, fmt.Errorf("%s takes at most %d bytes", r.URL.Path, maxBody))
		return false
	case err != nil:
		Fail(w, r, http.StatusBadRequest, fmt.Errorf("the request cannot be read: %w", err))
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err = d.Decode(v); err == nil && !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		err = errors.New("it is null")
	}
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind it")
		}
	}
	if err != nil {
		Fail(w, r, http.StatusBadRequest, fmt.Errorf("send one JSON object with the fields that /api/openapi.json names: %w", err))
		return false
	}
	return true
}
