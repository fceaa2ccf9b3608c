// Command mutate measures what tests notice: it changes a package in one place
// at a time (a comparison, a number, a sum) and runs the tests, which should
// fail. What survives is a line that no test holds.
//
//	go -C tools run ./mutate -dir .. -package ./internal/limit -tests "./internal/limit ./internal/limit/limittest"
//
// The tree is never touched: the compiler reads the changed file through an
// overlay. Mutants that cannot be told from the original are listed with their
// reason in a file (see readEquivalent) and do not count.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	dir := flag.String("dir", "..", "root of the module")
	pkg := flag.String("package", "./internal/limit", "folder to change, below the root")
	tests := flag.String("tests", "./internal/limit", "packages whose tests run, in this order, until one fails")
	only := flag.String("only", "", "change only files whose name contains this")
	equivalent := flag.String("equivalent", "", "file that lists mutants which no test can tell")
	skip := flag.String("skip", "", "leave out tests whose name matches this: those that fail now and then would kill what lives")
	workers := flag.Int("workers", runtime.NumCPU(), "mutants tried at a time")
	timeout := flag.Duration("timeout", time.Minute, "for the tests of one package")
	sample := flag.Int("sample", 0, "try only so many, evenly spread; 0: all")
	list := flag.Bool("list", false, "only list the mutants")
	goal := flag.Float64("goal", 0, "fail below this score, in percent")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()

	root, err := filepath.Abs(*dir)
	check(err)
	mutants, err := collect(filepath.Join(root, *pkg), *only)
	check(err)
	known, err := readEquivalent(*equivalent)
	check(err)
	mutants, skipped, unused := known.of(*only).without(mutants)
	for _, line := range unused {
		fmt.Printf("%s: matches no mutant: %s\n", *equivalent, line)
	}
	mutants = spread(mutants, *sample)
	if *list {
		for _, m := range mutants {
			fmt.Println(m)
		}
		return
	}
	r := &runner{root: root, tests: strings.Fields(*tests), timeout: *timeout, skip: *skip}
	check(r.unchanged(ctx))
	built, err := os.MkdirTemp("", "mutate")
	check(err)
	defer os.RemoveAll(built)
	check(r.prepare(ctx, built, mutants))
	fmt.Printf("%d mutants, %d more that no test can tell\n", len(mutants), skipped)
	score := report(os.Stdout, mutants, r.all(ctx, mutants, *workers))
	if ctx.Err() != nil || score < *goal || len(unused) > 0 {
		os.Exit(1)
	}
}

// spread returns n of the mutants at even distances; all of them for 0.
func spread(mutants []mutant, n int) []mutant {
	if n <= 0 || n >= len(mutants) {
		return mutants
	}
	var some []mutant
	for i := range n {
		some = append(some, mutants[i*len(mutants)/n])
	}
	return some
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
}

// all tries every mutant and returns the verdicts in the same order.
func (r *runner) all(ctx context.Context, mutants []mutant, workers int) []verdict {
	verdicts := make([]verdict, len(mutants))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done, began, told := 0, time.Now(), time.Now()
	for range workers {
		wg.Go(func() {
			for i := range next {
				verdicts[i] = r.try(ctx, mutants[i])
				mu.Lock()
				done++
				if verdicts[i] == survived {
					fmt.Printf("survived: %s\n", mutants[i])
				}
				if time.Since(told) > 20*time.Second {
					told = time.Now()
					fmt.Printf("%d of %d in %v\n", done, len(mutants), time.Since(began).Round(time.Second))
				}
				mu.Unlock()
			}
		})
	}
	for i := range mutants {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return verdicts
}
