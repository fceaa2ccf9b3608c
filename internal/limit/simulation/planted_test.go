//go:build !race

package simulation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted are bugs that a hurried hand might make, each as an edit of limit's
// source: planted(right, wrong) is what is right unless this bug is chosen.
// from is the seed to begin at: it saves time.
var planted = []struct {
	name, file, is, becomes string
	from                    int
}{
	{
		"one call more than is left", "ledger.go",
		"a.Calls <= out.Left {", "a.Calls <= planted(out.Left, out.Left+1) {", 1,
	},
	{
		"what is given back counts twice", "flush.go",
		"counts[i].Release += t.release", "counts[i].Release += planted(t.release, 2*t.release)", 12,
	},
	{
		"a batch is recorded twice", "ledger.go",
		"case newest:\n\t\treturn false, nil", "case newest:\n\t\treturn planted(false, true), nil", 10,
	},
	{
		"an edit fills the bucket", "cell.go",
		"c.thaw(w, s, s.place(num, den, at))", "c.thaw(w, s, s.place(planted(num, 0), den, at))", 30,
	},
	{
		"a lease outlives an edit of its quota", "meter.go",
		"s.kind != leased || s.quota != q ||", "s.kind != leased || planted(s.quota != q, false) ||", 70,
	},
	{
		"a renewal is filled up without taking from the pool", "pool.go",
		"p.Tokens -= tokens", "p.Tokens -= planted(tokens, 0)", 393,
	},
	{
		"a share that ended comes back full", "pool.go",
		"if q.New.Until <= next {", "if q.New.Until <= next {\n\t\t\t\tp.Tokens += planted(0, q.New.Burst)", 27277, // it takes a large burst and a node that fails: about one seed in 950
	},
	{
		"a lease outlives its period", "meter.go",
		"mono >= s.until || usedOf(w) == mostUsed {", "planted(mono >= s.until, false) || usedOf(w) == mostUsed {", 330,
	},
	{
		"what others hold counts as left", "ledger.go",
		"out.Left = out.Limit - s.Used - s.Own - s.Others", "out.Left = out.Limit - s.Used - s.Own - planted(s.Others, 0)", 871,
	},
	{
		"a share lasts longer on the node than in the pool", "share.go",
		"int64(a.Life-a.Life/10)", "int64(planted(a.Life-a.Life/10, a.Life+a.Life/2))", 1074,
	},
}

// choice is added to limit's source: a number in the environment chooses the
// bug, so that one build serves for all.
const choice = `package limit

import "os"

var chosen = os.Getenv("PLANTED")

func planted[T any](bug string, right, wrong T) T {
	if bug == chosen {
		return wrong
	}
	return right
}
`

// The simulation is worth what it finds: each planted bug is compiled into it
// and has to be found.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the simulation with the bugs")
	}
	if os.Getenv("SEED")+os.Getenv("SCHEDULES") != "" {
		t.Skip("the schedules are chosen by hand")
	}
	program := plantAll(t)
	for i, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, "-test.failfast", "-test.v", "-test.run", "^TestSchedules$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("PLANTED=%d", i), fmt.Sprintf("SEED=%d", bug.from), "SCHEDULES=2000")
			out, err := cmd.CombinedOutput()
			_, found, _ := strings.Cut(string(out), "seed ")
			var seed uint64
			if _, none := fmt.Sscanf(found, "%d:", &seed); err == nil || none != nil || !strings.Contains(found, "schedules with too many") {
				t.Fatalf("not found: %v\n%s", err, out)
			}
			for line := range strings.Lines(found) {
				if strings.Contains(line, "too many; calls") || strings.Contains(line, "the ledger has") || strings.Contains(line, "schedules,") {
					t.Log(strings.TrimSpace(line))
				}
			}
			// It is the bug that was found: without it nothing is wrong there.
			s := draw(seed)
			play(t, s).report(t, s)
		})
	}
}

// plantAll compiles the simulation with all bugs in it, none of them chosen.
func plantAll(t *testing.T) (program string) {
	t.Helper()
	limit, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"planted.go": choice}
	for i, bug := range planted {
		if sources[bug.file] == "" {
			source, err := os.ReadFile(filepath.Join(limit, bug.file))
			if err != nil {
				t.Fatal(err)
			}
			sources[bug.file] = string(source)
		}
		if n := strings.Count(sources[bug.file], bug.is); n != 1 {
			t.Fatalf("%s: %s has %d times %q: plant the bug in the line that took its place", bug.name, bug.file, n, bug.is)
		}
		becomes := strings.ReplaceAll(bug.becomes, "planted(", fmt.Sprintf("planted(\"%d\", ", i))
		sources[bug.file] = strings.Replace(sources[bug.file], bug.is, becomes, 1)
	}
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for name, source := range sources {
		changed := filepath.Join(dir, name)
		if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][filepath.Join(limit, name)] = changed
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "planted.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", list, "-vet=off", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the bugs do not compile: %v\n%s", err, out)
	}
	return program
}
