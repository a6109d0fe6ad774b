//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rig runs a shell script in the virtual machine, with the rig as it is built.
func rig(t *testing.T, script string) (code int, stdout, stderr string) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a virtual machine, which takes 5 s and more: not with -short")
	}
	if k := (setup{Dir: ".cache"}).Kernel(); k.Recipe != recipe() {
		t.Skip("the virtual machine is not made yet: run \"go run ./hack/rig setup\"")
	}
	binary := filepath.Join(t.TempDir(), "rig")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var o, e bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "exec", "/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "RIG_TEST=from the host")
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// TestVM runs one program in the virtual machine and looks at all that comes
// back.
func TestVM(t *testing.T) {
	code, stdout, stderr := rig(t, `
printf 'bytes \026\r\n\377'
echo "$RIG_TEST $PUSHCAM_RIG $PWD" >&2
touch rig-was-here || echo "the host is safe" >&2
seq 1 100000
exit 42`)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if code != 42 {
		t.Errorf("exit status %d, want 42", code)
	}
	rest, ok := strings.CutPrefix(stdout, "bytes \x16\r\n\xff1\n2\n")
	if !ok || !strings.HasSuffix(rest, "\n99999\n100000\n") || strings.Count(rest, "\n") != 100000-2 {
		t.Errorf("%d bytes of output: %.40q…", len(stdout), stdout)
	}
	for _, want := range []string{"from the host 1 " + wd + "\n", "Read-only file system", "the host is safe\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
}

// TestVMTroubles has the kernel warn, and the program killed.
func TestVMTroubles(t *testing.T) {
	tests := []struct {
		name, script string
		code         int
		want         string
	}{
		{"warned kernel", "echo 512 >/proc/sys/kernel/tainted", 1, "the kernel warned or oopsed"},
		{"dead kernel", "echo c >/proc/sysrq-trigger", 2, "sysrq triggered crash"},
		{"killed program", "kill -9 $$", 2, "signal: killed"},
		{"no program", "exec /dev/null", 126, "Permission denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, _, stderr := rig(t, test.script)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit status %d, want %d with %q:\n%s", code, test.code, test.want, stderr)
			}
		})
	}
}
