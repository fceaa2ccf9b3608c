//go:build !unix

package app

import "os"

// alive reports whether a process is there: these systems fail to find one
// that is not.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
