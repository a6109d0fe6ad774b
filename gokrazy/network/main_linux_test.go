package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A wrong command line is one sentence and exit status 2, and nothing is begun.
func TestCommandLine(t *testing.T) {
	for arg, want := range map[string]string{
		"-clock=maybe": `invalid boolean value "maybe" for -clock: it takes true or false`,
		"-nonsense":    "flag provided but not defined: -nonsense",
		"-socket":      "flag needs an argument: -socket",
		"eth0":         `this program takes flags only, not "eth0"`,
	} {
		cmd := exec.Command(os.Args[0], arg)
		cmd.Env = append(os.Environ(), programEnv+"=1")
		said, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 2 || string(said) != "network: "+want+"; network -h lists the flags\n" {
			t.Errorf("%s: exit status %d, %v: %s", arg, code, err, said)
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, &help); err != nil || !strings.Contains(help.String(), "-resolv-conf file") {
		t.Errorf("-h: %v, %q", err, help.String())
	}
}
