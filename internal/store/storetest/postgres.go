package storetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresPassword is the password of a test's server: no log, error or
// process title may show it.
const PostgresPassword = "pass word:s3cret/@%"

// Postgres is a PostgreSQL server of a test's own, on a free loopback port, in
// a temporary folder, as an unprivileged user, with its data on the disk at
// every commit. It sorts as English does, as most servers are set up. Its
// methods are called by one goroutine.
type Postgres struct {
	dir, bin, port string
	settings       []string
	as             []string // what runs a command as the server's user

	process *os.Process
	exited  chan struct{}
	names   int // of databases made
}

// StartPostgres starts a server, stopped and removed when the test ends.
// Settings are as in postgresql.conf: "fsync=off". The test is skipped where
// PostgreSQL is not installed, unless WEIR_TEST_ALL is set.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	p := newPostgres(t, settings)
	t.Cleanup(p.remove)
	p.Start(t)
	return p
}

var shared struct {
	sync.Mutex
	server *Postgres
}

// SharedPostgres is one server for all tests of a package, which neither stop
// it nor change its settings. The package's TestMain runs Main.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		p := newPostgres(t, nil)
		p.Start(t)
		shared.server = p
	}
	return shared.server
}

// Main is a *testing.M that ends the shared server after the tests.
type Main struct{ M *testing.M }

// Run runs the tests.
func (m Main) Run() int {
	code := m.M.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.remove()
		shared.server = nil
	}
	return code
}

func newPostgres(t testing.TB, settings []string) *Postgres {
	t.Helper()
	p := &Postgres{bin: postgresBinaries(), settings: settings}
	if p.bin == "" {
		if os.Getenv("WEIR_TEST_ALL") != "" {
			t.Fatal("PostgreSQL is not installed (Debian: apt-get install postgresql)")
		}
		t.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "weir-postgres-"); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if err := p.becomeUser(); err != nil {
			os.RemoveAll(p.dir)
			t.Fatal(err)
		}
	}
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := p.command(p.as, "initdb", "-D", p.data(), "-U", "weir", "--pwfile="+password, "--auth=scram-sha-256", "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US").CombinedOutput()
	if err != nil {
		os.RemoveAll(p.dir)
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	return p
}

// becomeUser gives the folder to a user and makes commands run as it.
func (p *Postgres) becomeUser() error {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.as = []string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups"}
		return os.Chown(p.dir, uid, gid)
	}
	return errors.New("there is no user postgres or nobody to run PostgreSQL as")
}

func postgresBinaries() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		if program, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(program) // the others are beside it
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.Sort(found)
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// command runs one of PostgreSQL's programs by way of another ("as").
func (p *Postgres) command(as []string, program string, args ...string) *exec.Cmd {
	line := append(slices.Clone(as), filepath.Join(p.bin, program))
	line = append(line, args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = p.dir
	return cmd
}

// Start starts the server, again on the same port after Kill or Stop, and
// returns when it answers.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if p.port == "" {
			p.port = freePort(t)
		}
		p.launch(t)
		if p.answers(deadline) {
			return
		}
		// Either the port was taken in between, or processes of a killed
		// server are still ending.
		p.end(os.Kill)
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(p.log())
			t.Fatalf("PostgreSQL does not start:\n%s", text)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (p *Postgres) log() string { return filepath.Join(p.dir, "log") }

// launch starts the process from a thread that stays, because the process ends
// with the thread that started it.
func (p *Postgres) launch(t testing.TB) {
	t.Helper()
	args := []string{"-D", p.data(), "-p", p.port}
	for _, s := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "log_statement=all", "log_min_messages=info",
	}, p.settings...) {
		args = append(args, "-c", s)
	}
	as := slices.Clone(p.as)
	if _, err := exec.LookPath("setpriv"); err == nil {
		if len(as) == 0 {
			as = []string{"setpriv"}
		}
		as = append(as, "--pdeathsig=INT") // a test that dies leaves no server behind
	}
	cmd := p.command(as, "postgres", args...)
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		log.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.process, p.exited = cmd.Process, exited
}

// answers waits until the server takes connections; false when it ended.
func (p *Postgres) answers(deadline time.Time) bool {
	for time.Now().Before(deadline) {
		select {
		case <-p.exited:
			return false
		default:
		}
		if err := p.query("postgres", "SELECT 1"); err == nil {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

func (p *Postgres) query(database, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, p.url(database))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

func (p *Postgres) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("weir", PostgresPassword),
		Host: net.JoinHostPort("127.0.0.1", p.port), Path: "/" + database,
	}
	return u.String()
}

// Addr is the host and port of the server.
func (p *Postgres) Addr() string { return net.JoinHostPort("127.0.0.1", p.port) }

// PID is the server's process.
func (p *Postgres) PID() int { return p.process.Pid }

// Log is what the server has logged: every statement it was sent.
func (p *Postgres) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.log())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Database makes an empty database and returns its URL, password included. It
// goes with the server.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	return p.Copy(t, p.url("template1"))
}

// Copy makes a database with what is in another, which nobody has open.
func (p *Postgres) Copy(t testing.TB, database string) string {
	t.Helper()
	p.names++
	name := fmt.Sprint("weir", p.names)
	if err := p.query("postgres", "CREATE DATABASE "+name+" TEMPLATE "+p.Name(t, database)); err != nil {
		t.Fatal(err)
	}
	return p.url(name)
}

// Name is the name of a database by its URL.
func (p *Postgres) Name(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// Exec runs SQL on a database by its URL.
func (p *Postgres) Exec(t testing.TB, database, sql string) {
	t.Helper()
	if err := p.query(p.Name(t, database), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Kill ends the server as a crash does (kill -9). Start starts it again.
func (p *Postgres) Kill() { p.end(os.Kill) }

// Stop ends the server as an operator does, without waiting for its clients.
func (p *Postgres) Stop() { p.end(os.Interrupt) }

func (p *Postgres) end(how os.Signal) {
	if p.process == nil {
		return
	}
	_ = p.process.Signal(how) // it may have ended
	<-p.exited
	p.process = nil
}

func (p *Postgres) remove() {
	p.Stop()
	// Its last processes may still be writing.
	for range 50 {
		if os.RemoveAll(p.dir) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
