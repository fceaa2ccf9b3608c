package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// weir runs a command that ends and returns what it printed.
func weir(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// catalogOf is everything that the management APIs list, as JSON.
func catalogOf(ctx context.Context, t *testing.T, c *sdk) string {
	t.Helper()
	apis, err := c.agw.GetRestApis(ctx, &apigateway.GetRestApisInput{})
	must(t, apis, err)
	all := []any{apis.Items}
	for _, api := range apis.Items {
		resources, err := c.agw.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id, Embed: []string{"methods"}})
		must(t, resources, err)
		deployments, err := c.agw.GetDeployments(ctx, &apigateway.GetDeploymentsInput{RestApiId: api.Id})
		must(t, deployments, err)
		stages, err := c.agw.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: api.Id})
		must(t, stages, err)
		all = append(all, resources.Items, deployments.Items, stages.Item)
	}
	keys, err := c.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{IncludeValues: aws.Bool(true), Limit: aws.Int32(500)})
	must(t, keys, err)
	plans, err := c.agw.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{})
	must(t, plans, err)
	functions, err := c.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	must(t, functions, err)
	text, err := json.MarshalIndent(append(all, keys.Items, plans.Items, functions.Functions), "", " ")
	must(t, 0, err)
	return string(text)
}

// TestBackupUnderLoad backs a server up while callers call and keys are made:
// nobody is refused or kept waiting, and what is restored holds every call that
// was admitted before the backup began and none that came after it ended.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	awayFromMidnight(t, time.Minute)
	s := start(t, filepath.Join(t.TempDir(), "data"))
	ctx := t.Context()
	c := newSDK(t, s)
	g := newGate(ctx, c, mock(), 100000, 10000, 1000000)
	c.createFunction(ctx, "stamp", "python3.12", "lambda_function.lambda_handler", zipFolder(t, "../examples/timestamper"))

	var sent, admitted, made atomic.Int64
	loading, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for loading.Err() == nil {
				sent.Add(1)
				if status, body := g.call(client, g.keyValue); status != 200 {
					t.Errorf("during the backup a call was answered %d %s", status, body)
					return
				}
				admitted.Add(1)
			}
		})
	}
	load.Go(func() {
		for n := 0; loading.Err() == nil && n < 400; n++ {
			if _, err := c.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String(fmt.Sprintf("made-%04d", n))}); err != nil {
				t.Errorf("during the backup a change failed: %v", err)
				return
			}
			made.Add(1)
		}
	})
	within(t, 30*time.Second, "a hundred calls", func() bool { return admitted.Load() > 100 || t.Failed() })

	file := filepath.Join(t.TempDir(), "weir.backup")
	admittedBefore, madeBefore := admitted.Load(), made.Load()
	out, errs, err := weir(t, "backup", "--data", s.data, "--json", file)
	sentAfter, madeAfter := sent.Load(), made.Load()+1
	stop()
	load.Wait()
	if err != nil {
		t.Fatalf("weir backup: %v\n%s", err, errs)
	}
	var said struct {
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
	}
	must(t, 0, json.Unmarshal([]byte(out), &said))
	info, err := os.Stat(file)
	must(t, info, err)
	if info.Mode().Perm() != 0o600 || info.Size() != said.Bytes || len(said.SHA256) != 64 {
		t.Errorf("the file has %d bytes and mode %o; the command says %s", info.Size(), info.Mode().Perm(), out)
	}
	if admitted.Load() == admittedBefore {
		t.Error("no call was answered while the backup was made")
	}

	restored := filepath.Join(t.TempDir(), "restored")
	if _, errs, err := weir(t, "restore", "--data", restored, file); err != nil {
		t.Fatalf("weir restore: %v\n%s", err, errs)
	}
	r := start(t, restored)
	if r.keyID != s.keyID || r.secret != s.secret {
		t.Error("the restored server has another root access key")
	}
	rg := *g
	rg.sdk = newSDK(t, r)
	if used, _ := rg.usedToday(ctx); used < admittedBefore || used > sentAfter {
		t.Errorf("the backup counts %d calls; %d were admitted before it and %d sent until its end", used, admittedBefore, sentAfter)
	}
	keys, err := rg.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{NameQuery: aws.String("made-"), Limit: aws.Int32(500)})
	must(t, keys, err)
	if n := int64(len(keys.Items)); n < madeBefore || n > madeAfter {
		t.Errorf("the backup holds %d keys; %d were made before it and %d until its end", n, madeBefore, madeAfter)
	}
	if status, body := rg.call(http.DefaultClient, g.keyValue); status != 200 && !strings.Contains(body, "Too Many Requests") {
		t.Errorf("the restored server answers the key with %d %s", status, body)
	}
	answer, err := rg.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("stamp"), Payload: []byte(testEvent)})
	must(t, answer, err)
	if answer.FunctionError != nil || !strings.Contains(string(answer.Payload), "statusCode") {
		t.Errorf("the restored function answers %s", answer.Payload)
	}
}

// TestBackupOfAStoppedServer backs up what a kill -9 left, and what a clean
// stop left: catalog and counters come back as they were.
func TestBackupOfAStoppedServer(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	awayFromMidnight(t, time.Minute)
	ctx := t.Context()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	g := newGate(ctx, c, mock(), 100000, 10000, 100)
	c.createFunction(ctx, "stamp", "python3.12", "lambda_function.lambda_handler", zipFolder(t, "../examples/timestamper"))
	for range 7 {
		if status, body := g.call(http.DefaultClient, g.keyValue); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	want := catalogOf(ctx, t, c)
	s.kill(t)
	for _, end := range []string{"killed", "stopped"} {
		file := filepath.Join(t.TempDir(), "weir.backup")
		if out, errs, err := weir(t, "backup", "--data", s.data, file); err != nil || !strings.Contains(out, "keep it as safe as the data folder") {
			t.Fatalf("%s: weir backup: %v\n%s%s", end, err, out, errs)
		}
		restored := filepath.Join(t.TempDir(), "restored")
		if _, errs, err := weir(t, "restore", "--data", restored, file); err != nil {
			t.Fatalf("%s: weir restore: %v\n%s", end, err, errs)
		}
		r := start(t, restored)
		rg := *g
		rg.sdk = newSDK(t, r)
		if used, remaining := rg.usedToday(ctx); used != 7 || remaining != 93 {
			t.Errorf("%s: used %d, remaining %d", end, used, remaining)
		}
		if got := catalogOf(ctx, t, rg.sdk); got != want {
			t.Errorf("%s: the catalog came back as\n%s\nand was\n%s", end, got, want)
		}
		r.stop(t)
		s = r // which was stopped cleanly
	}
}

// TestBackupKeepsWhatIsThere: nothing is replaced unasked, and a failed backup
// leaves no file.
func TestBackupKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.backup")
	must(t, 0, os.WriteFile(file, []byte("precious"), 0o600))
	if _, errs, err := weir(t, "backup", "--data", s.data, file); err == nil || !strings.Contains(errs, "--force") {
		t.Errorf("a file that is there: %v, %s", err, errs)
	}
	text, err := os.ReadFile(file)
	if must(t, string(text), err) != "precious" {
		t.Error("it was replaced")
	}
	if _, errs, err := weir(t, "backup", "--force", "--data", s.data, file); err != nil {
		t.Errorf("with --force: %v, %s", err, errs)
	}
	must(t, 0, os.Remove(filepath.Join(s.data, "secret")))
	if _, errs, err := weir(t, "backup", "--data", s.data, filepath.Join(dir, "second")); err == nil || !strings.Contains(errs, "secret") {
		t.Errorf("without a secret: %v, %s", err, errs)
	}
	left, err := os.ReadDir(dir)
	if must(t, len(left), err) != 1 {
		t.Errorf("the folder holds %v", left)
	}
}

// TestBrokenBackupIsNoBackup: a backup that the server breaks off half-way is
// not taken for whole, and the next one works.
func TestBrokenBackupIsNoBackup(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	newSDK(t, s).createFunction(t.Context(), "stamp", "python3.12", "lambda_function.lambda_handler", zipFolder(t, "../examples/timestamper"))
	code, err := filepath.Glob(filepath.Join(s.data, "code", "*"))
	if must(t, len(code), err) != 1 {
		t.Fatal(code)
	}
	whole, err := os.ReadFile(code[0])
	must(t, 0, err)
	must(t, 0, os.WriteFile(code[0], make([]byte, len(whole)), 0o600))
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.backup")
	if _, errs, err := weir(t, "backup", "--data", s.data, file); err == nil || !strings.Contains(errs, "its log says why") {
		t.Errorf("a broken backup: %v, %s", err, errs)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	must(t, 0, os.WriteFile(code[0], whole, 0o600))
	if _, errs, err := weir(t, "backup", "--data", s.data, file); err != nil {
		t.Errorf("the next backup: %v, %s", err, errs)
	}
	s.stop(t)
	if !strings.Contains(s.log.String(), "is damaged") {
		t.Errorf("the log does not say why: %s", s.log)
	}
}
