package cli

import "github.com/spf13/cobra"

// newExitCodes is a help topic: 'weir help exit-codes'.
func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes of weir's commands mean",
		Long: `Every command ends with one of these exit codes:

  0  done
  1  it was tried and failed; standard error says why and what to do. Also: the
     function that 'weir invoke' called failed; 'weir verify' found a promise
     that is not kept; 'weir doctor' found something to mend
  2  the command line is wrong; nothing was tried
  3  no server is running on that data folder, or none answers at that endpoint
  4  'weir verify': nothing answers at the URL

A --watch that Ctrl-C ends, and a 'weir serve' that SIGTERM ends, are done: 0.`,
	}
}
