// Package cli is weir's commands: serve and up start an app; the others are
// clients of a server, which they find by its data folder or by its URL, and
// talk to it with AWS's own SDK.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1 // it was tried and failed
	exitUsage   = 2 // the command line is wrong; nothing was tried
	exitAbsent  = 3 // there is no running server in that data folder

	exitUnreachable = 4 // verify: nothing answers at the URL
)

// failure is an error with the exit code it ends the process with.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// asFailure gives an error that has no exit code yet exitFailure.
func asFailure(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{exitFailure, err}
}

// Main runs one command line and returns the exit code. SIGINT and SIGTERM
// cancel the command's context once; a second one ends the process as the
// system would.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdout, stderr)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code, message := verdict(err)
	if code != exitUsage && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		message = "interrupted"
	}
	fmt.Fprintf(stderr, "weir: %s\n", message)
	if code != exitUsage {
		return code
	}
	// Every command's own errors are failures; what is left is cobra's word
	// about the command line.
	fmt.Fprintf(stderr, "Run 'weir %s--help' for usage.\n", helpFor(root, args))
	return exitUsage
}

// verdict gives the exit code of an error and what is said of it. Calls of
// AWS's SDK that failed are told in the server's words, without the SDK's.
func verdict(err error) (code int, message string) {
	code, message = exitUsage, err.Error()
	calls := failedCalls(err)
	for _, call := range calls {
		code = exitFailure
		short := call.Err.Error()
		var answer smithy.APIError
		if errors.As(call, &answer) {
			short = fmt.Sprintf("%s: %s: %s", call.OperationName, answer.ErrorCode(), answer.ErrorMessage())
		} else if refused := unreachable(call); refused != nil {
			short = fmt.Sprintf("no server answers on %s: %v", refused.Addr, refused.Err)
		}
		message = strings.Replace(message, call.Error(), short, 1)
	}
	var f *failure
	if errors.As(err, &f) {
		code = f.code
	}
	if code == exitFailure && len(calls) > 0 && unreachable(err) != nil {
		code = exitAbsent
	}
	return code, message
}

// unreachable gives the connection that could not be made, if that is what
// failed.
func unreachable(err error) *net.OpError {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return dial
	}
	return nil
}

// failedCalls finds the calls of AWS's SDK in an error.
func failedCalls(err error) []*smithy.OperationError {
	switch e := err.(type) {
	case *smithy.OperationError:
		return []*smithy.OperationError{e}
	case interface{ Unwrap() error }:
		return failedCalls(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*smithy.OperationError
		for _, part := range e.Unwrap() {
			all = append(all, failedCalls(part)...)
		}
		return all
	}
	return nil
}

// oneArg is the Args of a command that takes one.
func oneArg(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fmt.Errorf("something is missing: write '%s'", c.UseLine())
	case len(args) > 1:
		return fmt.Errorf("%d arguments are too many: write '%s', with quotes round what holds spaces", len(args), c.UseLine())
	}
	return nil
}

// helpFor names the command that args were meant for, so that the hint leads
// to the right help.
func helpFor(root *cobra.Command, args []string) string {
	found, _, err := root.Find(args)
	if err != nil || found == root {
		return ""
	}
	return strings.TrimPrefix(found.CommandPath(), "weir ") + " "
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Make a public function safe to expose",
		Long: `weir is a gate in front of functions. A function goes behind an endpoint,
callers need an API key, a usage plan gives each key a rate, a burst and a
quota, and everything over the limit is refused before it costs anything.
It speaks AWS's own API Gateway (REST) and Lambda protocols, so the aws CLI,
SDKs and Terraform drive it.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 no running server found.`,
		Example: `  weir up examples/timestamper    # start, publish a folder, prove its limits
  weir serve                      # both addresses, data in the default folder
  eval "$(weir env)"              # point aws, SDKs and Terraform at it
  aws apigateway create-rest-api --name demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs, // checked only when there is something to run
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion is ours
	root.AddCommand(
		newAPIs(),
		newBackup(),
		newCompletion(),
		newDoctor(),
		newEnv(),
		newExitCodes(),
		newExplain(),
		newFunctions(),
		newHealth(),
		newInvoke(),
		newKeys(),
		newLogs(),
		newPlans(),
		newPublish(),
		newRequests(),
		newRestore(),
		newSecret(),
		newServe(),
		newUnpublish(),
		newUp(),
		newUsage(),
		newVerify(),
		newVersion(),
	)
	return root
}
