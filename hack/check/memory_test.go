package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestInMemory(t *testing.T) {
	dir := t.TempDir() // no memory, but that makes no difference here
	if got := inMemory(dir); got != nil && !slices.Equal(got, []string{"TMPDIR=" + dir, "GOTMPDIR=" + os.TempDir()}) {
		t.Errorf("%q", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if got := inMemory(filepath.Join(dir, "none")); got != nil {
		t.Errorf("a folder that is not there: %q", got)
	}
}
