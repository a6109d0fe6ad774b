package device

import (
	"errors"
	"os"
	"testing"
)

// What ends the system is done on gokrazy only.
func TestPower(t *testing.T) {
	tests := map[string]struct {
		init string // what process 1 runs; "" is not known
		done bool
	}{
		"the appliance":    {"/gokrazy/init", true},
		"a laptop":         {"/usr/lib/systemd/systemd", false},
		"another init":     {"/perm/gokrazy/init", false},
		"a user's program": {"", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			root, failed := Root(t.TempDir()), errors.New("it failed")
			if err := os.MkdirAll(root.Path("proc/1"), 0o755); err != nil {
				t.Fatal(err)
			}
			if tc.init != "" {
				if err := os.Symlink(tc.init, root.Path("proc/1/exe")); err != nil {
					t.Skip("no links here:", err)
				}
			}
			done := false
			err := openPower(root).try(func() error { done = true; return failed })
			want := ErrNotGokrazy
			if tc.done {
				want = failed
			}
			if done != tc.done || !errors.Is(err, want) {
				t.Errorf("done %v, %v; want %v, %v", done, err, tc.done, want)
			}
		})
	}
}
