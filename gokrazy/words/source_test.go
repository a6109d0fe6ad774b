package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// speaking are the packages whose sentences people read on a page.
var speaking = []string{
	"pusher", "pusher/api", "cmd/pushcam", "camera", "camera/v4l2", "gpio",
	"gokrazy/device", "gokrazy/durable", "gokrazy/setup", "gokrazy/update", "gokrazy/update/card", "gokrazy/update/signed",
	"gokrazy/network/portal", "gokrazy/network/status", "gokrazy/network/wifi",
}

// A said is something that a program says, as a file of words has it.
type said struct {
	text string
	at   string
}

// What is said to others than people on a page: to the log, or to a program.
var unspoken = map[string]bool{
	"Debug": true, "Info": true, "Warn": true, "Error": true, "Log": true, "With": true, "logRecovered": true,
	"StringVar": true, "BoolVar": true, "IntVar": true, "Int64Var": true, "Float64Var": true, "DurationVar": true, "TextVar": true, "Var": true,
	"Set": true, "Get": true, "Cookie": true, "MustCompile": true, "Fields": true, "Contains": true, "says": true, "run": true, "Reboot": true,
}

// Functions whose words are said, however few they are.
var speakers = map[string]bool{
	"errors.New": true, "fmt.Errorf": true, "fail": true, "busy": true, "words.Error": true, "http.Error": true,
	"problem": true, "untrusted": true, "report": true, "Say": true, "Alert": true,
}

func TestCatalogueIsComplete(t *testing.T) {
	translated, used := make(map[string]bool), make(map[string]bool)
	for _, english := range englishLines(t) {
		translated[english] = true
	}
	excused := make(map[string]bool)
	all, literals := allSaid(t)
	for _, s := range all {
		known := false
		for _, spelling := range spellings(s.text) {
			known = known || translated[spelling]
			used[spelling] = used[spelling] || translated[spelling]
		}
		file, _, _ := strings.Cut(s.at, ":")
		switch {
		case known:
		case notOnPages[file] != "":
			excused[file] = true
		case notOnPages[s.text] != "":
			excused[s.text] = true
		default:
			t.Errorf("%s: de.txt has no line for %q", s.at, s.text)
		}
	}
	for english := range translated {
		if !used[english] && !isAssembled(english, literals) {
			t.Errorf("nothing says this line of de.txt any more: %q", english)
		}
	}
	for what := range notOnPages {
		if !excused[what] {
			t.Errorf("this exception is for nothing: %q", what)
		}
	}
}

// englishLines are those of the catalogue, and it finds what is wrong with its form.
func englishLines(t *testing.T) (all []string) {
	t.Helper()
	blocks := strings.Split(strings.TrimSpace(german), "\n\n")
	places := regexp.MustCompile(`%[1-9]`)
	for _, block := range blocks {
		lines := slices.DeleteFunc(strings.Split(block, "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
		if len(lines) == 0 {
			continue
		}
		if len(lines) != 2 {
			t.Errorf("de.txt has not two lines but %q", lines)
			continue
		}
		of := func(line string) []string {
			return slices.Compact(slices.Sorted(slices.Values(places.FindAllString(line, -1))))
		}
		if english, german := of(lines[0]), of(lines[1]); !slices.Equal(english, german) {
			t.Errorf("%q has the places %v, and its translation %v", lines[0], english, german)
		}
		if strings.HasSuffix(lines[0], ".") != strings.HasSuffix(lines[1], ".") {
			t.Errorf("one of %q ends with a full stop", lines)
		}
		if slices.Contains(all, lines[0]) {
			t.Errorf("de.txt has %q twice", lines[0])
		}
		all = append(all, lines[0])
	}
	return all
}

// spellings are how a file of words may have what is said: what comes before and behind a
// colon is translated by itself.
func spellings(text string) (all []string) {
	all = []string{text}
	for i := 0; i < len(all); i++ {
		s := all[i]
		for _, other := range []string{
			strings.TrimLeft(s, "-;, "), strings.TrimRight(s, " .:;"), strings.TrimSpace(s), lowerFirst(s),
			regexp.MustCompile(`[:;] %\d$`).ReplaceAllString(s, ""), behindFirst(s), behindAny(s),
		} {
			if !slices.Contains(all, other) {
				all = append(all, other)
			}
		}
	}
	return all
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// behindFirst is what follows an error that is wrapped, with its places counted anew.
func behindFirst(s string) string {
	rest := regexp.MustCompile(`^%1(?:: |(\pL))`).ReplaceAllString(s, "$1")
	if rest == s {
		return s
	}
	return regexp.MustCompile(`%[2-9]`).ReplaceAllStringFunc(rest, func(p string) string { return "%" + string(p[1]-1) })
}

// behindAny is what begins with a comma, behind something.
func behindAny(s string) string {
	if !strings.HasPrefix(s, ",") && !strings.HasPrefix(s, ";") {
		return s
	}
	return "%1" + regexp.MustCompile(`%[1-8]`).ReplaceAllStringFunc(s, func(p string) string { return "%" + string(p[1]+1) })
}

var (
	verb   = regexp.MustCompile(`%[-+# 0]*(?:\[(\d)\])?[\d*]*(?:\.\d+)?([a-zA-Z%])`)
	marked = regexp.MustCompile(`\{\{(.*?)\}\}`)
	letter = regexp.MustCompile(`\pL`)
	tags   = strings.NewReplacer("<b>", "", "</b>", "", "<!-- name -->", "%s", "<!-- link -->", "%s")
)

// asLine is a format, or a concatenation with places in it, as a file of words has it.
func asLine(format string) string {
	n := 0
	return verb.ReplaceAllStringFunc(format, func(v string) string {
		switch v[len(v)-1] {
		case '%':
			return "%"
		case 'q':
			n++
			return fmt.Sprintf(`"%%%d"`, n)
		}
		n++
		return fmt.Sprintf("%%%d", n)
	})
}

// allSaid is what the packages say, and all of their strings, one after the other.
func allSaid(t *testing.T) (all []said, literals string) {
	t.Helper()
	add := func(at, text string) {
		if text = asLine(text); letter.MatchString(regexp.MustCompile(`%\d`).ReplaceAllString(text, "")) {
			all = append(all, said{text, at})
		}
	}
	for _, dir := range speaking {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d files", dir, err, len(files))
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			at := func(n ast.Node) string {
				return fmt.Sprintf("%s:%d", strings.TrimPrefix(filepath.ToSlash(file), "../../"), fset.Position(n.Pos()).Line)
			}
			look(parsed, "", func(n ast.Node, caller, text string) {
				literals += text + "\n"
				for _, m := range marked.FindAllStringSubmatch(text, -1) {
					add(at(n), tags.Replace(m[1]))
				}
				few := strings.Count(strings.TrimSpace(text), " ") < 2
				if strings.Contains(text, "{{") || strings.ContainsAny(text, "<>\n\t") || few && !speakers[caller] {
					return
				}
				add(at(n), text)
			})
		}
	}
	pages, err := filepath.Glob("../../pusher/web/*.html")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range append(pages, "../network/portal/page.js") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range marked.FindAllStringSubmatch(string(text), -1) {
			add(strings.TrimPrefix(filepath.ToSlash(page), "../../"), tags.Replace(m[1]))
		}
	}
	return all, literals
}

// isAssembled tells whether the words of a line are among strings, of which a program makes
// it, or which it says by a variable.
func isAssembled(line, literals string) bool {
	for _, part := range between(line) {
		if part = strings.Trim(part, ` "`); part != "" && !strings.Contains(literals, part) {
			return false
		}
	}
	return true
}

// look finds the strings below a node with what they are added to, and the function that is
// called with them.
func look(n ast.Node, caller string, found func(n ast.Node, caller, text string)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field: // its tag
			return n.Tag == nil
		case *ast.CallExpr:
			name := calls(n)
			short := name[strings.LastIndexByte(name, '.')+1:]
			if unspoken[short] && name != "words.Error" && name != "http.Error" {
				return false
			}
			if speakers[short] {
				name = short
			}
			look(n.Fun, caller, found)
			for _, arg := range n.Args {
				look(arg, name, found)
			}
			return false
		case *ast.BinaryExpr:
			if text, ok := added(n); ok {
				found(n, caller, text)
				ast.Inspect(n, func(inner ast.Node) bool {
					if call, ok := inner.(*ast.CallExpr); ok {
						look(call, caller, found)
						return false
					}
					return true
				})
				return false
			}
		case *ast.BasicLit:
			if text, ok := added(n); ok {
				found(n, caller, text)
			}
		}
		return true
	})
}

// calls is the name of what is called, with its package.
func calls(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
		return "." + f.Sel.Name
	}
	return ""
}

// added is what strings and values that are added to each other say, if a string is among
// them; a value is a place.
func added(e ast.Node) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.ParenExpr:
		return added(e.X)
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, okLeft := added(e.X)
		right, okRight := added(e.Y)
		if !okLeft && !okRight {
			return "", false
		}
		if !okLeft {
			left = "%s"
		}
		if !okRight {
			right = "%s"
		}
		return left + right, true
	}
	return "", false
}
