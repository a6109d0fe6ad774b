package device

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrograms(t *testing.T) {
	tests := []struct {
		name, config string
		want         map[string]Program
		wantErr      []string
	}{
		{name: "no such file"},
		{name: "nothing about programs", config: `{"Hostname": "garden"}`, want: map[string]Program{}},
		{name: "all that there is", config: `{"PackageConfig": {
			"github.com/pushcam/pushcam/cmd/pushcam": {"GoBuildFlags": ["-trimpath"], "CommandLineFlags": ["-fps", "5"], "Environment": ["PUSHCAM_SIZE=640x480"]},
			"github.com/gokrazy/gokrazy/cmd/ntp": {"DontStart": true},
			"example.org/late": {"Basename": "last", "WaitForClock": true}}}`,
			want: map[string]Program{
				"pushcam": {CommandLineFlags: []string{"-fps", "5"}, Environment: []string{"PUSHCAM_SIZE=640x480"}},
				"ntp":     {DontStart: true},
				"last":    {WaitForClock: true},
			}},
		{name: "no configuration", config: "[]", wantErr: []string{ConfigFile}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := Root(t.TempDir())
			if err := os.Mkdir(root.Path("etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			if tc.config != "" {
				if err := os.WriteFile(root.Path(ConfigFile), []byte(tc.config), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Programs(root)
			if (err == nil) != (tc.wantErr == nil) {
				t.Fatalf("error %v, want %q in it", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
		})
	}
}
