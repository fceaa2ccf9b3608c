package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build: -ldflags "-X weir/internal/cli.version=v1.2.3".
var version = ""

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// name is what tells one build from another: "v1.2.3 (0123456789ab)".
func (v versionInfo) name() string {
	if v.Revision == "" {
		return v.Version
	}
	return v.Version + " (" + v.Revision + ")"
}

func newVersion() *cobra.Command {
	var d display
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print version, revision, Go and platform",
		Example: "  weir version\n  weir version --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.once(c.OutOrStdout(), currentVersion())
		},
	}
	d.jsonFlag(c)
	return c
}

func (v versionInfo) print(s *screen) { s.printf("weir %s %s %s\n", v.name(), v.Go, v.Platform) }

func currentVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value[:min(12, len(s.Value))]
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "development"
	}
	return v
}
