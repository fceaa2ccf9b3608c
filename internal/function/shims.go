package function

import (
	_ "embed"
	"os"
	"path/filepath"
)

// The runtimes of our own: a few hundred lines each on the standard library
// alone, because the official clients start two to three times slower.
var (
	//go:embed shim/python.py
	pythonShim []byte
	//go:embed shim/node.cjs
	nodeShim []byte
)

// writeShims puts the runtimes where interpreters find them: LAMBDA_RUNTIME_DIR.
func writeShims(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, text := range map[string][]byte{"python.py": pythonShim, "node.cjs": nodeShim} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
