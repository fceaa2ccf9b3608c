package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"weir/internal/cli/verify"
)

// keyVariable gives verify the key without a trace in the shell's history.
const keyVariable = "WEIR_VERIFY_KEY"

// verifyFlags is the command line of verify.
type verifyFlags struct {
	o        verify.Options
	key      string
	body     string
	headers  []string
	insecure bool
	caCert   string
	asJSON   bool
	yes      bool
}

func newVerify() *cobra.Command {
	var v verifyFlags
	c := &cobra.Command{
		Use:   "verify URL",
		Short: "Check any endpoint for what its key and plan promise",
		Long: `Call an endpoint, weir's or one on AWS, the way strangers and customers would,
and check what comes back: is it open without a key, or with a wrong one? Does a
key in the query string open it? Is a call that comes too fast refused, and one
over the quota? Are the refusals AWS's, byte for byte?

It says beforehand how many calls it will send at most, and on a terminal it
asks, because calls with the key use up its quota. With --quota it uses up all
that is left of it. Give --rate and --burst of the plan: without them it cannot
say that too much got in. --used says how much of the quota was used before
(a new key: 0), and then it checks that refused calls are free.

The key is sent in the query string too, to see that it does not open: logs on
the way may keep it, so verify with a key that you can replace. It is never
printed; --key - reads it from the standard input, ` + keyVariable + ` from the
environment. Calls go to the URL only; redirects are reported, not followed.

Exit codes: 0 every check passed, 1 a check failed or could not tell, 2 wrong
command line, 4 nothing answers at the URL.`,
		Example: `  weir verify "$url" --key "$key" --method POST --body '{"timestamp": 1}' --rate 1 --burst 1
  weir verify "$url" --key "$key" --rate 1 --burst 1 --quota 10 --used 0 --yes
  pass show api-key | weir verify https://abc.execute-api.eu-west-1.amazonaws.com/prod/x --key - --json`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error { return v.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&v.key, "key", "", "the key; - reads it from the standard input (default: "+keyVariable+" of the environment)")
	f.Float64Var(&v.o.Rate, "rate", 0, "calls a second that the plan allows")
	f.IntVar(&v.o.Burst, "burst", 0, "calls at once that the plan allows")
	f.IntVar(&v.o.Quota, "quota", 0, "the plan's quota; what is left of it will be used up")
	f.IntVar(&v.o.Used, "used", -1, "calls of the quota that were used before (default: not known)")
	f.StringVar(&v.o.Method, "method", "", "HTTP method (default GET, or POST with --body)")
	f.StringVar(&v.body, "body", "", "body of every call; @file reads it from a file")
	f.StringArrayVar(&v.headers, "header", nil, "header of every call, 'Name: value'; repeatable")
	f.DurationVar(&v.o.Timeout, "timeout", 35*time.Second, "how long one call may take")
	f.DurationVar(&v.o.MaxTime, "max-time", 5*time.Minute, "how long the whole run may take")
	f.BoolVar(&v.insecure, "insecure", false, "accept any TLS certificate")
	f.StringVar(&v.caCert, "cacert", "", "file of the certificates (PEM) that the endpoint's must be signed by")
	f.BoolVar(&v.asJSON, "json", false, "print JSON")
	f.BoolVar(&v.yes, "yes", false, "do not ask")
	return c
}

func (v *verifyFlags) run(c *cobra.Command, url string) error {
	v.o.URL = url
	if err := v.read(c); err != nil {
		return err
	}
	plan, err := v.o.Plan()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: at most %d calls, %d of them with the key, in about %s (at most %s)\n",
		url, plan.Calls, plan.Keyed, max(plan.Takes.Round(time.Second), time.Second), v.o.MaxTime)
	if !v.yes && onTerminal(c.InOrStdin()) && !confirmed(c.Context(), c.InOrStdin(), c.ErrOrStderr(), "This uses up quota of the key. Go on?") {
		return &failure{exitFailure, errors.New("nothing was sent")}
	}
	showing := newProgress(c.ErrOrStderr(), plan.Calls)
	v.o.Progress = showing.at
	report, err := verify.Run(c.Context(), v.o)
	showing.done()
	if report == nil {
		return err
	}
	if printErr := v.print(c.OutOrStdout(), report); printErr != nil {
		return &failure{exitFailure, printErr}
	}
	switch {
	case errors.Is(err, verify.ErrUnreachable):
		return &failure{exitUnreachable, err}
	case c.Context().Err() != nil:
		return &failure{exitFailure, errors.New("interrupted")}
	case !report.Passed():
		return &failure{exitFailure, fmt.Errorf("checks that failed: %d, that could not tell: %d", report.Count(verify.Fail), report.Count(verify.Unknown))}
	}
	return nil
}

// read turns the flags into options.
func (v *verifyFlags) read(c *cobra.Command) error {
	var err error
	if v.o.Key, err = v.readKey(c); err != nil {
		return err
	}
	v.o.Body = []byte(v.body)
	if name, isFile := strings.CutPrefix(v.body, "@"); isFile {
		if v.o.Body, err = os.ReadFile(name); err != nil {
			return fmt.Errorf("--body: %w", err)
		}
	}
	v.o.Header = http.Header{}
	for _, h := range v.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("--header %q: write 'Name: value'", h)
		}
		v.o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	v.o.TLS = &tls.Config{InsecureSkipVerify: v.insecure} //nolint:gosec // who asks for it is told what it is
	if v.caCert == "" {
		return nil
	}
	pem, err := os.ReadFile(v.caCert)
	if err != nil {
		return fmt.Errorf("--cacert: %w", err)
	}
	v.o.TLS.RootCAs = x509.NewCertPool()
	if !v.o.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--cacert %s: there is no certificate in it", v.caCert)
	}
	return nil
}

func (v *verifyFlags) readKey(c *cobra.Command) (string, error) {
	switch {
	case v.key == "-":
		in := c.InOrStdin()
		if f, ok := in.(*os.File); ok && onTerminal(f) {
			fmt.Fprint(c.ErrOrStderr(), "Key: ")
			key, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(c.ErrOrStderr())
			return strings.TrimSpace(string(key)), err
		}
		key, err := io.ReadAll(io.LimitReader(in, 4096))
		return strings.TrimSpace(string(key)), err
	case v.key != "":
		return v.key, nil
	}
	if key := os.Getenv(keyVariable); key != "" {
		return key, nil
	}
	return "", fmt.Errorf("give the key: --key KEY, --key - to read it from the standard input, or %s in the environment", keyVariable)
}

func (v *verifyFlags) print(w io.Writer, report *verify.Report) error {
	if !v.asJSON {
		s := newScreen(w)
		printReport(s, report)
		return write(w, s.Bytes())
	}
	return printJSON(w, struct {
		*verify.Report
		Passed bool `json:"passed"`
	}{report, report.Passed()})
}

// printReport shows a table of the checks, in which a narrow terminal cuts what
// was sent and what came back, then what to know of them.
func printReport(s *screen, report *verify.Report) {
	styles := map[verify.Verdict]style{verify.Pass: good, verify.Fail: bad, verify.Unknown: warn}
	t := newTable(left("CHECK"), elastic("SENT"), elastic("CAME BACK"), left("VERDICT"))
	for _, c := range report.Checks {
		t.add(text(c.Name), text(c.Sent), text(c.Got), styled(styles[c.Verdict], string(c.Verdict)))
	}
	t.print(s)
	s.WriteString(report.Notes())
}

// onTerminal reports whether a person sits at the other end.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirmed asks a question; only a yes is one. Ctrl-C is none.
func confirmed(ctx context.Context, in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line := make(chan string, 1)
	go func() {
		said, _ := bufio.NewReader(in).ReadString('\n')
		line <- said
	}()
	select {
	case <-ctx.Done():
		return false
	case said := <-line:
		said = strings.ToLower(strings.TrimSpace(said))
		return said == "y" || said == "yes"
	}
}

// progress shows how far a run is: one line that is written over on a
// terminal, one line a check elsewhere.
type progress struct {
	w     io.Writer
	most  int
	last  string
	lines bool
}

func newProgress(w io.Writer, most int) *progress {
	return &progress{w: w, most: most, lines: !newScreen(w).redraws}
}

func (p *progress) at(check string, sent int) {
	switch {
	case !p.lines:
		fmt.Fprintf(p.w, "\r\x1b[K%d of at most %d calls: %s", sent, p.most, check)
	case check != p.last:
		fmt.Fprintf(p.w, "checking: %s\n", check)
	}
	p.last = check
}

func (p *progress) done() {
	if !p.lines {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
