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
// source. from is the seed to begin at: it saves time, no more.
var planted = []struct {
	name, file, is, becomes string
	from                    int
}{
	{
		"one call more than is left", "ledger.go",
		"a.Calls <= out.Left {", "a.Calls <= out.Left+1 {", 1,
	},
	{
		"what others hold counts as left", "ledger.go",
		"out.Left = out.Limit - s.Used - s.Own - s.Others", "out.Left = out.Limit - s.Used - s.Own", 871,
	},
	{
		"a batch is recorded twice", "ledger.go",
		"case newest:\n\t\treturn false, nil", "case newest:\n\t\treturn true, nil", 10,
	},
	{
		"what is given back counts twice", "flush.go",
		"counts[i].Release += s.release", "counts[i].Release += 2 * s.release", 12,
	},
	{
		"a lease outlives its period", "meter.go",
		"s.quota != q || mono >= s.until || usedOf(w) == mostUsed {", "s.quota != q || usedOf(w) == mostUsed {", 330,
	},
	{
		"a lease outlives an edit of its quota", "meter.go",
		"s.kind != leased || s.quota != q || mono >= s.until ||", "s.kind != leased || mono >= s.until ||", 70,
	},
	{
		"a share lasts longer on the node than in the pool", "share.go",
		"int64(a.Life-a.Life/10)", "int64(a.Life+a.Life/2)", 990,
	},
	{
		"a share that ended comes back full", "pool.go",
		"if q.New.Until <= next {", "if q.New.Until <= next {\n\t\t\t\tp.Tokens += q.New.Burst", 125,
	},
	{
		"a renewal is filled up without taking from the pool", "pool.go",
		"p.Tokens -= tokens", "p.Tokens -= 0 * tokens", 115,
	},
	{
		"an edit fills the bucket", "cell.go",
		"c.thaw(w, s, s.place(num, den, at))", "c.thaw(w, s, s.place(0*num, den, at))", 30,
	},
}

// The simulation is worth what it finds: each planted bug is compiled into it
// and has to be found.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the simulation for each bug")
	}
	if os.Getenv("SEED")+os.Getenv("SCHEDULES") != "" {
		t.Skip("the schedules are chosen by hand")
	}
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join("..", bug.file))
			if err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), bug.is); n != 1 {
				t.Fatalf("%s has %d times %q: plant the bug in the line that took its place", bug.file, n, bug.is)
			}
			changed := filepath.Join(t.TempDir(), bug.file)
			if err := os.WriteFile(changed, []byte(strings.Replace(string(source), bug.is, bug.becomes, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(list, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", list, "-count=1", "-vet=off", "-failfast", "-v", "-run", "^TestSchedules$", ".")
			cmd.Env = append(os.Environ(), "SCHEDULES=2000", fmt.Sprintf("SEED=%d", bug.from), "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "schedules with too many") {
				t.Fatalf("not found: %v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "too many; calls") || strings.Contains(line, "the ledger has") || strings.Contains(line, "schedules,") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
