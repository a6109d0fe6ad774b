package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A fault is one line of the table.
type fault struct {
	group    string // one of groups
	what     string // is done
	holds    string // meanwhile
	recovery string
	pkg      string // folder of the test
	test     string
}

// groups are in the order of the table.
var groups = []string{"camera", "network", "system", "GPIO", "update", "abuse"}

// kinds are those of the tests, the quick ones first.
var kinds = []string{"unit", "rig", "conformance", "e2e"}

// kind is where a fault's test runs.
func (f *fault) kind() string {
	switch {
	case f.pkg == "hack/e2e", f.pkg == "hack/conformance":
		return strings.TrimPrefix(f.pkg, "hack/")
	case strings.HasPrefix(f.test, "TestRig"):
		return "rig"
	}
	return "unit"
}

// parseFault reads what a test says of its fault: "group | what is done | what must hold |
// how it recovers".
func parseFault(text string) (fault, error) {
	parts := strings.Split(text, " | ")
	if len(parts) != 4 || slices.Contains(parts, "") {
		return fault{}, fmt.Errorf("%q is not of the form %q", text, "group | what is done | what must hold | how it recovers")
	}
	if !slices.Contains(groups, parts[0]) {
		return fault{}, fmt.Errorf("%q is none of the groups %s", parts[0], strings.Join(groups, ", "))
	}
	return fault{group: parts[0], what: parts[1], holds: parts[2], recovery: parts[3]}, nil
}

// collect finds the faults that the tests below root name, in the order of the table. It
// reads the tests and runs none, because some of them take an hour.
func collect(root string) ([]fault, error) {
	var faults []fault
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		var wrong []error
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for call, text := range named(f) {
				one, err := parseFault(text)
				if err == nil && !strings.HasPrefix(f.Name.Name, "Test") {
					err = fmt.Errorf("%s is no test", f.Name.Name)
				}
				if err != nil {
					wrong = append(wrong, fmt.Errorf("%s: %w", files.Position(call.Pos()), err))
					continue
				}
				one.pkg, one.test = filepath.ToSlash(folder), f.Name.Name
				faults = append(faults, one)
			}
		}
		return errors.Join(wrong...)
	})
	slices.SortFunc(faults, func(a, b fault) int {
		return cmp.Or(
			cmp.Compare(slices.Index(groups, a.group), slices.Index(groups, b.group)),
			cmp.Compare(slices.Index(kinds, a.kind()), slices.Index(kinds, b.kind())),
			cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test), cmp.Compare(a.what, b.what))
	})
	return faults, err
}

// named yields the faults that a function names: the calls and their texts, which are
// constants, so that the table can be made without running them.
func named(f *ast.FuncDecl) func(yield func(*ast.CallExpr, string) bool) {
	return func(yield func(*ast.CallExpr, string) bool) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); !ok || method.Sel.Name != "Attr" || literal(call.Args[0]) != "fault" {
				return true
			}
			return yield(call, literal(call.Args[1]))
		})
	}
}

// literal is the value of a string in the source; anything else is "".
func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return s
}

// table is the table in Markdown.
func table(faults []fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults:\n\n", len(faults))
	b.WriteString("| what is done | what must hold | how it recovers | shown by |\n| --- | --- | --- | --- |\n")
	group := ""
	for _, f := range faults {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "| **%s** | | | |\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s: `%s` `%s` |\n", f.what, f.holds, f.recovery, f.kind(), f.pkg, f.test)
	}
	return b.String()
}
