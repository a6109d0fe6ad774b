//go:build unix

package image

import (
	"os/exec"
	"testing"
)

// A shell makes of what is quoted what it was.
func TestQuote(t *testing.T) {
	words := []string{"plain", "/dev/sdb", "my card.img", "", "it's", `a"b\c`, "$HOME `x` ; & | * ? ~ #", "~", "two\nlines", "grün", "-x=1"}
	for _, w := range words {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+Quote(w)).Output()
		if err != nil || string(out) != w {
			t.Errorf("%s is %q to a shell, %v; want %q", Quote(w), out, err, w)
		}
	}
	if got, want := Quote("umount", "/media/me/MY CARD", "/mnt"), "umount '/media/me/MY CARD' /mnt"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
