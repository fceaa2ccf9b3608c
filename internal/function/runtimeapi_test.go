package function

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/catalog"
)

// client is a runtime client that does what the event's script says and
// answers with what the Runtime API said to it. Each step is sent on a
// connection of its own unless it says "same".
const client = `#!PYTHON -S
import os, json, socket
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
P = '/2018-06-01/runtime/'
def connect():
    s = socket.socket(); s.connect((host, int(port))); return s
def read(s, data=b''):
    while b'\r\n\r\n' not in data:
        more = s.recv(65536)
        if not more: return 'closed', {}, b''
        data += more
    head, _, body = data.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    if ' 100 ' in lines[0]:
        status, fields, body = read(s, body)
        return '100 ' + status, fields, body
    fields = dict((l.split(':', 1)[0].lower(), l.split(':', 1)[1].strip()) for l in lines[1:])
    while len(body) < int(fields.get('content-length', 0)):
        body += s.recv(65536)
    return lines[0].split(' ')[1], fields, body
def ask(s, text):
    s.sendall(text.encode())
    return read(s)
last = 'none'
while True:
    s = connect()
    status, fields, body = ask(s, 'GET ' + P + 'invocation/next HTTP/1.1\r\nHost: x\r\n\r\n')
    id, said = fields['lambda-runtime-aws-request-id'], [fields.get('content-type')]
    answered = False
    for step in json.loads(body):
        text = step.replace('{id}', id).replace('{last}', last).replace('{P}', P)
        status, fields, body = ask(connect(), text)
        said.append([status, fields.get('content-type'), body.decode()])
        answered = answered or (status == '202')
    last = id
    if not answered:
        out = json.dumps(said).encode()
        # Head and body apart, in two pieces, the way http.client does it.
        s.sendall(('POST ' + P + 'invocation/' + id + '/response HTTP/1.1\r\nContent-Length: %d\r\n\r\n' % len(out)).encode())
        s.sendall(out)
        read(s)
`

func (w *world) client(change ...func(*catalog.Function)) {
	w.t.Helper()
	python := filepath.Join(strings.Split(searchPath(), string(filepath.ListSeparator))[0], "python3")
	if _, err := os.Stat(python); err != nil {
		w.t.Fatal(err)
	}
	w.put("f", "provided.al2023", "x", files{"bootstrap": strings.Replace(client, "PYTHON", python, 1)}, change...)
}

func steps(t *testing.T, s ...string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRuntimeAPIRefusals(t *testing.T) {
	w := newWorld(t)
	w.client()
	w.call("[]") // so that there is a call that is over
	for name, c := range map[string]struct{ request, status, body string }{
		"unknown id":       {"POST {P}invocation/nobody/response HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "400", `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`},
		"no id":            {"POST {P}invocation//error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "400", `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`},
		"answered before":  {"POST {P}invocation/{last}/response HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "403", `{"errorMessage":"The invocation has already been answered","errorType":"InvalidStateTransition"}`},
		"init is over":     {"POST {P}init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "403", `{"errorMessage":"init is over","errorType":"InvalidStateTransition"}`},
		"next while busy":  {"GET {P}invocation/next HTTP/1.1\r\n\r\n", "403", `{"errorMessage":"the invocation in progress was not answered","errorType":"InvalidStateTransition"}`},
		"extensions":       {"POST /2020-01-01/extension/register HTTP/1.1\r\nLambda-Extension-Name: x\r\nContent-Length: 4\r\n\r\nabcd", "404", `{"errorMessage":"There is no such operation in this Runtime API","errorType":"NotFound"}`},
		"restore":          {"GET {P}restore/next HTTP/1.1\r\n\r\n", "404", `{"errorMessage":"There is no such operation in this Runtime API","errorType":"NotFound"}`},
		"wrong verb":       {"PUT {P}invocation/next HTTP/1.1\r\n\r\n", "404", `{"errorMessage":"There is no such operation in this Runtime API","errorType":"NotFound"}`},
		"not HTTP":         {"hello\r\n\r\n", "400", `{"errorMessage":"The request is not valid HTTP/1.1 or too large","errorType":"InvalidRequest"}`},
		"two lengths":      {"POST {P}invocation/{id}/response HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", `{"errorMessage":"The request is not valid HTTP/1.1 or too large","errorType":"InvalidRequest"}`},
		"continue, please": {"POST {P}invocation/nobody/error HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", "100 400", `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.call(steps(t, c.request))
			var said []json.RawMessage
			if err := json.Unmarshal(r.Payload, &said); err != nil || len(said) != 2 {
				t.Fatalf("%s (%v)\n%s", r.Payload, err, r.LogTail)
			}
			var answer [3]string
			_ = json.Unmarshal(said[1], &answer)
			if answer[0] != c.status || answer[2] != c.body || answer[1] != "application/json" || string(said[0]) != `"application/json"` {
				t.Errorf("%s, want %s %s", r.Payload, c.status, c.body)
			}
			if r.ColdStart {
				t.Error("the environment was not kept")
			}
		})
	}
}

func TestRuntimeAPIAnswers(t *testing.T) {
	w := newWorld(t)
	w.client()
	for name, c := range map[string]struct{ request, payload, fault string }{
		"response": {"POST {P}invocation/{id}/response HTTP/1.1\r\nContent-Length: 5\r\n\r\n\"yes\"", `"yes"`, ""},
		"empty":    {"POST {P}invocation/{id}/response HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ``, ""},
		"chunks": {"POST {P}invocation/{id}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\nTrailer: Lambda-Runtime-Function-Error-Body\r\n\r\n" +
			"3\r\n\"ye\r\n2\r\ns\"\r\n0\r\n\r\n", `"yes"`, ""},
		"failure in the trailers": {"POST {P}invocation/{id}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\r\n" +
			"3\r\n\"ye\r\n0\r\nLambda-Runtime-Function-Error-Type: Mid.Stream\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJNIn0=\r\n\r\n", `{"errorType":"M"}`, "Unhandled"},
		"error": {"POST {P}invocation/{id}/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: T\r\nLambda-Runtime-Function-Xray-Error-Cause: " + strings.Repeat("x", 1<<20-1) +
			"\r\nContent-Length: 17\r\n\r\n{\"errorType\":\"T\"}", `{"errorType":"T"}`, "Unhandled"},
		"error without a body": {"POST {P}invocation/{id}/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: T\r\n\r\n", `{"errorType":"T","errorMessage":""}`, "Unhandled"},
	} {
		r := w.call(steps(t, c.request))
		if string(r.Payload) != c.payload || r.FunctionError != c.fault {
			t.Errorf("%s: %s %q, want %s %q\n%s", name, r.Payload, r.FunctionError, c.payload, c.fault, r.LogTail)
		}
	}
}

// What a second answer says does not count, whichever way it comes.
func TestSecondAnswerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.client()
	first := "POST {P}invocation/{id}/response HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
	second := "POST {P}invocation/{id}/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
	for range 20 {
		if r := w.call(steps(t, first, second)); string(r.Payload) != "1" || r.FunctionError != "" {
			t.Fatalf("%s %q", r.Payload, r.FunctionError)
		}
	}
}

func TestFunctionThatAnswersAndEnds(t *testing.T) {
	w := newWorld(t)
	w.python("import os, sys\n_run = None\ndef handler(e, c):\n    main = sys.modules['__main__']\n    post = main.Connection.post\n" +
		"    def once(self, *a):\n        post(self, *a[:3])\n        os._exit(5)\n    main.Connection.post = once\n    return 'said'")
	for range 5 {
		if r := w.want("{}", `"said"`); !r.ColdStart {
			t.Error("a process that ended was used again")
		}
	}
}

func TestFunctionThatNeverAsksAgain(t *testing.T) {
	clock := newManual()
	w := newWorld(t, func(o *Options) { o.Clock = clock.clock() })
	w.python("import time, sys\ndef handler(e, c):\n    main = sys.modules['__main__']\n    post = main.Connection.post\n" +
		"    def once(self, *a):\n        post(self, *a[:3])\n        time.sleep(1000)\n    main.Connection.post = once\n    return 'said'")
	w.want("{}", `"said"`)
	r, _ := w.current.Load("f")
	w.reap(clock.Now().Add(21e9)) // its timeout of 20 seconds is over
	waitEmpty(t, r.pool)
}
