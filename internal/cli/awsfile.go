package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// awsFile is one of the files that AWS's tools share, changed by line: what is
// not ours stays byte for byte, comments and line ends too.
type awsFile struct {
	path  string // what a symbolic link leads to
	mode  fs.FileMode
	lines []string // each with its line end
}

// maxAWSFile bounds what is read; people's files are a few kilobytes.
const maxAWSFile = 4 << 20

// openAWSFile reads a file; one that is not there yet is empty.
func openAWSFile(path string) (*awsFile, error) {
	f := &awsFile{path: path, mode: 0o600}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		f.path = real
	}
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAWSFile {
		return nil, fmt.Errorf("%s is not a file that can be edited", f.path)
	}
	f.mode = info.Mode().Perm()
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		f.lines = append(f.lines, line)
	}
	return f, nil
}

// section gives the lines of a section: its header and what follows it, as
// from:to; from is -1 when there is none.
func (f *awsFile) section(name string) (from, to int) {
	from = -1
	for i, line := range f.lines {
		header, ok := sectionName(line)
		switch {
		case ok && from >= 0:
			return from, i
		case ok && header == name:
			from = i
		}
	}
	return from, len(f.lines)
}

// sectionName reads "[profile name]"; the words may be apart by any blanks, and
// the name may be quoted.
func sectionName(line string) (string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	inside, _, ok := strings.Cut(line[1:], "]")
	words := strings.Fields(inside)
	for i, w := range words {
		words[i] = strings.Trim(w, `"'`)
	}
	return strings.Join(words, " "), ok
}

// settingName gives the key of "key = value". A line that is indented belongs
// to the setting before it.
func settingName(line string) string {
	if line == "" || strings.ContainsAny(line[:1], " \t#;[\r\n") {
		return ""
	}
	name, _, ok := strings.Cut(line, "=")
	if !ok {
		return ""
	}
	return strings.TrimSpace(name)
}

// settings reads a section; nil when there is none.
func (f *awsFile) settings(name string) map[string]string {
	from, to := f.section(name)
	if from < 0 {
		return nil
	}
	found := map[string]string{}
	for _, line := range f.lines[from+1 : to] {
		if key := settingName(line); key != "" {
			_, value, _ := strings.Cut(line, "=")
			found[key] = strings.TrimSpace(value)
		}
	}
	return found
}

// set gives a section these settings, in this order; it is made at the end
// when there is none. What else it holds stays.
func (f *awsFile) set(name string, settings [][2]string) {
	end := "\n"
	if len(f.lines) > 0 && strings.HasSuffix(f.lines[0], "\r\n") {
		end = "\r\n"
	}
	if from, _ := f.section(name); from < 0 {
		if n := len(f.lines); n > 0 {
			f.endLine(n-1, end)
			if strings.TrimSpace(f.lines[n-1]) != "" {
				f.lines = append(f.lines, end)
			}
		}
		f.lines = append(f.lines, "["+name+"]"+end)
	}
	for _, s := range settings {
		f.setOne(name, s[0], s[0]+" = "+s[1]+end, end)
	}
}

// setOne replaces a setting's line, or adds it behind the section's last.
func (f *awsFile) setOne(section, key, line, end string) {
	from, to := f.section(section)
	last := from
	for i := from + 1; i < to; i++ {
		name := settingName(f.lines[i])
		if name == key {
			f.lines[i] = line
			return
		}
		text := strings.TrimSpace(f.lines[i])
		if text != "" && text[0] != '#' && text[0] != ';' {
			last = i
		}
	}
	f.endLine(last, end)
	f.lines = append(f.lines[:last+1], append([]string{line}, f.lines[last+1:]...)...)
}

// remove takes a setting out of a section.
func (f *awsFile) remove(section, key string) {
	from, to := f.section(section)
	for i := to - 1; i > from && from >= 0; i-- {
		if settingName(f.lines[i]) == key {
			f.lines = append(f.lines[:i], f.lines[i+1:]...)
		}
	}
}

// endLine ends a file's last line, which may lack its end.
func (f *awsFile) endLine(i int, end string) {
	if !strings.HasSuffix(f.lines[i], "\n") {
		f.lines[i] += end
	}
}

// save writes the file in one step, so that a reader sees the old one or the
// new one. Groups and others get no more than they had, and nothing of a
// private one.
func (f *awsFile) save(private bool) error {
	mode := f.mode
	if private {
		mode &= 0o700
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".weir-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // after the rename there is none
	_, err = temporary.WriteString(strings.Join(f.lines, ""))
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), f.path)
}
