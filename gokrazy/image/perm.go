package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// formatPerm makes /perm: ext4, with the camera's id and the owner's password in it.
func formatPerm(ctx context.Context, mkfs, image string, at span, id, password string) error {
	content, err := os.MkdirTemp("", "pushcam-perm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(content)
	if err := os.Chmod(content, 0o755); err != nil {
		return err
	}
	hash, err := device.HashPassword(password)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{{device.OwnerFile, hash, 0o600}, {device.IDFile, id, 0o644}} {
		path := filepath.Join(content, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.text+"\n"), f.mode); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, mkfs, "-q", "-F",
		"-L", "perm",
		// The file system grows to the size of its card (card.GrowPerm). That takes
		// minutes with the blocks of 1 KiB that a small one would have, and half a
		// gigabyte of inodes for 32 GB, of which a camera needs a few.
		"-b", "4096", "-i", "65536",
		"-m", "0", // no blocks kept for root: everything here is root's
		"-d", content,
		"-E", fmt.Sprintf("offset=%d,root_owner=0:0", at.offset),
		image, fmt.Sprintf("%dk", at.size>>10))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the file system of /perm: %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}
