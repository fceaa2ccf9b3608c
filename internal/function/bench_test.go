package function

import (
	"context"
	"testing"

	"weir/internal/invocation"
)

func benchmarkWarm(b *testing.B, w *world) {
	inv := &invocation.Invocation{Function: "f", Payload: []byte(gatewayEvent)}
	if r, err := w.Invoke(context.Background(), inv); err != nil || r.FunctionError != "" {
		b.Fatal(r, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := w.Invoke(context.Background(), inv)
		if err != nil || r.ColdStart {
			b.Fatal(r, err)
		}
	}
}

func BenchmarkWarmInvokePython(b *testing.B) {
	w := newWorld(b)
	w.put("f", "python3.11", "app.handler", files{"app.py": "def handler(event, context):\n    return None"})
	benchmarkWarm(b, w)
}

func BenchmarkWarmInvokeNode(b *testing.B) {
	need(b, "node")
	w := newWorld(b)
	w.put("f", "nodejs20.x", "index.handler", files{"index.js": "exports.handler = async () => null"})
	benchmarkWarm(b, w)
}

func BenchmarkWarmInvokeGo(b *testing.B) {
	w := newWorld(b)
	w.put("f", "provided.al2023", "bootstrap", goExample(b))
	benchmarkWarm(b, w)
}

// BenchmarkWarmInvokePythonParallel has one environment for each of two calls.
func BenchmarkWarmInvokePythonParallel(b *testing.B) {
	w := newWorld(b)
	w.put("f", "python3.11", "app.handler", files{"app.py": "def handler(event, context):\n    return None"})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Invoke(context.Background(), &invocation.Invocation{Function: "f"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchmarkCold(b *testing.B, runtime, handler string, content files) {
	w := newWorld(b)
	inv := &invocation.Invocation{Function: "f"}
	w.put("f", runtime, handler, content)
	for b.Loop() {
		r, err := w.Invoke(context.Background(), inv)
		if err != nil || !r.ColdStart {
			b.Fatal(r, err)
		}
		b.StopTimer()
		p, _ := w.current.Load("f")
		p.pool.mu.Lock()
		var e *environment
		for e = range p.pool.all {
		}
		p.pool.mu.Unlock()
		e.kill()
		<-e.exited
		b.StartTimer()
	}
}

func BenchmarkColdStartPython(b *testing.B) {
	benchmarkCold(b, "python3.11", "app.handler", files{"app.py": "def handler(event, context):\n    return None"})
}

func BenchmarkColdStartNode(b *testing.B) {
	need(b, "node")
	benchmarkCold(b, "nodejs20.x", "index.handler", files{"index.js": "exports.handler = async () => null"})
}

func BenchmarkColdStartGo(b *testing.B) {
	benchmarkCold(b, "provided.al2023", "bootstrap", goExample(b))
}
