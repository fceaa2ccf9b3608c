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
	folders *xsync.Map[string, string] // by digest
}

func newCodeCache(dir string, read func(context.Context, string) ([]byte, error)) *codeCache {
	c := &codeCache{read: read, folders: xsync.NewMap[string, string]()}
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
// it, as long as life lasts, and the others wait.
func (c *codeCache) folder(ctx, life context.Context, sha string) (string, error) {
	if dir, ok := c.folders.Load(sha); ok {
		return dir, nil
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
	if dir, ok := c.folders.Load(sha); ok {
		return dir, nil
	}
	digest, err := base64.StdEncoding.DecodeString(sha)
	if err != nil || len(digest) == 0 {
		return "", fmt.Errorf("function: code digest %q is not base64", sha)
	}
	zip, err := c.read(ctx, sha)
	if err != nil {
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	parent, err := c.dir()
	if err != nil {
		return "", fmt.Errorf("function: code folder: %w", err)
	}
	aside := filepath.Join(parent, ".unpacking-"+rand.Text())
	if err := unzip(zip, aside); err != nil {
		os.RemoveAll(aside)
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	dir := filepath.Join(parent, hex.EncodeToString(digest))
	if err := os.Rename(aside, dir); err != nil {
		os.RemoveAll(aside)
		return "", fmt.Errorf("function: code %s: %w", sha, err)
	}
	c.folders.Store(sha, dir)
	return dir, nil
}
