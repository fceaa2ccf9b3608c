package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newSecret() *cobra.Command {
	c := &cobra.Command{
		Use:   "secret",
		Short: "Make the server secret that several nodes share",
		Long: `The server secret finds and opens API keys: whoever has it and the database can
read every key, and without it no key is found. A server that is alone makes one
in its data folder. Nodes that share a database share one secret, which each
reads from the file that --secret-file names.`,
		Example: `  weir secret create weir.secret`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSecretCreate())
	return c
}

func newSecretCreate() *cobra.Command {
	var d display
	c := &cobra.Command{
		Use:   "create FILE",
		Short: "Write a new server secret into a file",
		Long: `Write a new server secret, 32 random bytes, into a file that only its owner can
read. A file that is there is never touched. Make it once, copy it to every
node (owned by the user who runs weir, mode 0600), name it there with
--secret-file, and keep a copy where the backups of the database are not: a
backup is of no use without it, and tells no key without it.`,
		Example: `  weir secret create weir.secret
  scp -p weir.secret node2:/etc/weir/weir.secret
  weir serve --database postgres://weir@db.internal/weir --secret-file weir.secret`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := app.CreateSecret(args[0])
			if err != nil {
				return &failure{exitFailure, err}
			}
			file, err := filepath.Abs(args[0])
			if err != nil {
				return &failure{exitFailure, err}
			}
			return d.once(c.OutOrStdout(), madeSecret{ID: id, File: file})
		},
	}
	d.jsonFlag(c)
	return c
}

// madeSecret tells of a secret without telling it.
type madeSecret struct {
	ID   string `json:"id"` // what errors and `weir doctor` call it by
	File string `json:"file"`
}

func (m madeSecret) print(s *screen) {
	s.printf("secret %s is in %s\n", m.ID, clean(m.File))
	s.printf("copy it to every node, mode 0600, and name it there with --secret-file; keep a copy\n")
}
