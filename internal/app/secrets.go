package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"weir/internal/catalog"
	"weir/internal/control"
	"weir/internal/control/protocol"
	"weir/internal/secret"
	"weir/internal/store"
)

// AccessKey is a pair that signs management calls.
type AccessKey struct {
	ID     string `json:"accessKeyId"`
	Secret string `json:"secretAccessKey"`
}

func rootKeyFile(data string) string { return filepath.Join(data, rootKeyName) }

// RootAccessKey reads the root access key that the first start made. Only the
// owner of the data folder can.
func RootAccessKey(data string) (AccessKey, error) {
	var k AccessKey
	text, err := os.ReadFile(rootKeyFile(data))
	if err != nil {
		return k, fmt.Errorf("reading the root access key: %w", err)
	}
	if err := json.Unmarshal(text, &k); err != nil || k.ID == "" || k.Secret == "" {
		return k, fmt.Errorf("%s does not hold an access key: remove it and restart the server to have a new one made", rootKeyFile(data))
	}
	return k, nil
}

// CreateSecret writes a new server secret to a file, for the nodes that will
// share it, and gives its id. A file that is there is not touched.
func CreateSecret(file string) (id string, err error) {
	s, err := secret.Create(file)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s is there already: name a new file, or remove that one if no data was stored under it: %w", file, err)
	}
	if err != nil {
		return "", err
	}
	return s.ID(), nil
}

// loadSecret loads the server secret and the root access key, making what the
// first start has to make, and refuses a secret that is not the one this store
// was filled under: every key would be unknown.
func (a *App) loadSecret(ctx context.Context) error {
	file := secretPath(a.o.Data, a.o.SecretFile)
	s, err := secret.Load(file)
	switch absent := errors.Is(err, fs.ErrNotExist); {
	case absent && a.o.SecretFile == "":
		s, err = secret.Create(file)
	case absent && a.o.Database != "":
		err = fmt.Errorf("%w: copy the one of the other nodes there, or make the first with 'weir secret create %s'", err, file)
	}
	if err != nil {
		return fmt.Errorf("the server secret: %w", err)
	}
	a.secret = s
	check, err := a.kept(ctx, secretCheck, func() ([]byte, error) { return s.CheckValue(), nil })
	if err != nil {
		return err
	}
	if !s.Matches(check) {
		return errOtherSecret(file, a.where())
	}
	a.root, err = RootAccessKey(a.o.Data)
	if a.o.Database != "" {
		return a.shareRootKey(ctx)
	}
	if errors.Is(err, fs.ErrNotExist) {
		a.root.ID, a.root.Secret = secret.RandomAccessKey()
		err = writeOwnerOnly(rootKeyFile(a.o.Data), a.root)
	}
	return err
}

// What the store keeps for the secrets, by name.
const (
	secretCheck   = "secret-check"
	sharedRootKey = "root-access-key" // sealed; only where nodes share the store
)

// kept gives what the store keeps under a name. When it keeps nothing yet, it
// keeps what first gives, on every node the same.
func (a *App) kept(ctx context.Context, name string, first func() ([]byte, error)) (value []byte, err error) {
	look := func(tx *store.Tx) (err error) {
		value, err = tx.Meta(name)
		return err
	}
	if err := a.store.View(ctx, look); err != nil || value != nil {
		return value, err
	}
	err = a.store.Update(ctx, func(tx *store.Tx) error {
		if err := look(tx); err != nil || value != nil {
			return err
		}
		if value, err = first(); err != nil {
			return err
		}
		return tx.SetMeta(name, value)
	})
	return value, err
}

// shareRootKey takes the root access key that all nodes have, and writes it into
// this node's data folder, where the commands look for it. The first node gives
// it: the one that its folder has, or a new one.
func (a *App) shareRootKey(ctx context.Context) error {
	own := a.root
	sealed, err := a.kept(ctx, sharedRootKey, func() ([]byte, error) {
		first := own
		if first.ID == "" {
			first.ID, first.Secret = secret.RandomAccessKey()
		}
		text, err := json.Marshal(first)
		return a.secret.Seal(text, "meta/"+sharedRootKey), err
	})
	if err != nil {
		return err
	}
	text, err := a.secret.Open(sealed, "meta/"+sharedRootKey)
	if err == nil {
		err = json.Unmarshal(text, &a.root)
	}
	if err != nil {
		return fmt.Errorf("the root access key in %s cannot be opened: %w", a.where(), err)
	}
	if a.root == own {
		return nil
	}
	return writeOwnerOnly(rootKeyFile(a.o.Data), a.root)
}

func errOtherSecret(file, data string) error {
	return fmt.Errorf("the secret in %s is not the one that the data in %s was stored under, so no API key would be found: put the right file back or name it with --secret-file", file, data)
}

// writeOwnerOnly writes v as JSON in one step, so that a reader never sees half
// of it, and a power cut leaves the whole or nothing; only the owner may read it.
func writeOwnerOnly(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return store.WriteDurably(file, append(text, '\n'))
}

// credentials finds who an access key belongs to: the root, or a function's
// session.
func (a *App) credentials(accessKeyID, token string, now time.Time) (string, protocol.Caller, error) {
	if token == "" {
		if accessKeyID != a.root.ID {
			return "", protocol.Caller{}, control.ErrUnknownKey
		}
		return a.root.Secret, protocol.Caller{
			ARN: "arn:aws:iam::" + a.o.Account + ":root", UserID: a.o.Account, Account: a.o.Account, Root: true,
		}, nil
	}
	key, session, err := a.secret.OpenSession(accessKeyID, token, now)
	switch {
	case errors.Is(err, secret.ErrExpired):
		return "", protocol.Caller{}, control.ErrExpiredToken
	case err != nil:
		return "", protocol.Caller{}, control.ErrUnknownKey
	}
	return key, protocol.Caller{ARN: session.ARN, UserID: session.UserID, Account: session.Account}, nil
}

// sessionLifetime is how long a function's credentials are good. An execution
// environment does not live that long.
const sessionLifetime = 12 * time.Hour

// session gives a function credentials of its own, never the root key: those
// of its role, in a session called by the function's name.
func (a *App) session(fn catalog.Function) (accessKeyID, secretKey, token string) {
	role := path.Base(fn.Role)
	return a.secret.IssueSession(secret.Session{
		ARN:     "arn:aws:sts::" + a.o.Account + ":assumed-role/" + role + "/" + fn.Name,
		UserID:  "AROA" + role + ":" + fn.Name,
		Account: a.o.Account,
		Expires: time.Now().Add(sessionLifetime),
	})
}
