package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// What Seal returns: a version, the id of the secret (so that a rotation can
// tell old seals from new ones), a random nonce, and the sealed bytes with
// their tag.
const (
	sealVersion = 1
	idAt        = 1
	nonceAt     = idAt + 4
	nonceSize   = 12
	bodyAt      = nonceAt + nonceSize
)

// Errors of Open and OpenSession.
var (
	ErrInvalid = errors.New("not sealed under this secret for this use, or damaged")
	ErrExpired = errors.New("expired")
)

// OtherSecretError is Open's error for what another secret sealed. It is
// ErrInvalid too.
type OtherSecretError struct {
	ID string // of the secret that sealed it
}

func (e *OtherSecretError) Error() string { return "sealed under another secret, " + e.ID }

// Unwrap makes the error an ErrInvalid.
func (e *OtherSecretError) Unwrap() error { return ErrInvalid }

type sealer struct {
	aead cipher.AEAD
	id   [4]byte
}

func (s *sealer) init(key []byte, id [4]byte) {
	block, err := aes.NewCipher(key)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic("secret: " + err.Error()) // only for a key of the wrong length
	}
	s.id = id
}

// bound is what a seal vouches for besides its content: the place it was made
// for, and its own head.
func bound(head []byte, context string) []byte {
	return append(append(make([]byte, 0, len(head)+len(context)), head...), context...)
}

// Seal encrypts plain with AES-256-GCM under a random nonce. context says what
// it is and where it is kept ("apikey/abc123"); only the same context opens it,
// so that one entry's seal cannot be put into another's place. The result is 33
// bytes longer than plain.
func (s *Secret) Seal(plain []byte, context string) []byte {
	out := make([]byte, bodyAt, bodyAt+len(plain)+s.sealer.aead.Overhead())
	out[0] = sealVersion
	copy(out[idAt:], s.sealer.id[:])
	rand.Read(out[nonceAt:bodyAt])
	return s.sealer.aead.Seal(out, out[nonceAt:bodyAt], plain, bound(out[:nonceAt], context))
}

// Open returns what Seal was given. Whatever is wrong, the error is
// ErrInvalid; an *OtherSecretError names the secret when it was another one's.
func (s *Secret) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < bodyAt+s.sealer.aead.Overhead() || sealed[0] != sealVersion {
		return nil, ErrInvalid
	}
	if id := [4]byte(sealed[idAt:nonceAt]); id != s.sealer.id {
		return nil, &OtherSecretError{ID: fmt.Sprintf("%x", id)}
	}
	plain, err := s.sealer.aead.Open(nil, sealed[nonceAt:bodyAt], sealed[bodyAt:], bound(sealed[:nonceAt], context))
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}
