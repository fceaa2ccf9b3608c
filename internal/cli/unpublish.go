package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/cli/publish"
)

func newUnpublish() *cobra.Command {
	var (
		where  place
		shown  display
		dryRun bool
		yes    bool
	)
	c := &cobra.Command{
		Use:   "unpublish NAME|DIR",
		Short: "Take away what publish made",
		Long: `Remove everything that publish or up made under a name: key, usage plan, API,
function, role, and on AWS the function's log group. Only what carries the tag
weir:publication=NAME is removed, and what is gone already is no error.

With --to aws it shows the calls and asks first, unless --yes is given.`,
		Example: `  weir unpublish timestamper
  weir unpublish examples/timestamper --dry-run
  weir unpublish timestamper --to aws --region eu-central-1`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			name := publicationName(args[0])
			asks := where.aws() && !yes && !dryRun
			if asks && !onTerminal(c.InOrStdin()) {
				return errors.New("--to aws removes things from an account and cannot ask here: give --yes, or --dry-run to see them")
			}
			publisher, _, err := where.open(c.Context())
			if err != nil {
				return err
			}
			if asks {
				if err := confirmRemoval(c, publisher, name); err != nil {
					return err
				}
			}
			publisher.DryRun = dryRun
			if !shown.json && !dryRun {
				publisher.Report = (&steps{c.ErrOrStderr()}).report
			}
			calls, err := publisher.Unpublish(c.Context(), name)
			if err != nil {
				return unfinished(err)
			}
			if dryRun {
				return shown.once(c.OutOrStdout(), append(plannedCalls{}, calls...))
			}
			return shown.once(c.OutOrStdout(), &removal{Name: name, Changes: append(plannedCalls{}, calls...)})
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			names, _ := completeArg(&where.target, (*connection).functionNames)(c, args, prefix)
			return names, cobra.ShellCompDirectiveDefault // a folder will do as well
		},
	}
	where.register(c)
	shown.jsonFlag(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the changing calls that would be made, and make none")
	c.Flags().BoolVar(&yes, "yes", false, "with --to aws: do not ask")
	return c
}

// publicationName is the name of what publish made of a folder; what is no
// path is a name.
func publicationName(arg string) string {
	if info, err := os.Stat(arg); strings.ContainsRune(arg, filepath.Separator) || arg == "." || arg == ".." || err == nil && info.IsDir() {
		return publish.NameOf(arg)
	}
	return arg
}

// confirmRemoval shows what would be removed and asks. Without anything to
// remove there is nothing to ask.
func confirmRemoval(c *cobra.Command, publisher publish.Publisher, name string) error {
	publisher.DryRun = true
	account := ""
	publisher.Report = func(e publish.Event) {
		if e.Step == "account" {
			account = e.Detail
		}
	}
	calls, err := publisher.Unpublish(c.Context(), name)
	if err != nil {
		return unfinished(err)
	}
	if len(calls) == 0 {
		return nil
	}
	s := newScreen(c.ErrOrStderr())
	plannedCalls(calls).print(s)
	if err := write(c.ErrOrStderr(), s.Bytes()); err != nil {
		return err
	}
	if !confirmed(c.Context(), c.InOrStdin(), c.ErrOrStderr(), "Make these calls to "+clean(account)+"?") {
		return &failure{exitFailure, errors.New("nothing was removed")}
	}
	return nil
}

// removal is what unpublish took away.
type removal struct {
	Name    string       `json:"name"`
	Changes plannedCalls `json:"changes"`
}

func (r *removal) print(s *screen) {
	if len(r.Changes) == 0 {
		s.printf("nothing of %s is there\n", clean(r.Name))
		return
	}
	s.printf("%s is gone\n", clean(r.Name))
}
