package camera

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Recordings are made of pictures that are told apart by their widths.
func wide(t testing.TB, w int) []byte { return encoded(t, noisyPicture(w, 8)) }

// write makes the files of a folder of its own.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (s *tape) widths() (all []int) {
	for _, f := range s.frames {
		all = append(all, f.Width)
	}
	return all
}

func TestReplay(t *testing.T) {
	half := wide(t, 99)[:300]
	folder := write(t, map[string][]byte{
		"10.jpg": wide(t, 10), "9.JPG": wide(t, 9), "2.jpeg": wide(t, 2), "3.jpg": half, "4.jpg": nil, "5.jpg": []byte("text"),
		"notes.txt": []byte("x"), "._9.jpg": []byte("macOS"),
	})
	if err := os.Mkdir(filepath.Join(folder, "1.jpg"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := write(t, map[string][]byte{
		"film.mjpeg":  join(wide(t, 1), []byte("\r\n--frame\r\n\r\n"), half, withoutTables(t, wide(t, 2)), wide(t, 3)),
		"film.MJPG":   wide(t, 7),
		"picture.jpg": wide(t, 8),
	})
	tests := []struct {
		name   string
		path   string
		widths []int
		drops  map[DropKind]int
	}{
		{"folder", folder, []int{2, 9, 10, 2, 9, 10, 2}, map[DropKind]int{DropTruncated: 3, DropEmpty: 2, DropNoSOI: 2}},
		{"file", filepath.Join(files, "film.mjpeg"), []int{1, 2, 3, 1, 2, 3, 1}, map[DropKind]int{DropMalformed: 2}},
		{"file of one picture", filepath.Join(files, "film.MJPG"), []int{7, 7, 7, 7, 7, 7, 7}, map[DropKind]int{}},
		{"picture", filepath.Join(files, "picture.jpg"), []int{8, 8, 8, 8, 8, 8, 8}, map[DropKind]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Replay{Path: tt.path, Settings: Settings{FPS: 25}}
			device := Device{Name: "recording", Path: tt.path}
			if d, err := r.Check(); err != nil || d != device {
				t.Fatalf("Check: %v, %v", d, err)
			}
			s, err := record(t, r, len(tt.widths), nil)
			if !errors.Is(err, errEnough) {
				t.Fatalf("error %v, want the cause %v", err, errEnough)
			}
			if diff := cmp.Diff(tt.widths, s.widths()); diff != "" {
				t.Errorf("widths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.drops, s.drops); diff != "" {
				t.Errorf("drops (-want +got):\n%s", diff)
			}
			want := Format{PixelFormat: "JPEG", Width: tt.widths[0], Height: 8, FPS: 25}
			if diff := cmp.Diff(want, s.format); diff != "" || s.started != 1 || s.device != device {
				t.Errorf("started %d times, %v (-want +got):\n%s", s.started, s.device, diff)
			}
			for n, at := range s.at {
				if want := time.Duration(n) * 40 * time.Millisecond; at != want {
					t.Errorf("frame %d after %v, want %v", n, at, want)
				}
			}
			wantNoDescriptor(t, filepath.Dir(tt.path))
		})
	}
}

// What is no file, or leads nowhere, does not fail the folder.
func TestReplayFolderWithOtherThings(t *testing.T) {
	t.Attr("fault", "system | named pipes, loops of links and folders among the pictures of a recording | the pictures are shown | –")
	folder := write(t, map[string][]byte{"2.jpg": wide(t, 2), "5.jpg": wide(t, 5)})
	if err := syscall.Mkfifo(filepath.Join(folder, "1.jpg"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"3.jpg": "3.jpg", "4.jpg": folder, "6.jpg": "nowhere", "7.jpg": "/dev/zero"} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := record(t, &Replay{Path: folder}, 4, nil)
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 5, 2, 5}, s.widths()); diff != "" {
		t.Errorf("widths (-want +got):\n%s", diff)
	}
	if n := s.drops[DropLost]; n < 8 {
		t.Errorf("%d pictures are lost, want 5 a lap", n)
	}
}

// A file with next to nothing in it is read slowly, so that it keeps no core busy.
func TestReplayOfZeros(t *testing.T) {
	t.Attr("fault", "system | a recording of gigabytes of zeros | it keeps no core busy | –")
	const size = 4 * barrenBytes
	path := filepath.Join(write(t, map[string][]byte{"film.mjpeg": wide(t, 1)}), "film.mjpeg")
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	s, err := record(t, &Replay{Path: path}, 2, nil)
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if lap := s.at[1] - s.at[0]; lap < (size/barrenBytes-1)*barrenRest {
		t.Errorf("%d MB of zeros took %v", size>>20, lap)
	}
}

// TestReplayPublicCases shows a folder of pictures with the habits of webcams.
func TestReplayPublicCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jpg")
	if err != nil {
		t.Fatal(err)
	}
	lap := len(files) - 1
	s, err := record(t, &Replay{Path: "testdata"}, 2*lap, nil)
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	// cut-half.jpg alone is not shown.
	if diff := cmp.Diff(map[DropKind]int{DropTruncated: 2}, s.drops); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if widths := slices.Compact(s.widths()); len(widths) != 1 || widths[0] != 160 {
		t.Errorf("widths %d, want 160 alone: the thumbnail is none of the pictures", widths)
	}
}

func TestReplayNoEOI(t *testing.T) {
	mixed := write(t, map[string][]byte{"1.jpg": read(t, "noeoi.jpg"), "2.jpg": read(t, "base.jpg")})
	film := filepath.Join(write(t, map[string][]byte{"film.mjpeg": bytes.Repeat(read(t, "noeoi.jpg"), 3)}), "film.mjpeg")
	for _, tt := range []struct {
		path     string
		adjusted string
	}{{"testdata/noeoi.jpg", EOIAdded}, {film, EOIAdded}, {mixed, ""}} {
		s, err := record(t, &Replay{Path: tt.path, Settings: Settings{FPS: 10}}, 60, nil)
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if s.format.Adjusted != tt.adjusted || len(s.drops) != 0 {
			t.Errorf("%s: %q, dropped %v; want %q, nothing", tt.path, s.format.Adjusted, s.drops, tt.adjusted)
		}
	}
}

// wantNoDescriptor fails if a file below dir is open in this process.
func wantNoDescriptor(t *testing.T, dir string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(links) == 0 {
		t.Log("open files are not checked: there is no /proc/self/fd")
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("%s is still open", to)
		}
	}
}

func TestReplayLate(t *testing.T) {
	dir := write(t, map[string][]byte{"1.jpg": wide(t, 1), "2.jpg": wide(t, 2)})
	s, err := record(t, &Replay{Path: dir, Settings: Settings{FPS: 10}}, 5, func(n int) {
		if n == 2 {
			time.Sleep(350 * time.Millisecond)
		}
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{0, 100e6, 450e6, 500e6, 600e6}, s.at); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 2, 1, 2, 1}, s.widths()); diff != "" {
		t.Errorf("no picture is left out (-want +got):\n%s", diff)
	}
}

func TestReplayAdjusted(t *testing.T) {
	dir := write(t, map[string][]byte{"1.jpg": wide(t, 16)})
	tests := []struct {
		name  string
		asked Settings
		fps   float64
		want  string
	}{
		{"nothing", Settings{}, 30, ""},
		{"the same", Settings{Width: 16, Height: 8, FPS: 5}, 5, ""},
		{"another size", Settings{Width: 640, Height: 480}, 30, "asked for 640×480; the recording is 16×8"},
		{"too fast", Settings{FPS: 500}, 120, "asked for 500 fps; recordings are shown at 0.1 to 120 fps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := record(t, &Replay{Path: dir, Settings: tt.asked}, 1, nil)
			if !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			want := Format{PixelFormat: "JPEG", Width: 16, Height: 8, FPS: tt.fps, Adjusted: tt.want}
			if diff := cmp.Diff(want, s.format); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReplayVanishes takes files away while they are being shown.
func TestReplayVanishes(t *testing.T) {
	t.Run("one of a folder", func(t *testing.T) {
		dir := write(t, map[string][]byte{"1.jpg": wide(t, 1), "2.jpg": wide(t, 2), "3.jpg": wide(t, 3)})
		s, err := record(t, &Replay{Path: dir}, 5, func(n int) {
			if n == 1 {
				if err := os.Remove(filepath.Join(dir, "2.jpg")); err != nil {
					t.Error(err)
				}
			}
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{1, 3, 1, 3, 1}, s.widths()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[DropKind]int{DropLost: 1}, s.drops); diff != "" {
			t.Errorf("drops (-want +got):\n%s", diff)
		}
	})
	for name, path := range map[string]string{"all of a folder": ".", "a file": "1.mjpeg", "a picture": "1.jpg"} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string][]byte{"1.jpg": wide(t, 1), "1.mjpeg": wide(t, 1)})
			_, err := record(t, &Replay{Path: filepath.Join(dir, path)}, 5, func(n int) {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			if !errors.Is(err, ErrNoCamera) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want one of no camera that names %s", err, dir)
			}
		})
	}
}

func TestReplayErrors(t *testing.T) {
	files := write(t, map[string][]byte{
		"film.avi": []byte("RIFF"), "empty.mjpeg": nil, "text.mjpeg": []byte(strings.Repeat("no picture ", 100_000)),
		"half.mjpeg": wide(t, 99)[:300], "half.jpg": wide(t, 99)[:300],
	})
	large := filepath.Join(files, "large.jpg")
	if err := os.WriteFile(large, wide(t, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxPicture+1); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	tests := []struct {
		name     string
		path     string
		want     string
		noCamera bool
		checked  bool // Check sees it
	}{
		{"missing", filepath.Join(files, "none"), "no camera: there is no recording at %q", true, true},
		{"empty folder", empty, "no camera: the folder %s holds no .jpg file", true, true},
		{"another kind of file", filepath.Join(files, "film.avi"), "%s is no recording: name a folder of .jpg files, a .jpg, an .mjpeg or an .mjpg file", false, true},
		{"empty file", filepath.Join(files, "empty.mjpeg"), "the recording %s holds no JPEG", false, false},
		{"file without a picture", filepath.Join(files, "text.mjpeg"), "the recording %s holds no JPEG", false, false},
		{"only half a picture", filepath.Join(files, "half.mjpeg"), "the recording %s holds no JPEG that can be shown (1 truncated)", false, false},
		{"broken picture", filepath.Join(files, "half.jpg"), "the recording %s holds no JPEG that can be shown (1 truncated)", false, false},
		{"large picture", large, "the recording %s holds no JPEG that can be shown (1 too-large)", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Replay{Path: tt.path}
			want := fmt.Sprintf(tt.want, tt.path)
			_, err := r.Check()
			if tt.checked != (err != nil) || tt.checked && err.Error() != want {
				t.Errorf("Check: %v, want %v: %s", err, tt.checked, want)
			}
			_, err = record(t, r, 1, nil)
			if err == nil || err.Error() != want || errors.Is(err, ErrNoCamera) != tt.noCamera {
				t.Errorf("Run: %v\nwant %s", err, want)
			}
		})
	}
}

func TestCompareNatural(t *testing.T) {
	want := []string{
		"1.jpg", "2.jpg", "9.jpg", "010.jpg", "10.jpg", "11.jpg",
		"99999999999999999999999998.jpg", "99999999999999999999999999.jpg",
		"a", "a1b2", "a1b10", "a2", "b",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNatural)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
