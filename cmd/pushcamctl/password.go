package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// passwords keeps the owner's passwords of the images that were made here, one
// file per host name that only this user can read.
type passwords struct {
	dir func() (string, error) // the user's settings
}

// passwordOrigin is where a password is from.
type passwordOrigin int

const (
	givenPassword passwordOrigin = iota
	keptPassword
	newPassword
)

// choose takes the given password, else the kept one, else a new one.
func (k passwords) choose(host, given string) (string, passwordOrigin, error) {
	if given != "" {
		if len(given) < 8 {
			return "", 0, errors.New("the password is too short: it takes at least 8 characters")
		}
		return given, givenPassword, nil
	}
	password, err := k.kept(host)
	if err != nil || password != "" {
		return password, keptPassword, err
	}
	return generatePassword(), newPassword, nil
}

// kept is the password that was kept for a host; "" if there is none.
func (k passwords) kept(host string) (string, error) {
	path, err := k.path(host)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("the kept password: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// keep stores a password and returns the file that it is in.
func (k passwords) keep(host, password string) (path string, err error) {
	path, err = k.path(host)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	if err := durable.WriteFile(path, []byte(password+"\n")); err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	return path, nil
}

func (k passwords) path(host string) (string, error) {
	dir, err := k.dir()
	if err != nil {
		return "", fmt.Errorf("where to keep the password: %w", err)
	}
	return filepath.Join(dir, "pushcam", host+".password"), nil
}

// generatePassword makes a password of 80 bits that can be read out and typed:
// four groups of four, without letters that look like others.
func generatePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32 of them: 5 bits each
	random := make([]byte, 16)
	rand.Read(random)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[r%32])
	}
	return b.String()
}
