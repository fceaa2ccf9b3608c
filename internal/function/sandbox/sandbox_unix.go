//go:build unix && !linux

package sandbox

import (
	"os"
	"syscall"
)

func attributes(*Process) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func restrict(int) {}

func sealDescriptors() {}

func (p *Process) killGroup() { _ = syscall.Kill(-p.PID, syscall.SIGKILL) }

// reap ends the group after its leader's number is free again: the number may
// belong to another by then, which takes a full turn of the system's counter.
func (p *Process) reap() (*os.ProcessState, error) {
	state, err := p.proc.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.killGroup()
	return state, err
}

// PeakMemory is not known here.
func (p *Process) PeakMemory() int64 { return p.peak }

func (p *Process) notePeakLocked() {}
