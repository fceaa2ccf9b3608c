package sandbox

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes(p *Process) *syscall.SysProcAttr {
	p.pidfd = -1
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &p.pidfd}
}

// restrict lowers the limits of a process that has just begun. Go cannot set
// them between fork and exec; the first microseconds run with ours.
func restrict(pid int) {
	files := unix.Rlimit{Cur: MaxOpenFiles, Max: MaxOpenFiles}
	_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &files, nil)
	none := unix.Rlimit{}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &none, nil)
}

// sealDescriptors marks what whoever started us left open. Go marks what it
// opens itself.
func sealDescriptors() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

func (p *Process) killGroup() { _ = syscall.Kill(-p.PID, syscall.SIGKILL) }

func (p *Process) reap() (*os.ProcessState, error) {
	p.awaitExit()
	p.mu.Lock()
	defer p.mu.Unlock()
	// The process ended but is not reaped, so its number, which is also the
	// group's, cannot have been given to another.
	p.killGroup()
	p.ended = true
	if p.status != nil {
		p.status.Close()
	}
	return p.proc.Wait()
}

// awaitExit waits without a thread: a process descriptor becomes readable when
// the process ends, so Go's poller watches a thousand of them for the price of
// one. Where that fails a thread waits.
func (p *Process) awaitExit() {
	if p.pidfd >= 0 && p.awaitReadable() {
		return
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

func (p *Process) awaitReadable() bool {
	if unix.SetNonblock(p.pidfd, true) != nil {
		_ = unix.Close(p.pidfd)
		return false
	}
	f := os.NewFile(uintptr(p.pidfd), "pidfd")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	exited := false
	err = raw.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		// With WNOHANG and nothing to report the kernel leaves Signo 0; a
		// non-blocking descriptor may say EAGAIN instead.
		exited = err == nil && info.Signo != 0
		return exited || (err != nil && err != unix.EAGAIN && err != unix.EINTR)
	})
	return err == nil && exited
}

// PeakMemory is the largest resident size that the process had so far, in
// bytes; after its end, what was known last. (The number in its resource usage
// is no use: it counts weir's own memory between fork and exec.)
func (p *Process) PeakMemory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.notePeakLocked()
	}
	return p.peak
}

func (p *Process) notePeakLocked() {
	if p.status == nil {
		f, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/status")
		if err != nil {
			return
		}
		p.status = f
	}
	n, _ := p.status.ReadAt(p.space[:], 0)
	if kb, ok := field(p.space[:n], "VmHWM:"); ok {
		p.peak = kb << 10
	}
}

// field finds a number of /proc/<pid>/status.
func field(status []byte, name string) (int64, bool) {
	i := bytes.Index(status, []byte(name))
	if i < 0 {
		return 0, false
	}
	var n int64
	digits := false
	for _, c := range status[i+len(name):] {
		switch {
		case '0' <= c && c <= '9':
			n, digits = n*10+int64(c-'0'), true
		case digits:
			return n, true
		}
	}
	return 0, false
}
