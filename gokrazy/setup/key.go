package setup

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	maxSSID     = 32 // bytes
	minPassword = 8  // of a network, in bytes
	maxPassword = 63
	keySize     = 32
	keyRounds   = 4096
)

// CheckSSID refuses what cannot be a network's name, in one sentence.
func CheckSSID(ssid []byte) error {
	switch {
	case len(ssid) == 0:
		return errors.New("the network's name is missing")
	case len(ssid) > maxSSID:
		return fmt.Errorf("a network's name has at most %d bytes, and this one has %d", maxSSID, len(ssid))
	}
	return nil
}

// ParseKey makes a network's key of what an owner types: a password of 8 to 63
// characters, or the key itself as 64 hexadecimal digits (IEEE 802.11-2020, J.4). Its
// error is one sentence without the password.
func ParseKey(ssid []byte, password string) (*[32]byte, error) {
	if err := CheckSSID(ssid); err != nil {
		return nil, err
	}
	if key, ok := hexKey(password); ok {
		return key, nil
	}
	switch n := len(password); {
	case n < minPassword:
		return nil, fmt.Errorf("a Wi-Fi password has at least %d characters, and this one has %d", minPassword, n)
	case n == 2*keySize:
		return nil, errors.New("a Wi-Fi password has at most 63 characters; 64 are the key itself, which has only the digits 0-9 and the letters a-f")
	case n > maxPassword:
		return nil, fmt.Errorf("a Wi-Fi password has at most %d characters, and this one has %d (an umlaut counts as two)", maxPassword, n)
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7F }):
		return nil, errors.New("the Wi-Fi password has a control character in it, as a tab")
	}
	derived, err := pbkdf2.Key(sha1.New, password, ssid, keyRounds, keySize)
	if err != nil {
		return nil, err
	}
	return (*[keySize]byte)(derived), nil
}

func hexKey(text string) (*[keySize]byte, bool) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, false
	}
	return (*[keySize]byte)(key), true
}
