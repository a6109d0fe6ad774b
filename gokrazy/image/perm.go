package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// formatPerm makes /perm: ext4, with the camera's id and the owner's password in it if
// there is one, and else empty and always the same for one version.
func formatPerm(ctx context.Context, mkfs, image string, at span, img *Image, password string) error {
	uuid := permUUID(cmp.Or(img.ID, img.Version))
	args := []string{"-q", "-F",
		"-L", "perm", "-U", uuid,
		// The file system grows to the size of its card (card.GrowPerm). That takes
		// minutes with the blocks of 1 KiB that a small one would have, and half a
		// gigabyte of inodes for 32 GB, of which a camera needs a few.
		"-b", "4096", "-i", "65536",
		"-m", "0", // no blocks kept for root: everything here is root's
		"-E", fmt.Sprintf("offset=%d,root_owner=0:0,hash_seed=%s", at.offset, uuid)}
	if password != "" {
		content, err := permContent(img, password)
		if err != nil {
			return err
		}
		defer os.RemoveAll(content)
		args = append(args, "-d", content)
	}
	cmd := exec.CommandContext(ctx, mkfs, append(args, image, fmt.Sprintf("%dk", at.size>>10))...)
	// That is what mke2fs takes for now (its main, E2FSPROGS_FAKE_TIME); Debian 12's
	// does not know SOURCE_DATE_EPOCH yet.
	cmd.Env = append(os.Environ(), fmt.Sprint("E2FSPROGS_FAKE_TIME=", img.Time.Unix()))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the file system of /perm: %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}

// Where the camera's program looks for its key, and for those of whom it takes updates,
// below /perm.
const (
	keyFile        = "pushcam/" + identity.File
	updateKeysFile = "pushcam/" + signed.KeysFile
)

// permContent is a folder with what the /perm of a camera with an owner begins with. The
// caller removes it.
func permContent(img *Image, password string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "pushcam-perm-"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	hash, err := device.HashPassword(password)
	if err != nil {
		return "", err
	}
	key, err := img.Key.PEM()
	if err != nil {
		return "", err
	}
	type file struct {
		name, text string
		mode       os.FileMode
	}
	files := []file{{keyFile, string(key), 0o600}, {device.OwnerFile, hash, 0o600}, {device.IDFile, img.ID, 0o644}, {device.SetupCodeFile, img.SetupCode, 0o600}}
	if img.UpdateKey != "" {
		files = append(files, file{updateKeysFile, string(img.UpdateKey), 0o600})
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(f.text+"\n"), f.mode); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// permUUID is the same UUID for the same text (RFC 9562, version 8).
func permUUID(text string) string {
	b := sha256.Sum256([]byte("pushcam /perm " + text))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
