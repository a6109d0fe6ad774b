package discovery

import (
	"strings"
	"testing"
)

func TestLabel(t *testing.T) {
	for in, want := range map[string]string{
		"pushcam":                      "pushcam",
		"Pi-4.fritz.box":               "Pi-4",
		"":                             "pushcam",
		"...":                          "pushcam",
		"---":                          "pushcam",
		"my camera!":                   "my-camera",
		"größe":                        "gr--e",
		strings.Repeat("x", 64) + ".y": strings.Repeat("x", 63),
		strings.Repeat("x", 62) + "-y": strings.Repeat("x", 62),
	} {
		if got := label(in); got != want {
			t.Errorf("label(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNumbered(t *testing.T) {
	for _, test := range []struct {
		name string
		n    int
		want string
	}{
		{"pushcam", 0, "pushcam"},
		{"pushcam", 1, "pushcam"},
		{"pushcam", 2, "pushcam-2"},
		{"cam-7", 2, "cam-7-2"},
		{strings.Repeat("x", 63), 10, strings.Repeat("x", 60) + "-10"},
		{strings.Repeat("x", 59) + "-yyy", 10, strings.Repeat("x", 59) + "-10"},
	} {
		if got := numbered(test.name, test.n); got != test.want {
			t.Errorf("numbered(%q, %d) = %q, want %q", test.name, test.n, got, test.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Raspberry Pi 3":          "Raspberry Pi 3",
		"é日本":                     "é日本",
		"\x1b]0;owned\a":          "�]0;owned�",
		"a\u202eb":                "a�b",
		"a\xffb\nc":               "a�b�c",
		strings.Repeat("x", 1000): strings.Repeat("x", maxText),
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`plain`:     "plain",
		`my\ cam`:   "my cam",
		`a\.b`:      "a.b",
		`\195\164`:  "ä",
		`\027[31m`:  "\x1b[31m",
		`back\\`:    `back\`,
		`end\`:      `end\`,
		`\999`:      "999",
		`\01`:       "01",
		`\\007 is`:  `\007 is`,
		`\"quoted"`: `"quoted"`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b]0;title\a", "\xc2", "\u2028\u202e\ufeff", "\r\n", "\x9b31m", "\U000e0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Printable(s) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0xe0000 && r <= 0xe007f {
				t.Fatalf("%q is shown as %q", s, Printable(s))
			}
		}
	})
}
