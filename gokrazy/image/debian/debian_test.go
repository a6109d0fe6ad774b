package debian

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindMirror(t *testing.T) {
	for name, tc := range map[string]struct{ addresses, want string }{
		"Debian":               {"http://mirror.example/debian/\nhttp://mirror.example/debian-security/\n", "http://mirror.example/debian/"},
		"its security first":   {"http://mirror.example/debian-security/\nhttps://mirror.example/pub/debian\n", "https://mirror.example/pub/debian"},
		"another's":            {"https://other.example/node_20.x/\n", ""},
		"Ubuntu":               {"http://archive.example/ubuntu/\n", ""},
		"none":                 {"", ""},
		"what is no address":   {"%zz\n", ""},
		"a folder of a mirror": {"file:/srv/debian\n", "file:/srv/debian"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := findMirror(tc.addresses); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestSourcesList(t *testing.T) {
	got := sourcesList("http://mirror.example/debian", []string{"deb trixie main", "deb-src trixie main"})
	got = strings.ReplaceAll(got, "[signed-by="+keyring+"] ", "")
	if want := "deb http://mirror.example/debian trixie main\ndeb-src http://mirror.example/debian trixie main\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseMadison(t *testing.T) {
	out := " firmware | 20250410-2 | http://mirror.example/debian trixie/non-free-firmware amd64 Packages\n" +
		" firmware | 20250410-2 | http://mirror.example/debian trixie/non-free-firmware arm64 Packages\n" +
		" firmware | 20230210-5 | http://mirror.example/debian bookworm/non-free-firmware amd64 Packages\nN: a note\n"
	if diff := cmp.Diff([]string{"20250410-2", "20230210-5"}, ParseMadison(out)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
