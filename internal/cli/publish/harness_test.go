package publish

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"weir/internal/app"
)

// place is a running weir, and what its clients are kept from.
type place struct {
	t       *testing.T
	gateway string
	config  aws.Config
	wire    *wire
}

// wire carries calls to a server and counts the changing ones. It can lose one:
// the call itself, or only its answer.
type wire struct {
	writes   []string // "POST /restapis", or "CreateRole" of IAM
	failAt   int      // the write that fails, from 0; negative: none
	answered bool     // the failing write reaches the server; its answer is lost
}

var errLost = errors.New("the line is cut")

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	write := ""
	if req.Method != http.MethodGet {
		write = req.Method + " " + req.URL.Path
	}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		write = form.Get("Action")
		if strings.HasPrefix(write, "Get") || strings.HasPrefix(write, "List") {
			write = ""
		}
	}
	if write == "" {
		return http.DefaultClient.Do(req)
	}
	w.writes = append(w.writes, write)
	fail := len(w.writes)-1 == w.failAt
	if fail && !w.answered {
		return nil, errLost
	}
	res, err := http.DefaultClient.Do(req)
	if fail && err == nil {
		res.Body.Close()
		return nil, errLost
	}
	return res, err
}

func newPlace(t *testing.T) *place {
	t.Helper()
	data := t.TempDir()
	a, err := app.New(t.Context(), app.Options{Data: data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	key, err := app.RootAccessKey(data)
	if err != nil {
		t.Fatal(err)
	}
	running := a.Running()
	p := &place{t: t, gateway: running.GatewayURL, wire: &wire{failAt: -1}}
	p.config = aws.Config{
		Region: running.Region, BaseEndpoint: aws.String(running.ControlURL), HTTPClient: p.wire,
		Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, ""),
	}
	return p
}

func (p *place) publisher() Publisher { return Publisher{Config: p.config} }

func (p *place) publish(s Spec) Publication {
	p.t.Helper()
	made, err := p.publisher().Publish(p.t.Context(), s)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

func (p *place) unpublish(name string) []Call {
	p.t.Helper()
	calls, err := p.publisher().Unpublish(p.t.Context(), name)
	if err != nil {
		p.t.Fatal(err)
	}
	return calls
}

// call calls a publication and gives status and body.
func (p *place) call(made Publication, method, key string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.gateway+"/_aws/execute-api/"+made.APIID+"/"+made.Stage+made.Path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// inventory is all that a place holds, without ids and dates.
func (p *place) inventory() string {
	p.t.Helper()
	r := p.publisher().newRun("")
	lines, err := inventory(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// folder writes files and gives their folder, named "demo".
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func python(answer string) map[string]string {
	return map[string]string{"main.py": "def handler(event, context):\n    return {'statusCode': 200, 'body': '" + answer + "'}\n"}
}

// demo is a spec that lets enough through for a test.
func demo(dir string) Spec {
	return Spec{Folder: dir, Rate: 1000, Burst: 1000, Quota: &Quota{1000, "DAY"}}
}

var (
	madeIDs    = regexp.MustCompile(`NEW-[A-Z]+`)
	idArgument = regexp.MustCompile(`\b((?:RestApiId|ParentId|ResourceId|UsagePlanId|KeyId|ApiKey|ApiId)=)[^ \]]+`)
	idInARN    = regexp.MustCompile(`(execute-api:[^ /]*:)[^/: ]+/`)
	idOfStage  = regexp.MustCompile(`Value=[a-zA-Z0-9-]+:`)
)

// shape is a list of calls without the ids that only a real run knows.
func shape(calls []Call) []string {
	var all []string
	for _, c := range calls {
		text := idArgument.ReplaceAllString(c.String(), "${1}ID")
		text = idInARN.ReplaceAllString(text, "${1}ID/")
		text = idOfStage.ReplaceAllString(text, "Value=ID:")
		all = append(all, madeIDs.ReplaceAllString(text, "ID"))
	}
	return all
}

func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
