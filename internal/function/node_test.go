package function

import (
	"regexp"
	"strings"
	"testing"

	"weir/internal/catalog"
)

func (w *world) node(content files, change ...func(*catalog.Function)) {
	w.t.Helper()
	need(w.t, "node")
	w.put("f", "nodejs20.x", "index.handler", content, change...)
}

func TestNodeHandlersOfEveryKind(t *testing.T) {
	need(t, "node")
	for name, c := range map[string]struct {
		content files
		want    string
	}{
		"ES module":         {files{"index.mjs": "export const handler = async (e) => ({got: e.a})"}, `{"got":"é"}`},
		"CommonJS":          {files{"index.js": "exports.handler = async (e) => e.a + '!'"}, `"é!"`},
		"type module":       {files{"index.js": "export async function handler(e) { return e }", "package.json": `{"type":"module"}`}, `{"a":"é"}`},
		"cjs":               {files{"index.cjs": "exports.handler = async () => 1"}, `1`},
		"top-level await":   {files{"index.mjs": "const x = await Promise.resolve(5); export const handler = async () => x"}, `5`},
		"promise":           {files{"index.js": "exports.handler = (e) => Promise.resolve([e.a])"}, `["é"]`},
		"undefined":         {files{"index.js": "exports.handler = async () => {}"}, `null`},
		"callback":          {files{"index.js": "exports.handler = (e, c, cb) => { setTimeout(() => cb(null, e.a), 1) }"}, `"é"`},
		"callback and loop": {files{"index.js": "exports.handler = (e, c, cb) => { cb(null, 'early'); setTimeout(() => {}, 5) }"}, `"early"`},
		"callback at once": {
			files{"index.js": "exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); cb(null, 2) }"},
			`2`,
		},
		"succeed":         {files{"index.js": "exports.handler = (e, c) => { c.succeed(3) }"}, `3`},
		"nothing to do":   {files{"index.js": "exports.handler = () => 'ignored'"}, `null`},
		"never resolved":  {files{"index.js": "exports.handler = () => new Promise(() => {})"}, `null`},
		"own package":     {files{"index.js": "exports.handler = async () => require('dep').x", "node_modules/dep/index.js": "exports.x = 9"}, `9`},
		"answered twice":  {files{"index.js": "exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2) }"}, `1`},
		"not an own type": {files{"index.js": "exports.handler = async () => new Date(0)"}, `"1970-01-01T00:00:00.000Z"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.node(c.content)
			w.want(`{"a":"é"}`, c.want)
			if again := w.want(`{"a":"é"}`, c.want); again.ColdStart {
				t.Error("the environment was not kept")
			}
		})
	}
}

func TestNodeContextAndLog(t *testing.T) {
	w := newWorld(t)
	w.node(files{"index.mjs": `
console.log('init')
export const handler = async (e, c) => {
  console.log('hello', {a: 1}, 'two\nlines'); console.error('bad')
  return [c.functionName, c.functionVersion, c.memoryLimitInMB, c.invokedFunctionArn, c.logGroupName, c.awsRequestId === undefined,
    c.getRemainingTimeInMillis() > 15000 && c.getRemainingTimeInMillis() <= 20000, process.env._X_AMZN_TRACE_ID.startsWith('Root=1-')]
}`})
	r := w.want("{}", `["f","$LATEST","128","arn:aws:lambda:us-east-1:000000000000:function:f","/aws/lambda/f",false,true,true]`)
	stamp := `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
	if want := stamp + `\t` + r.RequestID + `\tINFO\thello \{ a: 1 \} two\nlines\n` + stamp + `\t` + r.RequestID + `\tERROR\tbad\nEND`; !regexp.MustCompile(want).Match(r.LogTail) {
		t.Errorf("log\n%s\nwant\n%s", r.LogTail, want)
	}
	if !regexp.MustCompile(`INIT_START Runtime Version: nodejs:\d+\.\d+\.v\d+\t.*\n(WEIR .*\n)?` + stamp + `\tundefined\tINFO\tinit\n`).MatchString(w.logText()) {
		t.Errorf("log\n%s", w.logText())
	}
}

func TestNodeFailures(t *testing.T) {
	need(t, "node")
	for name, c := range map[string]struct {
		content       files
		handler       string
		kind, message string
		trace         string
		log           string
	}{
		"throws":         {files{"index.js": "exports.handler = async () => { throw new TypeError('no') }"}, "index.handler", "TypeError", "no", "index.js:1", "\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\""},
		"throws at once": {files{"index.js": "exports.handler = () => { throw new Error('no') }"}, "index.handler", "Error", "no", "index.js:1", "Invoke Error"},
		"callback":       {files{"index.js": "exports.handler = (e, c, cb) => cb(new Error('no'))"}, "index.handler", "Error", "no", "index.js:1", "Invoke Error"},
		"rejects text":   {files{"index.js": "exports.handler = () => Promise.reject('text')"}, "index.handler", "string", "text", "", "Invoke Error"},
		"fail()":         {files{"index.js": "exports.handler = (e, c) => c.fail()"}, "index.handler", "string", "handled", "", "Invoke Error"},
		"circular":       {files{"index.js": "exports.handler = async () => { const a = {}; a.a = a; return a }"}, "index.handler", "Error", "Unable to stringify response body", "", "Invoke Error"},
		"uncaught":       {files{"index.js": "exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('later') }, 1))"}, "index.handler", "Error", "later", "index.js", "Uncaught Exception"},
		"unhandled rejection": {
			files{"index.js": "exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); setTimeout(() => {}, 1000) })"},
			"index.handler",
			"Runtime.UnhandledPromiseRejection", "Error: lost", "", "Unhandled Promise Rejection",
		},
		"no module":    {files{"other.js": ""}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'", "Runtime.ImportModuleError", "Uncaught Exception"},
		"no package":   {files{"index.mjs": "import 'no-such-package'"}, "index.handler", "Error", "Cannot find package 'no-such-package'", "", "Uncaught Exception"},
		"no function":  {files{"index.js": "exports.other = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported", "", "Uncaught Exception"},
		"no callable":  {files{"index.js": "exports.handler = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function", "", "Uncaught Exception"},
		"syntax":       {files{"index.js": "exports.handler = ("}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input", "index.js", "Uncaught Exception"},
		"init throws":  {files{"index.js": "throw new RangeError('early')"}, "index.handler", "RangeError", "early", "index.js", "Uncaught Exception"},
		"no dot":       {files{}, "index", "Runtime.MalformedHandlerName", "Bad handler", "", "Uncaught Exception"},
		"leads away":   {files{}, "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name.", "", "Uncaught Exception"},
		"deep handler": {files{"index.js": "exports.a = {b: async () => { throw new Error('deep') }}"}, "index.a.b", "Error", "deep", "index.js", "Invoke Error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.content["README"] = "a zip is never empty"
			w.put("f", "nodejs20.x", c.handler, c.content)
			r := w.call("{}")
			e := failure(t, r)
			if e.ErrorType != c.kind || !strings.HasPrefix(e.ErrorMessage, c.message) || !strings.Contains(strings.Join(e.Trace, "\n"), c.trace) {
				t.Errorf("payload %s", r.Payload)
			}
			if !strings.Contains(w.logText(), c.log) {
				t.Errorf("log lacks %q\n%s", c.log, w.logText())
			}
			if !strings.HasPrefix(string(r.Payload), `{"errorType":`) {
				t.Errorf("order of members: %s", r.Payload)
			}
		})
	}
}

func TestNodeTwentyFourHasNoCallbacks(t *testing.T) {
	w := newWorld(t)
	w.node(files{"index.js": "exports.handler = (e, c, cb) => cb(null, 1)"}, func(fn *catalog.Function) { fn.Runtime = "nodejs24.x" })
	e := failure(t, w.call("{}"))
	if e.ErrorType != "Runtime.CallbackHandlerDeprecated" || !strings.HasPrefix(e.ErrorMessage, "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24.") {
		t.Errorf("%+v", e)
	}
	w.node(files{"index.js": "exports.handler = (e, c) => 1"}, func(fn *catalog.Function) { fn.Runtime = "nodejs24.x" })
	w.want("{}", "1")
}

func TestNodeBigPayloads(t *testing.T) {
	w := newWorld(t)
	w.node(files{"index.js": "exports.handler = async (e) => e.n ? 'é'.repeat(e.n) : e.big.length"})
	w.want(`{"n":0,"big":"`+strings.Repeat("x", 6<<20-20)+`"}`, "6291436")
	if r := w.call(`{"n":3145700}`); len(r.Payload) != 2*3145700+2 {
		t.Errorf("answer of %d bytes", len(r.Payload))
	}
	if r := w.call(`{"n":3145800}`); !strings.Contains(string(r.Payload), "Function.ResponseSizeTooLarge") {
		t.Errorf("answer %.200s", r.Payload)
	}
	w.want(`{"n":0,"big":""}`, "0")
}
