package cli

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
)

const (
	completionLimit = time.Second // a shell waits for it
	maxCompletions  = 200
)

// source gives names that begin with a prefix, from a running server.
type source func(c *connection, ctx context.Context, prefix string) ([]string, error)

// complete asks a source, for a bounded time. Without an answer there is
// nothing to complete: a shell shows no errors.
func complete(c *cobra.Command, t *target, names source, prefix string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionLimit)
	defer cancel()
	if t.read(c) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := names(conn, ctx, prefix)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeArg completes the one argument of a command.
func completeArg(t *target, names source) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(c, t, names, prefix)
	}
}

// completeFlag completes the value of a flag.
func completeFlag(c *cobra.Command, t *target, flag string, names source) {
	err := c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return complete(c, t, names, prefix)
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

// named adds a name with what a shell shows beside it, when there is a name
// that a shell can hold.
func named(list []string, name *string, beside string) []string {
	if n := aws.ToString(name); n != "" && n == clean(n) {
		return append(list, n+"\t"+clean(beside))
	}
	return list
}

func (c *connection) keyNames(ctx context.Context, prefix string) (names []string, err error) {
	keys, _, err := c.listKeys(ctx, &listing{name: prefix, limit: maxCompletions})
	for _, k := range keys {
		names = named(names, k.Name, aws.ToString(k.Id))
	}
	return names, err
}

func (c *connection) planNames(ctx context.Context, prefix string) (names []string, err error) {
	plans, _, err := c.listPlans(ctx, &listing{name: prefix, limit: maxCompletions})
	for _, p := range plans {
		names = named(names, p.Name, aws.ToString(p.Id))
	}
	return names, err
}

func (c *connection) functionNames(ctx context.Context, prefix string) (names []string, err error) {
	functions, _, err := c.listFunctions(ctx, &listing{name: prefix, limit: maxCompletions})
	for _, f := range functions {
		names = named(names, f.FunctionName, string(f.Runtime))
	}
	return names, err
}

func newCompletion() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print the script that completes weir's commands in a shell",
		Long: `Print the script that lets a shell complete weir's commands and flags, and the
names of keys, plans and functions from the running server.`,
		Example: `  source <(weir completion bash)                                  # this shell; needs bash-completion
  weir completion bash > /etc/bash_completion.d/weir              # every shell from now on
  weir completion zsh > "${fpath[1]}/_weir"
  weir completion fish > ~/.config/fish/completions/weir.fish
  weir completion powershell | Out-String | Invoke-Expression`,
		Args:      cobra.MatchAll(oneArg, cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			root, out := c.Root(), c.OutOrStdout()
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(out, true)
			case "fish":
				err = root.GenFishCompletion(out, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(out)
			case "zsh":
				err = root.GenZshCompletion(out)
			}
			if err != nil {
				return &failure{exitFailure, err}
			}
			return nil
		},
	}
}
