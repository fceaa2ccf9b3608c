package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"weir/internal/gateway/message"
)

// newIDs makes a request id (a random UUID) and an extended request id in the
// form of AWS's: 16 characters of which the last is "=". They name requests
// and open nothing, so they need not be secret, only distinct.
func newIDs() (id, extended string) {
	const uuid = 36
	var random [16 + 11]byte
	binary.LittleEndian.PutUint64(random[0:], rand.Uint64())
	binary.LittleEndian.PutUint64(random[8:], rand.Uint64())
	binary.LittleEndian.PutUint64(random[16:], rand.Uint64())
	binary.LittleEndian.PutUint32(random[23:], rand.Uint32())
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80

	var text [uuid + 16]byte
	hex.Encode(text[0:], random[0:4])
	text[8] = '-'
	hex.Encode(text[9:], random[4:6])
	text[13] = '-'
	hex.Encode(text[14:], random[6:8])
	text[18] = '-'
	hex.Encode(text[19:], random[8:10])
	text[23] = '-'
	hex.Encode(text[24:], random[10:16])
	base64.URLEncoding.Encode(text[uuid:], random[16:])
	both := string(text[:])
	return both[:uuid], both[uuid:]
}

// identify gives a request its ids. A caller's own x-amzn-RequestId is taken
// when it is a UUID, as AWS does.
func identify(req *message.Request) {
	req.ID, req.ExtendedID = newIDs()
	if sent, ok := req.Header.Last("x-amzn-RequestId"); ok && isUUID(sent) {
		req.ID = sent
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
