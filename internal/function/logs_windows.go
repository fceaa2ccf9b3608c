package function

import "os"

func (l *logs) open() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.pipe, l.buffer = r, make([]byte, 16<<10)
	l.mu.Unlock()
	return w, nil
}

func (l *logs) read() {
	l.mu.Lock()
	pipe, buffer := l.pipe, l.buffer
	l.mu.Unlock()
	if pipe == nil {
		return
	}
	for {
		n, err := pipe.Read(buffer)
		l.mu.Lock()
		l.takeLocked(buffer[:n])
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// drainLocked has no way to ask a Windows pipe what it holds: a line written
// just before the answer may come after END there.
func (l *logs) drainLocked() {}
