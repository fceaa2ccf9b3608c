// Command weir is a gate in front of functions: it lets in only callers with a
// key, only as fast and as often as their usage plan says, and is driven by
// AWS's own tools.
package main

import (
	"os"

	"weir/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
