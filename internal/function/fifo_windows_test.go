package function

import "testing"

func mkfifo(t testing.TB, _ string) { t.Skip("needs named pipes") }
