package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// Session says whom temporary credentials stand for. No field is secret.
type Session struct {
	ARN     string // "arn:aws:sts::000000000000:assumed-role/role/timestamper"
	UserID  string // "AROA…:timestamper"
	Account string
	Expires time.Time
}

// maxToken bounds what OpenSession reads: a stranger's token is refused before
// it is decoded. AWS's own tokens stay below this.
const maxToken = 4096

// IssueSession makes temporary credentials of AWS's form: an access key id of
// 20 characters that begins with ASIA, a secret key of 40 characters, and a
// session token. Nothing is stored: the token is the session, sealed for its
// access key id, and the secret key follows from that id. So they hold on every
// node with this secret, and cannot be revoked before they expire. The strings
// of s together must stay well below 2,500 bytes, or the token is not accepted back.
func (s *Secret) IssueSession(session Session) (accessKey, secretKey, token string) {
	accessKey = accessKeyID("ASIA")
	text, err := json.Marshal(session)
	if err != nil {
		panic("secret: " + err.Error()) // strings and a time: only for a year beyond 9999
	}
	sealed := s.Seal(text, sessionContext(accessKey))
	return accessKey, s.sessionKey(accessKey), base64.StdEncoding.EncodeToString(sealed)
}

// OpenSession returns the secret key with which requests of these credentials
// must be signed, and whom they stand for. The error is ErrInvalid when the
// token was not issued for this access key id under this secret, and
// ErrExpired from session.Expires on; then session is filled in, for the record,
// and the secret key is not.
func (s *Secret) OpenSession(accessKey, token string, now time.Time) (secretKey string, session Session, err error) {
	if len(accessKey) != 20 || len(token) > maxToken {
		return "", Session{}, ErrInvalid
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", Session{}, ErrInvalid
	}
	text, err := s.Open(sealed, sessionContext(accessKey))
	if err != nil {
		return "", Session{}, ErrInvalid
	}
	if err := json.Unmarshal(text, &session); err != nil {
		return "", Session{}, ErrInvalid
	}
	if !now.Before(session.Expires) {
		return "", session, ErrExpired
	}
	return s.sessionKey(accessKey), session, nil
}

func sessionContext(accessKey string) string { return "session/" + accessKey }

// sessionKey derives the 40 characters that sign for an access key id.
func (s *Secret) sessionKey(accessKey string) string {
	m := hmac.New(sha256.New, s.session)
	m.Write([]byte(accessKey))
	return base64.StdEncoding.EncodeToString(m.Sum(nil)[:30])
}
