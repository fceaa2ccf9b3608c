package function

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/catalog"
	"weir/internal/invocation"
	"weir/internal/telemetry"
)

func TestMain(m *testing.M) {
	if os.Getenv("FUNCTION_TEST_PARENT") != "" {
		parentMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// searchPath leads to the interpreters themselves: what version managers put on
// the PATH takes a second to answer, in each of some fifty tests.
var searchPath = sync.OnceValue(func() string {
	var dirs []string
	for _, i := range append(New(Options{}).familyOnce("python"), New(Options{}).familyOnce("nodejs")...) {
		dirs = append(dirs, filepath.Dir(i.Path))
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
})

func (f *Functions) familyOnce(name string) []Interpreter {
	defer f.Stop(context.Background())
	return f.interpreters.family(name)
}

// world is Functions over zips in memory, with everything they log.
type world struct {
	*Functions
	t    testing.TB
	code map[string][]byte
	mu   sync.Mutex
	logs []telemetry.LogEvent
}

func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, code: map[string][]byte{}}
	o := Options{
		Account: "000000000000", Region: "us-east-1", Dir: t.TempDir(), SearchPath: searchPath(),
		Clock: Clock{Now: time.Now, Timer: patient},
		Code: func(_ context.Context, sha string) ([]byte, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if zip, ok := w.code[sha]; ok {
				return zip, nil
			}
			return nil, errors.New("no such code")
		},
		Logs: func(e telemetry.LogEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.logs = append(w.logs, e)
		},
	}
	for _, c := range change {
		c(&o)
	}
	w.Functions = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if n := w.slots.used.Load(); n != 0 {
			t.Errorf("%d environments after Stop", n)
		}
	})
	return w
}

// patient waits for an environment that is about to ask for work as long as a
// busy machine needs: tests say which environment takes a call.
func patient(d time.Duration) (<-chan time.Time, func() bool) {
	if d == handOver {
		d = time.Minute
	}
	return realTimer(d)
}

type files map[string]string

func zipOf(t testing.TB, content files) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range content {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		f, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put publishes a function; change edits its configuration.
func (w *world) put(name, runtime, handler string, content files, change ...func(*catalog.Function)) {
	w.t.Helper()
	w.putZip(name, runtime, handler, zipOf(w.t, content), change...)
}

func (w *world) putZip(name, runtime, handler string, zip []byte, change ...func(*catalog.Function)) {
	w.t.Helper()
	sum := sha256.Sum256(zip)
	sha := base64.StdEncoding.EncodeToString(sum[:])
	w.mu.Lock()
	w.code[sha] = zip
	w.mu.Unlock()
	fn := catalog.Function{
		Name: name, ARN: "arn:aws:lambda:us-east-1:000000000000:function:" + name, Runtime: runtime, Handler: handler,
		Timeout: 20, MemorySize: 128, CodeSHA256: sha, State: "Active", LogGroup: "/aws/lambda/" + name,
	}
	for _, c := range change {
		c(&fn)
	}
	publish, err := w.Prepare(fn)
	if err != nil {
		w.t.Fatal(err)
	}
	publish()
}

func (w *world) python(code string, change ...func(*catalog.Function)) {
	w.t.Helper()
	w.put("f", "python3.11", "app.handler", files{"app.py": code}, change...)
}

// call invokes function f, with its log.
func (w *world) call(payload string) *invocation.Result {
	w.t.Helper()
	r, err := w.Invoke(context.Background(), &invocation.Invocation{Function: "f", Payload: []byte(payload), Tail: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// want calls function f and compares its answer.
func (w *world) want(payload, answer string) *invocation.Result {
	w.t.Helper()
	r := w.call(payload)
	if string(r.Payload) != answer || r.FunctionError != "" {
		w.t.Fatalf("answer %s (error %q), want %s\n%s", r.Payload, r.FunctionError, answer, r.LogTail)
	}
	return r
}

// refused invokes and gives the Error that must come.
func (w *world) refused(inv *invocation.Invocation) *invocation.Error {
	w.t.Helper()
	r, err := w.Invoke(context.Background(), inv)
	var refused *invocation.Error
	if !errors.As(err, &refused) {
		w.t.Fatalf("error %v, result %+v, want a refusal", err, r)
	}
	return refused
}

func (w *world) logText() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, e := range w.logs {
		b.WriteString(e.Message)
	}
	return b.String()
}

// failure decodes the error object of a failed call.
func failure(t testing.TB, r *invocation.Result) (e struct {
	ErrorType, ErrorMessage, RequestID string
	StackTrace, Trace                  []string
},
) {
	t.Helper()
	if r.FunctionError != "Unhandled" || r.StatusCode != 200 {
		t.Fatalf("function error %q, status %d, payload %s", r.FunctionError, r.StatusCode, r.Payload)
	}
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	return e
}

// need skips a test for want of a tool, or fails it where every tool must be.
func need(t testing.TB, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err == nil {
		return
	}
	missing(t, tool+" is not installed")
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("WEIR_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	fmt.Fprintf(os.Stderr, "skipped %s: %s\n", t.Name(), why)
	t.Skip(why)
}

// manual is a clock whose timers end when the test says so.
type manual struct {
	mu     sync.Mutex
	now    time.Time
	timers map[chan time.Time]time.Duration
	made   chan time.Duration // every timer that is made
}

func newManual() *manual {
	return &manual{now: time.Now(), timers: map[chan time.Time]time.Duration{}, made: make(chan time.Duration, 1000)}
}

func (m *manual) clock() Clock { return Clock{Now: m.Now, Timer: m.timer} }

func (m *manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *manual) timer(d time.Duration) (<-chan time.Time, func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan time.Time, 1)
	m.timers[c] = d
	m.made <- d
	return c, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, running := m.timers[c]
		delete(m.timers, c)
		return running
	}
}

// await waits until a timer of d is made.
func (m *manual) await(d time.Duration) {
	for got := range m.made {
		if got == d {
			return
		}
	}
}

// fire ends every timer of d, as if its time had come.
func (m *manual) fire(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	for c, of := range m.timers {
		if of == d {
			c <- m.now
			delete(m.timers, c)
		}
	}
}
