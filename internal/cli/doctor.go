package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newDoctor() *cobra.Command {
	var (
		d display
		o app.Options
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether a server has what it needs here, and say what to do",
		Long: `Look at everything that a server needs or meets on this machine: its addresses,
the data folder and the secrets in it, the interpreters of functions, what the
sandbox holds, the clock, the limits of files and memory, and the server that
runs, if one does. With --database it looks at PostgreSQL as well: whether it
keeps what it is told, through a failover too, and has room for the nodes. Each line is ok, warn (it works, and you should know) or fail
(a server would not start, or not work), and says what to do.

It changes nothing and needs no running server. Run it as the user who runs
weir, with the flags that the server has. The exit code is 1 when a line fails.`,
		Example: `  weir doctor
  weir doctor --data /var/lib/weir --gateway-addr :80
  weir doctor --database postgres://weir@db.internal/weir --secret-file /etc/weir/weir.secret
  weir doctor --json | jq '.findings[] | select(.verdict != "ok")'`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags(), "data", "gateway-addr", "control-addr", "database", "secret-file", "max-connections")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			o.Version = currentVersion().name()
			if err := o.Validate(); err != nil {
				return err
			}
			seen := examined{OK: true, Findings: app.Examine(c.Context(), o)}
			for _, f := range seen.Findings {
				seen.OK = seen.OK && f.Verdict != app.Failing
			}
			if err := d.once(c.OutOrStdout(), seen); err != nil {
				return err
			}
			if !seen.OK {
				return &failure{exitFailure, errors.New("something would not work: see the lines that fail")}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", defaultData(), "data folder of the server")
	f.StringVar(&o.GatewayAddr, "gateway-addr", ":8080", "address for callers")
	f.StringVar(&o.ControlAddr, "control-addr", "127.0.0.1:4566", "address for AWS's tools")
	f.StringVar(&o.Database, "database", "", "`URL` of the PostgreSQL database that nodes share (default: SQLite in the data folder)")
	f.StringVar(&o.SecretFile, "secret-file", "", "server secret (default: in the data folder)")
	f.IntVar(&o.MaxConnections, "max-connections", 0, "connections open at once on the gateway address (0: as serve chooses)")
	d.jsonFlag(c)
	return c
}

// examined is what doctor saw.
type examined struct {
	OK       bool          `json:"ok"` // nothing fails
	Findings []app.Finding `json:"findings"`
}

// print shows one line a finding, what to do below it, and the sum.
func (e examined) print(s *screen) {
	styles := map[app.Verdict]style{app.Fine: good, app.Warning: warn, app.Failing: bad}
	wide, count := 0, map[app.Verdict]int{}
	for _, f := range e.Findings {
		wide = max(wide, len(f.Check))
		count[f.Verdict]++
	}
	for i, f := range e.Findings {
		s.printf("%s  %-*s  ", s.paint(styles[f.Verdict], padTo(string(f.Verdict), 4)), wide, f.Check)
		indent := 4 + 2 + wide + 2
		s.hang(indent, clean(f.Found))
		// Lines that ask for the same are followed by it once.
		if again := i+1 < len(e.Findings) && e.Findings[i+1].Do == f.Do; f.Do != "" && !again {
			s.printf("%*s→ ", indent, "")
			s.hang(indent+2, clean(f.Do))
		}
	}
	s.printf("%d ok, %d to know, %d to mend\n", count[app.Fine], count[app.Warning], count[app.Failing])
}
