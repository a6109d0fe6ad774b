package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
