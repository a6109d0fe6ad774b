package camera

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFolder bounds the pictures of a folder, whose names are held in memory.
const maxFolder = 100_000

// A file is read slowly while there is no picture in it: barrenRest after each barrenBytes.
const (
	barrenBytes = maxPicture
	barrenRest  = 400 * time.Millisecond
)

// A Replay is a Source that shows a recording again and again: the JPEGs of a
// folder in the order of their names (2.jpg before 10.jpg), the pictures of an
// .mjpeg or .mjpg file, or a single .jpg.
//
// Its rate is Settings.FPS, 30 when that is zero. The size and the quality are
// those of the recording. A frame's capture time is when it is shown.
type Replay struct {
	Settings
	Path string
}

var _ Source = (*Replay)(nil)

// Check looks whether there is something to show at Path.
func (r *Replay) Check() (Device, error) {
	_, err := r.find(1)
	return r.device(), err
}

func (r *Replay) device() Device { return Device{Name: "recording", Path: r.Path} }

// Run shows the recording until ctx is done, and returns its cause, or until
// there is nothing to show any more. Broken pictures are counted by kind, those
// that vanish from the folder meanwhile as DropLost.
func (r *Replay) Run(ctx context.Context, sink Sink) error {
	pace := newPacer(ctx, pacedFPS(r.FPS))
	defer pace.close()
	started, noEOI := false, false
	var buf bytes.Buffer // of all laps: one may be a single picture
	var framer Framer
	show := func(f *Frame) error {
		if now := framer.NoEOI(f.Time); !started || now != noEOI {
			started, noEOI = true, now
			format := r.format(f)
			if noEOI {
				format.Adjust(EOIAdded)
			}
			sink.Started(r.device(), format)
		}
		if _, err := pace.wait(ctx); err != nil {
			return err
		}
		f.Time = time.Now()
		sink.Frame(f)
		return nil
	}
	for {
		shown := 0
		dropped := make(map[DropKind]int)
		err := r.lap(ctx, &buf, &framer, func(f *Frame, kind DropKind) error {
			if kind != "" {
				dropped[kind]++
				sink.Drop(kind, 1)
				return context.Cause(ctx)
			}
			shown++
			return show(f)
		})
		if err != nil {
			return err
		}
		if shown == 0 {
			return r.nothing(dropped)
		}
	}
}

// format is that of a recording whose first picture is f.
func (r *Replay) format(f *Frame) Format {
	format := Format{PixelFormat: "JPEG", Width: f.Width, Height: f.Height, FPS: pacedFPS(r.FPS)}
	var adjusted []string
	if r.Width != 0 && r.Height != 0 && (r.Width != f.Width || r.Height != f.Height) {
		adjusted = append(adjusted, fmt.Sprintf("asked for %d×%d; the recording is %d×%d", r.Width, r.Height, f.Width, f.Height))
	}
	if r.FPS != 0 && r.FPS != format.FPS {
		adjusted = append(adjusted, fmt.Sprintf("asked for %.4g fps; recordings are shown at %.4g to %d fps", r.FPS, minFPS, maxFPS))
	}
	format.Adjusted = strings.Join(adjusted, "; ")
	return format
}

// nothing is the error for a recording of which no picture can be shown.
func (r *Replay) nothing(dropped map[DropKind]int) error {
	if len(dropped) == 0 {
		return fmt.Errorf("the recording %s holds no JPEG", r.Path)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(dropped)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", dropped[kind], kind))
	}
	return fmt.Errorf("the recording %s holds no JPEG that can be shown (%s)", r.Path, strings.Join(kinds, ", "))
}

// lap goes through the recording once. It calls yield with each picture, or with why it
// cannot be shown, until yield returns an error. It reads through buf and makes frames by
// framer.
func (r *Replay) lap(ctx context.Context, buf *bytes.Buffer, framer *Framer, yield func(*Frame, DropKind) error) error {
	files, err := r.find(maxFolder + 1)
	if err != nil {
		return err
	}
	for _, path := range files {
		if isStream(path) {
			return splitFile(ctx, path, framer, yield)
		}
		frame, kind, err := readPicture(path, buf, framer)
		if err != nil && path != r.Path { // of many pictures one may be a named pipe, or lead nowhere
			kind, err = DropLost, nil
		}
		if err != nil {
			return fmt.Errorf("reading the recording: %w", err)
		}
		if err := yield(frame, kind); err != nil {
			return err
		}
	}
	return nil
}

// find returns the files of the recording in order: the one file, which may be a stream,
// or at most limit pictures of the folder.
func (r *Replay) find(limit int) ([]string, error) {
	info, err := os.Stat(r.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no recording at %q", ErrNoCamera, r.Path)
	case err != nil:
		return nil, fmt.Errorf("looking at the recording: %w", err)
	case info.IsDir():
		return pictures(r.Path, limit)
	case !info.Mode().IsRegular() || !isStream(r.Path) && !isPicture(r.Path):
		return nil, fmt.Errorf("%s is no recording: name a folder of .jpg files, a .jpg, an .mjpeg or an .mjpg file", r.Path)
	}
	return []string{r.Path}, nil
}

// pictures returns the paths of the pictures in folder by the order of their
// names. With more than maxFolder it fails; it stops looking after limit.
func pictures(folder string, limit int) ([]string, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("looking at the recording: %w", err)
	}
	defer dir.Close()
	var paths []string
	for len(paths) < limit {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			// A name with a dot in front is not the owner's: macOS makes ._1.jpg beside
			// 1.jpg.
			if name := e.Name(); isPicture(name) && !e.IsDir() && !strings.HasPrefix(name, ".") {
				paths = append(paths, filepath.Join(folder, name))
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("looking at the recording: %w", err)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: the folder %s holds no .jpg file", ErrNoCamera, folder)
	}
	if len(paths) > maxFolder {
		return nil, fmt.Errorf("the folder %s holds more than %d pictures; join them to an .mjpeg file", folder, maxFolder)
	}
	slices.SortFunc(paths, compareNatural)
	return paths, nil
}

func isPicture(name string) bool { return hasExtension(name, ".jpg", ".jpeg") }
func isStream(name string) bool  { return hasExtension(name, ".mjpeg", ".mjpg") }

func hasExtension(name string, extensions ...string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// readPicture reads the picture at path through buf.
func readPicture(path string, buf *bytes.Buffer, framer *Framer) (*Frame, DropKind, error) {
	file, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, DropLost, nil
	}
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(file, maxPicture+1))
	if err != nil {
		return nil, "", err
	}
	if n > maxPicture {
		return nil, DropTooLarge, nil
	}
	frame, kind := framer.Frame(buf.Bytes(), time.Now())
	return frame, kind, nil
}

// splitFile calls yield for the pictures of the file at path.
func splitFile(ctx context.Context, path string, framer *Framer, yield func(*Frame, DropKind) error) error {
	file, err := openFile(path)
	if err != nil {
		return fmt.Errorf("reading the recording: %w", err)
	}
	defer file.Close()
	// A large file without a picture must neither keep Run from ending nor a core busy.
	barren := 0 // bytes since the last picture
	split := newSplitter(readerFunc(func(p []byte) (int, error) {
		if barren >= barrenBytes {
			barren = 0
			sleep(ctx, barrenRest)
		}
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		n, err := file.Read(p)
		barren += n
		return n, err
	}), framer)
	for {
		frame, kind, err := split.next(time.Now())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return fmt.Errorf("reading the recording: %w", err)
		}
		if kind == "" {
			barren = 0
		}
		if err := yield(frame, kind); err != nil {
			return err
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// openFile opens a regular file. To open a named pipe would wait for a writer.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// compareNatural orders names as people do: runs of digits by their value.
func compareNatural(a, b string) int {
	asBytes := strings.Compare(a, b)
	for a != "" && b != "" {
		x, y := a[:digits(a)], b[:digits(b)]
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		a, b = a[len(x):], b[len(y):]
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), asBytes)
}

// digits is how many digits s begins with.
func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
