package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"io"
	"os"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newRestore() *cobra.Command {
	var (
		d    display
		data string
	)
	c := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Make a data folder of a backup",
		Long: `Make the data folder that 'weir backup' saved. The folder has to be missing or
empty: nothing is ever replaced. Every checksum is verified before anything is
put in place, and a backup that cannot be served leaves nothing behind.

The restored server answers the same keys and has the same root access key and
secret. What was used of every quota is what was used when the backup was made:
calls that were admitted later are not counted. "-" reads standard input.`,
		Example: `  weir restore weir.backup
  weir restore --data /var/lib/weir /backups/weir-2026-11-24.backup
  age -d weir.backup.age | weir restore - --data ./restored`,
		Args: oneArg,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags(), "data")
		},
		RunE: func(c *cobra.Command, args []string) error {
			done, err := restore(c.Context(), args[0], data, c.InOrStdin(), c.ErrOrStderr())
			if err != nil {
				return asFailure(err)
			}
			return d.once(c.OutOrStdout(), done)
		},
	}
	c.Flags().StringVar(&data, "data", defaultData(), "data folder to make; missing or empty")
	d.jsonFlag(c)
	return c
}

func restore(ctx context.Context, file, data string, in io.Reader, stderr io.Writer) (picture, error) {
	sum := &counted{w: io.Discard, sum: sha256.New()}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
		if show := stepProgress(stderr, "restoring", size); show != nil {
			if info, err := f.Stat(); err == nil {
				sum.tell = func(n int64) { show(n, info.Size()) }
			}
		}
	}
	m, err := app.Restore(ctx, io.TeeReader(bufio.NewReaderSize(in, 1<<20), sum), data)
	if err != nil {
		return nil, err
	}
	done := summary(file, sum, m)
	done.Data, done.restored = data, true
	return done, nil
}
