package app

import (
	"context"
	"fmt"
	"os"
)

// Verdict of a Finding.
type Verdict string

// The verdicts, from good to bad.
const (
	Fine    Verdict = "ok"
	Warning Verdict = "warn" // it works, and somebody should know
	Failing Verdict = "fail" // a server would not start, or not work
)

// Finding is one thing that Examine looked at.
type Finding struct {
	Check   string  `json:"check"` // "data folder"
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`        // what is the case
	Do      string  `json:"do,omitempty"` // what to do about it
}

// Examine looks at everything that a server with these options needs or meets:
// its addresses, its data folder, the interpreters of functions, the machine.
// It changes nothing, needs no running server, and looks at the one that runs
// on the data folder when there is one. o has been validated.
func Examine(ctx context.Context, o Options) []Finding {
	e := &examiner{o: o, proc: "/proc", sys: "/sys", searchPath: os.Getenv("PATH")}
	return e.examine(ctx)
}

// examiner collects findings.
type examiner struct {
	o          Options
	proc, sys  string // where the system tells of itself
	searchPath string // of interpreters
	running    *Running
	findings   []Finding
}

func (e *examiner) examine(ctx context.Context) []Finding {
	e.server(ctx)
	e.address(ctx, "gateway address", "--gateway-addr", e.o.GatewayAddr)
	e.address(ctx, "control address", "--control-addr", e.o.ControlAddr)
	there := e.folder()
	switch {
	case e.o.Database != "":
		e.postgres(ctx)
	case there:
		e.database()
		e.serverSecret()
	}
	if there {
		e.rootKey()
	}
	e.interpreters(ctx)
	e.sandbox()
	e.clock()
	e.files()
	e.memory()
	return e.findings
}

func (e *examiner) add(check string, v Verdict, do, found string, args ...any) {
	e.findings = append(e.findings, Finding{Check: check, Verdict: v, Found: fmt.Sprintf(found, args...), Do: do})
}

func (e *examiner) ok(check, found string, args ...any) { e.add(check, Fine, "", found, args...) }

// humanBytes is a size for people.
func humanBytes(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
