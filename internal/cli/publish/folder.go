package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// The runtimes that are chosen when none is named.
const (
	pythonRuntime   = "python3.12"
	nodeRuntime     = "nodejs22.x"
	providedRuntime = "provided.al2023"
)

// candidate is a file that tells what a folder is.
type candidate struct {
	file, runtime string
	defines       *regexp.Regexp // what must stand in it; its first group, when matched, is the handler's name
	wants         string         // the same in words
}

var (
	pythonHandler = regexp.MustCompile(`(?m)^(?:def[ \t]+(lambda_handler|handler)[ \t]*\(|(lambda_handler|handler)[ \t]*=)`)
	nodeHandler   = regexp.MustCompile(`\b(handler)\b`)
	goMain        = regexp.MustCompile(`(?m)^package[ \t]+main\b`)
)

var candidates = []candidate{
	{"lambda_function.py", pythonRuntime, pythonHandler, "with lambda_handler or handler"},
	{"main.py", pythonRuntime, pythonHandler, "with lambda_handler or handler"},
	{"index.mjs", nodeRuntime, nodeHandler, "that exports handler"},
	{"index.js", nodeRuntime, nodeHandler, "that exports handler"},
	{"bootstrap", providedRuntime, nil, "a program for a provided runtime"},
	{"main.go", providedRuntime, goMain, "a Go program, which is built"},
}

// detect fills in runtime and handler by what is in the folder, unless both
// are named. built says that the folder is a Go program.
func (s *Spec) detect() (built bool, err error) {
	if info, err := os.Stat(s.Folder); err != nil || !info.IsDir() {
		return false, refuse("%s is not a folder: name the folder that holds the function", s.Folder)
	}
	provided := strings.HasPrefix(s.Runtime, "provided")
	if s.Runtime != "" && s.Handler != "" && !provided {
		return false, nil
	}
	if s.Runtime == "" && s.Handler != "" {
		s.Runtime = s.runtimeOf(s.Handler)
		if s.Runtime != "" {
			return false, nil
		}
	}
	for _, c := range candidates {
		if s.Runtime != "" && family(c.runtime) != family(s.Runtime) {
			continue
		}
		handler, ok, err := c.handler(s.Folder)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if s.Runtime == "" {
			s.Runtime = c.runtime
		}
		if s.Handler == "" {
			s.Handler = handler
		}
		return c.file == "main.go", nil
	}
	sought := lookedFor(s.Runtime)
	switch {
	case sought == "":
		return false, refuse("--runtime %s: name --handler too, since weir does not know how to find it", s.Runtime)
	case s.Runtime != "":
		return false, refuse("nothing for --runtime %s was found in %s; looked for %s. Name --handler when the function is elsewhere, or leave --runtime out", s.Runtime, s.Folder, sought)
	}
	return false, refuse("nothing to publish was found in %s; looked for %s. Name --runtime and --handler when the function is elsewhere", s.Folder, sought)
}

// handler reads a candidate and gives the handler that it defines.
func (c candidate) handler(folder string) (name string, ok bool, err error) {
	file := filepath.Join(folder, c.file)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if c.defines == nil {
		return c.file, true, nil
	}
	if info.Size() > maxUnzipped {
		return "", false, tooLarge(folder, maxUnzipped, "unpacks")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", false, err
	}
	match := c.defines.FindSubmatch(text)
	if match == nil {
		return "", false, nil
	}
	for _, group := range match[1:] {
		if len(group) > 0 {
			return strings.TrimSuffix(c.file, filepath.Ext(c.file)) + "." + string(group), true, nil
		}
	}
	return "bootstrap", true, nil
}

// runtimeOf is the runtime whose file a handler names: "app.run" is app.py,
// app.mjs or app.js.
func (s *Spec) runtimeOf(handler string) string {
	dot := strings.LastIndexByte(handler, '.')
	if dot < 0 {
		return ""
	}
	module := filepath.FromSlash(handler[:dot])
	for _, kind := range [][2]string{{".py", pythonRuntime}, {".mjs", nodeRuntime}, {".js", nodeRuntime}, {".cjs", nodeRuntime}} {
		if _, err := os.Stat(filepath.Join(s.Folder, module+kind[0])); err == nil {
			return kind[1]
		}
	}
	return ""
}

var familyPattern = regexp.MustCompile(`^[a-z]*`)

// family is a runtime's name without its version.
func family(name string) string { return familyPattern.FindString(name) }

// lookedFor names the files that a runtime's function is sought in, or those of
// all when none is named.
func lookedFor(runtime string) string {
	var words []string
	for i, c := range candidates {
		if runtime != "" && family(c.runtime) != family(runtime) {
			continue
		}
		if i+1 < len(candidates) && candidates[i+1].wants == c.wants {
			words = append(words, c.file+" or ")
			continue
		}
		words = append(words, c.file+" ("+c.wants+"), ")
	}
	return strings.TrimSuffix(strings.Join(words, ""), ", ")
}

// build compiles a Go program into file, for the place that runs it.
// The same source gives the same bytes, so that an unchanged program is not
// taken for a changed one.
func build(ctx context.Context, folder, goos, goarch, file string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("%s holds a Go program, and the go command is not installed: install it, or put a built program named bootstrap there", folder)
	}
	// -tags lambda.norpc: aws-lambda-go without what only the old runtime needs.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid=", "-o", file, ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", folder, err, strings.TrimSpace(string(text[:min(len(text), 4000)])))
	}
	return nil
}

// platform is what a Go program is built for: on a weir this machine, on AWS
// Linux on this machine's kind of processor when Lambda has it.
func (p Publisher) platform() (goos, goarch string) {
	if !p.AWS {
		return runtime.GOOS, runtime.GOARCH
	}
	if runtime.GOARCH == "arm64" {
		return "linux", "arm64"
	}
	return "linux", "amd64"
}
