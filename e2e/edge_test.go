package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
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
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// selfSigned writes a certificate for 127.0.0.1 and localhost into dir, each
// file in one step, and returns the files' names and the serial number.
func selfSigned(t *testing.T, dir string) (cert, key, serial string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, private, err)
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, number, err)
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "weir e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, public, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, secret, err)
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		must(t, 0, os.WriteFile(file+".new", pem.EncodeToMemory(block), 0o600))
		must(t, 0, os.Rename(file+".new", file))
	}
	return cert, key, number.String()
}

// insecure is a client that trusts any certificate.
func insecure(t *testing.T, http2, keepAlive bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2, DisableKeepAlives: !keepAlive}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestCurlOverTLS(t *testing.T) {
	curl := tool(t, "curl")
	cert, key, _ := selfSigned(t, t.TempDir())
	s := start(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(s.gateway, "https://127.0.0.1:") || !strings.HasPrefix(s.control, "http://") {
		t.Fatalf("weir env gives %s and %s", s.gateway, s.control)
	}
	g := newGate(t.Context(), newSDK(t, s), mock(), 1000, 1000, 1000)
	for _, c := range []struct{ protocol, key, want string }{
		{"--http2", g.keyValue, "2 200"},
		{"--http1.1", g.keyValue, "1.1 200"},
		{"--http2", "wrong", "2 403"},
		{"--http1.1", "wrong", "1.1 403"},
	} {
		out, err := exec.Command(curl, "-sS", c.protocol, "--cacert", cert, "-X", "POST", "-d", "{}", "-H", "content-type: application/json",
			"-H", "x-api-key: "+c.key, "-o", os.DevNull, "-w", "%{http_version} %{http_code}", g.url()).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("curl %s: %v %q, want %s", c.protocol, err, out, c.want)
		}
	}
	out, err := exec.Command(curl, "-sS", strings.Replace(g.url(), "https://", "http://", 1)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "This address speaks TLS: use https://.") {
		t.Errorf("curl http:// to the TLS address: %v %q", err, out)
	}
	s.stop(t)
}

// TestCertificateReloadUnderLoad: new certificates while calls go on, over both
// protocols, on old connections and on new ones. Not one call fails.
func TestCertificateReloadUnderLoad(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := selfSigned(t, dir)
	s := start(t, filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	g := newGate(t.Context(), newSDK(t, s), mock(), 10_000, 5000, 1_000_000)
	var calls, failures atomic.Int64
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for _, client := range []*http.Client{insecure(t, true, true), insecure(t, true, false), insecure(t, false, true), insecure(t, false, false)} {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				calls.Add(1)
				if status, body := g.call(client, g.keyValue); status != 200 {
					failures.Add(1)
					t.Errorf("a call during a reload: %d %s", status, body)
				}
			}
		})
	}
	addr := strings.TrimPrefix(s.gateway, "https://")
	shown := func() string {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	for range 2 {
		_, _, serial := selfSigned(t, dir)
		within(t, 30*time.Second, "the new certificate", func() bool { return shown() == serial })
	}
	// A broken pair changes nothing.
	serial := shown()
	must(t, 0, os.WriteFile(key, []byte("-----BEGIN"), 0o600))
	time.Sleep(5 * time.Second) // it was looked at
	if got := shown(); got != serial {
		t.Errorf("after a broken pair: %s, want %s", got, serial)
	}
	close(stop)
	callers.Wait()
	t.Logf("%d calls, %d failed", calls.Load(), failures.Load())
	s.stop(t)
	for _, line := range []string{"TLS certificate reloaded", "the one in use stays"} {
		if !strings.Contains(s.log.String(), line) {
			t.Errorf("the log does not say %q", line)
		}
	}
}

// TestControlOverTLS: the control address can be exposed, and what runs on this
// machine needs no certificate.
func TestControlOverTLS(t *testing.T) {
	cert, key, _ := selfSigned(t, t.TempDir())
	s := start(t, filepath.Join(t.TempDir(), "data"), "--control-tls-cert", cert, "--control-tls-key", key)
	var env map[string]string
	out, err := exec.Command(binary, "env", "--json", "--data", s.data).Output()
	must(t, out, err)
	must(t, 0, json.Unmarshal(out, &env))
	if !strings.HasPrefix(env["AWS_ENDPOINT_URL"], "https://127.0.0.1:") || env["AWS_CA_BUNDLE"] != cert || !strings.HasPrefix(env["WEIR_GATEWAY_URL"], "http://") {
		t.Errorf("weir env gives %v", env)
	}
	t.Run("weir's own commands", func(t *testing.T) {
		for _, args := range [][]string{{"health"}, {"keys"}, {"requests"}} {
			if out, err := exec.Command(binary, append(args, "--data", s.data)...).CombinedOutput(); err != nil {
				t.Errorf("weir %v: %v: %s", args, err, out)
			}
		}
	})
	t.Run("the aws CLI", func(t *testing.T) {
		cmd := exec.Command(tool(t, "aws"), "sts", "get-caller-identity", "--endpoint-url", s.control, "--query", "Arn", "--output", "text")
		cmd.Env = append(s.environment(t), "AWS_CA_BUNDLE="+cert)
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "arn:aws:iam::000000000000:root" {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("AWS's SDK over HTTP/2", func(t *testing.T) {
		c := aws.Config{
			Region: s.region, BaseEndpoint: aws.String(s.control), HTTPClient: insecure(t, true, true), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(s.keyID, s.secret, ""),
		}
		role, err := iam.NewFromConfig(c).CreateRole(t.Context(), &iam.CreateRoleInput{
			RoleName:                 aws.String("r"),
			AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
		})
		must(t, role, err)
		dir := t.TempDir()
		noise := make([]byte, 12<<20) // more than a call may have, and it does not shrink
		_, _ = rand.Read(noise)
		must(t, 0, os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600))
		must(t, 0, os.WriteFile(filepath.Join(dir, "f.py"), []byte("def f(event, context): return event\n"), 0o600))
		made, err := lambda.NewFromConfig(c).CreateFunction(t.Context(), &lambda.CreateFunctionInput{
			FunctionName: aws.String("large"), Runtime: lam.RuntimePython312, Handler: aws.String("f.f"), Role: role.Role.Arn,
			Code: &lam.FunctionCode{ZipFile: zipFolder(t, dir)},
		})
		must(t, made, err)
		if made.CodeSize < 12<<20 {
			t.Errorf("%d bytes arrived", made.CodeSize)
		}
		res, err := insecure(t, true, true).Get(s.control + "/_weir/health")
		must(t, res, err)
		_ = res.Body.Close()
		if res.ProtoMajor != 2 {
			t.Errorf("the control address speaks %s", res.Proto)
		}
	})
	t.Run("a function's endpoint", func(t *testing.T) {
		var running struct{ LocalURL string }
		text, err := os.ReadFile(filepath.Join(s.data, "running.json"))
		must(t, text, err)
		must(t, 0, json.Unmarshal(text, &running))
		res, err := http.Get(running.LocalURL + "/_weir/health")
		must(t, res, err)
		_ = res.Body.Close()
		if !strings.HasPrefix(running.LocalURL, "http://127.0.0.1:") || res.StatusCode != 200 {
			t.Errorf("%s answers %s", running.LocalURL, res.Status)
		}
	})
	s.stop(t)
}

// TestProxyProtocolByRawBytes: the record says who the PROXY header named.
func TestProxyProtocolByRawBytes(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), "--trusted-proxies", "127.0.0.1,::1", "--proxy-protocol", "--header-timeout", "1s")
	addr := strings.TrimPrefix(s.gateway, "http://")
	ask := func(preamble string) string {
		c, err := net.Dial("tcp", addr)
		must(t, c, err)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, preamble+"GET /_aws/execute-api/none/live/call HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line)
	}
	version2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\xc6\x33\x64\x01\x12\x67\x01\xbb" // 192.0.2.2
	for preamble, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n": "HTTP/1.1 403 Forbidden",
		version2: "HTTP/1.1 403 Forbidden",
		"":       "", // no header, no answer
	} {
		if got := ask(preamble); got != want {
			t.Errorf("after %q: %q, want %q", preamble, got, want)
		}
	}
	out, err := exec.Command(binary, "requests", "--data", s.data, "--json").Output()
	must(t, out, err)
	for _, address := range []string{`"192.0.2.1"`, `"192.0.2.2"`} {
		if !strings.Contains(string(out), address) {
			t.Errorf("no record of %s: %s", address, out)
		}
	}
	if strings.Contains(string(out), "6.6.6.6") {
		t.Errorf("a client's own header was believed: %s", out)
	}
	s.stop(t)
}

// TestBadCertificateIsOneError: and nothing is left behind.
func TestBadCertificateIsOneError(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := selfSigned(t, dir)
	for _, c := range []struct{ cert, key, want string }{
		{cert + ".none", key, "--tls-cert: reading the TLS certificate: open"},
		{key, cert, "are no certificate and its key"},
	} {
		out, err := exec.Command(binary, "serve", "--data", filepath.Join(dir, "data"), "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0",
			"--tls-cert", c.cert, "--tls-key", c.key).CombinedOutput()
		if err == nil || strings.Count(strings.TrimSpace(string(out)), "\n") != 0 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %s", err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a data folder was made")
	}
}

// TestHAProxyNamesTheClient: a real proxy with PROXY headers of both versions,
// and with X-Forwarded-For.
func TestHAProxyNamesTheClient(t *testing.T) {
	haproxy := tool(t, "haproxy")
	for _, c := range []struct {
		name, mode, server string
		flags              []string
	}{
		{"PROXY version 1", "tcp", "send-proxy", []string{"--proxy-protocol"}},
		{"PROXY version 2", "tcp", "send-proxy-v2", []string{"--proxy-protocol"}},
		{"X-Forwarded-For", "http", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, filepath.Join(t.TempDir(), "data"), append([]string{"--trusted-proxies", "127.0.0.1"}, c.flags...)...)
			front := freeAddress(t)
			config := filepath.Join(t.TempDir(), "haproxy.cfg")
			forward := ""
			if c.mode == "http" {
				forward = "  option forwardfor\n"
			}
			must(t, 0, os.WriteFile(config, fmt.Appendf(nil,
				"defaults\n  mode %s\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n%slisten gate\n  bind %s\n  server weir %s %s\n",
				c.mode, forward, front, strings.TrimPrefix(s.gateway, "http://"), c.server), 0o600))
			cmd := exec.Command(haproxy, "-db", "-f", config)
			must(t, 0, cmd.Start())
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			// From an address that is no trusted proxy.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext}}
			within(t, 20*time.Second, "haproxy", func() bool {
				res, err := client.Get("http://" + front + "/_aws/execute-api/none/live/call")
				if err != nil {
					return false
				}
				_ = res.Body.Close()
				return res.StatusCode == 403
			})
			out, err := exec.Command(binary, "requests", "--data", s.data, "--json").Output()
			must(t, out, err)
			if !strings.Contains(string(out), `"127.0.0.9"`) {
				t.Errorf("no record of 127.0.0.9: %s", out)
			}
			s.stop(t)
		})
	}
}

// freeAddress is an address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, l, err)
	defer l.Close()
	return l.Addr().String()
}
