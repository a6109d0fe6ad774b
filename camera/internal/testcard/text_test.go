package testcard

import (
	"bytes"
	"image"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	tests := []struct {
		name string
		text string
		n    int
		want []string
	}{
		{"nothing", "", 10, nil},
		{"spaces", " \n\t ", 10, nil},
		{"one word", "camera", 10, []string{"camera"}},
		{"fits exactly", "no camera", 9, []string{"no camera"}},
		{"two lines", "no camera", 8, []string{"no", "camera"}},
		{"long word", "abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"long word after a short one", "no abcdefghij", 4, []string{"no", "abcd", "efgh", "ij"}},
		{"rest of a long word takes the next", "abcdef gh", 5, []string{"abcde", "f gh"}},
		{"newlines are spaces", "cable\nseated?", 20, []string{"cable seated?"}},
		{"characters, not bytes", "äöü äöü", 3, []string{"äöü", "äöü"}},
		{"one a line", "ab c", 1, []string{"a", "b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, wrap(tt.text, tt.n)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("plugged in? cable seated? /dev/video0 is held by motion", 12)
	f.Add("\xff\xfe a\u00a0b", 1)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 1 || n > 1000 {
			return
		}
		lines := wrap(s, n)
		for _, line := range lines {
			if length := utf8.RuneCountInString(line); length < 1 || length > n {
				t.Errorf("%q has %d characters, the limit is %d", line, length, n)
			}
		}
		letters := func(s string) string { return strings.Join(strings.Fields(string([]rune(s))), "") }
		if got, want := letters(strings.Join(lines, "")), letters(s); got != want {
			t.Errorf("the lines say %q, want %q", got, want)
		}
	})
}

func TestCut(t *testing.T) {
	tests := []struct {
		text string
		n    int
		want string
	}{
		{"camera", 6, "camera"},
		{"camera", 5, "came…"},
		{"no camera", 4, "no…"},
		{"camera", 1, "…"},
		{"camera", 0, ""},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := cut(tt.text, tt.n); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

func TestGlyph(t *testing.T) {
	font, err := newTypeface()
	if err != nil {
		t.Fatal(err)
	}
	f, err := font.size(24)
	if err != nil {
		t.Fatal(err)
	}
	unknown := f.glyph(replacement)
	if unknown.mask == nil {
		t.Fatal("the font has nothing to replace characters by")
	}
	for _, r := range "世😀\x00\x07\u200b" {
		if diff := cmp.Diff(unknown.mask, f.glyph(r).mask); diff != "" {
			t.Errorf("%q is not shown as the replacement", r)
		}
	}
	for _, r := range "aZ09:.×·…ä€" {
		if g := f.glyph(r); g.mask == nil || bytes.Equal(g.mask.Pix, unknown.mask.Pix) {
			t.Errorf("the font does not have %q", r)
		}
	}
}

// TestPlaceholder checks that whatever the texts are, they stay on their panel.
func TestPlaceholder(t *testing.T) {
	texts := []struct {
		name  string
		title string
		lines []string
	}{
		{"usual", "No camera", []string{"Is it plugged in?", "Is the cable seated?"}},
		{"long", "Camera does not work", []string{strings.Repeat("/dev/video0 is held by another program ", 500)}},
		{"long word", strings.Repeat("x", 100_000), []string{strings.Repeat("y", 100_000)}},
		{"many lines", "t", strings.Split(strings.Repeat("line ", 2000), " ")},
		{"no text", "\xff\xfe\x00\u202e\U0010ffff", []string{"😀 世界\r\n\x1b[31m"}},
	}
	for _, size := range []image.Point{{640, 360}, {360, 640}, {320, 240}, {64, 48}, {32, 32}, {1500, 33}} {
		blank := decode(t, placeholder(t, size, ""))
		margin := min(size.X, size.Y) / 14
		// Around the panel, but for the MCUs that it shares with its surroundings.
		panel := blank.Rect.Inset(margin)
		outer := image.Rect(panel.Min.X/mcu*mcu, panel.Min.Y/mcu*mcu, (panel.Max.X+mcu-1)/mcu*mcu, (panel.Max.Y+mcu-1)/mcu*mcu)
		for _, tt := range texts {
			t.Run(size.String()+"/"+tt.name, func(t *testing.T) {
				got := decode(t, placeholder(t, size, tt.title, tt.lines...))
				if got.Rect != blank.Rect {
					t.Fatalf("%v, want %v", got.Rect, blank.Rect)
				}
				differs := false
				for y := range size.Y {
					for x := range size.X {
						if got.YCbCrAt(x, y) == blank.YCbCrAt(x, y) {
							continue
						}
						differs = true
						if !image.Pt(x, y).In(outer) {
							t.Fatalf("text at (%d, %d), outside of %v", x, y, panel)
						}
					}
				}
				if !differs {
					t.Error("no text is shown")
				}
			})
		}
	}
}

func placeholder(t *testing.T, size image.Point, title string, lines ...string) []byte {
	t.Helper()
	b, err := Placeholder(size.X, size.Y, 80, title, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
