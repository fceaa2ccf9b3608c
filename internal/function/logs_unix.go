//go:build unix

package function

import (
	"os"
	"syscall"
)

// open makes the pipe. The caller gives the end that it gets to the process
// and closes it.
func (l *logs) open() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The process must not meet our non-blocking mode at its end.
	if err := syscall.SetNonblock(int(w.Fd()), false); err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	l.mu.Lock()
	l.pipe, l.raw, l.buffer = r, raw, make([]byte, 16<<10)
	l.mu.Unlock()
	return w, nil
}

// read takes what the process writes until the pipe ends. Reading and
// handling are one step under the lock, so that drainLocked meets either both
// or neither.
func (l *logs) read() {
	l.mu.Lock()
	raw := l.raw
	l.mu.Unlock()
	_ = raw.Read(func(fd uintptr) (done bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for {
			n, ended := l.readLocked(fd)
			if ended {
				return true
			}
			if n == 0 {
				return false
			}
		}
	})
}

// readLocked reads once. Nothing read and not ended: there is nothing now.
func (l *logs) readLocked(fd uintptr) (n int, ended bool) {
	for {
		n, err := syscall.Read(int(fd), l.buffer)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, false
		case err != nil || n == 0:
			return 0, true
		}
		l.takeLocked(l.buffer[:n])
		return n, false
	}
}

func (l *logs) drainLocked() {
	if l.pipe == nil {
		return
	}
	_ = l.raw.Control(func(fd uintptr) {
		for total := 0; total < maxDrain; {
			n, ended := l.readLocked(fd)
			if n == 0 || ended {
				return
			}
			total += n
		}
	})
}
