package device

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func ownerRoot(t *testing.T, content string) Root {
	t.Helper()
	path := filepath.Join(t.TempDir(), "perm", OwnerFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Root(strings.TrimSuffix(path, filepath.Join("/perm", OwnerFile)))
}

// vector is of RFC 7914, section 11: PBKDF2-HMAC-SHA-256 of "Password" and
// "NaCl", 80,000 rounds; the first half of its result.
const vector = "pbkdf2-sha256$80000$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1Y"

func TestOwner(t *testing.T) {
	const password = "correct horse ☂"
	hash, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file, given string
		want              bool
	}{
		{"its own hash", hash + "\n", password, true},
		{"a little off", hash + "\n", password + " ", false},
		{"the standard's vector", vector, "Password", true},
		{"of before 2026", vector, "password", false},
		{"no password", vector, "", false},
		{"what is too long is not read", vector + strings.Repeat(" ", maxOwnerFile) + "x", "Password", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadOwner(ownerRoot(t, tc.file)).Verify(tc.given)
			if err != nil || got != tc.want {
				t.Errorf("Verify(%q) is %v, %v; want %v", tc.given, got, err, tc.want)
			}
		})
	}
}

func TestHashPasswordIsSalted(t *testing.T) {
	a, errA := HashPassword("password")
	b, errB := HashPassword("password")
	if errA != nil || errB != nil || a == b {
		t.Errorf("the same hash twice, or %v, %v: %q", errA, errB, a)
	}
}

func TestOwnerDamaged(t *testing.T) {
	part := strings.Split(vector, "$")
	with := func(i int, s string) string {
		p := slices.Clone(part)
		p[i] = s
		return strings.Join(p, "$")
	}
	for name, content := range map[string]string{
		"empty":             "",
		"password itself":   "Password",
		"other scheme":      with(0, "sha1"),
		"bcrypt for a day":  scheme + "$2a$31$" + strings.Repeat("x", 53),
		"bcrypt, cut off":   scheme + "$2a$10$" + strings.Repeat("x", 20),
		"no rounds":         with(1, ""),
		"zero rounds":       with(1, "0"),
		"rounds for a day":  with(1, "999999999"),
		"salt is no base64": with(2, "!"),
		"hash is no base64": with(3, "!"),
		"hash is cut off":   with(3, part[3][:20]),
		"one part too many": vector + "$x",
	} {
		t.Run(name, func(t *testing.T) {
			ok, err := ReadOwner(ownerRoot(t, content)).Verify("Password")
			if ok || !errors.Is(err, ErrNoOwner) {
				t.Errorf("Verify is %v, %v; want ErrNoOwner", ok, err)
			}
		})
	}
}

// A card that does not answer any more keeps nobody from logging in.
func TestOwnerIsReadOnce(t *testing.T) {
	root := ownerRoot(t, vector)
	o := ReadOwner(root)
	if err := os.RemoveAll(root.Path("perm")); err != nil {
		t.Fatal(err)
	}
	if ok, err := o.Verify("Password"); !ok || err != nil {
		t.Errorf("Verify is %v, %v", ok, err)
	}
}

func TestOwnerMissing(t *testing.T) {
	if ok, err := ReadOwner(Root(t.TempDir())).Verify(""); ok || !errors.Is(err, ErrNoOwner) {
		t.Errorf("Verify is %v, %v; want ErrNoOwner", ok, err)
	}
}

func TestCheckPassword(t *testing.T) {
	for text, want := range map[string]string{
		"12345678":                 "",
		" 123456 ":                 "",
		"☂☂☂☂☂☂☂☂":                 "",
		"☂☂☂":                      "at least 8 characters",
		"1234567":                  "at least 8 characters",
		strings.Repeat("x", 256):   "",
		strings.Repeat("x", 257):   "at most 256 bytes",
		"two\nlines of it":         "control character",
		"tab\tin it":               "control character",
		"of a file from Windows\r": "control character",
	} {
		if err := CheckPassword(text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("CheckPassword(%q): %v, want %q", text, err, want)
		}
	}
}
