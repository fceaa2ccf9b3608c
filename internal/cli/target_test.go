package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"
)

// readTarget runs a command that has only the flags of a target.
func readTarget(args ...string) (target, error) {
	var t target
	c := &cobra.Command{Use: "x", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
	t.register(c)
	c.SetArgs(args)
	c.SetOut(&bytes.Buffer{})
	err := c.Execute()
	return t, err
}

func TestTargetOrder(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/default")
	t.Setenv("WEIR_JSON", "true") // only the two are read
	for _, c := range []struct {
		name           string
		env            []string
		args           []string
		data, endpoint string
	}{
		{"nothing said", nil, nil, "/default/weir", ""},
		{"data", nil, []string{"--data", "d"}, "d", ""},
		{"endpoint", nil, []string{"--endpoint-url", "http://h:1/"}, "/default/weir", "http://h:1"},
		{"variable", []string{"WEIR_DATA", "e"}, nil, "e", ""},
		{"flag before variable", []string{"WEIR_DATA", "e"}, []string{"--data", "d"}, "d", ""},
		{"data flag before endpoint variable", []string{"WEIR_ENDPOINT_URL", "http://h:1"}, []string{"--data", "d"}, "d", ""},
		{"endpoint flag before data variable", []string{"WEIR_DATA", "e"}, []string{"--endpoint-url", "https://h"}, "e", "https://h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			got, err := readTarget(c.args...)
			if err != nil || got.data != c.data || got.endpoint != c.endpoint {
				t.Errorf("%+v, %v; want %s, %s", got, err, c.data, c.endpoint)
			}
		})
	}
}

func TestTargetRefuses(t *testing.T) {
	for _, c := range [][]string{
		{"--data", "d", "--endpoint-url", "http://h"},
		{"--endpoint-url", "h:1"},
		{"--endpoint-url", "ftp://h"},
		{"--endpoint-url", "http://"},
		{"--endpoint-url", "http://user:word@h"},
	} {
		_, err := readTarget(c...)
		if err == nil || strings.Contains(err.Error(), "word") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestVerdict: what a server said is told without the SDK's words around it.
func TestVerdict(t *testing.T) {
	call := func(err error) error {
		return &smithy.OperationError{ServiceID: "API Gateway", OperationName: "GetApiKeys", Err: err}
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: errors.New("refused")}
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{errors.New("unknown flag"), exitUsage, "unknown flag"},
		{&failure{exitFailure, errors.New("no")}, exitFailure, "no"},
		{call(&smithy.GenericAPIError{Code: "NotFoundException", Message: "Invalid API Key"}), exitFailure, "GetApiKeys: NotFoundException: Invalid API Key"},
		{fmt.Errorf("first: %w", call(&smithy.GenericAPIError{Code: "C", Message: "m"})), exitFailure, "first: GetApiKeys: C: m"},
		{&failure{exitFailure, fmt.Errorf("made one, then %w", call(&smithy.GenericAPIError{Code: "C", Message: "m"}))}, exitFailure, "made one, then GetApiKeys: C: m"},
		{call(refused), exitAbsent, "no server answers on 127.0.0.1:1: refused"},
		{call(errors.New("odd")), exitFailure, "odd"},
	} {
		if code, got := verdict(c.err); code != c.code || got != c.want {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, got, c.code, c.want)
		}
	}
}

// TestEndpointURL: a server elsewhere is reached with a profile of AWS's
// tools, and what needs its data folder or credentials says so.
func TestEndpointURL(t *testing.T) {
	s := stock(t)
	dir := t.TempDir()
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	at := []string{"--endpoint-url", s.conn.running.ControlURL}
	if code, _, errs := line(t, append([]string{"keys"}, at...)...); code != exitFailure || !strings.Contains(errs, "AWS_REGION") {
		t.Errorf("without a region: exit %d: %s", code, errs)
	}
	t.Setenv("AWS_REGION", "us-east-1")
	if code, _, errs := line(t, append([]string{"keys"}, at...)...); code != exitFailure || !strings.Contains(errs, "AWS_ACCESS_KEY_ID") {
		t.Errorf("without credentials: exit %d: %s", code, errs)
	}
	t.Setenv("AWS_REGION", "")
	s.does("env", "--profile", "shop", "--json")
	t.Setenv("AWS_PROFILE", "shop")
	t.Setenv("AWS_ENDPOINT_URL_API_GATEWAY", "http://127.0.0.1:1") // the flag beats it
	for _, args := range [][]string{{"keys"}, {"plans"}, {"usage"}, {"functions"}, {"apis"}, {"keys", "show", "reader"}} {
		code, out, errs := line(t, append(args, at...)...)
		if code != exitOK || errs != "" {
			t.Errorf("weir %v: exit %d: %s", args, code, errs)
		}
		if here := s.does(args...); args[0] == "plans" && out != here {
			t.Errorf("weir %v says elsewhere\n%swhere it says here\n%s", args, out, here)
		}
		if url := s.conn.running.ControlURL + "/_aws/execute-api/"; args[0] == "apis" && !strings.Contains(out, url) {
			t.Errorf("weir apis shows no URL that begins with %s:\n%s", url, out)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
	t.Setenv("AWS_REGION", "us-east-1")
	if code, _, errs := line(t, append([]string{"keys"}, at...)...); code != exitFailure || !strings.Contains(errs, "GetApiKeys: ") {
		t.Errorf("with wrong credentials: exit %d: %s", code, errs)
	}
}
