package device

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

func TestIsID(t *testing.T) {
	for text, want := range map[string]bool{
		NewID():                         true,
		strings.Repeat("A", 26):         true,
		"":                              false,
		strings.Repeat("A", 25):         false,
		strings.Repeat("A", 27):         false,
		strings.Repeat("a", 26):         false,
		"../" + strings.Repeat("A", 23): false,
		strings.Repeat("A", 26) + "\n":  false,
	} {
		if got := IsID(text); got != want {
			t.Errorf("IsID(%q) is %v", text, got)
		}
	}
	if one, other := NewID(), NewID(); one == other {
		t.Error("two new ids are the same")
	}
}

func TestID(t *testing.T) {
	const made = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	root := Root(t.TempDir())
	path := root.Path("perm", IDFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := ID(root)
	if err != nil || !IsID(first) {
		t.Fatalf("a card without an id is given %q, %v", first, err)
	}
	if again, err := ID(root); err != nil || again != first {
		t.Errorf("then it has %q, %v; want %q", again, err, first)
	}
	for content, want := range map[string]string{made + "\n": made, "damaged": ""} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ID(root)
		if err != nil || !IsID(got) || want != "" && got != want {
			t.Errorf("a file with %q gives %q, %v", content, got, err)
		}
	}
	if err := os.WriteFile(path, make([]byte, maxIDFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if id, err := ID(root); err == nil || id != "" {
		t.Errorf("what is no file of ours gives %q, %v", id, err)
	}
	if id, err := ID(Root(path)); err == nil || id != "" {
		t.Errorf("without /perm: %q, %v", id, err)
	}
}

// Programs that ask while another one makes an id wait, and get that, also on a card whose
// id is damaged.
func TestIDSideBySide(t *testing.T) {
	for name, before := range map[string]string{"none": "", "a damaged one": "damaged"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := Root(t.TempDir())
				path := root.Path("perm", IDFile)
				if err := durable.WriteFile(path, []byte(before)); err != nil {
					t.Fatal(err)
				}
				done, err := durable.Lock(t.Context(), idLock(root))
				if err != nil {
					t.Fatal(err)
				}
				var ids atomic.Int32
				made := NewID()
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						id, err := ID(root)
						if err != nil || id != made {
							t.Errorf("it is told %q, %v; want %q", id, err, made)
						}
						ids.Add(1)
					})
				}
				synctest.Wait()
				if n := ids.Load(); n > 0 {
					t.Errorf("%d have not waited", n)
				}
				if err := durable.WriteFile(path, []byte(made+"\n")); err != nil {
					t.Fatal(err)
				}
				done()
				all.Wait()
			})
		})
	}
}
