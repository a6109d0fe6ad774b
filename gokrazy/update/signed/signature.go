package signed

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// What ssh-keygen -Y sign makes (OpenSSH's PROTOCOL.sshsig).
const (
	sigBlock   = "SSH SIGNATURE"
	sigMagic   = "SSHSIG"
	sigVersion = 1
	sigHash    = "sha512"
	// namespace keeps what an ssh key has signed elsewhere, as commits of git, from
	// being taken for an update, and the other way round.
	namespace = "pushcam-update"
)

// sshSignature is the content of the block, behind sigMagic.
type sshSignature struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// signedBytes are what the key itself signs.
func signedBytes(text []byte) []byte {
	sum := sha512.Sum512(text)
	return append([]byte(sigMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{namespace, "", sigHash, sum[:]})...)
}

// sign is the signature of text, as a block of PEM.
func (s *Signer) sign(text []byte) ([]byte, error) {
	sig, err := s.signer.Sign(rand.Reader, signedBytes(text)) // Ed25519 needs no random numbers
	if err != nil {
		return nil, fmt.Errorf("sign the update: %w", err)
	}
	content := append([]byte(sigMagic), ssh.Marshal(sshSignature{
		Version: sigVersion, PublicKey: s.signer.PublicKey().Marshal(), Namespace: namespace, Hash: sigHash, Signature: ssh.Marshal(sig),
	})...)
	return pem.EncodeToMemory(&pem.Block{Type: sigBlock, Bytes: content}), nil
}

var errSignature = errors.New("its signature is not one of ssh's for an update")

// verify returns the key that has signed text, whoever's it is.
func verify(text []byte, sig *pem.Block) (Key, error) {
	content, ok := bytes.CutPrefix(sig.Bytes, []byte(sigMagic))
	var s sshSignature
	if sig.Type != sigBlock || !ok || ssh.Unmarshal(content, &s) != nil ||
		s.Version != sigVersion || s.Namespace != namespace || s.Reserved != "" || s.Hash != sigHash {
		return "", errSignature
	}
	public, err := ssh.ParsePublicKey(s.PublicKey)
	var made ssh.Signature
	if err != nil || public.Type() != ssh.KeyAlgoED25519 || ssh.Unmarshal(s.Signature, &made) != nil || len(made.Rest) > 0 {
		return "", errSignature
	}
	if err := public.Verify(signedBytes(text), &made); err != nil {
		return "", errors.New("its signature is not of what it says: it was changed, or damaged on its way")
	}
	return keyOf(public), nil
}
