package device

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RunDir is where the image's programs tell each other how they are, below the root.
// It is in memory.
const RunDir = "run/pushcam"

// beatFile is where the camera's program shows that it is well.
const beatFile = RunDir + "/beat"

// Beat shows process 1 that this program is well. It is called every few seconds by
// whatever in the program finds out, and waits for nothing but memory.
func Beat(root Root) error {
	if err := os.MkdirAll(root.Path(RunDir), 0o755); err != nil {
		return err
	}
	// The file's content is another one each time.
	return os.WriteFile(root.Path(beatFile), fmt.Appendf(nil, "%d %d\n", os.Getpid(), time.Now().UnixNano()), 0o644)
}

const (
	// beatTime is how long a program may be silent before it is ended: longer than
	// it needs to find out by itself that it hangs, and say where.
	beatTime     = 3 * time.Minute
	beatInterval = 10 * time.Second // of a look
)

// ProgramWatch ends a program that hangs so that it does not find out by itself, from
// process 1, which then starts it again. One that has never called Beat is left alone.
type ProgramWatch struct {
	// Root is where /run and /proc are looked for.
	Root Root
	// Path is the program's file, as /user/pushcam.
	Path string
	// CardAnswers tells whether the card does. While it does not, the program is left
	// alone: it cannot be loaded again, and may go on when the card does.
	CardAnswers func() bool
	// Kill ends a process.
	Kill func(pid int) error
	// Log gets a line for a program that is ended, as log.Printf.
	Log func(format string, args ...any)
}

// Run looks until ctx is done.
func (w *ProgramWatch) Run(ctx context.Context) {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	var last string
	var silent time.Duration // for which the program and not the card has been silent
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		beat, err := os.ReadFile(w.Root.Path(beatFile))
		if err != nil || string(beat) != last || !w.CardAnswers() {
			last, silent = string(beat), 0
			continue
		}
		if silent += beatInterval; silent < beatTime {
			continue
		}
		silent = 0
		first, _, _ := strings.Cut(last, " ")
		pid, err := strconv.Atoi(first)
		if err != nil || pid < 2 || !w.runs(pid) {
			continue // it has ended, and another one has not begun yet
		}
		w.Log("%s hangs: it has not said for %v that it is well, and is ended", w.Path, beatTime)
		if err := w.Kill(pid); err != nil {
			w.Log("%s: %v", w.Path, err)
		}
	}
}

// runs tells whether a process runs the program.
func (w *ProgramWatch) runs(pid int) bool {
	exe, err := os.Readlink(w.Root.Path("proc", strconv.Itoa(pid), "exe"))
	return err == nil && filepath.Clean(exe) == w.Path
}
