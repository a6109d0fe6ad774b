//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// This file starts a browser, and the screen that it is on.

// startBrowser starts a browser in a group. It keeps what it makes at its first start,
// which serves the later ones; dir is for what it needs while it runs.
func (b *bench) startBrowser(ctx context.Context, where place, name, url, display, dir string, group *cgroup) (*exec.Cmd, error) {
	profile := b.tools.path(name)
	if err := os.MkdirAll(profile, 0o700); err != nil {
		return nil, err
	}
	args, err := browserCommand(name, profile, url)
	if err != nil {
		return nil, err
	}
	args = append(group.shell(), args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "HOME="+profile, "XDG_RUNTIME_DIR="+dir, "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS=1",
		"WEBKIT_DISABLE_COMPOSITING_MODE=1", "WEBKIT_SKIA_ENABLE_CPU_RENDERING=1") // a GPU that the processor plays takes more than the pictures
	cmd.Stdout, cmd.Stderr = b.tools.log, b.tools.log
	return cmd, startGroup(where, cmd)
}

// browserCommand is a browser's program, and how it shows one page and nothing else.
func browserCommand(name, profile, url string) ([]string, error) {
	switch name {
	case "chromium":
		return []string{"chromium", "--no-sandbox", "--test-type", "--disable-gpu", "--no-first-run", "--user-data-dir=" + profile,
			"--disable-component-update", "--disable-background-networking", "--disable-sync",
			"--password-store=basic", "--hide-crash-restore-bubble", "--app=" + url}, nil
	case "firefox":
		const settings = `user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.sessionstore.resume_from_crash", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("toolkit.startup.max_resumed_crashes", -1);
`
		if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(settings), 0o644); err != nil {
			return nil, err
		}
		return []string{"firefox-esr", "--no-remote", "--profile", profile, "--kiosk", url}, nil
	}
	found, err := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	if err != nil || len(found) == 0 {
		return nil, errors.New("there is no MiniBrowser; apt-get install webkit2gtk-driver")
	}
	return []string{found[0], url}, nil
}

// startScreen starts an X server whose screen is a file in dir, and tells its name.
func startScreen(ctx context.Context, where place, dir string) (xvfb *exec.Cmd, display string, err error) {
	number, said, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer number.Close()
	xvfb = exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-nolisten", "tcp", "-noreset", "-screen", "0", "1280x900x24", "-fbdir", dir)
	xvfb.ExtraFiles = []*os.File{said}
	err = startGroup(where, xvfb)
	said.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(number).ReadString('\n')
	if err != nil {
		endGroup(xvfb)
		return nil, "", fmt.Errorf("no screen of Xvfb: %w", err)
	}
	return xvfb, ":" + strings.TrimSpace(line), nil
}

// startGroup starts a program whose own processes end with it by endGroup.
func startGroup(where place, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := where.Do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}

func endGroup(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(grace, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait() // how it ends does not matter
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
