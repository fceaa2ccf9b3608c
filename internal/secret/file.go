package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// header is the first word of a secret's file, so that no other file is taken
// for one.
const header = "weir-secret-1 "

// maxFile bounds what is read of a file that may be anything.
const maxFile = 1024

// Load reads the secret that Create wrote to path. The error is an
// fs.ErrNotExist when there is no file. A file that others than its owner can
// read or write is refused with what to do about it: whoever reads it can open
// every key in the database. (Windows has no such bits; there the folder's
// access list has to do it.)
func Load(path string) (*Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("server secret: %s is a folder", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("server secret: others can read or change %s (mode %04o): run chmod 600 %s, and make a new secret if others had access", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	master, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("server secret: %s: %w", path, err)
	}
	defer clear(master)
	return derive(master), nil
}

var errFile = errors.New("not a secret as weir writes them, or cut short; restore it from where it was made")

func parse(text []byte) ([]byte, error) {
	encoded, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(header))
	if !ok || len(text) > maxFile {
		return nil, errFile
	}
	master, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil || len(master) != size {
		return nil, errFile
	}
	return master, nil
}

// Create makes a new secret of 32 random bytes and writes it to path, mode
// 0600. The file appears complete or not at all, and is on the disk when Create
// returns. An existing file is never touched: the error is an fs.ErrExist, also
// for the loser when two create at once.
func Create(path string) (*Secret, error) {
	var master [size]byte
	rand.Read(master[:])
	defer clear(master[:])
	if err := write(path, append(base64.StdEncoding.AppendEncode([]byte(header), master[:]), '\n')); err != nil {
		return nil, fmt.Errorf("server secret: %w", err)
	}
	return derive(master[:]), nil
}

func write(path string, text []byte) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	// A link fails where a rename would replace: the first of two wins.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
