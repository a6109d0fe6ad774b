//go:build linux

package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// bom is a software bill of materials: CycloneDX 1.6, of which only what is needed here
// (ECMA-424, https://cyclonedx.org/docs/1.6/json). The format's own Go library has the
// whole of it and nothing else that would help.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type        string     `json:"type"` // application, library, operating-system, firmware, data
	Ref         string     `json:"bom-ref"`
	Name        string     `json:"name"`
	Version     string     `json:"version,omitempty"`
	Description string     `json:"description,omitempty"`
	Hashes      []hash     `json:"hashes,omitempty"`
	Licenses    []license  `json:"licenses,omitempty"`
	PURL        string     `json:"purl,omitempty"`
	Properties  []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	License struct {
		ID   string `json:"id,omitempty"` // of SPDX
		Name string `json:"name,omitempty"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

// inventory collects what a release is made of.
type inventory struct {
	components map[string]component       // by ref
	uses       map[string]map[string]bool // refs, by who uses them
}

func newInventory() *inventory {
	return &inventory{components: make(map[string]component), uses: make(map[string]map[string]bool)}
}

// add has user, a ref, use a component, which has its ref from its purl, or its type and
// name.
func (v *inventory) add(user string, c component) (ref string) {
	c.Ref = cmp.Or(c.Ref, c.PURL, c.Type+":"+c.Name)
	v.components[c.Ref] = c
	if v.uses[user] == nil {
		v.uses[user] = make(map[string]bool)
	}
	v.uses[user][c.Ref] = true
	return c.Ref
}

// addProgram adds a Go program with the modules that it was built of, and Go's own
// library, as the program itself tells them.
func (v *inventory) addProgram(user, name, version string, program []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("what %s is made of: %w", name, err)
	}
	ref := v.add(user, component{Type: "application", Name: name, Version: version, Description: info.Path, Hashes: hashes(program)})
	v.add(ref, component{Type: "library", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"), Description: "Go's standard library and runtime",
		PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"), Licenses: licensed("BSD-3-Clause")})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if strings.HasPrefix(m.Path, ".") || strings.HasPrefix(m.Path, "/") {
			continue // our own module, which its folder stands for
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: modulePURL(m.Path, m.Version)}
		if m.Sum != "" {
			c.Properties = []property{{"golang:go.sum", m.Sum}}
		}
		v.add(ref, c)
	}
	return nil
}

// modulePURL names a Go module (https://github.com/package-url/purl-spec).
func modulePURL(path, version string) string {
	return "pkg:golang/" + path + "@" + url.PathEscape(version)
}

// bom is the finished bill: always the same for the same parts.
func (v *inventory) bom(product component, built time.Time) *bom {
	b := &bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{built.UTC().Format(time.RFC3339), product}}
	for _, ref := range slices.Sorted(maps.Keys(v.components)) {
		b.Components = append(b.Components, v.components[ref])
	}
	refs := append(slices.Sorted(maps.Keys(v.components)), product.Ref)
	for _, ref := range refs {
		b.Dependencies = append(b.Dependencies, dependency{ref, slices.Sorted(maps.Keys(v.uses[ref]))})
	}
	return b
}

func (b *bom) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(b)
}

func hashes(content []byte) []hash {
	return []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(content))}}
}

// licensed are SPDX's identifiers.
func licensed(ids ...string) (all []license) {
	for _, id := range ids {
		var l license
		l.License.ID = id
		all = append(all, l)
	}
	return all
}

// licensedAs is a licence that SPDX does not list.
func licensedAs(name string) []license {
	var l license
	l.License.Name = name
	return []license{l}
}
