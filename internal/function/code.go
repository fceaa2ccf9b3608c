package function

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/sync/singleflight"
)

// codeCache holds functions' code unpacked, one folder for each zip by its
// digest. It is emptied at the start: unpacking again costs milliseconds, and
// so neither a crash in the middle of it nor years of updates leave anything.
type codeCache struct {
	dir     func() (string, error)
	read    func(ctx context.Context, sha string) ([]byte, error)
	flight  singleflight.Group
	folders *xsync.Map[string, unpacked] // by digest
}

// unpacked is a folder of code as it was left.
type unpacked struct {
	dir     string
	changed time.Time // of the folder itself, which changes with what is in it
}

// intact says whether a folder looks as it was left. A function of today may
// write to its folder; what it takes out of a folder below is not seen.
func (u unpacked) intact() bool {
	info, err := os.Stat(u.dir)
	return err == nil && info.ModTime().Equal(u.changed)
}

func look(dir string) (unpacked, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return unpacked{}, err
	}
	return unpacked{dir, info.ModTime()}, nil
}

func newCodeCache(dir string, read func(context.Context, string) ([]byte, error)) *codeCache {
	c := &codeCache{read: read, folders: xsync.NewMap[string, unpacked]()}
	c.dir = sync.OnceValues(func() (string, error) { return emptied(dir) })
	return c
}

func emptied(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// folder is where the code of a digest is unpacked; the first to ask unpacks
// it, as long as life lasts, and the others wait. What a function deleted of
// its own code is there again for the next environment.
func (c *codeCache) folder(ctx, life context.Context, sha string) (string, error) {
	if u, ok := c.folders.Load(sha); ok && u.intact() {
		return u.dir, nil
	}
	done := c.flight.DoChan(sha, func() (any, error) { return c.unpack(life, sha) })
	select {
	case r := <-done:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (c *codeCache) unpack(ctx context.Context, sha string) (string, error) {
	before, again := c.folders.Load(sha)
	if again && before.intact() {
		return before.dir, nil
	}
	digest, err := base64.StdEncoding.DecodeString(sha)
	if err != nil || len(digest) == 0 {
		return "", fmt.Errorf("function: code digest %q is not base64", sha)
	}
	zip, err := c.read(ctx, sha)
	if err != nil {
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	var dir string
	if again {
		dir, err = before.dir, restore(zip, before.dir)
	} else {
		dir, err = c.unpackNew(zip, hex.EncodeToString(digest))
	}
	if err != nil {
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	u, err := look(dir)
	if err != nil {
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	c.folders.Store(sha, u)
	return dir, nil
}

// unpackNew makes a folder that is there whole or not at all.
func (c *codeCache) unpackNew(zip []byte, name string) (string, error) {
	parent, err := c.dir()
	if err != nil {
		return "", err
	}
	aside := filepath.Join(parent, ".unpacking-"+rand.Text())
	dir := filepath.Join(parent, name)
	if err := unzip(zip, aside); err != nil {
		os.RemoveAll(aside)
		return "", err
	}
	if err := os.Rename(aside, dir); err != nil {
		os.RemoveAll(aside)
		return "", err
	}
	return dir, nil
}
