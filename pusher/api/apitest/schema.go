// Package apitest holds answers against openapi.json, for tests.
package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/pusher/api"
)

// Spec is what openapi.json says.
type Spec struct {
	Paths map[string]map[string]struct {
		Responses map[string]response
	}
	Components struct {
		Schemas   map[string]any
		Responses map[string]response
	}
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema any }
}

// Load reads openapi.json as the program serves it.
func Load() (*Spec, error) {
	w := httptest.NewRecorder()
	api.Description(w, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	s := new(Spec)
	return s, json.Unmarshal(w.Body.Bytes(), s)
}

// Check says how an answer differs from what the file says of it: by its status, its kind,
// or its fields, of which the file has to know each.
func (s *Spec) Check(path, method string, code int, contentType string, body []byte) error {
	op, ok := s.Paths[path][strings.ToLower(method)]
	if !ok {
		return fmt.Errorf("the file does not know %s %s", method, path)
	}
	r, ok := op.Responses[fmt.Sprint(code)]
	if !ok {
		r, ok = op.Responses[fmt.Sprintf("%dXX", code/100)]
	}
	if !ok {
		return fmt.Errorf("the file does not know that %s %s is answered with %d: %s", method, path, code, body)
	}
	if r.Ref != "" {
		r = s.Components.Responses[r.Ref[strings.LastIndex(r.Ref, "/")+1:]]
	}
	kind, _, _ := strings.Cut(contentType, ";")
	content, ok := r.Content[kind]
	switch {
	case len(r.Content) == 0 && len(body) == 0:
		return nil
	case !ok:
		return fmt.Errorf("%s %s is answered with %d as %q, of which the file does not know: %s", method, path, code, kind, body)
	case kind != "application/json":
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	if err := s.check(content.Schema, v, "the answer"); err != nil {
		return fmt.Errorf("%s %s, %d: %w", method, path, code, err)
	}
	return nil
}

// check holds a value against those words of JSON Schema that the file uses.
func (s *Spec) check(schema, v any, where string) error {
	rule, ok := schema.(map[string]any)
	if !ok {
		return fmt.Errorf("the schema of %s is %v", where, schema)
	}
	if to, ok := rule["$ref"].(string); ok {
		return s.check(s.Components.Schemas[to[strings.LastIndex(to, "/")+1:]], v, where)
	}
	if is := rule["type"]; is != nil && !isType(is, v) {
		return fmt.Errorf("%s is %v, and no %v", where, v, is)
	}
	if choices, ok := rule["enum"].([]any); ok && !slices.Contains(choices, v) {
		return fmt.Errorf("%s is %v, and none of %v", where, v, choices)
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if err := s.check(rule["items"], item, fmt.Sprintf("%s[%d]", where, i)); rule["items"] != nil && err != nil {
				return err
			}
		}
	case map[string]any:
		return s.checkObject(rule, v, where)
	}
	return nil
}

func (s *Spec) checkObject(rule, v map[string]any, where string) error {
	required, _ := rule["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s has no %s", where, name)
		}
	}
	properties, _ := rule["properties"].(map[string]any)
	for name, value := range v {
		schema := properties[name]
		if schema == nil {
			schema = rule["additionalProperties"]
		}
		if schema == nil && properties != nil {
			return fmt.Errorf("%s has %s, of which the file does not know", where, name)
		}
		if schema != nil {
			if err := s.check(schema, value, where+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func isType(is, v any) bool {
	if several, ok := is.([]any); ok {
		return slices.ContainsFunc(several, func(one any) bool { return isType(one, v) })
	}
	switch v := v.(type) {
	case nil:
		return is == "null"
	case bool:
		return is == "boolean"
	case string:
		return is == "string"
	case float64:
		return is == "number" || is == "integer" && v == float64(int64(v))
	case []any:
		return is == "array"
	case map[string]any:
		return is == "object"
	}
	return false
}
