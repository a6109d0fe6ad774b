package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// Keys of a camera as it is: they are listed with where they are from, and taken away.
func TestKeysCommand(t *testing.T) {
	dir := t.TempDir()
	server := &update.Server{Card: cardtest.NewCard(t, 2), Dir: dir, Version: "v1", Log: slog.New(slog.DiscardHandler)}
	p, _ := closedCamera(t, map[string]http.Handler{"/api/update": server, "/api/update/": server})
	run := func(code int, want string, args ...string) {
		t.Helper()
		stdout, stderr, got := try(t, p, append([]string{"keys", "attic"}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit status %d: %s%s; want %d and %q", args, got, stdout, stderr, code, want)
		}
	}
	restart := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, signed.KeysFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		server.Run(context.Background())
	}
	server.Run(t.Context())
	run(0, "attic knows no key yet: it takes every update that comes with its password, and keeps the key of the first signed one\n")

	other, _, err := signed.LoadOrMakeSigner(t.Context(), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := signer(t, p).Key(), other.Key()
	restart(signed.FormatKeys([]signed.Entry{{Key: mine}, {Key: theirs, Comment: "allowed by the button on 2026-11-29, from 192.0.2.7"}}))
	run(0, mine.Fingerprint()+"  made its card   (this computer)\n"+theirs.Fingerprint()+"  came later      allowed by the button on 2026-11-29, from 192.0.2.7\n")
	run(1, "attic knows no key SHA256:none; pushcamctl keys attic lists those that it knows", "-remove", "SHA256:none")
	run(0, "attic takes no update by the key "+theirs.Fingerprint()+" any more\n", "-remove", theirs.Fingerprint())

	p.stdin = strings.NewReader("n\n")
	run(1, "pushcamctl: attic still has its key", "-remove", mine.Fingerprint())
	p.stdin = strings.NewReader("y\n")
	run(0, "Without it, it takes no update at all until its button is pressed", "-remove", mine.Fingerprint())
	run(0, "attic knows no key any more: it takes no update at all until its button")
	restart(signed.FormatKeys([]signed.Entry{{Key: mine}}))
	run(0, "any more", "-remove", mine.Fingerprint(), "-yes")
	if _, stderr, code := try(t, p, "keys"); code != 2 || !strings.Contains(stderr, "which pushcam?") {
		t.Errorf("without a host: exit status %d: %s", code, stderr)
	}
}
