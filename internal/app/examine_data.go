package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"weir/internal/secret"
	"weir/internal/store"
)

// Free space below which a data folder is reported.
const (
	scarceSpace = 1 << 30
	noSpace     = 64 << 20
)

// folder looks at the data folder, and says whether there is something in it
// to look at.
func (e *examiner) folder() bool {
	const check = "data folder"
	dir := e.o.Data
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := existing(filepath.Dir(dir))
		if !writable(parent) {
			e.add(check, Failing, "make it for this user, or name another with --data", "%s is not there, and this user may not make it in %s", dir, parent)
			return false
		}
		e.ok(check, "%s is not there; the first start makes it", dir)
		e.space(parent)
		return false
	case err != nil:
		e.add(check, Failing, "let the user who runs weir reach it, or name another with --data", "%v", err)
		return false
	case !info.IsDir():
		e.add(check, Failing, "name a folder with --data", "%s is a file", dir)
		return false
	case !writable(dir):
		e.add(check, Failing, "run weir as its owner, or make its file system writable", "%s may not be written by this user (%s)", dir, info.Mode())
		return false
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		e.add(check, Warning, "chmod 700 "+dir, "%s can be read by others (mode %04o)", dir, info.Mode().Perm())
	default:
		e.ok(check, "%s is writable, and its owner's alone", dir)
	}
	e.space(dir)
	if _, err := os.Lstat(filepath.Join(dir, store.Restoring)); err == nil {
		e.add(check, Failing, "remove the folder and restore again", "a restore into %s was cut short", dir)
	}
	return true
}

// existing is the nearest folder above that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// space looks at the file system that holds the data.
func (e *examiner) space(dir string) {
	const check = "disk"
	if free, ok := freeSpace(dir); ok {
		switch {
		case free < noSpace:
			e.add(check, Failing, "make room: without it no call that has a quota is admitted", "%s free on the disk of %s", humanBytes(free), dir)
		case free < scarceSpace:
			e.add(check, Warning, "make room before it is full: then no call that has a quota is admitted", "%s free on the disk of %s", humanBytes(free), dir)
		default:
			e.ok(check, "%s free", humanBytes(free))
		}
	}
	switch kind, why := fileSystem(dir); {
	case why != "":
		e.add("file system", Warning, "use a local disk (in a container: a volume)", "%s is on %s: %s", dir, kind, why)
	case kind != "":
		e.ok("file system", "%s", kind)
	}
}

// database looks at the database without opening it.
func (e *examiner) database() {
	const check = "database"
	d, err := store.Inspect(e.o.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok(check, "none yet; the first start makes it")
	case err != nil:
		e.add(check, Failing, "restore a backup into an empty folder", "%v", err)
	case d.Foreign:
		e.add(check, Failing, "name another folder with --data", "%s is a database of another program", d.File)
	case d.Schema > store.SchemaVersion():
		e.add(check, Failing, "install the newer weir that wrote it, or restore a backup that this one made", "schema %d; this weir knows up to %d", d.Schema, store.SchemaVersion())
	case d.Schema == 0:
		e.ok(check, "new: its first commits are in its log only")
	case d.Schema < store.SchemaVersion():
		e.add(check, Warning, "back up before this weir is started: the start brings it to the new schema", "schema %d; this weir writes schema %d", d.Schema, store.SchemaVersion())
	default:
		e.ok(check, "schema %d, %s", d.Schema, humanBytes(uint64(d.Size)))
	}
}

// serverSecret looks at the file that nobody else may read.
func (e *examiner) serverSecret() {
	file := secretPath(e.o.Data, e.o.SecretFile)
	switch _, err := secret.Load(file); {
	case err == nil:
		e.ok("server secret", "%s", file)
	case errors.Is(err, fs.ErrNotExist) && e.fresh() && e.o.SecretFile == "":
		e.ok("server secret", "none yet; the first start makes it")
	case errors.Is(err, fs.ErrNotExist):
		e.add("server secret", Failing, "put it back from a backup, or name it with --secret-file: without it no API key is found", "%s is not there", file)
	default:
		e.add("server secret", Failing, "mend it before the next start", "%s", strings.TrimPrefix(err.Error(), "server secret: "))
	}
}

// rootKey looks at the other one.
func (e *examiner) rootKey() {
	const check = "root access key"
	_, err := RootAccessKey(e.o.Data)
	info, statErr := os.Stat(rootKeyFile(e.o.Data))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok(check, "none yet; the next start makes one")
	case err != nil:
		e.add(check, Failing, "mend or remove it before the next start", "%v", err)
	case statErr == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		e.add(check, Warning, "chmod 600 "+rootKeyFile(e.o.Data)+"; remove it and restart for a new one if others had access", "others can read it (mode %04o)", info.Mode().Perm())
	default:
		e.ok(check, "%s", rootKeyFile(e.o.Data))
	}
}

// fresh says whether no server has filled this folder yet.
func (e *examiner) fresh() bool {
	_, err := store.Inspect(e.o.Data)
	return errors.Is(err, fs.ErrNotExist)
}
