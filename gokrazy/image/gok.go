package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gok builds an image with the version of gok that builddir's go.mod pins. output are
// the flags that tell it what to write where; their paths are absolute.
func (b *Builder) gok(ctx context.Context, inst *instance, img *Image, output ...string) error {
	home, err := os.MkdirTemp("", "pushcam-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	if err := inst.write(home, "pushcam", b.Checkout, img); err != nil {
		return err
	}

	find := b.command(ctx, filepath.Join(b.Checkout, instanceDir, "builddir"), "go", "tool", "-n", "gok")
	var tool bytes.Buffer
	find.Stdout = &tool
	if err := b.run(ctx, find); err != nil {
		return fmt.Errorf("compile gok: %w", err)
	}
	// home and the instance are named by relative paths, because gok writes them
	// into the image's list of what it is made of, which is to be the same on
	// every computer.
	build := b.command(ctx, home, strings.TrimSpace(tool.String()), append([]string{"--parent_dir", ".", "-i", "pushcam", "overwrite"}, output...)...)
	build.Env = append(os.Environ(), "GOFLAGS="+goFlags(img.Time), "GOWORK=off", "GOARCH=arm64", "GOOS=linux", "TZ=UTC", "TMPDIR="+home)
	return b.run(ctx, build)
}

// goFlags are for all programs of the image. They leave out the paths of this
// computer and put the time of the commit for that of the build, so that two builds
// of one commit are the same.
func goFlags(t time.Time) string {
	return "-trimpath -buildvcs=false '-ldflags=-s -w -buildid= -X=main.buildTimestamp=" + t.UTC().Format(time.RFC3339) + "'"
}

// command is a child process. When ctx ends, it and its own children are asked to
// end, too.
func (b *Builder) command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	endAll(cmd)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a child. Its error has the end of what the child printed.
func (b *Builder) run(ctx context.Context, cmd *exec.Cmd) error {
	out := b.Output
	if out == nil {
		out = io.Discard
	}
	var last tail
	cmd.Stderr = io.MultiWriter(out, &last)
	if cmd.Stdout == nil {
		cmd.Stdout = cmd.Stderr
	}
	err := cmd.Run()
	switch said := last.String(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.Contains(said, syscall.ENOSPC.Error()):
		return errors.New("the disk is full: make room where the image is written, in the temporary folder and in Go's cache")
	case said != "":
		return fmt.Errorf("%w; its last words:\n%s", err, said)
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// maxTail in bytes is enough for the errors of a compiler.
const maxTail = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*maxTail {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxTail:]...)
	}
	return len(p), nil
}

// String is the kept text, from the beginning of a line.
func (t *tail) String() string {
	kept := t.kept
	if len(kept) > maxTail {
		kept = kept[len(kept)-maxTail:]
		if _, whole, ok := bytes.Cut(kept, []byte("\n")); ok {
			kept = whole
		}
	}
	return strings.TrimSpace(string(kept))
}

// commit is the version and the time of the checkout. If its files differ from its
// commit, or git does not know it, the time is now.
func (b *Builder) commit(ctx context.Context) (version string, t time.Time) {
	git := func(args ...string) (string, error) {
		cmd := b.command(ctx, b.Checkout, "git", args...)
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	t = time.Now().Truncate(time.Second)
	version, err := git("describe", "--tags", "--always", "--dirty")
	if err != nil {
		return "unversioned", t
	}
	changed, err := git("status", "--porcelain")
	if err != nil || changed != "" {
		return strings.TrimSuffix(version, "-dirty") + "-dirty", t
	}
	stamp, err := git("log", "-1", "--format=%ct")
	if err != nil {
		return version, t
	}
	if unix, err := strconv.ParseInt(stamp, 10, 64); err == nil {
		t = time.Unix(unix, 0)
	}
	return version, t.UTC()
}
