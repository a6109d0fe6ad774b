//go:build linux

// Package rebuild is what the programs share that build anew what is committed as
// bytes, and compare the two.
package rebuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Checkout is the folder of the checkout that this program is run in.
func Checkout(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("look for the checkout: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Install installs the packages of Debian that are missing, or says how to.
func Install(ctx context.Context, packages []string) error {
	var missing []string
	for _, p := range packages {
		status, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Status}", p).Output()
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("this is built with Debian's tools, on Debian: there is no dpkg-query here")
		}
		if err != nil || !strings.Contains(string(status), "install ok installed") {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	command := append([]string{"apt-get", "install", "-y", "-qq", "--no-install-recommends"}, missing...)
	if os.Geteuid() != 0 {
		return fmt.Errorf("these are missing: sudo %s", strings.Join(command, " "))
	}
	if err := Shell(ctx, "", "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return Shell(ctx, "", command...)
}

// Shell runs a command. It shows what the command prints only if that fails.
func Shell(ctx context.Context, dir string, args ...string) error {
	return Run(Command(ctx, dir, nil, args...))
}

// Command is a command that is ended with ctx, together with its children. Its
// environment is this program's if env is nil.
func Command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Run runs a command. Its output is part of the error if it fails.
func Run(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%s: %w; its last words:\n%s", strings.Join(cmd.Args, " "), err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	return nil
}

// CopyFile copies what is in a file. The copy may not be run.
func CopyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// Checksum is the SHA-256 of a file, in hex.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
