package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// onDisk starts weir with its data on a file system of its own, which is
// mounted for that process only and gone with it. Its files are reached through
// /proc. Only root can mount.
func onDisk(t *testing.T, mount string, flags ...string) *server {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can mount a small file system")
	}
	tool(t, "mount")
	data := t.TempDir()
	line := append([]string{"-c", mount + ` && shift && exec "$@"`, "sh", data, binary}, serveLine(filepath.Join(data, "data"), flags...)...)
	cmd := exec.Command("sh", line...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	s := begin(t, "", cmd)
	s.data = fmt.Sprintf("/proc/%d/root%s/data", cmd.Process.Pid, data)
	s.find(t)
	return s
}

// fillDisk takes all room that is left beside a server's data.
func fillDisk(t *testing.T, s *server) (room func()) {
	t.Helper()
	name := filepath.Join(filepath.Dir(s.data), "fill")
	f, err := os.Create(name)
	must(t, 0, err)
	defer f.Close()
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		if _, err := f.Write(block[:size]); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			must(t, 0, err)
		}
	}
	return func() { must(t, 0, os.Remove(name)) }
}

// openResource adds GET /open, which needs no key, to a gate's API.
func (g *gate) openResource(ctx context.Context) {
	g.t.Helper()
	api, err := g.agw.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: &g.api})
	must(g.t, 0, err)
	var root *string
	for _, r := range api.Items {
		if *r.Path == "/" {
			root = r.Id
		}
	}
	r, err := g.agw.CreateResource(ctx, &apigateway.CreateResourceInput{RestApiId: &g.api, ParentId: root, PathPart: aws.String("open")})
	must(g.t, 0, err)
	get := aws.String("GET")
	_, err = g.agw.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: &g.api, ResourceId: r.Id, HttpMethod: get, AuthorizationType: aws.String("NONE")})
	must(g.t, 0, err)
	in := mock()
	in.RestApiId, in.ResourceId, in.HttpMethod = &g.api, r.Id, get
	_, err = g.agw.PutIntegration(ctx, in)
	must(g.t, 0, err)
	_, err = g.agw.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: &g.api, ResourceId: r.Id, HttpMethod: get, StatusCode: aws.String("200")})
	must(g.t, 0, err)
	_, err = g.agw.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: &g.api, ResourceId: r.Id, HttpMethod: get, StatusCode: aws.String("200")})
	must(g.t, 0, err)
	_, err = g.agw.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &g.api, StageName: aws.String("live")})
	must(g.t, 0, err)
}

func (g *gate) callOpen() int {
	g.t.Helper()
	res, err := http.Get(strings.TrimSuffix(g.url(), "call") + "open")
	must(g.t, 0, err)
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res.StatusCode
}

// TestFullDisk fills the disk under a running server: calls with a quota are
// refused, the others go on, changes are refused with the reason, and all of it
// recovers when there is room, with every admitted call counted and no other.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	awayFromMidnight(t, time.Minute)
	s := onDisk(t, `mount -t tmpfs -o size=24m,mode=0700 weir "$1"`)
	ctx := t.Context()
	c := newSDK(t, s)
	g := newGate(ctx, c, mock(), 100000, 10000, 100000)
	g.openResource(ctx)
	free := g.withoutQuota(ctx)
	admitted, freely := int64(0), int64(0)
	call := func() (int, string) {
		status, body := g.call(http.DefaultClient, g.keyValue)
		if status == 200 {
			admitted++
		}
		return status, body
	}
	if status, body := call(); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for round := range 2 {
		room := fillDisk(t, s)
		status, body := call()
		for n := 0; status == 200 && n < 5000; n++ { // what is left of the log is used up first
			status, body = call()
		}
		if status != 429 || body != `{"message":"Limit Exceeded"}` {
			t.Fatalf("round %d: a call with a quota gets %d %s", round, status, body)
		}
		if detail := lastDetail(ctx, t, s); !strings.Contains(detail, "the quota could not be asked") || !strings.Contains(detail, "full") {
			t.Errorf("round %d: the record says %s", round, detail)
		}
		if status := g.callOpen(); status != 200 {
			t.Errorf("round %d: a call without a key gets %d", round, status)
		}
		if status, body := g.call(http.DefaultClient, free.keyValue); status != 200 {
			t.Errorf("round %d: a call without a quota gets %d %s", round, status, body)
		}
		freely++
		today := aws.String(time.Now().UTC().Format(time.DateOnly))
		_, err := c.agw.GetUsage(ctx, &apigateway.GetUsageInput{UsagePlanId: &free.plan, StartDate: today, EndDate: today})
		if status, message := refusedWith(t, err); status != 500 || !strings.Contains(message, "is full: make room") {
			t.Errorf("round %d: get-usage gets %d %s", round, status, message)
		}
		_, err = c.agw.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("full"), Description: aws.String(strings.Repeat("x", 1000))})
		if status, message := refusedWith(t, err); status != 500 || !strings.Contains(message, "InternalFailure: the disk of the data folder is full: make room") {
			t.Errorf("round %d: a change gets %d %s", round, status, message)
		}
		if _, err := c.agw.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{}); err != nil {
			t.Errorf("round %d: reading fails: %v", round, err)
		}
		room()
		if status, body := call(); status != 200 {
			t.Errorf("round %d: with room again a call gets %d %s", round, status, body)
		}
		if used, _ := g.usedToday(ctx); used != admitted {
			t.Errorf("round %d: %d calls were admitted, the ledger says %d", round, admitted, used)
		}
		if used := free.used(ctx); used != freely {
			t.Errorf("round %d: %d calls without a quota were admitted, the ledger says %d", round, freely, used)
		}
		api, err := c.agw.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("room")})
		must(t, 0, err)
		_, err = c.agw.DeleteRestApi(ctx, &apigateway.DeleteRestApiInput{RestApiId: api.Id})
		must(t, 0, err)
	}
	intact(t, s)
	s.stop(t)
}

// withoutQuota is the gate with a second key, in a plan that only counts.
func (g *gate) withoutQuota(ctx context.Context) *gate {
	g.t.Helper()
	key, err := g.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("free"), Enabled: true})
	must(g.t, 0, err)
	plan, err := g.agw.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("free"), ApiStages: []agw.ApiStage{{ApiId: &g.api, Stage: aws.String("live")}},
	})
	must(g.t, 0, err)
	_, err = g.agw.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	must(g.t, 0, err)
	free := *g
	free.plan, free.key, free.keyValue = *plan.Id, *key.Id, *key.Value
	return &free
}

// used is what the gate's key used today, of a plan without a quota.
func (g *gate) used(ctx context.Context) int64 {
	g.t.Helper()
	today := aws.String(time.Now().UTC().Format(time.DateOnly))
	u, err := g.agw.GetUsage(ctx, &apigateway.GetUsageInput{UsagePlanId: &g.plan, StartDate: today, EndDate: today})
	must(g.t, 0, err)
	if days := u.Items[g.key]; len(days) == 1 {
		return days[0][0]
	}
	g.t.Fatalf("get-usage of one day = %v", u.Items)
	return 0
}

// intact holds the database of a running server against SQLite's own check.
func intact(t *testing.T, s *server) {
	t.Helper()
	file, restored := filepath.Join(t.TempDir(), "weir.backup"), filepath.Join(t.TempDir(), "restored")
	if _, errs, err := weir(t, "backup", "--data", s.data, file); err != nil {
		t.Fatalf("weir backup: %v\n%s", err, errs)
	}
	if _, errs, err := weir(t, "restore", "--data", restored, file); err != nil {
		t.Fatalf("weir restore: %v\n%s", err, errs)
	}
	checkDatabase(t, restored)
}

// TestFullDiskAtTheStart: where there is no room at all a server ends at once
// and says so; what is there stays.
func TestFullDiskAtTheStart(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can mount a small file system")
	}
	tool(t, "mount")
	data := t.TempDir()
	line := append([]string{"-c", `mount -t tmpfs -o size=64k weir "$1" && shift && exec "$@"`, "sh", data, binary}, serveLine(filepath.Join(data, "data"))...)
	cmd := exec.Command("sh", line...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(lastLine(string(out)), "the disk of the data folder is full: make room") {
		t.Errorf("it ended with %v\n%s", err, out)
	}
}

// TestDataFolderThatCannotBeWritten: a folder on a read-only file system is
// refused with what to do.
func TestDataFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can mount a small file system")
	}
	tool(t, "mount")
	for _, c := range []struct{ name, data string }{{"one with data", "full"}, {"an empty one", "empty"}} {
		folder := t.TempDir()
		data := filepath.Join(folder, c.data)
		if c.data == "full" {
			start(t, data).stop(t)
		}
		line := append([]string{"-c", `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`, "sh", folder, binary}, serveLine(data)...)
		cmd := exec.Command("sh", line...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		last := lastLine(string(out))
		if err == nil || !strings.Contains(last, "data folder") || !strings.Contains(last, "mount it writable, or give it to the user who runs weir") {
			t.Errorf("%s: it ended with %v\n%s", c.name, err, out)
		}
	}
}
