package publish

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatAFolderIs(t *testing.T) {
	const handler = "def handler(e, c): pass"
	for _, c := range []struct {
		name             string
		files            map[string]string
		runtime, handler string // as named by the user
		gives            string
		built            bool
	}{
		{"Lambda's own name", map[string]string{"lambda_function.py": "def lambda_handler(event, context):\n pass"}, "", "", "python3.12 lambda_function.lambda_handler", false},
		{"its file with handler", map[string]string{"lambda_function.py": "import os\n\ndef  handler (e, c):\n pass"}, "", "", "python3.12 lambda_function.handler", false},
		{"main.py", map[string]string{"main.py": handler}, "", "", "python3.12 main.handler", false},
		{"a handler that is a value", map[string]string{"main.py": "handler = Mangum(app)"}, "", "", "python3.12 main.handler", false},
		{"the first file that has one", map[string]string{"lambda_function.py": "# nothing", "main.py": handler}, "", "", "python3.12 main.handler", false},
		{"an indented one is none", map[string]string{"main.py": "class A:\n def handler(self): pass", "index.js": "exports.handler = f"}, "", "", "nodejs22.x index.handler", false},
		{"an ES module", map[string]string{"index.mjs": "export const handler = async () => {}"}, "", "", "nodejs22.x index.handler", false},
		{"CommonJS", map[string]string{"index.js": "module.exports = { handler }"}, "", "", "nodejs22.x index.handler", false},
		{"a program", map[string]string{"bootstrap": "#!/bin/sh"}, "", "", "provided.al2023 bootstrap", false},
		{"a Go program", map[string]string{"main.go": "// x\npackage main"}, "", "", "provided.al2023 bootstrap", true},
		{"a Go package is none", map[string]string{"main.go": "package mainly", "index.js": "exports.handler = f"}, "", "", "nodejs22.x index.handler", false},
		{"runtime named", map[string]string{"main.py": handler}, "python3.9", "", "python3.9 main.handler", false},
		{"runtime chooses the file", map[string]string{"main.py": handler, "index.js": "exports.handler = f"}, "nodejs20.x", "", "nodejs20.x index.handler", false},
		{"Go with a runtime named", map[string]string{"main.go": "package main"}, "provided.al2", "x", "provided.al2 x", true},
		{"handler named", map[string]string{"app.py": "def run(e, c): pass"}, "", "app.run", "python3.12 app.run", false},
		{"handler in a folder", map[string]string{"src/app.mjs": "export const run = 1"}, "", "src/app.run", "nodejs22.x src/app.run", false},
		{"both named", map[string]string{"a.txt": ""}, "python3.12", "a.b", "python3.12 a.b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Spec{Folder: folder(t, c.files), Runtime: c.runtime, Handler: c.handler}
			built, err := s.detect()
			if err != nil || s.Runtime+" "+s.Handler != c.gives || built != c.built {
				t.Errorf("it is %s %s, built %t, %v; want %s, %t", s.Runtime, s.Handler, built, err, c.gives, c.built)
			}
		})
	}
}

func TestAFolderWithoutAFunction(t *testing.T) {
	s := Spec{Folder: folder(t, map[string]string{"README.md": "", "main.py": "print(1)"})}
	_, err := s.detect()
	for _, want := range []string{s.Folder, "lambda_function.py or main.py (with lambda_handler or handler)", "index.mjs or index.js (that", "bootstrap", "main.go", "--handler"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	var spec *SpecError
	if !errors.As(err, &spec) {
		t.Errorf("%T is not a SpecError", err)
	}
	for runtime, want := range map[string]string{
		"nodejs22.x": "nothing for --runtime nodejs22.x was found in " + s.Folder + "; looked for index.mjs or index.js (that exports handler). Name --handler",
		"java21":     "--runtime java21: name --handler too",
	} {
		s := Spec{Folder: s.Folder, Runtime: runtime}
		if _, err := s.detect(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	s.Folder = filepath.Join(s.Folder, "main.py")
	if _, err := s.detect(); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("a file instead of a folder: %v", err)
	}
}

// TestTheExamplesArePublishable holds that each example's README says the
// command that publishes it, and that the folder is taken for what it is.
func TestTheExamplesArePublishable(t *testing.T) {
	for name, want := range map[string]string{
		"timestamper":      "python3.12 lambda_function.lambda_handler",
		"timestamper-node": "nodejs22.x index.handler",
		"timestamper-go":   "provided.al2023 bootstrap",
	} {
		dir := filepath.Join("../../../examples", name)
		s := Spec{Folder: dir}
		if _, err := s.detect(); err != nil || s.Runtime+" "+s.Handler != want {
			t.Errorf("%s is %s %s, %v; want %s", name, s.Runtime, s.Handler, err, want)
		}
		readme := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "README.md")))
		if !bytes.Contains(readme, []byte("weir up examples/"+name)) {
			t.Errorf("the README of %s does not say weir up examples/%s", name, name)
		}
	}
}

// TestAGoProgramIsBuiltTheSameTwice: other bytes would be taken for other code.
func TestAGoProgramIsBuiltTheSameTwice(t *testing.T) {
	dir := folder(t, map[string]string{"main.go": "package main\n\nfunc main() {}\n", "go.mod": "module demo\n"})
	p := Publisher{}
	var zips [][]byte
	for range 2 {
		spec := Spec{Folder: dir}
		c := must[code](t)(p.newRun("demo").pack(t.Context(), &spec))
		zips = append(zips, c.zip)
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("two builds gave other bytes")
	}
	write(t, dir, map[string]string{"main.go": "package main\n\nfunc main() { oops }\n"})
	spec := Spec{Folder: dir}
	if _, err := p.newRun("demo").pack(t.Context(), &spec); err == nil || !strings.Contains(err.Error(), "undefined: oops") {
		t.Errorf("a program that does not build: %v", err)
	}
}

func TestTheArchitectureIsThePrograms(t *testing.T) {
	dir := t.TempDir()
	for machine, want := range map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "arm64"} {
		head := elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		}
		var program bytes.Buffer
		if err := binary.Write(&program, binary.LittleEndian, head); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{"bootstrap": program.String()})
		if got := architecture(filepath.Join(dir, "bootstrap")); string(got) != want {
			t.Errorf("a program for %s is taken for %s", machine, got)
		}
	}
	write(t, dir, map[string]string{"bootstrap": "#!/bin/sh"})
	if got := architecture(filepath.Join(dir, "bootstrap")); got != "x86_64" {
		t.Errorf("a script is for %s", got)
	}
}
