package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newBackup() *cobra.Command {
	var (
		d    display
		b    backup
		from target
	)
	c := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write a backup of a server, running or stopped, into one file",
		Long: `Write everything that a server keeps into one file: what is configured, what was
used of every quota, function code, the server secret and the root access key.
A running server goes on answering calls and changes meanwhile. The file is
checked as it is written, and appears complete or not at all.

Whoever has the file can read every API key and sign as root: it is made
readable for its owner only, and has to be kept as safe as the data folder.

It needs as much room in the data folder as the database takes, for as long as
the backup is made. "-" writes to standard output.`,
		Example: `  weir backup weir-$(date -u +%F).backup
  weir backup --data /var/lib/weir --json /backups/weir.backup
  weir backup - | age -r age1... > weir.backup.age     # encrypted as it is made`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			b.from, b.file, b.stdout, b.stderr = &from, args[0], c.OutOrStdout(), c.ErrOrStderr()
			done, err := b.run(c.Context())
			if err != nil {
				return asFailure(err)
			}
			out := b.stdout
			if b.file == "-" {
				out = b.stderr // the backup itself went the other way
			}
			return d.once(out, done)
		},
	}
	from.register(c)
	d.jsonFlag(c)
	c.Flags().BoolVar(&b.force, "force", false, "replace FILE when it is there")
	c.Flags().StringVar(&b.secretFile, "secret-file", "", "server secret of a stopped server that keeps it outside of its data folder")
	return c
}

// backup is one run of the command.
type backup struct {
	from           *target
	file           string
	force          bool
	secretFile     string
	stdout, stderr io.Writer
}

// backupDone is what the command tells of a backup or a restore.
type backupDone struct {
	File    string    `json:"file"`
	Data    string    `json:"data,omitempty"`
	Bytes   int64     `json:"bytes"` // of the file
	SHA256  string    `json:"sha256"`
	Version string    `json:"version"`
	Schema  int       `json:"schema"`
	Created time.Time `json:"created"`
	Files   int       `json:"files"`
	Holds   int64     `json:"holds"` // bytes of the data folder in it

	restored bool
}

func (b backupDone) print(s *screen) {
	did := "Backed up"
	if b.restored {
		did = "Restored"
	}
	s.printf("%s %d files, %s, as of %s (weir %s, schema %d)\n", did, b.Files, size(b.Holds), b.Created.Format(time.RFC3339), clean(b.Version), b.Schema)
	s.printf("  %s  %s\n  sha256 %s\n", clean(b.File), size(b.Bytes), b.SHA256)
	if b.restored {
		s.printf("Calls that were admitted since then are not counted: docs/operations.md says what to do.\nStart it with: weir serve --data %s\n", shellQuote(b.Data))
		return
	}
	s.printf("It holds every secret of this server: keep it as safe as the data folder.\n")
}

func (b *backup) run(ctx context.Context) (picture, error) {
	if b.file == "-" {
		if newScreen(b.stdout).terminal {
			return nil, errors.New("a backup is not for a terminal: name a file, or pipe it on")
		}
		return b.write(ctx, b.stdout)
	}
	if _, err := os.Lstat(b.file); err == nil && !b.force {
		return nil, fmt.Errorf("%s is there already: name another file, or give --force to replace it", b.file)
	}
	// Beside its final name, so that a rename puts it in place; mode 0600.
	f, err := os.CreateTemp(filepath.Dir(b.file), "."+filepath.Base(b.file)+".*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // after the rename there is none
	defer f.Close()
	done, err := b.write(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if b.force {
		return done, os.Rename(f.Name(), b.file)
	}
	// A link fails where a rename would replace what came meanwhile.
	if err := os.Link(f.Name(), b.file); errors.Is(err, fs.ErrExist) {
		return nil, err
	} else if err != nil { // a file system without links
		return done, os.Rename(f.Name(), b.file)
	}
	return done, nil
}

// write makes the backup and checks on the way what it writes.
func (b *backup) write(ctx context.Context, out io.Writer) (picture, error) {
	source, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	sum := &counted{w: out, sum: sha256.New()}
	m, err := app.CheckBackup(io.TeeReader(source, sum), stepProgress(b.stderr, "backing up", size))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("the server broke the backup off: its log says why")
	}
	if err != nil {
		return nil, fmt.Errorf("the backup was not completed: %w", err)
	}
	return summary(b.file, sum, m), nil
}

func summary(file string, sum *counted, m *app.Manifest) backupDone {
	return backupDone{
		File: file, Bytes: sum.n, SHA256: hex.EncodeToString(sum.sum.Sum(nil)), Version: m.Version,
		Schema: m.Schema, Created: m.Created, Files: len(m.Files), Holds: m.Bytes(),
	}
}

// open begins the backup: by the running server, or, when there is none, of
// the folder itself.
func (b *backup) open(ctx context.Context) (io.ReadCloser, error) {
	c, err := b.from.connect(ctx)
	if err == nil {
		res, err := c.own(ctx, http.MethodPost, "/_weir/backup", nil)
		if err == nil {
			return res.Body, nil
		}
		if c.data == "" || unreachable(err) == nil {
			return nil, err
		}
		// Nobody answers: what a killed server left named a process that
		// another one is now. The folder's lock tells.
	} else if !absent(err) {
		return nil, err
	}
	f := &folderBackup{ended: make(chan struct{})}
	var w *io.PipeWriter
	f.PipeReader, w = io.Pipe()
	go func() {
		defer close(f.ended)
		w.CloseWithError(app.Backup(ctx, w, b.from.data, b.secretFile, currentVersion().name()))
	}()
	return f, nil
}

// folderBackup is a backup that this process makes.
type folderBackup struct {
	*io.PipeReader
	ended chan struct{}
}

// Close waits until the folder is let go, with nothing left in it.
func (f *folderBackup) Close() error {
	_ = f.PipeReader.Close()
	<-f.ended
	return nil
}

// counted measures what is written, and tells of it.
type counted struct {
	w    io.Writer
	sum  hash.Hash
	n    int64
	tell func(n int64) // nil: nobody
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	if c.tell != nil {
		c.tell(c.n)
	}
	return n, err
}

// stepProgress shows on a terminal how far a long step is; nil elsewhere.
func stepProgress(out io.Writer, what string, unit func(int64) string) func(done, all int64) {
	s := newScreen(out)
	if !s.redraws {
		return nil
	}
	var last time.Time
	return func(done, all int64) {
		if now := time.Now(); done == all || now.Sub(last) > 100*time.Millisecond {
			last = now
			fmt.Fprintf(out, "\r%s: %s of %s\x1b[K", what, unit(done), unit(all))
			if done == all {
				fmt.Fprint(out, "\r\x1b[K")
			}
		}
	}
}
