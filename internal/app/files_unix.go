//go:build unix

package app

import (
	"math"

	"golang.org/x/sys/unix"
)

// fileLimit is how many files this process may have open. Go has raised the
// soft limit to the hard one by the time it is asked.
func fileLimit() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return int(min(uint64(r.Cur), math.MaxInt32))
}
