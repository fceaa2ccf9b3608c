package function

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// exitOf returns a function that waits until a process, anyone's child, ended.
func exitOf(t *testing.T, number string) func() {
	t.Helper()
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("the function does not run: %v", err)
	}
	return func() {
		defer unix.Close(fd)
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
			if err == unix.EINTR {
				continue
			}
			if n == 0 {
				t.Error("the function outlived weir by 20 seconds")
			}
			return
		}
	}
}
