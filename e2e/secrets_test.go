package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// secrets are what nothing but the two files made for it may hold: the root's
// secret key and the server secret, and what the test has hidden.
func (s *server) secrets(t *testing.T) []string {
	t.Helper()
	var all []string
	if s.secret != "" { // "" when the server did not come up
		all = append(all, s.secret)
	}
	if text, err := os.ReadFile(filepath.Join(s.data, "secret")); err == nil {
		fields := strings.Fields(string(text))
		all = append(all, fields[len(fields)-1])
	}
	return append(all, s.hidden...)
}

// secretsBelow are the secrets of all servers that had their data in a folder.
func secretsBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "root-access-key.json" {
			return err
		}
		text, err := os.ReadFile(name)
		must(t, text, err)
		var root struct{ SecretAccessKey string }
		must(t, 0, json.Unmarshal(text, &root))
		all = append(all, (&server{data: filepath.Dir(name), secret: root.SecretAccessKey}).secrets(t)...)
		return nil
	})
	must(t, 0, err)
	return all
}

// tellsNothing fails the test when text holds one of the secrets, as it is or
// in an encoding that anybody can undo.
func tellsNothing(t *testing.T, what string, text []byte, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if len(secret) < 16 {
			t.Fatalf("%q is too short to be looked for", secret)
		}
		forms := []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))}
		if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(secret, "=")); err == nil {
			forms = append(forms, string(raw)) // the server secret's own bytes
		}
		for _, form := range forms {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				// Where it stands is shown, the secret is not.
				t.Errorf("%s tells a secret: …%s[HERE]", what, text[max(0, i-200):i])
			}
		}
	}
}

// leaky is a function that gives the caller what it must not tell anybody
// else, fails, or ends, as it is asked.
const leaky = `import json, os, sys
def handler(event, context):
    how = json.loads(event.get("body") or "{}").get("how")
    print("called", how)
    if how == "raise":
        raise ValueError("on purpose")
    if how == "exit":
        sys.exit(3)
    if how == "garbage":
        return "no answer"
    return {"statusCode": 200, "body": json.dumps([os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_SESSION_TOKEN"]])}
`

// TestNothingTellsASecret: a broad walk with everything that may go wrong, and then
// nothing that was logged, printed or stored holds a key value or a secret.
func TestNothingTellsASecret(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newSecretWalk(t, format)
			w.callers()
			w.malformed()
			w.functions()
			w.management()
			w.commands()
			w.stored()
			w.s.stop(t)
			if w.s.log.Len() < 1000 {
				t.Errorf("only %d bytes were logged: this test does not see the log", w.s.log.Len())
			}
		})
	}
}

type secretWalk struct {
	*gate
	spare, spareValue string
	printed           bytes.Buffer // all that commands and refusals said
}

func newSecretWalk(t *testing.T, format string) *secretWalk {
	t.Helper()
	s := start(t, filepath.Join(t.TempDir(), "data"), "--log-format", format)
	c := newSDK(t, s)
	ctx := t.Context()
	arn := c.createFunction(ctx, "leaky", "python3.12", "leaky.handler", zipped(t, "leaky.py", leaky))
	w := &secretWalk{gate: newGate(ctx, c, proxy(arn), 1000, 1000, 100000)}
	c.permit(ctx, "leaky", w.api)
	w.spareValue = "spare-" + strings.Repeat("k", 30)
	key, err := c.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("spare"), Value: &w.spareValue})
	must(t, key, err)
	w.spare = *key.Id
	s.hidden = append(s.hidden, w.spareValue)
	return w
}

// said keeps what came back, to be looked through at the end.
func (w *secretWalk) said(what string, text []byte) {
	fmt.Fprintf(&w.printed, "%s: %s\n", what, text)
}

// callers send keys in every place but the two that are recorded as sent, the
// path and the user agent.
func (w *secretWalk) callers() {
	for _, value := range []string{w.keyValue, w.spareValue} {
		for _, edit := range []func(*http.Request){
			func(r *http.Request) { r.Header.Set("X-Api-Key", value) },
			func(r *http.Request) { r.Header["x-API-key"] = []string{value, value} },
			func(r *http.Request) { r.Header.Set("X-Api-Key", value+"x") },
			func(r *http.Request) { r.URL.RawQuery = "x-api-key=" + value },
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+value) },
			func(r *http.Request) {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+value+"/20261124/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature="+value)
			},
			func(r *http.Request) { r.Header.Set("Cookie", "key="+value) },
			func(r *http.Request) { r.Host = value + ".execute-api.us-east-1.localhost" },
			func(r *http.Request) { r.URL.Path = "/nowhere"; r.Header.Set("X-Api-Key", value) },
			func(r *http.Request) { r.Method = "DELETE"; r.Header.Set("X-Api-Key", value) },
			func(r *http.Request) { r.Header.Set("X-Api-Key", value); r.Header.Set("Expect", "42-"+value) },
		} {
			r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url(), strings.NewReader(`{"how": "raise", "key": "`+value+`"}`))
			must(w.t, r, err)
			edit(r)
			if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				w.said("caller", body)
			}
		}
	}
}

// malformed sends what is no request, with keys in it, to both addresses.
func (w *secretWalk) malformed() {
	path := strings.TrimPrefix(w.gate.url(), w.s.gateway)
	for _, base := range []string{w.s.gateway, w.s.control} {
		for _, value := range []string{w.keyValue, w.s.secret} {
			head := "POST " + path + " HTTP/1.1\r\nHost: h\r\n"
			for _, text := range []string{
				head + "x-api-key " + value + "\r\n\r\n",
				head + "x-api-key : " + value + "\r\n\r\n",
				head + "x-api-key: " + value + "\n\r\n\n",
				head + "x-api-key: a\r\n " + value + "\r\n\r\n",
				head + "x-api-key: " + value + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
				head + "x-api-key: " + value + "\r\nContent-Length: " + value + "\r\n\r\n",
				head + "x-api-key: " + value + "\r\nTransfer-Encoding: chunked\r\n\r\n" + value + "\r\n",
				head + "x-api-key: " + value + "\x00\r\n\r\n",
				head + "Authorization: AWS4-HMAC-SHA256 " + value + "\r\nx-api-key: " + value + "\r\nContent-Length: 3\r\n\r\n{\"x",
				head + "Authorization: Bearer " + value + "\r\nUpgrade: " + value + "\r\nConnection: upgrade\r\n\r\n",
				"GET /restapis?x-api-key=" + value + " HTTP/1.1\r\nHost: h\r\nAuthorization: " + value + "\r\n\r\n",
				"GET / HTTP/9." + value + "\r\nHost: h\r\n\r\n",
				"\x16\x03\x01" + value + "\r\n\r\n",
				head + "x-api-key: " + value + strings.Repeat("x", 20000) + "\r\n\r\n",
			} {
				w.said("malformed", rawly(w.t, base, text))
			}
		}
	}
}

// rawly sends bytes on a connection of their own and gives what came back.
func rawly(t *testing.T, base, text string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	must(t, conn, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return nil // closed on us in the middle
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(io.LimitReader(conn, 1<<16))
	return answer
}

// functions: a session's secrets go to the function, which gives them to this
// caller; they and its failures must not end up anywhere else.
func (w *secretWalk) functions() {
	ask := func(how string) (int, string) {
		req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url(), strings.NewReader(`{"how": "`+how+`"}`))
		must(w.t, req, err)
		req.Header.Set("X-Api-Key", w.keyValue)
		res, err := http.DefaultClient.Do(req)
		must(w.t, res, err)
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	status, body := ask("answer")
	var session []string
	if err := json.Unmarshal([]byte(body), &session); err != nil || status != 200 || len(session) != 2 {
		w.t.Fatalf("the function answered %d %s", status, body)
	}
	w.s.hidden = append(w.s.hidden, session...)
	for _, how := range []string{"raise", "exit", "garbage"} {
		if status, body := ask(how); status != 502 {
			w.t.Errorf("%s: %d %s", how, status, body)
		} else {
			w.said(how, []byte(body))
		}
	}
	out, err := w.lambda.Invoke(w.t.Context(), &lambda.InvokeInput{FunctionName: aws.String("leaky"), Payload: []byte(`{"body": "{\"how\": \"raise\"}"}`), LogType: "Tail"})
	must(w.t, out, err)
	tail, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	w.said("invoke", append(out.Payload, tail...))
	if !strings.Contains(string(tail), "called raise") {
		w.t.Errorf("the log tail of the function is %s", tail)
	}
}

// management sends calls that are refused, with secrets where they can be.
func (w *secretWalk) management() {
	ctx := w.t.Context()
	failed := func(what string, err error) {
		if err == nil {
			w.t.Errorf("%s succeeded", what)
			return
		}
		w.said(what, []byte(err.Error()))
	}
	bent := *w.s
	bent.secret = w.keyValue
	_, err := newSDK(w.t, &bent).agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	failed("wrong secret", err)
	bent.keyID, bent.secret = w.s.secret+"/+", w.s.keyID // a slash is in many secrets
	_, err = newSDK(w.t, &bent).agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	failed("secret and id exchanged", err)
	_, err = w.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("again"), Value: &w.keyValue})
	failed("a value twice", err)
	_, err = w.agw.GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &w.spareValue})
	failed("a value for an id", err)
	link, err := sts.NewPresignClient(w.sts).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	must(w.t, link, err)
	for _, target := range []string{link.URL, link.URL + "&x-api-key=" + w.keyValue, strings.Replace(link.URL, "X-Amz-Credential=", "X-Amz-Credential="+w.s.secret, 1)} {
		res, err := http.Get(target)
		must(w.t, res, err)
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		w.said("presigned", body)
	}
	listed, err := w.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	must(w.t, listed, err)
	text, _ := json.Marshal(listed.Items)
	w.said("get-api-keys", text)
}

// commands runs every command's help and every screen that shows something;
// what is asked to show a value (keys create, keys show --value, env) is left
// out.
func (w *secretWalk) commands() {
	commands := subcommands(w.t, nil)
	if len(commands) < 4 {
		w.t.Fatalf("found only the commands %v", commands)
	}
	for _, words := range commands {
		out, err := exec.Command(binary, append(words, "--help")...).CombinedOutput()
		must(w.t, out, err)
		w.said("help", out)
	}
	data := []string{"--data", w.s.data}
	for _, words := range [][]string{
		{"health"},
		{"keys"},
		{"keys", "--json"},
		{"keys", "show", "caller"},
		{"keys", "disable", "spare"},
		{"keys", "enable", w.spareValue},
		{"plans"},
		{"usage"},
		{"functions"},
		{"apis"},
		{"requests", "--limit", "1000"},
		{"requests", "--limit", "1000", "--json"},
		{"logs", "leaky"},
		{"doctor"},
		{"invoke", "leaky", "--payload", `{"body": "{\"how\": \"raise\"}"}`},
		{"serve"}, // a second server on this data
	} {
		if !slices.ContainsFunc(commands, func(c []string) bool { return slices.Equal(c, words[:1]) }) {
			continue // not a command of this weir
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
		out, _ := exec.CommandContext(ctx, binary, append(slices.Clone(words), data...)...).CombinedOutput() // some are refused
		cancel()
		if len(out) == 0 {
			w.t.Errorf("weir %v printed nothing", words)
		}
		if slices.Contains(words, w.spareValue) {
			continue // it may repeat what it was given
		}
		w.said("weir "+strings.Join(words, " "), out)
	}
	tellsNothing(w.t, "what was printed", w.printed.Bytes(), w.s.secrets(w.t))
}

// subcommands walks the tree of commands by their help.
func subcommands(t *testing.T, words []string) (all [][]string) {
	t.Helper()
	out, err := exec.Command(binary, append(slices.Clone(words), "--help")...).Output()
	must(t, out, err)
	_, list, ok := strings.Cut(string(out), "Available Commands:\n")
	if !ok {
		return nil
	}
	for line := range strings.Lines(list) {
		if !strings.HasPrefix(line, "  ") {
			break
		}
		name := strings.Fields(line)[0]
		if name == "help" || name == "completion" {
			continue
		}
		below := append(slices.Clone(words), name)
		all = append(append(all, below), subcommands(t, below)...)
	}
	return all
}

// stored looks through all files of the data folder, log groups and records
// among them, but for the two that hold the secrets.
func (w *secretWalk) stored() {
	// Logs are written in batches.
	within(w.t, 20*time.Second, "the function's output is stored", func() bool {
		found := false
		w.eachFile(func(_ string, content []byte) { found = found || bytes.Contains(content, []byte("called raise")) })
		return found
	})
	secrets, files := w.s.secrets(w.t), 0
	w.eachFile(func(name string, content []byte) {
		files++
		tellsNothing(w.t, name, content, secrets)
	})
	if files < 2 {
		w.t.Errorf("only %d files were looked through", files)
	}
}

func (w *secretWalk) eachFile(do func(name string, content []byte)) {
	err := filepath.WalkDir(w.s.data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "secret" || d.Name() == "root-access-key.json" {
			return err
		}
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			return nil // a temporary file
		}
		do(d.Name(), content)
		return err
	})
	must(w.t, 0, err)
}

// zipped is a zip of one file.
func zipped(t *testing.T, name, content string) []byte {
	t.Helper()
	dir := t.TempDir()
	must(t, 0, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	return zipFolder(t, dir)
}
