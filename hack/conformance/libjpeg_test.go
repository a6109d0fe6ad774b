package conformance

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
)

// maxPixels bounds what djpeg may write for one picture, in bytes.
const maxPixels = 4 << 20

// libjpegComplaint matches a warning of libjpeg; "extraneous" ones are about bytes
// that it passes over.
var libjpegComplaint = regexp.MustCompile(`(?m)^(Corrupt JPEG data|Premature end|Invalid|Inconsistent|Warning|Unknown Adobe).*$`)

// djpeg decodes a JPEG with libjpeg. The pixels are nil when it shows none.
func djpeg(t *testing.T, jpg []byte) (pixels []byte, complaints []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Only with three -verbose it prints all warnings, and not just the first.
	cmd := exec.CommandContext(ctx, "djpeg", "-verbose", "-verbose", "-verbose", "-pnm")
	cmd.Stdin = bytes.NewReader(jpg)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pixels, err = io.ReadAll(io.LimitReader(out, maxPixels))
	if err != nil {
		t.Fatal(err)
	}
	out.Close()
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 2 { // 2: with warnings
		t.Logf("djpeg: %v: %s", err, bytes.TrimSpace(said.Bytes()[max(0, said.Len()-200):]))
		return nil, nil
	}
	return pixels, libjpegComplaint.FindAllString(said.String(), -1)
}

// TestLibjpeg compares with libjpeg, which decodes for nearly every viewer. A picture
// that libjpeg shows without a complaint is shown; complaints about bytes that it
// passes over do not count. And of every picture that we show, libjpeg shows the same
// pixels before and after we have changed it.
func TestLibjpeg(t *testing.T) {
	need(t, "djpeg")
	covers(t, "libjpeg-turbo", "what it shows is shown, with the same pixels: the habits of webcams, and damaged headers")
	pictures := make(map[string][]byte)
	files, err := filepath.Glob("../../camera/testdata/*.jpg")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pictures[filepath.Base(file)] = src
		for n := range 12 {
			pictures[filepath.Base(file)+" damaged "+strconv.Itoa(n)] = damaged(src, uint64(n))
		}
	}
	files, err = filepath.Glob("../../camera/testdata/fuzz/Fuzz*/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		pictures[filepath.Base(file)] = corpusEntry(t, file)
	}
	shown := 0
	for name, src := range pictures {
		t.Run(name, func(t *testing.T) {
			want, complaints := djpeg(t, src)
			harmless := !slices.ContainsFunc(complaints, func(c string) bool { return !strings.Contains(c, "extraneous bytes before marker") })
			// If a picture is cut off within a table and the next one begins there,
			// libjpeg mixes the two.
			cutOff := bytes.Count(src, []byte{0xff, 0xd8, 0xff}) > 1 && !strings.HasPrefix(name, "exif-thumbnail")
			frame, kind := camera.NewFrame(src, time.Now())
			if kind != "" {
				if want != nil && harmless && !cutOff && kind != camera.DropUnsupported {
					t.Errorf("dropped as %s; libjpeg shows it: %q", kind, complaints)
				}
				return
			}
			shown++
			got, remain := djpeg(t, frame.JPEG)
			if want != nil && !cutOff && !bytes.Equal(got, want) {
				t.Errorf("libjpeg shows other pixels; it says %q of the original, %q of ours", complaints, remain)
			}
		})
	}
	if shown < len(pictures)/4 {
		t.Errorf("only %d of %d pictures were shown: this test says little", shown, len(pictures))
	}
}

// damaged is a picture with a few bytes of its header changed, left out or added.
func damaged(src []byte, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, uint64(len(src))))
	out := slices.Clone(src)
	header := bytes.Index(out, []byte{0xff, 0xda}) + 14
	for range 1 + rnd.IntN(3) {
		at := rnd.IntN(header)
		b := []byte{0, 1, 0xff, 0xd0, 0xd8, 0xd9, byte(rnd.Uint32())}[rnd.IntN(7)]
		switch rnd.IntN(3) {
		case 0:
			out[at] = b
		case 1:
			out = slices.Delete(out, at, at+1)
		default:
			out = slices.Insert(out, at, b)
		}
	}
	return out
}

// corpusEntry is the first value of an entry of a fuzz target's corpus.
func corpusEntry(t *testing.T, path string) []byte {
	t.Helper()
	entry, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(entry), "\n")[1]
	value, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(line, "[]byte("), ")"))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(value)
}
