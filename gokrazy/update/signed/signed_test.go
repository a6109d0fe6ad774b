package signed

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func newSigner(t testing.TB) *Signer {
	t.Helper()
	text, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return &Signer{signer}
}

func describe(t testing.TB, part []byte) Content {
	t.Helper()
	c, err := Describe(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	rootPart = bytes.Repeat([]byte("root"), PieceSize/2) // two pieces
	bootPart = bytes.Repeat([]byte("boot"), PieceSize/4+1)
)

func manifest(t testing.TB) Manifest {
	return Manifest{Version: "v2", Built: time.Unix(1e9, 0).UTC(), Arch: "arm64", Camera: "ABC", Root: describe(t, rootPart), Boot: describe(t, bootPart)}
}

func sign(t testing.TB, m Manifest, s *Signer) []byte {
	t.Helper()
	text, err := m.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpen(t *testing.T) {
	s, m := newSigner(t), manifest(t)
	text := sign(t, m, s)
	got, key, err := Open(text)
	if err != nil || key != s.Key() {
		t.Fatalf("%s, want %s: %v", key, s.Key(), err)
	}
	m.Product = product
	if diff := cmp.Diff(&m, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if again := sign(t, m, s); !bytes.Equal(again, text) {
		t.Error("the same manifest is signed in two ways, so a release is not the same twice")
	}
	if n := len(got.Boot.Pieces); n != 2 {
		t.Errorf("the boot partition has %d pieces, want a whole one and what is left", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	s, m := newSigner(t), manifest(t)
	good := sign(t, m, s)
	at := bytes.Index(good, begin)
	changed := func(change func(m *Manifest)) []byte {
		m := manifest(t)
		change(&m)
		return sign(t, m, s)
	}
	for name, tc := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":                   {nil, "no signature"},
		"unsigned":                  {good[:at], "no signature"},
		"cut off":                   {good[:len(good)-20], "cut off"},
		"cut off in the manifest":   {good[1:], "not of what it says"},
		"another version":           {bytes.Replace(good, []byte(`"v2"`), []byte(`"v3"`), 1), "not of what it says"},
		"swapped parts":             {bytes.Replace(bytes.Replace(bytes.Replace(good, []byte(`"root"`), []byte(`"swap"`), 1), []byte(`"boot"`), []byte(`"root"`), 1), []byte(`"swap"`), []byte(`"boot"`), 1), "not of what it says"},
		"another's signature":       {append(bytes.Clone(good[:at]), sign(t, Manifest{}, s)[bytes.Index(sign(t, Manifest{}, s), begin):]...), "not of what it says"},
		"something behind":          {append(bytes.Clone(good), "more"...), "follows"},
		"another kind of block":     {bytes.ReplaceAll(good, []byte(sigBlock), []byte("SSH SIGNATURES")), "no signature"},
		"too large":                 {make([]byte, MaxSize+1), "more than"},
		"no pieces":                 {changed(func(m *Manifest) { m.Root.Pieces = nil }), "the root file system: it has"},
		"a size that is not theirs": {changed(func(m *Manifest) { m.Boot.Size = 1 << 62 }), "the boot partition: it has"},
		"a version for a terminal":  {changed(func(m *Manifest) { m.Version = "\x1b[2J" }), "not a word"},
	} {
		if m, key, err := Open(tc.text); err == nil || m != nil || key != "" || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %q, %v; want %q", name, m, key, err, tc.want)
		}
	}
}

// ssh-keygen checks what is signed here, signs what is checked here, and reads the keys.
// A signature for something else than an update is none.
func TestSSHKeygen(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		const why = "ssh-keygen is not installed: sudo apt-get install openssh-client"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	keygen := func(stdin []byte, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if said, err := keygen(nil, "-q", "-t", "ed25519", "-N", "", "-f", "key"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	s, err := LoadSigner(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if said, err := keygen(nil, "-l", "-f", "key.pub"); err != nil || !strings.Contains(said, s.Key().Fingerprint()) {
		t.Errorf("the key is %s, %v; want %s", said, err, s.Key().Fingerprint())
	}
	text := sign(t, manifest(t), s)
	at := bytes.Index(text, begin)
	for name, content := range map[string][]byte{"sig": text[at:], "signers": []byte("me " + s.Key() + "\n"), "message": text[:at]} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := keygen(text[:at], "-Y", "verify", "-f", "signers", "-I", "me", "-n", namespace, "-s", "sig"); err != nil {
		t.Errorf("it does not take what is signed here: %v: %s", err, said)
	}
	for _, ns := range []string{namespace, "git"} {
		if said, err := keygen(nil, "-Y", "sign", "-f", "key", "-n", ns, "message"); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		sig, err := os.ReadFile(filepath.Join(dir, "message.sig"))
		if err != nil {
			t.Fatal(err)
		}
		_, key, err := Open(append(bytes.Clone(text[:at]), sig...))
		if ns == namespace && (err != nil || key != s.Key()) || ns != namespace && err == nil {
			t.Errorf("signed by ssh-keygen for %s: %s, %v", ns, key, err)
		}
		if err := os.Remove(filepath.Join(dir, "message.sig")); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := keygen(nil, "-q", "-p", "-N", "a password", "-f", "key"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if _, err := LoadSigner(filepath.Join(dir, "key")); err == nil || !strings.Contains(err.Error(), "locked by a password") {
		t.Errorf("a locked key: %v", err)
	}
}

func TestReader(t *testing.T) {
	c := describe(t, rootPart)
	if got, err := io.ReadAll(c.Reader(iotest.HalfReader(bytes.NewReader(append(bytes.Clone(rootPart), "more"...))))); err != nil || !bytes.Equal(got, rootPart) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(rootPart))
	}
	changed := bytes.Clone(rootPart)
	changed[len(changed)-1] ^= 1 // in the second piece
	got, err := io.ReadAll(c.Reader(bytes.NewReader(changed)))
	if !errors.Is(err, ErrChanged) || !bytes.Equal(got, rootPart[:PieceSize]) {
		t.Errorf("a changed piece: %d bytes, %v; want those of the piece before", len(got), err)
	}
	got, err = io.ReadAll(c.Reader(bytes.NewReader(rootPart[:PieceSize])))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, rootPart[:PieceSize]) {
		t.Errorf("half a part: %d bytes, %v", len(got), err)
	}
}

func TestKeys(t *testing.T) {
	a, b := newSigner(t).Key(), newSigner(t).Key()
	text := "# those of whom\n\n" + string(FormatKeys([]Entry{{Key: a}})) + string(b) + " me@home\r\n"
	want := []Entry{{Key: a}, {b, "me@home"}}
	if got, err := ParseKeys([]byte(text)); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseKeys(FormatKeys(want)); err != nil || !cmp.Equal(got, want) {
		t.Errorf("formatted and read: %v, %v", got, err)
	}
	if e, err := ParseEntry(string(a) + " " + strings.Repeat("é", maxComment)); err != nil || e.Comment != strings.Repeat("é", maxComment/2) {
		t.Errorf("a long comment: %q, %v", e.Comment, err)
	}
	if got, err := ParseKeys([]byte("damaged\n" + string(a))); err == nil || !cmp.Equal(got, want[:1]) {
		t.Errorf("beside a damaged line: %v, %v", got, err)
	}
	if got, err := ParseKeys([]byte("#\n")); !errors.Is(err, ErrNoKeys) || got != nil {
		t.Errorf("a file without a key: %v, %v", got, err)
	}
	rsa := "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC8"
	for _, bad := range []string{"", "ssh-ed25519", string(a) + "\n" + string(b), `command="x" ` + string(a), rsa} {
		if e, err := ParseEntry(bad); err == nil {
			t.Errorf("%q is the key %s", bad, e.Key)
		}
	}
}

// Programs that need the key at the same time for the first time have the same one, which
// nobody else can read.
func TestLoadOrMakeSigner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pushcam", "update-key")
	if _, err := LoadSigner(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is none: %v", err)
	}
	keys, made := make([]Key, 4), make([]bool, 4)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			s, m, err := LoadOrMakeSigner(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i], made[i] = s.Key(), m
		})
	}
	all.Wait()
	makers := 0
	for i := range keys {
		if keys[i] == "" || keys[i] != keys[0] {
			t.Errorf("there are two keys: %v", keys)
		}
		if made[i] {
			makers++
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || makers != 1 {
		t.Errorf("%v, %v; made %d times", info.Mode(), err, makers)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, made, err := LoadOrMakeSigner(t.Context(), path); err == nil || made || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Errorf("a damaged one: %v, made anew: %v", err, made)
	}
}

// Whatever is opened is what a key has signed, and its parts make sense.
func FuzzOpen(f *testing.F) {
	s := newSigner(f)
	for _, m := range []Manifest{manifest(f), {}} {
		f.Add(sign(f, m, s))
	}
	f.Add([]byte("{}\n-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, key, err := Open(text)
		if err != nil {
			return
		}
		if _, err := ParseEntry(string(key)); err != nil {
			t.Error(err)
		}
		for _, c := range []Content{m.Root, m.Boot} {
			if c.Size <= 0 || int64(len(c.Pieces)-1)*PieceSize >= c.Size || int64(len(c.Pieces))*PieceSize < c.Size {
				t.Errorf("%d bytes in %d pieces", c.Size, len(c.Pieces))
			}
		}
	})
}

// The manifest itself is fuzzed without its signature, which no fuzzer can make.
func FuzzManifest(f *testing.F) {
	s := newSigner(f)
	text := sign(f, manifest(f), s)
	f.Add(text[:bytes.Index(text, begin)])
	f.Add([]byte(`{"product":"pushcam","root":{"size":1,"pieces":[""]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		sig, err := s.sign(text)
		if err != nil {
			t.Fatal(err)
		}
		m, key, err := Open(append(bytes.Clone(text), sig...))
		if err != nil {
			return
		}
		if key != s.Key() {
			t.Errorf("it is signed by %s", key)
		}
		if _, err := io.Copy(io.Discard, m.Root.Reader(bytes.NewReader(nil))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a part without its bytes: %v", err)
		}
	})
}
