package storetest

import (
	"os"
	"slices"
	"testing"
	"time"
)

// Standby starts a server that follows p, and makes p wait at every commit
// until the standby has it on its disk: what p has said is then not lost when
// the standby takes its place (Promote). It goes by the name "standby".
func (p *Postgres) Standby(t testing.TB) *Postgres {
	t.Helper()
	s := &Postgres{bin: p.bin, settings: slices.Clone(p.settings)}
	var err error
	if s.dir, err = os.MkdirTemp("", "weir-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	if os.Geteuid() == 0 {
		if err := s.becomeUser(); err != nil {
			t.Fatal(err)
		}
	}
	// With the recovery settings it writes how to follow, the name among it.
	out, err := s.command(s.as, "pg_basebackup", "--pgdata="+s.data(), "--write-recovery-conf", "--wal-method=stream",
		"--checkpoint=fast", "--no-sync", "--dbname="+p.url("postgres")+"?application_name=standby").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	s.Start(t)
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"} {
		if err := p.query("postgres", sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	// An error of a division is how this kit's queries say no.
	following := "SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
	for end := time.Now().Add(30 * time.Second); p.query("postgres", following) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the standby does not follow:\n%s", s.Log(t))
		}
	}
	return s
}

// Promote makes a standby a server that takes changes. What it followed has
// been ended before, by Kill: two servers that take changes are two truths.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	if err := p.query("postgres", "SELECT pg_promote()"); err != nil {
		t.Fatalf("pg_promote: %v", err)
	}
}
