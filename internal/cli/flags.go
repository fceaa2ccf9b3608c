package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// fromEnvironment lets WEIR_GATEWAY_ADDR stand for --gateway-addr and so on,
// for all flags or for those that are named. A flag on the command line wins.
// It runs before a command reads its flags' values, so that both are checked
// by the same code.
func fromEnvironment(flags *pflag.FlagSet, names ...string) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		named := len(names) == 0 || slices.Contains(names, f.Name)
		if f.Changed || f.Name == "help" || !named || failed != nil {
			return
		}
		if value, ok := os.LookupEnv(environmentName(f.Name)); ok {
			failed = flags.Set(f.Name, value)
		}
	})
	return failed
}

func environmentName(flag string) string {
	return "WEIR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// defaultData is where a server keeps its data unless told otherwise.
func defaultData() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "weir")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "weir")
	}
	return "weir-data"
}
