//go:build !linux

package app

// fileSystem knows nothing of the file systems here.
func fileSystem(string) (kind, why string) { return "", "" }

// clockSynchronised cannot tell here.
func clockSynchronised() (synced, known bool) { return false, false }
