package gotest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	const events = `{"Action":"build-output","Output":"# a\n"}
{"Action":"run","Package":"a","Test":"TestHangs"}
{"Action":"run","Package":"a","Test":"TestGood"}
{"Action":"attr","Package":"a","Test":"TestGood","Key":"client","Value":"VLC"}
not JSON
{"Action":"output","Package":"a","Test":"TestHangs","Output":"gorou"}
{"Action":"output","Package":"a","Test":"TestHangs","Output":"tine 7\n"}
{"Action":"pass","Package":"a","Test":"TestGood","Elapsed":0.5}
{"Action":"run","Package":"b","Test":"TestCutOff"}
{"Action":"fail","Package":"a","Elapsed":600}
`
	var out bytes.Buffer
	var got []Result
	err := Read(strings.NewReader(events), &out, func(r *Result) { got = append(got, *r) })
	if err != nil || out.String() != "# a\nnot JSON\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	none := map[string]string{}
	want := []Result{
		{Package: "a", Test: "TestGood", Action: "pass", Elapsed: 0.5, Attr: map[string]string{"client": "VLC"}},
		{Package: "a", Test: "TestHangs", Output: "goroutine 7\n", Attr: none},
		{Package: "a", Action: "fail", Elapsed: 600, Attr: none},
		{Package: "b", Test: "TestCutOff", Attr: none},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReason(t *testing.T) {
	for output, want := range map[string]string{
		"=== RUN   TestA\n    a_test.go:12: no VLC here\n--- SKIP: TestA (0.00s)\n": "no VLC here",
		"--- SKIP: TestA (0.00s)\n": "it does not say why",
		"hello\n":                   "hello",
	} {
		if got := (&Result{Output: output}).Reason(); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
