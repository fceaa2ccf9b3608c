//go:build darwin || linux

package app

import "golang.org/x/sys/unix"

// freeSpace is how many bytes this user may still write on the file system of
// a folder; ok is false where nobody knows.
func freeSpace(dir string) (bytes uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}

// writable says whether this user may make files in a folder.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
