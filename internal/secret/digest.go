package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// digester makes HMACs without allocating: a keyed hash is costly to set up and
// cheap to reset.
type digester struct {
	idle sync.Pool
}

// mac is one keyed hash with the room that a call needs, so that nothing
// escapes to the heap for it.
type mac struct {
	hash hash.Hash
	room [128]byte // API key values have up to 128 characters
	sum  [sha256.Size]byte
}

func (d *digester) init(key []byte) {
	d.idle.New = func() any { return &mac{hash: hmac.New(sha256.New, key)} }
}

// Digest returns the HMAC-SHA-256 of value, by which a key is found without
// being kept. Any length is accepted; it does not allocate.
func (s *Secret) Digest(value string) [sha256.Size]byte {
	m := s.digester.idle.Get().(*mac)
	m.hash.Reset()
	for len(value) > 0 {
		n := copy(m.room[:], value)
		m.hash.Write(m.room[:n])
		value = value[n:]
	}
	m.hash.Sum(m.sum[:0])
	sum := m.sum
	clear(m.room[:])
	s.digester.idle.Put(m)
	return sum
}
