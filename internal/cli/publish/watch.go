package publish

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"time"
)

// lookEvery is how often Watch looks. Half a second is soon enough for a
// person, and costs one walk of the folder.
const lookEvery = 500 * time.Millisecond

// Watch calls changed whenever what is published of a folder has changed, until
// ctx ends. It waits for the folder to be still first, so that it does not see
// half of what an editor or a build writes.
func Watch(ctx context.Context, folder string, changed func()) {
	last, published := fingerprint(folder), fingerprint(folder)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := fingerprint(folder)
		if now == last && now != published {
			published = now
			changed()
		}
		last = now
	}
}

// fingerprint changes when a name, a size or a time in a folder does. What
// cannot be read counts as it is seen.
func fingerprint(folder string) uint64 {
	h := fnv.New64a()
	_ = fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			fmt.Fprintln(h, name, err)
			return nil
		case name != "." && skipped(name) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || skipped(name):
			return nil
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(h, name, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return nil
	})
	return h.Sum64()
}
