//go:build unix

// Command overshoot puts gateways under the same load with the same limits,
// reloads or restarts them in the middle, and prints what each let in beside
// what its limit allows, as the history checker counts it.
//
//	go run ./bench/overshoot -weir bin/weir                      # weir, nginx, haproxy
//	go run ./bench/overshoot -weir bin/weir -peers my/peer.json  # one more
//
// A peer is a JSON file that says how it is started, reloaded and reached (see
// Peer); its own files lie beside it. A peer whose program is not installed is
// left out, and that is said. Latency is not judged.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed peers
var builtin embed.FS

// limits are what the peers are configured to keep.
var limits = []struct {
	name   string
	of     string // the peers' word for it
	rate   float64
	burst  int
	clause string
}{
	{"10 a second", "second", 10, 10, "in any stretch of time at most 10 and 10 a second"},
	{"100 a minute", "minute", 0, 100, "at most 100: a run is shorter than a minute"},
}

var events = []string{"none", "reload", "restart"}

func main() {
	weir := flag.String("weir", "", "weir's program (required for the peer weir)")
	more := flag.String("peers", "", "files of further peers, with commas between")
	only := flag.String("only", "", "only peers whose name contains this")
	seconds := flag.Float64("seconds", 16, "length of a run; below 60")
	clients := flag.Int("clients", 64, "callers at a time")
	pause := flag.Duration("pause", 40*time.Millisecond, "of a caller between two calls")
	folder := flag.String("function", "examples/timestamper", "folder that weir publishes")
	flag.Parse()
	if *seconds <= 0 || *seconds >= 60 {
		fatal(fmt.Errorf("-seconds %v: between 0 and 60", *seconds))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	upstream, err := serveUpstream()
	fatal(err)
	peers, err := readPeers(*more)
	fatal(err)
	fmt.Printf("| peer | limit | in the middle | calls | admitted | allowed | worst window |\n|---|---|---|---|---|---|---|\n")
	for _, p := range peers {
		if !strings.Contains(p.Name, *only) {
			continue
		}
		if err := p.find(*weir); err != nil {
			fmt.Fprintf(os.Stderr, "left out: %v\n", err)
			continue
		}
		for _, l := range limits {
			for _, event := range events {
				r := run{peer: p, limit: l.of, rate: l.rate, burst: l.burst, event: event, clients: *clients, pause: *pause, lasts: time.Duration(*seconds * float64(time.Second))}
				r.words = map[string]string{"UPSTREAM": upstream, "WEIR": *weir, "FUNCTION": absolute(*folder), "LIMIT": l.of}
				row, err := r.play(ctx)
				if ctx.Err() != nil {
					os.Exit(1)
				}
				if err != nil {
					fatal(fmt.Errorf("%s, %s, %s: %w", p.Name, l.name, event, err))
				}
				fmt.Printf("| %s | %s | %s | %s |\n", p.Name, l.name, event, row)
			}
		}
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "overshoot:", err)
		os.Exit(1)
	}
}

func absolute(name string) string {
	full, err := filepath.Abs(name)
	fatal(err)
	return full
}

// serveUpstream answers every call with 200, for the peers that proxy.
func serveUpstream() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	return l.Addr().String(), nil
}

// readPeers reads the peers of this folder, and those of the files.
func readPeers(files string) ([]*Peer, error) {
	ours, err := fs.Sub(builtin, "peers")
	if err != nil {
		return nil, err
	}
	var peers []*Peer
	for _, name := range []string{"weir.json", "nginx.json", "haproxy.json", "haproxy-gpc.json"} {
		p, err := readPeer(ours, name)
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	for _, file := range strings.Split(files, ",") {
		if file == "" {
			continue
		}
		p, err := readPeer(os.DirFS(filepath.Dir(file)), filepath.Base(file))
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}
