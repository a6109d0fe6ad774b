package setup

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTemplate(t *testing.T) {
	empty := Text(Settings{})
	if diff := cmp.Diff(summary{}, summarize(read1(TextFile, empty))); diff != "" {
		t.Errorf("the template sets something (-want +got):\n%s", diff)
	}
	// What people make of it: they take the # away.
	filled := strings.NewReplacer("#password=", "password=tulip and rose", "#wifi-ssid=", "wifi-ssid=home", "#wifi-password=", "wifi-password=hyacinth 7",
		"#hostname=", "hostname=", "#wifi-country=", "wifi-country=DE", "#size", "size", "#fps", "fps", "#rotate", "rotate").Replace(string(empty))
	want := summary{Hostname: "pushcam", Country: "DE", Password: "tulip and rose", Networks: []string{"home:hyacinth 7"},
		Flags: map[string]string{"size": "1280x720", "fps": "30", "rotate": "180"}, Secrets: []string{"tulip and rose", "hyacinth 7"}}
	if diff := cmp.Diff(want, summarize(read1(TextFile, []byte(filled)))); diff != "" {
		t.Errorf("filled in (-want +got):\n%s", diff)
	}
	if strings.Contains(strings.ReplaceAll(string(empty), "\r\n", ""), "\n") {
		t.Error("not every line ends as on Windows")
	}

	for _, ssid := range []string{"home", " blanks ", `"quoted"`, "“", "#x", "a=b", "Café"} {
		key, err := ParseKey([]byte(ssid), "hyacinth 7")
		if err != nil {
			t.Fatal(err)
		}
		set := Settings{Hostname: "garden", Country: "AT", Networks: []Network{{[]byte(ssid), key, 2}, {[]byte("open"), nil, 1}}}
		s := read1(TextFile, Text(set))
		got := s.merge(kept{}, func(string) bool { return false }).Settings
		if len(s.problems) > 0 || !cmp.Equal(set, got) {
			t.Errorf("%q: %v (-want +got):\n%s", ssid, s.problems, cmp.Diff(set, got))
		}
	}
}

// What the README has of pushcam.txt is understood.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "```ini\n")
	example, _, ends := strings.Cut(after, "```\n")
	if !ok || !ends {
		t.Fatal("README.md has no example of pushcam.txt")
	}
	want := summary{Hostname: "garden", Country: "DE", Password: "tulip and rose", Networks: []string{"My home:the password of the Wi-Fi"},
		Flags: map[string]string{"size": "640x480", "fps": "10", "rotate": "180"}, Secrets: []string{"tulip and rose", "the password of the Wi-Fi"}}
	if diff := cmp.Diff(want, summarize(read1(TextFile, []byte(example)))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
