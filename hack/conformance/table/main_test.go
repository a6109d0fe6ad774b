package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/hack/gotest"
)

const events = `{"Action":"run","Test":"TestA"}
{"Action":"attr","Test":"TestA","Key":"client","Value":"VLC"}
{"Action":"attr","Test":"TestA","Key":"quirk","Value":"plays a|b"}
{"Action":"run","Test":"TestB"}
{"Action":"attr","Test":"TestB","Key":"client","Value":"Chromium"}
{"Action":"attr","Test":"TestB","Key":"quirk","Value":"shows"}
{"Action":"output","Test":"TestB","Output":"too late\n"}
{"Action":"fail","Test":"TestB"}
{"Action":"pass","Test":"TestA"}
{"Action":"attr","Test":"TestC","Key":"client","Value":"VLC"}
{"Action":"attr","Test":"TestC","Key":"quirk","Value":"ends"}
{"Action":"output","Test":"TestC","Output":"    x_test.go:1: skipped: vlc is not installed\n"}
{"Action":"skip","Test":"TestC"}
{"Action":"attr","Test":"TestC2","Key":"client","Value":"VLC"}
{"Action":"attr","Test":"TestC2","Key":"quirk","Value":"ends"}
{"Action":"output","Test":"TestC2","Output":"    x_test.go:1: skipped: vlc is not installed\n"}
{"Action":"skip","Test":"TestC2"}
{"Action":"attr","Test":"TestD","Key":"client","Value":"VLC"}
{"Action":"attr","Test":"TestD","Key":"quirk","Value":"hangs"}
{"Action":"fail"}
`

func TestTable(t *testing.T) {
	var out bytes.Buffer
	rows, failed, err := read(strings.NewReader(events), &out)
	if err != nil || !failed {
		t.Fatalf("failed %v, error %v", failed, err)
	}
	if got := out.String(); got != "too late\n" {
		t.Errorf("printed %q", got)
	}
	got, err := gotest.ReplaceTable([]byte("before\n<!-- table -->\nold\n<!-- end of the table -->\nafter\n"), table(rows, strings.ToUpper))
	if err != nil {
		t.Fatal(err)
	}
	want := `before
<!-- table -->
| client | version | what it shows | result |
| --- | --- | --- | --- |
| Chromium | CHROMIUM | shows | FAIL |
| VLC | VLC | ends | skipped: vlc is not installed |
| VLC | VLC | hangs | FAIL |
| VLC | VLC | plays a\|b | pass |
<!-- end of the table -->
after
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
