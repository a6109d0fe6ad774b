// Package debian gets packages from the Debian mirror that this computer uses, by its
// apt-get, with lists of its own: it needs no root, and changes nothing of the computer's.
package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Apt is an apt-get with package sources of its own.
type Apt struct {
	// Dir is the folder for its lists. It is made if it is not there.
	Dir string
	// Sources are lines of a sources.list without the mirror: "deb trixie main". Lists
	// are fetched once for all that follows, so it is not changed after that.
	Sources []string
	// Architecture is that of the packages, as Debian names it. "" means that of the
	// computer.
	Architecture string

	ready bool // the lists were fetched
}

// keyring has the keys of the suites of Debian, on every Debian.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// ErrNoMirror says that this computer is no Debian.
var ErrNoMirror = errors.New("this computer's apt has no Debian mirror")

// Download puts a package into a folder, as the one file with the returned path. The
// package is named as for apt-get: NAME=VERSION, or NAME/SUITE for the newest of that.
func (a *Apt) Download(ctx context.Context, to, name string) (path string, err error) {
	if err := a.fetchLists(ctx); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(to, "download-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if _, err := a.run(ctx, temp, "apt-get", "download", name); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(temp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("%d packages came for %s, not one", len(debs), name)
	}
	path = filepath.Join(to, filepath.Base(debs[0]))
	return path, os.Rename(debs[0], path)
}

// Source puts the files of a source package into a folder. It is named as for Download.
func (a *Apt) Source(ctx context.Context, to, name string) error {
	if err := a.fetchLists(ctx); err != nil {
		return err
	}
	_, err := a.run(ctx, to, "apt-get", "source", "--download-only", name)
	return err
}

// Versions are those of a package that the mirror has, newest first.
func (a *Apt) Versions(ctx context.Context, name string) (versions []string, err error) {
	if err := a.fetchLists(ctx); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, a.Dir, "apt-cache", "madison", name)
	if err != nil {
		return nil, err
	}
	return ParseMadison(out), nil
}

// ParseMadison are the versions that apt-cache madison tells, newest first.
func ParseMadison(out string) (versions []string) {
	for line := range strings.Lines(out) {
		// "name | version | where it is"
		fields := strings.Split(line, "|")
		if len(fields) != 3 {
			continue
		}
		if v := strings.TrimSpace(fields[1]); len(versions) == 0 || versions[len(versions)-1] != v {
			versions = append(versions, v)
		}
	}
	return versions
}

// Unpack unpacks a package's files below a folder.
func Unpack(ctx context.Context, deb, to string) error {
	_, err := run(ctx, "", "dpkg-deb", "-x", deb, to)
	return err
}

func (a *Apt) fetchLists(ctx context.Context) error {
	if a.ready {
		return nil
	}
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	// Without the release's information it tells also of lists that were never fetched.
	out, err := run(ctx, "", "apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return err
	}
	mirror := findMirror(out)
	if mirror == "" {
		return ErrNoMirror
	}
	if err := os.WriteFile(a.list(), []byte(sourcesList(mirror, a.Sources)), 0o644); err != nil {
		return err
	}
	_, err = a.run(ctx, a.Dir, "apt-get", "update", "--error-on=any")
	a.ready = err == nil
	return err
}

func (a *Apt) list() string { return filepath.Join(a.Dir, "sources.list") }

// findMirror is the first of the package sources' addresses that is of Debian, and not
// of its security updates or another's: mirrors have it in a folder of that name.
func findMirror(addresses string) string {
	for line := range strings.Lines(addresses) {
		address := strings.TrimSpace(line)
		if u, err := url.Parse(address); err == nil && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/debian") {
			return address
		}
	}
	return ""
}

func sourcesList(mirror string, sources []string) string {
	var list strings.Builder
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	for _, s := range sources {
		kind, rest, _ := strings.Cut(s, " ")
		fmt.Fprintf(&list, "%s %s%s %s\n", kind, signed, mirror, rest)
	}
	return list.String()
}

// run runs one of apt's commands with the lists of a.
func (a *Apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	options := []string{"-qq", "-o", "Dir::Etc::sourcelist=" + a.list(), "-o", "Dir::Etc::sourceparts=/nonexistent",
		"-o", "Dir::State::lists=" + filepath.Join(a.Dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(a.Dir, "cache"),
		// Its user for downloads may not read the folders of others.
		"-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3",
		// Lists for those who read descriptions, and for software centres.
		"-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"}
	if a.Architecture != "" {
		options = append(options, "-o", "APT::Architecture="+a.Architecture, "-o", "APT::Architectures="+a.Architecture)
	}
	return run(ctx, dir, name, append(options, args...)...)
}

// run runs a command and returns what it prints. Its error has that, too.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return out.String(), nil
}
