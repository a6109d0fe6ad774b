//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// QEMU's Raspberry Pi shows a framebuffer at this address, until a firmware would ask
// for another one (hw/display/bcm2835_fb.c): 1 MB into what is the VideoCore's of its
// 1 GB of memory.
const (
	screenAddress             = 0x3c100000
	screenWidth, screenHeight = 640, 480
	// of the kernel's font
	glyphWidth, glyphHeight = 16, 32
)

// withScreen is a copy of a device tree in which a screen is connected: QEMU has none
// of the firmware that writes the framebuffer into it.
func withScreen(t *testing.T, tree string) string {
	t.Helper()
	content, err := os.ReadFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(tree))
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	node := fmt.Sprintf("/chosen/framebuffer@%x", screenAddress)
	for _, args := range []string{
		"-t x PATH /chosen #address-cells 1", "-t x PATH /chosen #size-cells 1", "-t x PATH /chosen ranges",
		"-c PATH NODE",
		"-t s PATH NODE compatible simple-framebuffer", "-t s PATH NODE format r5g6b5",
		fmt.Sprintf("-t x PATH NODE reg %x %x", screenAddress, 2*screenWidth*screenHeight),
		fmt.Sprintf("-t i PATH NODE width %d", screenWidth), fmt.Sprintf("-t i PATH NODE height %d", screenHeight),
		fmt.Sprintf("-t i PATH NODE stride %d", 2*screenWidth),
	} {
		args := strings.NewReplacer("PATH", path, "NODE", node).Replace(args)
		if out, err := exec.Command("fdtput", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("fdtput %s: %v: %s", args, err, out)
		}
	}
	return path
}

// screen is what the machine's screen shows. It is an artifact of the test.
func (m *machine) screen(t *testing.T) (image.Image, error) {
	t.Helper()
	path := filepath.Join(t.ArtifactDir(), "screen.ppm")
	if err := m.control.do("screendump", map[string]any{"filename": path}, nil); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var width, height, most int
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &width, &height, &most); err != nil || most != 255 || width > 1<<12 || height > 1<<12 {
		return nil, fmt.Errorf("QEMU's picture of the screen: %d x %d of %d, %v", width, height, most, err)
	}
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	pixel := make([]byte, 3)
	for i := range width * height {
		if _, err := io.ReadFull(r, pixel); err != nil {
			return nil, err
		}
		picture.Set(i%width, i/width, color.RGBA{pixel[0], pixel[1], pixel[2], 255})
	}
	return picture, nil
}

// glyphs cuts a picture into its characters: which pixels are lit, by row and column.
func glyphs(picture image.Image) [][]string {
	var all [][]string
	size := picture.Bounds()
	for y := 0; y+glyphHeight <= size.Dy(); y += glyphHeight {
		var row []string
		for x := 0; x+glyphWidth <= size.Dx(); x += glyphWidth {
			var glyph strings.Builder
			for i := range glyphWidth * glyphHeight {
				r, g, b, _ := picture.At(x+i%glyphWidth, y+i/glyphWidth).RGBA()
				if r+g+b > 0 {
					glyph.WriteByte('#')
				} else {
					glyph.WriteByte(' ')
				}
			}
			row = append(row, glyph.String())
		}
		all = append(all, row)
	}
	return all
}

// shows tells whether a screen shows lines of text, each as a whole line. It knows no
// font: a character must look the same wherever it is, and unlike all others.
func shows(screen [][]string, lines []string) error {
	blank := strings.Repeat(" ", glyphWidth*glyphHeight)
	looks, is := map[rune]string{' ': blank}, map[string]rune{blank: ' '}
	for row, line := range lines {
		if row >= len(screen) {
			return fmt.Errorf("the screen has %d lines, and no place for %q", len(screen), line)
		}
		for column, glyph := range screen[row] {
			want := ' '
			if column < len(line) {
				want = rune(line[column])
			}
			if c, known := is[glyph]; known && c != want {
				return fmt.Errorf("%q: character %d is %q", line, column, c)
			}
			if l, known := looks[want]; known && l != glyph {
				return fmt.Errorf("%q: character %d is no %q", line, column, want)
			}
			looks[want], is[glyph] = glyph, want
		}
	}
	return nil
}

// A test of the test: what it must see and what it must not.
func TestShows(t *testing.T) {
	glyph := func(c byte) string {
		if c == ' ' {
			return strings.Repeat(" ", glyphWidth*glyphHeight)
		}
		return strings.Repeat(string(rune(c)), glyphWidth*glyphHeight)
	}
	draw := func(lines ...string) (screen [][]string) {
		for _, l := range lines {
			var row []string
			for i := range 12 {
				if i < len(l) {
					row = append(row, glyph(l[i]))
				} else {
					row = append(row, glyph(' '))
				}
			}
			screen = append(screen, row)
		}
		return screen
	}
	want := []string{"", " http://a/", " http://b/"}
	for _, c := range []struct {
		name   string
		screen [][]string
		ok     bool
	}{
		{"the text", draw(want...), true},
		{"in another font", draw("", " HTTP:||A|", " HTTP:||B|"), true},
		{"nothing", draw("", "", ""), false},
		{"too small", draw("", " http://a/"), false},
		{"another text", draw("", " http://a/", " http://a/"), false},
		{"shorter", draw("", " http://a", " http://b"), false},
		{"longer", draw("", " http://a/c", " http://b/"), false},
	} {
		if err := shows(c.screen, want); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
