package function

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

// parentMain is a weir that will be killed: it runs a function that tells the
// number of its process and then does not end.
func parentMain() {
	zip, err := os.ReadFile(os.Getenv("FUNCTION_TEST_PARENT"))
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(zip)
	f := New(Options{
		Account: "000000000000", Region: "us-east-1", Dir: os.Getenv("FUNCTION_TEST_PARENT") + ".d",
		Code: func(context.Context, string) ([]byte, error) { return zip, nil },
	})
	publish, err := f.Prepare(catalog.Function{
		Name: "f", Runtime: "provided.al2023", Handler: "x", Timeout: 900, MemorySize: 128,
		CodeSHA256: base64.StdEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		panic(err)
	}
	publish()
	_, err = f.Invoke(context.Background(), &invocation.Invocation{Function: "f"})
	fmt.Println("the function ended:", err)
}

// A bootstrap of any kind, here a shell script that never speaks to the
// Runtime API, is gone when weir is killed without a chance to clean up.
func TestKillOfWeirLeavesNoFunction(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/zip", zipOf(t, files{"bootstrap": "#!/bin/sh\necho $$ > " + dir + "/pid\nmkfifo " + dir + "/never\necho started > " + dir + "/started\nread x < " + dir + "/never\n"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mkfifo", dir+"/started").Run(); err != nil {
		t.Skip("no mkfifo here")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "FUNCTION_TEST_PARENT="+dir+"/zip")
	parent.Stdout, parent.Stderr = os.Stderr, os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	started, err := os.Open(dir + "/started") // returns when the function opened it too
	if err != nil {
		t.Fatal(err)
	}
	defer started.Close()
	if line, err := bufio.NewReader(started).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	text, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(text))
	ended := exitOf(t, pid)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	ended()
}
