//go:build unix

package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the helper process of the test that kills a parent: it
// starts a function through a Spawner, tells its number and waits.
func TestMain(m *testing.M) {
	if os.Getenv("SANDBOX_TEST_PARENT") != "" {
		s := NewSpawner()
		p, err := s.Start(Spec{Path: "/bin/sleep", Args: []string{"1000"}, Dir: "/"})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID)
		select {}
	}
	goleak.VerifyTestMain(m)
}

func output(t *testing.T, script string) string {
	t.Helper()
	s := NewSpawner()
	defer s.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := s.Start(Spec{Path: "/bin/sh", Args: []string{"-c", script}, Dir: t.TempDir(), Env: []string{"ONLY=this"}, Output: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan Exit, 1)
	go func() { ended <- p.Wait() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.Text != "" {
		t.Fatalf("exit: %s, output %q", e.Text, b)
	}
	return string(b)
}

func TestProcessSeesOnlyItsOwnEnvironment(t *testing.T) {
	t.Setenv("WEIR_SECRET", "of the host")
	got := output(t, "env")
	if !strings.Contains(got, "ONLY=this\n") || strings.Contains(got, "WEIR_SECRET") || strings.Contains(got, "HOME=") {
		t.Errorf("environment:\n%s", got)
	}
}

func TestProcessInheritsNoDescriptor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	// A descriptor that is inherited across exec, as a careless starter of weir
	// would leave open.
	fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	// The listing itself opens one more, which is the directory.
	got := strings.Fields(output(t, "ls /proc/self/fd"))
	if len(got) != 4 {
		t.Errorf("open descriptors %v, want 0, 1, 2 and the listing's own", got)
	}
}

func TestProcessLeadsItsGroupAndHasLimits(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits are set on Linux only")
	}
	s := NewSpawner()
	defer s.Close()
	p, err := s.Start(Spec{Path: "/bin/sleep", Args: []string{"1000"}, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := syscall.Getpgid(p.PID); err != nil || g != p.PID {
		t.Errorf("process group %d (%v), want its own %d", g, err, p.PID)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(limits), "\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && (f[3] != "1024" || f[4] != "1024") {
			t.Errorf("limit: %s", line)
		}
	}
	p.Kill()
	if e := p.Wait(); e.Text != "signal: killed" {
		t.Errorf("exit %q, want signal: killed", e.Text)
	}
	p.Kill() // of what has ended: nothing
}

func TestExitTexts(t *testing.T) {
	s := NewSpawner()
	defer s.Close()
	for script, want := range map[string]string{
		"exit 0": "", "exit 127": "exit status 127", "kill -9 $$": "signal: killed", "kill -11 $$": "signal: segmentation fault",
	} {
		p, err := s.Start(Spec{Path: "/bin/sh", Args: []string{"-c", script}, Dir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Wait().Text; got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

// A child that the function left behind holds the output pipe open; the end of
// file shows that it is gone.
func TestEndOfProcessEndsItsGroup(t *testing.T) {
	got := output(t, "sleep 1000 & echo started")
	if got != "started\n" {
		t.Errorf("output %q", got)
	}
}

func TestStartAfterClose(t *testing.T) {
	s := NewSpawner()
	s.Close()
	if _, err := s.Start(Spec{Path: "/bin/true"}); err != ErrClosed {
		t.Errorf("error %v, want ErrClosed", err)
	}
	s.Close()
}

func TestStartOfWhatIsNotThere(t *testing.T) {
	s := NewSpawner()
	defer s.Close()
	if _, err := s.Start(Spec{Path: "/no/such/program", Dir: "/"}); err == nil {
		t.Error("no error")
	}
}

func TestKillOfWeirLeavesNoFunction(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the parent-death signal")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "SANDBOX_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	if !alive(pid) {
		t.Fatal("the function does not run")
	}
	// The process whose end is awaited is not our child: a descriptor of it
	// says when it is gone.
	ended := exitOf(t, pid)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	ended()
	if alive(pid) {
		t.Error("the function outlived the process that started it")
	}
}

func TestGuaranteesAreToldInFull(t *testing.T) {
	var held, open int
	for _, g := range Guarantees() {
		if g.Name == "" || g.Note == "" {
			t.Errorf("guarantee without a word: %+v", g)
		}
		if g.Held {
			held++
		} else {
			open++
		}
	}
	if held == 0 || open == 0 {
		t.Errorf("%d held, %d open: this tier has both", held, open)
	}
}
