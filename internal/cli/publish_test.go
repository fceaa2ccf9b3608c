package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/app"
	"weir/internal/cli/publish"
)

// functionFolder is a folder that can be published.
func functionFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte("def handler(event, context):\n    pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPublishRefusesAWrongCommandLine(t *testing.T) {
	dir, data := functionFolder(t), t.TempDir()
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"no server", []string{"publish", dir, "--data", data}, exitAbsent, "weir serve --data " + data},
		{"another place", []string{"publish", dir, "--to", "azure"}, exitUsage, "the one choice is aws"},
		{"two places", []string{"publish", dir, "--to", "aws", "--data", data}, exitUsage, "leave --data and --endpoint-url out"},
		{"a region of a weir", []string{"publish", dir, "--region", "eu-west-1"}, exitUsage, "--region is for --to aws"},
		{"a variable without a value", []string{"publish", dir, "--env", "TOKEN"}, exitUsage, "give KEY=VALUE"},
		{"no key and a quota", []string{"publish", dir, "--no-key", "--quota", "5/day"}, exitUsage, "exclude each other"},
		{"an empty folder", []string{"publish", t.TempDir()}, exitUsage, "nothing to publish was found"},
		{"no folder", []string{"publish", filepath.Join(dir, "absent")}, exitUsage, "is not a folder"},
		{"a removal without a server", []string{"unpublish", "demo", "--data", data}, exitAbsent, "no server"},
		{"a removal that cannot ask", []string{"unpublish", "demo", "--to", "aws"}, exitUsage, "give --yes"},
		{"no memory", []string{"publish", dir, "--memory", "0"}, exitUsage, "--memory 0: give 128 to 10240"},
		{"no time", []string{"publish", dir, "--timeout", "0"}, exitUsage, "--timeout 0: give 1 to 900"},
		{"no number", []string{"publish", dir, "--rate", "nan"}, exitUsage, "--rate: give a number"},
		{"up with a wrong flag", []string{"up", dir, "--memory", "1"}, exitUsage, "128 to 10240"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := line(t, c.args...)
			if code != c.code || !strings.Contains(errs, c.stderr) || out != "" {
				t.Errorf("exit %d, want %d; printed %s%s, want %q", code, c.code, out, errs, c.stderr)
			}
		})
	}
}

// TestWhatAnUnfinishedPublicationIsTold: to go on is for what began.
func TestWhatAnUnfinishedPublicationIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"the folder", fmt.Errorf("code: %w", &publish.FolderError{Err: errors.New("too large")}), exitFailure, "code: too large"},
		{"Ctrl-C", fmt.Errorf("role: %w", context.Canceled), exitFailure, "interrupted: run the same command again to go on from here"},
		{"a failed call", errors.New("role: no"), exitFailure, "role: no\nrun the same command again to go on from here"},
		{"the command line", &publish.SpecError{Message: "--name"}, exitUsage, "--name"},
	} {
		if code, got := verdict(unfinished(c.err)); code != c.code || got != c.want {
			t.Errorf("%s: exit %d, %q, want %d, %q", c.name, code, got, c.code, c.want)
		}
	}
}

// TestAVariableIsNotTold: what was given for --env may be a secret.
func TestAVariableIsNotTold(t *testing.T) {
	if _, _, errs := line(t, "publish", functionFolder(t), "--env", "hunter2hunter2"); strings.Contains(errs, "hunter2") {
		t.Error(errs)
	}
}

func TestTriesFitTheLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		p    published
		want []string
	}{
		{"the defaults", published{Rate: 1, Burst: 1, Quota: &quotaFigure{10, "DAY"}}, []string{"403", "200", "seq 2)", "seq 11); sleep 1.1"}},
		{"without a key", published{Rate: 1, Burst: 1, open: true}, []string{"200", "seq 2)"}},
		{"a large quota", published{Rate: 1, Burst: 1, Quota: &quotaFigure{1000, "MONTH"}}, []string{"403", "200", "seq 2)"}},
		{"a fast plan", published{Rate: 100, Burst: 50, Quota: &quotaFigure{20, "DAY"}}, []string{"403", "200", "seq 21); sleep 0.02"}},
		{"a slow plan", published{Rate: 0.1, Burst: 2, Quota: &quotaFigure{4, "DAY"}}, []string{"403", "200", "seq 3)", "seq 5); sleep 11"}},
		{"nothing is let through", published{Rate: 0, Burst: 1}, []string{"403", "429"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Methods, c.p.Key, c.p.Endpoint = []string{"POST"}, "value", "http://127.0.0.1:1/x"
			tries := c.p.tries()
			if len(tries) != len(c.want) {
				t.Fatalf("there are %v", tries)
			}
			for i, want := range c.want {
				loop, sleep, _ := strings.Cut(want, "; ")
				if text := tries[i].shows + " " + tries[i].line; !strings.Contains(text, loop) || !strings.Contains(text, sleep) {
					t.Errorf("line %d is %q, want %s", i+1, text, want)
				}
			}
			if last := tries[len(tries)-1].line; strings.Contains(last, "x-api-key") == c.p.open {
				t.Errorf("the key stands wrong in %s", last)
			}
		})
	}
}

func TestACurlLineFitsTheMethod(t *testing.T) {
	for method, want := range map[string]string{
		"ANY":    `curl -s -w ' %{http_code}\n' -X POST -H 'x-api-key: value' -d '{"hello": "world"}' http://127.0.0.1:1/a/id`,
		"GET":    `curl -s -w ' %{http_code}\n' -X GET -H 'x-api-key: value' http://127.0.0.1:1/a/id`,
		"DELETE": `curl -s -w ' %{http_code}\n' -X DELETE -H 'x-api-key: value' http://127.0.0.1:1/a/id`,
		"HEAD":   `curl -s -w ' %{http_code}\n' -X HEAD -H 'x-api-key: value' -I http://127.0.0.1:1/a/id`,
	} {
		p := published{Methods: []string{method}, Key: "value", Endpoint: "http://127.0.0.1:1/a/{id}"}
		if got := p.curl(true); got != want {
			t.Errorf("%s: %s\nwant %s", method, got, want)
		}
	}
}

func TestWhereAPublicationIsReached(t *testing.T) {
	for base, host := range map[string]string{
		"http://127.0.0.1:8080":   "http://abc.execute-api.us-east-1.localhost:8080/live/x",
		"https://localhost:8443":  "", // no certificate has that name
		"http://gate.example:80":  "", // its names are not known here
		"http://192.168.1.5:8080": "",
	} {
		p := published{APIID: "abc", Region: "us-east-1", Stage: "live", Path: "/x"}
		p.onWeir(base, "")
		if p.Endpoint != base+"/_aws/execute-api/abc/live/x" || p.Host != host {
			t.Errorf("at %s it is %s and %q", base, p.Endpoint, p.Host)
		}
	}
}

// TestCurlTrustsTheServer: the printed lines work with a certificate that
// issued itself.
func TestCurlTrustsTheServer(t *testing.T) {
	p := published{APIID: "abc", Stage: "live", Path: "/x", Methods: []string{"GET"}}
	p.onWeir("https://127.0.0.1:8443", "/etc/my weir/tls.crt")
	if got := p.curl(false); !strings.Contains(got, "--cacert '/etc/my weir/tls.crt' https://127.0.0.1:8443/") {
		t.Errorf("got %s", got)
	}
	p.onWeir("https://gate.example:8443", "")
	if got := p.curl(false); strings.Contains(got, "--cacert") {
		t.Errorf("got %s", got)
	}
}

func TestStepsArePlainInAPipe(t *testing.T) {
	var out strings.Builder
	s := &steps{&out}
	for _, e := range []publish.Event{
		{Step: "account", State: publish.Started, Detail: "what is there"},
		{Step: "account", State: publish.Done, Detail: "account 1"},
		{Step: "function", State: publish.Started, Detail: "function x\x1b[2J"},
		{Step: "function", State: publish.Waiting, Detail: "the new role"},
		{Step: "function", State: publish.Made, Detail: "function x\x1b[2J"},
		{Step: "api", State: publish.Failed, Detail: "API x"},
		{Step: "key", State: publish.Stopped, Detail: "API key x"},
	} {
		s.report(e)
	}
	const want = "account 1\nfunction: waiting: the new role\nfunction x\\x1b[2J: made\nAPI x: failed\nAPI key x: interrupted\n"
	if out.String() != want {
		t.Errorf("printed %q\nwant %q", out.String(), want)
	}
}

// TestATakenDefaultAddressIsReplaced, and one that a flag names is not.
func TestATakenDefaultAddressIsReplaced(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for _, named := range []bool{false, true} {
		c := newUp()
		c.SetContext(t.Context())
		var errs strings.Builder
		c.SetErr(&errs)
		if named {
			if err := c.Flags().Set("gateway-addr", addr); err != nil {
				t.Fatal(err)
			}
		}
		o := app.Options{GatewayAddr: addr, ControlAddr: "127.0.0.1:0"}
		u := up{cmd: c}
		if err := u.chooseAddresses(&o); err != nil {
			t.Fatal(err)
		}
		want, says := "127.0.0.1:0", addr+" is taken by another program"
		if named {
			want, says = addr, ""
		}
		if o.GatewayAddr != want || o.ControlAddr != "127.0.0.1:0" || !strings.Contains(errs.String(), says) || named && errs.Len() > 0 {
			t.Errorf("named by a flag %t: it chose %s and told %q", named, o.GatewayAddr, errs.String())
		}
	}
}

func TestPublicationName(t *testing.T) {
	dir := functionFolder(t)
	for arg, want := range map[string]string{"demo": "demo", "a/demo": "demo", dir: publish.NameOf(dir)} {
		if got := publicationName(arg); got != want {
			t.Errorf("%q is %q, want %q", arg, got, want)
		}
	}
}
