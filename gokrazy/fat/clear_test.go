package fat

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What an editor or WriteFile has left of a secret is gone, wherever it is, and nothing
// else is.
func TestClearFree(t *testing.T) {
	const secret = "wifi-password=secret"
	d := format(t)
	f := open(t, d)
	leave := func(at int64) { copy(d.b[at:], secret) }
	for range 3 { // each version in clusters of its own
		if err := f.WriteFile("pushcam.txt", append(text(1000), secret...), changed); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteFile("pushcam.txt", text(100), changed); err != nil {
		t.Fatal(err)
	}
	_, e, err := f.file("pushcam.txt")
	if err != nil {
		t.Fatal(err)
	}
	leave(f.offset(e.first) + 200) // behind the end, where an editor has shortened it
	// A cluster more than it needs.
	free, err := f.allocate(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.link([]int{e.first, free[0]}); err != nil {
		t.Fatal(err)
	}
	leave(f.offset(free[0]))
	last := f.clusters() + firstCluster - 1
	leave(f.offset(last))
	leave(f.offset(last-1000) + f.cluster - 5) // across two
	want := everything(t, f)

	if n := bytes.Count(d.b, []byte(secret)); n < 5 {
		t.Fatalf("%d copies before", n)
	}
	cleared, err := f.ClearFree(t.Context())
	if err != nil || cleared == 0 {
		t.Errorf("%d bytes, %v", cleared, err)
	}
	if bytes.Contains(d.b, []byte("password")) || bytes.Contains(d.b, []byte("secret")) && bytes.Count(d.b, []byte("secret")) != 1 {
		t.Error("a copy is left")
	}
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	d.sectors = 0
	if cleared, err := f.ClearFree(t.Context()); err != nil || cleared != 0 || d.sectors != 0 {
		t.Errorf("once more: %d bytes, %v, %d sectors written", cleared, err, d.sectors)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.ClearFree(done); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}
