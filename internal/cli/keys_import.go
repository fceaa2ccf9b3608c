package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"

	"weir/internal/catalog"
)

const (
	importBatch   = 500 // keys a call, where it is not all or none
	maxImportFile = 256 << 20
	maxImport     = 1_000_000
)

func newKeysImport() *cobra.Command {
	var (
		t         target
		d         display
		allOrNone bool
	)
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Make API keys of a file",
		Long: `Make API keys of a file of comma-separated values, as AWS has it: the first line
names the columns, Name and Key and, if you like, Description, Enabled and
UsagePlanIds, in any order and case. Several plan ids are one cell in quotes. A
key whose value is there already is overwritten, so that a file can be imported
again. "-" reads standard input.

A line that cannot be taken is left out and told; with --fail-on-warnings nothing
is imported then, and the file can have 10,000 keys.`,
		Example: `  weir keys import keys.csv
  weir keys import keys.csv --fail-on-warnings --json`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			text, err := readFile(args[0], c.InOrStdin(), maxImportFile)
			if err != nil {
				return &failure{exitFailure, err}
			}
			rows, err := catalog.ReadKeyFile(text, maxImport)
			if err != nil {
				return &failure{exitFailure, fmt.Errorf("%s: %w", args[0], err)}
			}
			done := &imported{IDs: []string{}, Warnings: []string{}}
			if allOrNone {
				err = conn.importAll(c.Context(), text, len(rows), done)
			} else {
				err = conn.importKeys(c.Context(), rows, done, stepProgress(c.ErrOrStderr(), "importing", keyCount))
			}
			if err != nil {
				return err
			}
			return d.once(c.OutOrStdout(), done)
		},
	}
	t.register(c)
	c.Flags().BoolVar(&allOrNone, "fail-on-warnings", false, "import all keys of the file or none")
	d.jsonFlag(c)
	return c
}

// readFile reads a whole file, or standard input for "-".
func readFile(name string, stdin io.Reader, most int64) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s has more than %s", name, size(most))
	}
	return text, nil
}

func keyCount(n int64) string { return strconv.FormatInt(n, 10) + " keys" }

// imported is the JSON of `weir keys import`. IDs are in the order of the file,
// those of keys that were overwritten among them.
type imported struct {
	IDs      []string `json:"ids"`
	Warnings []string `json:"warnings"` // what was left out, and why
}

func (v *imported) print(s *screen) {
	for _, w := range v.Warnings {
		s.printf("left out: %s\n", clean(w))
	}
	n := fmt.Sprintf("%d keys are", len(v.IDs))
	if len(v.IDs) == 1 {
		n = "1 key is"
	}
	s.printf("%s imported; 'weir keys' lists them\n", n)
}

// importAll sends the file as it is, in one call.
func (c *connection) importAll(ctx context.Context, text []byte, rows int, done *imported) error {
	if rows > catalog.MaxKeyFileRows {
		return &failure{exitFailure, fmt.Errorf("the file has %d keys, and %d can be imported all or none: split it, or leave out --fail-on-warnings", rows, catalog.MaxKeyFileRows)}
	}
	return c.sendKeys(ctx, text, true, done)
}

// importKeys imports rows some at a time, and tells how far it is.
func (c *connection) importKeys(ctx context.Context, rows []catalog.KeyFileRow, done *imported, tell func(done, all int64)) error {
	var good []catalog.KeyFileRow
	for _, r := range rows {
		if r.Problem != nil {
			done.Warnings = append(done.Warnings, fmt.Sprintf("Line %d: %s", r.Line, r.Problem))
			continue
		}
		good = append(good, r)
	}
	for at := 0; at < len(good); at += importBatch {
		batch := good[at:min(at+importBatch, len(good))]
		text, lines := catalog.WriteKeyFile(batch)
		before := len(done.Warnings)
		if err := c.sendKeys(ctx, text, false, done); err != nil && at > 0 {
			return fmt.Errorf("the keys before line %d are imported, and the file can be imported again: %w", batch[0].Line, err)
		} else if err != nil {
			return err
		}
		for i, w := range done.Warnings[before:] {
			done.Warnings[before+i] = relined(w, lines, batch)
		}
		if tell != nil {
			tell(int64(at+len(batch)), int64(len(good)))
		}
	}
	slices.SortStableFunc(done.Warnings, func(a, b string) int { return cmp.Compare(lineOf(a), lineOf(b)) })
	return nil
}

// lineOf is the line that a warning is about; 0 when it names none.
func lineOf(warning string) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(warning, "Line "), ":")
	n, _ := strconv.Atoi(number)
	return n
}

// relined gives a warning about a batch the line that its row has in the file.
func relined(warning string, lines []int, batch []catalog.KeyFileRow) string {
	number, text, ok := strings.Cut(strings.TrimPrefix(warning, "Line "), ": ")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return warning // another server's words
	}
	for i, line := range lines {
		if line == n {
			return fmt.Sprintf("Line %d: %s", batch[i].Line, text)
		}
	}
	return warning
}

func (c *connection) sendKeys(ctx context.Context, text []byte, failOnWarnings bool, done *imported) error {
	out, err := apigateway.NewFromConfig(c.aws).ImportApiKeys(ctx, &apigateway.ImportApiKeysInput{
		Body: text, Format: types.ApiKeysFormatCsv, FailOnWarnings: failOnWarnings,
	})
	if err != nil {
		return err
	}
	done.IDs = append(done.IDs, out.Ids...)
	done.Warnings = append(done.Warnings, out.Warnings...)
	return nil
}
