package sandbox

import (
	"os"
	"syscall"
)

func attributes(*Process) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func restrict(int) {}

func sealDescriptors() {}

// killGroup ends the process alone: Windows has no process groups of this kind.
func (p *Process) killGroup() { _ = p.proc.Kill() }

func (p *Process) reap() (*os.ProcessState, error) {
	state, err := p.proc.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	return state, err
}

// PeakMemory is not known here.
func (p *Process) PeakMemory() int64 { return p.peak }

func (p *Process) notePeakLocked() {}
