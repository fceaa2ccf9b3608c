package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"weir/internal/secret"
	"weir/internal/store"
)

// From where on a look at PostgreSQL says that something is amiss.
const (
	postgresPatience = 10 * time.Second
	clocksApart      = 2 * time.Second
	slowCommit       = 20 * time.Millisecond
)

// postgres looks at the database that nodes share.
func (e *examiner) postgres(ctx context.Context) {
	const check = "database"
	name, err := store.DatabaseOf(e.o.Database)
	if err != nil {
		e.add(check, Failing, "correct --database", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, postgresPatience)
	defer cancel()
	p, err := store.InspectPostgres(ctx, e.o.Database)
	if err != nil {
		do := "correct --database, or what it names"
		var told interface{ OwnerReason() string }
		if errors.As(err, &told) {
			do = told.OwnerReason()
		}
		e.add(check, Failing, do, "%s cannot be used: %v", name, err)
		return
	}
	e.judgePostgres(name, p)
	e.sharedSecret(p)
}

// judgePostgres says what to think of a server.
func (e *examiner) judgePostgres(name string, p *store.PostgresServer) {
	e.postgresServer(name, p)
	e.durability(p)
	e.standbys(p)
	e.connections(p)
	e.clocks(p)
	e.commit(p)
}

// postgresServer looks at what answered, and at weir's tables there.
func (e *examiner) postgresServer(name string, p *store.PostgresServer) {
	const check = "database"
	found := fmt.Sprintf("PostgreSQL %s at %s (%s)", p.Version, p.Address, name)
	newest := store.SharedSchemaVersion()
	switch {
	case p.TooOld:
		e.add(check, Failing, "use PostgreSQL 13 or later", "%s is too old", found)
	case p.Standby || p.Settings["default_transaction_read_only"] == "on":
		e.add(check, Failing, "name the server that takes changes, or all of them: postgres://host1,host2/weir?target_session_attrs=read-write", "%s takes no changes: it is a standby, or set read-only", found)
	case p.Schema > newest:
		e.add(check, Failing, "install the newer weir that wrote it", "%s has schema %d; this weir knows up to %d", found, p.Schema, newest)
	case p.Schema == 0:
		e.ok(check, "%s; the first start makes weir's tables", found)
	case p.Schema < newest:
		e.add(check, Warning, "stop the nodes of the older weir, and back up (pg_dump), before this one is started: the start brings it to the new schema", "%s has schema %d; this weir writes schema %d", found, p.Schema, newest)
	default:
		e.ok(check, "%s, schema %d", found, p.Schema)
	}
}

// durability: what is counted is on the disk before a call is answered, or
// limits do not hold over a crash of the server.
func (e *examiner) durability(p *store.PostgresServer) {
	const check = "durability"
	var off []string
	for _, name := range []string{"fsync", "full_page_writes"} {
		if p.Settings[name] != "on" {
			off = append(off, name)
		}
	}
	if len(off) > 0 {
		e.add(check, Failing, "set "+strings.Join(off, " and ")+" to on in postgresql.conf", "%s off: a power cut of the database's machine forgets calls that were counted, and limits are exceeded by them", strings.Join(off, " and "))
		return
	}
	e.ok(check, "fsync and full_page_writes are on; weir asks for synchronous_commit = on by itself (the server's is %s)", p.Settings["synchronous_commit"])
}

// standbys: a failover keeps what was counted only if the commit waited for the
// standby that takes over.
func (e *examiner) standbys(p *store.PostgresServer) {
	const check = "failover"
	if p.Standby {
		return
	}
	names := p.Settings["synchronous_standby_names"]
	var sync, async, unknown []string
	for _, s := range p.Standbys {
		switch s.State {
		case "sync", "quorum":
			sync = append(sync, s.Name)
		case "":
			unknown = append(unknown, s.Name)
		default:
			async = append(async, s.Name)
		}
	}
	switch {
	case names != "" && len(sync)+len(unknown) == 0:
		e.add(check, Failing, "start the standby, or correct synchronous_standby_names: until then no commit ends, and no call with a quota is admitted", "synchronous_standby_names is %q, and no such standby follows", names)
	case names != "" && len(unknown) > 0:
		e.add(check, Warning, "look as a superuser: SELECT application_name, sync_state FROM pg_stat_replication (or GRANT pg_monitor to weir's user)", "synchronous_standby_names is %q; whether %s follows as it says is not shown to weir's user", names, strings.Join(unknown, ", "))
	case len(sync) > 0 && len(async) > 0:
		e.add(check, Warning, "fail over to "+strings.Join(sync, " or ")+" only", "%s: every commit is there, too; %s: not", strings.Join(sync, ", "), strings.Join(async, ", "))
	case len(sync) > 0:
		e.ok(check, "%s: every commit is there, too, so a failover to it forgets nothing", strings.Join(sync, ", "))
	case len(async)+len(unknown) > 0:
		e.add(check, Warning, "set synchronous_standby_names to the standby that would take over", "%s follows without being waited for: a failover to it forgets the last calls that were counted, and limits are exceeded by them", strings.Join(append(async, unknown...), ", "))
	default:
		e.ok(check, "no standby follows: what is counted is on this server alone, and a backup that is restored forgets what came after it")
	}
}

// connections: N nodes need N times what one takes.
func (e *examiner) connections(p *store.PostgresServer) {
	const check = "connections"
	each := store.NodeConnections()
	nodes := len(p.Nodes)
	found := fmt.Sprintf("%d of %d in use, by %s and others; a node takes up to %d", p.Connections, p.MaxConnections, counted(nodes, "node"), each)
	// One node more than there are, and somebody who looks at it all.
	if need := (nodes + 1) * each; p.MaxConnections < need+3 {
		e.add(check, Warning, fmt.Sprintf("raise max_connections to %d or more before another node is started", need+13), "%s", found)
		return
	}
	e.ok(check, "%s", found)
	var names []string
	for _, n := range p.Nodes {
		names = append(names, fmt.Sprintf("%s on %s", n.ID, n.Name))
	}
	if nodes > 0 {
		e.ok("nodes", "%s", strings.Join(names, ", "))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clocks: periods begin by the database's clock and signatures are checked by
// this machine's; limits hold whatever the two say.
func (e *examiner) clocks(p *store.PostgresServer) {
	const check = "database's clock"
	if p.Ahead.Abs() > clocksApart {
		e.add(check, Warning, "run a time service on both machines: quotas begin and end by the database's clock, signatures and logs go by this one", "%s from this machine's", p.Ahead.Round(100*time.Millisecond))
		return
	}
	e.ok(check, "within %s of this machine's", max(p.Ahead.Abs().Round(time.Millisecond), time.Millisecond))
}

// commit: a call that is among the last of a quota waits for one.
func (e *examiner) commit(p *store.PostgresServer) {
	const check = "commit"
	switch took := p.Commit; {
	case p.Stuck:
		e.add(check, Failing, "look what it waits for: a standby that is not there, a full disk, a lock", "none ended within a few seconds")
	case took == 0:
	case took > slowCommit:
		e.add(check, Warning, "use a faster disk (or a nearer server): calls wait for one where 100 or fewer of a quota are left", "%s", took.Round(100*time.Microsecond))
	default:
		e.ok(check, "%s", took.Round(100*time.Microsecond))
	}
}

// sharedSecret: the secret of all nodes is that of the data.
func (e *examiner) sharedSecret(p *store.PostgresServer) {
	const check = "server secret"
	s, err := secret.Load(e.o.SecretFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.add(check, Failing, "copy it from another node; only if there is none yet: weir secret create "+e.o.SecretFile, "%s is not there", e.o.SecretFile)
	case err != nil:
		e.add(check, Failing, "mend it before the next start", "%s", strings.TrimPrefix(err.Error(), "server secret: "))
	case p.SecretCheck != nil && !s.Matches(p.SecretCheck):
		e.add(check, Failing, "copy the file of a node that runs, or name it with --secret-file", "%s holds secret %s, and the data was stored under another", e.o.SecretFile, s.ID())
	default:
		e.ok(check, "%s holds secret %s", e.o.SecretFile, s.ID())
	}
}
