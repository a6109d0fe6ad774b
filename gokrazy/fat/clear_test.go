package fat

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
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
	cleared, next, err := f.ClearFree(t.Context(), 0)
	if err != nil || cleared == 0 || next != 0 {
		t.Errorf("%d bytes, %v", cleared, err)
	}
	if bytes.Contains(d.b, []byte("password")) || bytes.Contains(d.b, []byte("secret")) && bytes.Count(d.b, []byte("secret")) != 1 {
		t.Error("a copy is left")
	}
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	d.sectors = 0
	if cleared, _, err := f.ClearFree(t.Context(), 0); err != nil || cleared != 0 || d.sectors != 0 {
		t.Errorf("once more: %d bytes, %v, %d sectors written", cleared, err, d.sectors)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.ClearFree(done, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}

// hasty is a context that is done when it is asked for the second time each.
type hasty struct {
	context.Context
	asked int
}

func (h *hasty) Err() error {
	if h.asked++; h.asked%2 == 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// On a card that is too slow, each call goes on where the one before had no time left.
func TestClearFreeInParts(t *testing.T) {
	const secret = "wifi-password=secret"
	d := format(t)
	f := open(t, d)
	last := f.clusters() + firstCluster - 1
	copy(d.b[f.offset(last):], secret)
	want := everything(t, f)
	calls, next := 0, 0
	for {
		calls++
		before, err := next, error(nil)
		if _, next, err = f.ClearFree(&hasty{Context: t.Context()}, next); err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) || next <= before {
			t.Fatalf("from %d to %d: %v", before, next, err)
		}
	}
	if bytes.Contains(d.b, []byte(secret)) || calls < 2 {
		t.Errorf("a copy is left after %d calls", calls)
	}
	if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A file whose chain runs on into another file, or in a circle, as on a damaged disk,
// costs nobody anything.
func TestClearFreeDamaged(t *testing.T) {
	first := func(t *testing.T, f *FS, path string) int {
		t.Helper()
		dir, name := "", path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			dir, name = path[:i], path[i+1:]
		}
		all, err := f.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		e, err := find(all, name)
		if err != nil {
			t.Fatal(err)
		}
		return e.first
	}
	const damaged = "pushcam.txt"
	for name, to := range map[string]func(t *testing.T, f *FS) int{
		"another's beginning":              func(t *testing.T, f *FS) int { return first(t, f, "vmlinuz") },
		"another's middle":                 func(t *testing.T, f *FS) int { return f.next(first(t, f, "vmlinuz")) },
		"the beginning of one in a folder": func(t *testing.T, f *FS) int { return first(t, f, "EFI/BOOT/BOOTAA64.EFI") },
		"the beginning of a folder":        func(t *testing.T, f *FS) int { return first(t, f, "EFI/BOOT") },
		"itself":                           func(t *testing.T, f *FS) int { return first(t, f, damaged) },
	} {
		t.Run(name, func(t *testing.T) {
			d := format(t)
			f := open(t, d)
			if err := f.WriteFile(damaged, text(100), changed); err != nil {
				t.Fatal(err)
			}
			want := everything(t, f)
			binary.LittleEndian.PutUint16(f.table[2*first(t, f, damaged):], uint16(to(t, f)))
			if _, _, err := f.ClearFree(t.Context(), 0); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, everything(t, open(t, d))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
