package publish

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFingerprintSeesWhatIsPublished(t *testing.T) {
	dir := folder(t, map[string]string{"main.py": "a", "lib/b.py": "b"})
	last := fingerprint(dir)
	for _, c := range []struct {
		name   string
		do     func() error
		change bool
	}{
		{"nothing", func() error { return nil }, false},
		{"an editor's file", func() error { return os.WriteFile(filepath.Join(dir, ".main.py.swp"), []byte("x"), 0o600) }, false},
		{"a compiled file", func() error {
			write(t, dir, map[string]string{"__pycache__/main.pyc": "x"})
			return nil
		}, false},
		{"a size", func() error { return os.WriteFile(filepath.Join(dir, "main.py"), []byte("ab"), 0o600) }, true},
		{"a time", func() error { return os.Chtimes(filepath.Join(dir, "lib/b.py"), time.Time{}, time.Unix(1, 0)) }, true},
		{"a name", func() error { return os.Rename(filepath.Join(dir, "main.py"), filepath.Join(dir, "other.py")) }, true},
		{"a file that is gone", func() error { return os.Remove(filepath.Join(dir, "lib/b.py")) }, true},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		now := fingerprint(dir)
		if (now != last) != c.change {
			t.Errorf("%s: seen as a change: %t", c.name, now != last)
		}
		last = now
	}
}

func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, t.TempDir(), func() { t.Error("nothing changed") })
	}()
	cancel()
	<-ended
}
