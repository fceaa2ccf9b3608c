// Package secret holds the server's secret and everything derived from it:
// digests that find API keys, sealing of what must be read back, and
// credentials of sessions that need no memory.
//
// One 32-byte secret is stored in a file that only its owner can read. It is
// never used itself: every purpose has a key of its own, derived by HKDF-SHA-256,
// so that what one purpose shows tells nothing about another. The same secret on
// every node means the same digests and openable seals on every node.
//
//	s, err := secret.Load("/var/lib/weir/secret")
//	digest := s.Digest(apiKeyValue)
//	sealed := s.Seal([]byte(apiKeyValue), "apikey/"+id)
package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// size of the secret and of every key derived from it, in bytes.
const size = 32

// Secret is the server's secret with the keys derived from it. Safe for
// concurrent use; made by Load, Create or Random. It prints as its id only.
type Secret struct {
	id       [4]byte
	check    []byte
	digester digester
	sealer   sealer
	session  []byte // key that makes a session's secret key
}

// Random returns a new secret that is kept nowhere: for tests, and for servers
// that forget everything when they stop.
func Random() *Secret {
	var master [size]byte
	rand.Read(master[:])
	return derive(master[:])
}

// derive makes the keys of all purposes. The names are part of what is stored
// in databases: they never change.
func derive(master []byte) *Secret {
	key := func(purpose string, n int) []byte {
		k, err := hkdf.Key(sha256.New, master, nil, "weir/"+purpose, n)
		if err != nil {
			panic("secret: " + err.Error()) // only for a length that HKDF cannot make
		}
		return k
	}
	s := &Secret{
		check:   key("check/1", size),
		session: key("session/1", size),
	}
	copy(s.id[:], key("id/1", len(s.id)))
	s.digester.init(key("digest/1", size))
	s.sealer.init(key("seal/1", size), s.id)
	return s
}

// ID names the secret without telling it: 8 hexadecimal digits, safe to print
// and to store. Two different secrets may share an ID by chance (1 in 4 billion);
// CheckValue tells them apart.
func (s *Secret) ID() string { return hex.EncodeToString(s.id[:]) }

// CheckValue returns 32 bytes that a database keeps to recognise the secret it
// was written under. They tell nothing about the secret or its other keys.
func (s *Secret) CheckValue() []byte { return append([]byte(nil), s.check...) }

// Matches says whether check is this secret's CheckValue.
func (s *Secret) Matches(check []byte) bool { return hmac.Equal(s.check, check) }

// String returns "secret " and the ID.
func (s *Secret) String() string { return "secret " + s.ID() }

// Format prints String for every verb, so that no %+v and no %#v shows a key.
func (s *Secret) Format(f fmt.State, verb rune) { fmt.Fprint(f, s.String()) }

// LogValue implements slog.LogValuer: the ID and nothing else.
func (s *Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// RandomAccessKey returns new credentials of AWS's form: an id of 20
// characters that begins with AKIA, and a secret of 40 characters with 240
// random bits. They are not derived from any Secret; whoever asked keeps them.
func RandomAccessKey() (id, secretKey string) {
	var b [30]byte
	rand.Read(b[:])
	return accessKeyID("AKIA"), base64.StdEncoding.EncodeToString(b[:])
}

// accessKeyID returns prefix and 16 random characters of AWS's alphabet.
func accessKeyID(prefix string) string {
	var b [10]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}
