package gotest

import "testing"

func TestReplaceTable(t *testing.T) {
	const before, after = "a\n<!-- table -->\n", "<!-- end of the table -->\nb\n"
	if got, err := ReplaceTable([]byte(before+"old\n"+after), "new\n"); err != nil || string(got) != before+"new\n"+after {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "<!-- table -->\n", "<!-- end of the table -->\n<!-- table -->\n"} {
		if got, err := ReplaceTable([]byte(text), "new\n"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}
