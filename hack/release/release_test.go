//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// What is no commit, or is there already, is refused in a sentence, before anything is
// built.
func TestRefused(t *testing.T) {
	git := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, said)
		}
	}
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &release{checkout: dir, dir: filepath.Join(t.TempDir(), "release")}
	refused := func(want string) {
		t.Helper()
		if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	refused("no checkout of git")
	git(dir, "init", "-q")
	write("a")
	refused("differs from its commit in 1 files (?? a)")
	git(dir, "add", "a")
	git(dir, "commit", "-qm", "a")
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("is there already")
	write("b")
	refused("?? b")
}

// The public half of the key is in the release, and nothing of the private one.
func TestPublicKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pub")
	if err := new(release).publicKey(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("without a key there is one in the release")
	}
	key, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&release{key: key}).publicKey(path); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(key.Key())+"\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sums(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sha256sum", "-c", "--strict", "SHA256SUMS")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil || string(said) != "a: OK\nb: OK\n" {
		t.Errorf("sha256sum: %v: %s", err, said)
	}
}
