package device

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSetupCode(t *testing.T) {
	made := NewSetupCode()
	for name, tt := range map[string]struct {
		file, want string // "-" is no file
		fails      bool
	}{
		"an image for everybody": {"-", FixedSetupCode, false},
		"an owner's image":       {made + "\n", made, false},
		"cut off":                {"abc\n", FixedSetupCode, true},
		"empty":                  {"", FixedSetupCode, true},
	} {
		root := Root(t.TempDir())
		if tt.file != "-" {
			path := root.Path("perm", SetupCodeFile)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := SetupCode(root); got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
	if again := NewSetupCode(); again == made || len(again) < 8 {
		t.Errorf("two codes: %s and %s", made, again)
	}
	if got := SetupNetwork("ABCDEFGHIJKLMNOPQRSTUVWXYZ"); got != "pushcam-setup-ABCD" || SetupNetwork("") != "pushcam-setup" {
		t.Errorf("the network is called %s", got)
	}
}
