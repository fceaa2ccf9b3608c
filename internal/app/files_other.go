//go:build !unix

package app

import "math"

// fileLimit is how many files this process may have open: nobody says.
func fileLimit() int { return math.MaxInt32 }
