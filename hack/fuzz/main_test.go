package main

import (
	"slices"
	"testing"
	"time"
)

// This package's own target, which the others need not have.
func FuzzProgress(f *testing.F) {
	f.Add([]byte("fuzz: elapsed: 3s, execs: 12 (4/sec), new interesting: 1 (total: 3)\nPASS\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		if progress(said) == "" {
			t.Error("nothing is said")
		}
	})
}

func TestTargets(t *testing.T) {
	all, err := targets("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []target{{"./hack/fuzz", "FuzzProgress"}, {"./camera", "FuzzSplitter"}, {"./gokrazy/fat", "FuzzRead"}, {"./gokrazy/setup", "FuzzRead"}} {
		if !slices.Contains(all, want) {
			t.Errorf("%v is not found", want)
		}
	}
	if len(all) < 40 {
		t.Errorf("only %d targets are found", len(all))
	}
}

// Each target has its turn with some commit, and no run misses one.
func TestTurn(t *testing.T) {
	all := []target{{"./a", "FuzzA"}, {"./b", "FuzzB"}, {"./c", "FuzzC"}}
	first := make(map[target]bool)
	for commit := range byte(50) {
		got := turn(all, []byte{commit})
		first[got[0]] = true
		i := slices.Index(all, got[0])
		if want := slices.Concat(all[i:], all[:i]); !slices.Equal(got, want) {
			t.Errorf("commit %d: %v, want %v", commit, got, want)
		}
	}
	if len(first) != len(all) {
		t.Errorf("only %v are ever the first", first)
	}
}

func TestShare(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{time.Minute: 1500 * time.Millisecond, time.Hour: 90 * time.Second, time.Second: time.Second} {
		if got := share(length, 40); got != want {
			t.Errorf("%v among 40: %v, want %v", length, got, want)
		}
	}
}
