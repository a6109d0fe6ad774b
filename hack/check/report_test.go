package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	const unit = `{"Action":"start","Package":"github.com/pushcam/pushcam/camera"}
{"Action":"pass","Package":"github.com/pushcam/pushcam/camera","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestRig","Output":"=== RUN   TestRig\n"}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestRig","Output":"    rig_test.go:12: skipped: runs in the rig\n"}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestRig","Output":"--- SKIP: TestRig (0.00s)\n"}
{"Action":"skip","Package":"github.com/pushcam/pushcam/camera","Test":"TestRig"}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestVLC","Output":"    v_test.go:3: no VLC\n"}
{"Action":"skip","Package":"github.com/pushcam/pushcam/camera","Test":"TestVLC"}
{"Action":"pass","Package":"github.com/pushcam/pushcam/camera","Elapsed":1}
`
	const rig = `not JSON
{"Action":"pass","Package":"github.com/pushcam/pushcam/camera","Test":"TestRig","Elapsed":0.1}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestB","Output":"wrong\n"}
{"Action":"fail","Package":"github.com/pushcam/pushcam/camera","Test":"TestB"}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Test":"TestHangs","Output":"goroutine 7\n"}
{"Action":"output","Package":"github.com/pushcam/pushcam/camera","Output":"FAIL\n"}
{"Action":"fail","Package":"github.com/pushcam/pushcam/camera","Elapsed":600}
`
	var r report
	var out bytes.Buffer
	if n, err := r.read("unit", strings.NewReader(unit), &out); n != 3 || err != nil {
		t.Errorf("unit: %d tests, %v", n, err)
	}
	if n, err := r.read("rig", strings.NewReader(rig), &out); n != 3 || err != nil {
		t.Errorf("rig: %d tests, %v", n, err)
	}
	r.print(&out)
	want := `pass	camera	1.0s
not JSON
wrong
goroutine 7
FAIL
fail	camera	600.0s

FAILED   rig camera
FAILED   rig camera.TestB
FAILED   rig camera.TestHangs
skipped  unit camera.TestVLC: no VLC
ran      rig: 4
ran      unit: 1
2 passed, 3 failed, 1 skipped
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// A step that fails makes the whole fail, and the others still run.
func TestRunGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
		ok    bool
	}{
		{"good", []step{{name: "a", args: []string{"true"}}}, "1 passed, 0 failed, 0 skipped\n", true},
		{"bad, then good", []step{{name: "a", args: []string{"false"}}, {name: "b", args: []string{"true"}}}, "1 passed, 1 failed, 0 skipped\n", false},
		{"talks", []step{{name: "a", args: []string{"echo", "x"}, kind: silent}}, "0 passed, 1 failed, 0 skipped\n", false},
		{"no tests", []step{{name: "a", args: []string{"true"}, kind: goTests}}, "0 passed, 1 failed, 0 skipped\n", false},
		{"missing", []step{{name: "a", args: []string{"/nonexistent/tool"}}}, "0 passed, 1 failed, 0 skipped\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if ok := run(t.Context(), tt.steps, &out); ok != tt.ok || !strings.HasSuffix(out.String(), tt.want) {
				t.Errorf("ok is %v, output:\n%s", ok, out.String())
			}
		})
	}
}
