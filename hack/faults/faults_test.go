package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/hack/gotest"
)

// The page has what the tests say, and every group has its faults. So it does not name a
// test that is gone.
func TestPage(t *testing.T) {
	faults, err := collect("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := gotest.ReplaceTable(text, table(faults))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the table is not what the tests say; write it anew with: go run ./hack/faults\n%s", cmp.Diff(string(text), string(want)))
	}
	if len(faults) < 60 {
		t.Errorf("the table has %d faults only", len(faults))
	}
	count := make(map[string]int)
	for _, f := range faults {
		count[f.group]++
	}
	for _, g := range groups {
		if count[g] < 4 {
			t.Errorf("of the group %s there are %d faults only", g, count[g])
		}
	}
}

const tests = "package a\n" +
	"func TestB(t *testing.T) {\n\tt.Attr(\"fault\", \"network | a cable | a stream | at once\")\n}\n" +
	"func TestRigA(t *testing.T) {\n\tt.Run(\"x\", func(t *testing.T) {\n\t\tt.Attr(\"fault\", `camera | an unplug | a picture | in 1 s`)\n\t})\n}\n" +
	"func TestC(t *testing.T) {\n\tt.Attr(\"client\", \"VLC\")\n}\n"

func TestCollect(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hack/a/a_test.go", tests)
	write("hack/a/a.go", tests)
	write("hack/a/testdata/a_test.go", "no Go")
	got, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []fault{
		{"camera", "an unplug", "a picture", "in 1 s", "hack/a", "TestRigA"},
		{"network", "a cable", "a stream", "at once", "hack/a", "TestB"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fault{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const rows = `2 faults:

| what is done | what must hold | how it recovers | shown by |
| --- | --- | --- | --- |
| **camera** | | | |
| an unplug | a picture | in 1 s | rig: ` + "`hack/a` `TestRigA`" + ` |
| **network** | | | |
| a cable | a stream | at once | unit: ` + "`hack/a` `TestB`" + ` |
`
	if diff := cmp.Diff(rows, table(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, tt := range []struct{ name, body, want string }{
		{"TestD", `t.Attr("fault", "camera | a | b")`, "is not of the form"},
		{"TestD", `t.Attr("fault", "moon | a | b | c")`, "none of the groups"},
		{"TestD", `t.Attr("fault", text)`, "is not of the form"},
		{"helper", `t.Attr("fault", "camera | a | b | c")`, "helper is no test"},
	} {
		write("hack/b/b_test.go", "package b\nfunc "+tt.name+"(t *testing.T) { "+tt.body+" }\n")
		if _, err := collect(root); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "b_test.go:2:") {
			t.Errorf("%s: %v, want %q", tt.body, err, tt.want)
		}
	}
}

func TestCommand(t *testing.T) {
	faults := []fault{
		{pkg: "pusher", test: "TestB"}, {pkg: "pusher", test: "TestA"}, {pkg: "camera", test: "TestA"},
		{pkg: "camera", test: "TestRigA"}, {pkg: "hack/e2e", test: "TestRigB"},
	}
	for kind, want := range map[string]string{
		"unit": "go test -json -race -count=1 -timeout=3h -run=^(TestA|TestB)$ ./camera ./pusher",
		"rig":  "go run ./hack/rig test -json -count=1 -timeout=3h -run=^(TestRigA)$ ./camera",
		"e2e":  "go test -json -count=1 -timeout=3h -parallel=3 -run=^(TestRigB)$ ./hack/e2e -ota-all -ladder -setup-cuts=8 -wifi",
	} {
		if got := strings.Join(command(kind, faults), " "); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
	if got := command("conformance", faults); got != nil {
		t.Errorf("what has no test: %q", got)
	}
}
