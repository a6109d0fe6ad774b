package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/update"
)

const (
	firstPause = time.Second // before it connects again; each further pause is twice as long
	maxPause   = 30 * time.Second
	// maxLogLine is how much of a line is shown, in bytes.
	maxLogLine = 16 << 10
)

func (p *program) logs(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		follow = fs.Bool("follow", true, "go on with the lines to come, until Ctrl-C; -follow=false shows those that are there")
		given  = passwordFlag(fs)
		trust  = newTrustFlags(fs)
	)
	return func(ctx context.Context, operands []string) error {
		if len(operands) == 0 {
			return p.misused(errors.New("which pushcam? Give its name or address; pushcamctl find lists them"), "pushcamctl logs -h")
		}
		cam, err := parseRemote(operands[0])
		if err != nil {
			return p.misused(err, "pushcamctl logs -h")
		}
		if err := p.owner(cam, given, trust); err != nil {
			return err
		}
		l := &logReader{cam: cam, follow: *follow, out: p.stdout, note: func(format string, args ...any) {
			fmt.Fprintf(p.stderr, "pushcamctl: "+format+"\n", args...)
		}}
		err = l.run(ctx)
		if ctx.Err() != nil && *follow {
			return nil // Ctrl-C is the usual end
		}
		return err
	}
}

func passwordFlag(fs *flag.FlagSet) *string {
	return fs.String("password", "", "the owner's `password`; - reads a line from the standard input, which other users of\nthis computer cannot see; without it the one that is kept for this camera, or you are asked")
}

// owner gives cam this program's network and its owner's password. If *given is "-",
// a line from the standard input replaces it, so that it is read only once.
func (p *program) owner(cam *remote, given *string, trust *trustFlags) (err error) {
	if *given == "-" {
		if *given, err = readLine(p.stdin); err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
	}
	cam.lookup, cam.browse, cam.dial = p.lookup, p.browse, p.dial
	if cam.insecure = trust.insecure; cam.insecure {
		if err := p.mayBeInsecure(cam); err != nil {
			return err
		}
	}
	cam.trust = func(key, id string) error { return p.trust(cam, trust, key, id) }
	cam.password = func(ctx context.Context) (string, func(), error) { return p.passwordFor(ctx, cam, *given) }
	return nil
}

// passwordFor returns the given password, else the one that is kept for the camera's id
// or name, else what the user types. took, which may be nil, is to be called when the
// camera has taken the password.
func (p *program) passwordFor(ctx context.Context, cam *remote, given string) (text string, took func(), err error) {
	if given != "" && !cam.insecure {
		return given, nil, nil
	}
	told := cam.tells(ctx)
	if cam.insecure { // else it has proved what it tells
		if err := p.mayBeInsecure(cam, told.ID, told.Hostname); err != nil {
			return "", nil, err
		}
	}
	if given != "" {
		return given, nil, nil
	}
	label, _, _ := strings.Cut(cam.name, ".")
	kept, err := (passwords{dir: p.configDir}).of(told.ID, strings.ToLower(label), told.Hostname)
	switch {
	case err != nil:
		return "", nil, err
	case kept != nil:
		text, err := kept.read()
		return text, func() {
			if err := kept.belongs(told.ID, told.Hostname); err != nil {
				fmt.Fprintf(p.stderr, "pushcamctl: %v\n", err)
			}
		}, err
	case p.askPassword == nil:
		return "", nil, fmt.Errorf("no password is kept for %s on this computer, and there is no terminal to ask for it: give it with -password -", cam)
	}
	text, err = p.askPassword(ctx, fmt.Sprintf("The owner's password of %s: ", cam))
	return text, nil, err
}

// logReader shows a camera's log. When the connection is lost, it connects again and
// goes on with the next line.
type logReader struct {
	cam    *remote
	follow bool
	out    io.Writer
	note   func(format string, args ...any) // to the user, beside the log

	runID string // of the camera's program
	next  uint64 // number of the next line
}

// errOutput is wrapped by errors of the output, which connecting again does not mend.
var errOutput = errors.New("cannot show the log")

// run shows the log until ctx is done or, if it does not follow, until its end. It
// connects again and again, unless the first connection failed, the password is wrong
// or the output fails.
func (l *logReader) run(ctx context.Context) error {
	for pause, lost := firstPause, false; ; pause = min(2*pause, maxPause) {
		err := l.once(ctx, func() {
			if lost {
				l.note("connected again")
			}
			pause, lost = firstPause, false
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !l.follow, l.runID == "", errors.Is(err, update.ErrPassword), errors.Is(err, errOutput):
			return err
		}
		if !lost {
			l.note("the connection is lost: %v; trying again until Ctrl-C", err)
		}
		lost = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once shows the lines of one connection. It calls connected before the first line.
func (l *logReader) once(ctx context.Context, connected func()) error {
	query := "?run=" + l.runID + "&from=" + strconv.FormatUint(l.next, 10)
	if l.follow {
		query += "&follow=1"
	}
	resp, err := l.cam.Get(ctx, "/api/log"+query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	id := resp.Header.Get("Log-Run")
	from, err := strconv.ParseUint(resp.Header.Get("Log-From"), 10, 64)
	if err != nil || id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return fmt.Errorf("what %s gives as its log is not a pushcam's; pushcamctl find lists the pushcams that are there", l.cam)
	}
	connected()
	switch {
	case l.runID != "" && id != l.runID:
		l.note("the camera's program has started again")
	case l.runID != "" && from > l.next:
		l.note("%d lines are missing here: they came faster than the connection takes them", from-l.next)
	}
	l.runID, l.next = id, from
	return l.show(resp.Body)
}

// show prints the lines of body until it ends, which is an error if the log is
// followed. A line whose end is missing is not printed: the next connection begins
// with it.
func (l *logReader) show(body io.Reader) error {
	lines := bufio.NewReaderSize(body, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		text := discovery.Printable(strings.TrimSuffix(string(line), "\n"))
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF) && !l.follow:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the camera has ended it")
		case err != nil:
			return err
		}
		if _, err := fmt.Fprintln(l.out, text); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
		l.next++
	}
}
