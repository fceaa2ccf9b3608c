package store

import (
	"fmt"
	"time"
)

// lockMigrations keeps two nodes from bringing one database up to date at a
// time. The first number is "weir" in ASCII, here and in lockUpdates.
const lockMigrations = "SELECT pg_advisory_xact_lock(2003134834, 2)"

// migrationWait bounds one statement of a migration.
const migrationWait = 10 * time.Minute

// postgresMigrations brings a database from version i to i+1. They are counted
// apart from SQLite's. One that has been released is never edited.
var postgresMigrations = []string{postgres1}

// All tables are in a schema of their own, so that a database that other
// programs use as well is not disturbed. Text is BYTEA: see postgresDialect.
const postgres1 = `
-- Nanoseconds since 1970 by the server's clock, the only one that nodes have
-- in common. 0 is no time.
CREATE FUNCTION weir_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
	'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000';

-- As SQLite's of that name, for bytes.
CREATE FUNCTION instr(hay BYTEA, needle BYTEA) RETURNS INTEGER LANGUAGE sql IMMUTABLE AS 'SELECT position(needle in hay)';

CREATE TABLE meta (
	name  BYTEA PRIMARY KEY,
	value BYTEA NOT NULL
);

-- Every kind of entry without a table of its own. key is catalog's.
CREATE TABLE entry (
	kind BYTEA NOT NULL,
	key  BYTEA NOT NULL,
	doc  BYTEA NOT NULL, -- JSON, or a zstd frame that holds JSON
	PRIMARY KEY (kind, key)
);

CREATE TABLE api_key (
	seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of creation, never used twice
	id          BYTEA NOT NULL UNIQUE,
	digest      BYTEA NOT NULL UNIQUE CHECK (length(digest) = 32),
	enabled     BOOLEAN NOT NULL,
	name        BYTEA NOT NULL,
	description BYTEA NOT NULL,
	customer_id BYTEA NOT NULL,
	created     BIGINT NOT NULL,
	updated     BIGINT NOT NULL,
	sealed      BYTEA,
	tags        BYTEA,
	previous    BYTEA CHECK (length(previous) = 32), -- the digest before a rotation
	has_terms   SMALLINT NOT NULL
);
CREATE UNIQUE INDEX api_key_previous ON api_key (previous) WHERE previous IS NOT NULL;
CREATE INDEX api_key_terms ON api_key (seq) WHERE has_terms = 1;
CREATE INDEX api_key_name ON api_key (name);
CREATE INDEX api_key_customer ON api_key (customer_id, seq);

CREATE TABLE usage_plan_key (
	seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of joining, never used twice
	plan_id BYTEA NOT NULL,
	key_id  BYTEA NOT NULL REFERENCES api_key (id),
	added   BIGINT NOT NULL,
	UNIQUE (plan_id, key_id)
);
CREATE INDEX usage_plan_key_key ON usage_plan_key (key_id, plan_id);
CREATE INDEX usage_plan_key_seq ON usage_plan_key (plan_id, seq);

-- Places in lists that were deleted not long ago.
CREATE TABLE gone (
	plan_id BYTEA NOT NULL, -- empty: the list of all keys
	key_id  BYTEA NOT NULL,
	seq     BIGINT NOT NULL,
	at      BIGINT NOT NULL,
	PRIMARY KEY (plan_id, key_id)
);
CREATE INDEX gone_at ON gone (at);

-- What is left of a quota in a period is its limit and the sum of extra, less
-- the sums of used and of held, over the period's days. Rows do not refer to
-- keys and plans, and outlive them.
CREATE TABLE usage (
	plan_id BYTEA NOT NULL,
	key_id  BYTEA NOT NULL,
	day     BIGINT NOT NULL, -- since 1970-01-01, UTC
	used    BIGINT NOT NULL,
	PRIMARY KEY (plan_id, key_id, day)
);

CREATE TABLE usage_held (
	plan_id BYTEA NOT NULL,
	key_id  BYTEA NOT NULL,
	day     BIGINT NOT NULL, -- on which it was granted
	node    BYTEA NOT NULL,
	held    BIGINT NOT NULL CHECK (held > 0),
	PRIMARY KEY (plan_id, key_id, day, node)
);
CREATE INDEX usage_held_node ON usage_held (node);
CREATE TABLE usage_grant ( -- by UpdateUsage
	plan_id BYTEA NOT NULL,
	key_id  BYTEA NOT NULL,
	day     BIGINT NOT NULL,
	extra   BIGINT NOT NULL, -- added to the limit; below 0: taken from it
	PRIMARY KEY (plan_id, key_id, day)
);

-- Buckets that nodes divide between them. No row: an idle one.
CREATE TABLE pool (
	bucket BYTEA PRIMARY KEY,
	doc    BYTEA NOT NULL, -- JSON of limit.Pool
	idle   BIGINT NOT NULL -- from then on the row says nothing
) WITH (fillfactor = 50);

-- One row an Update: what it changed, for the other nodes. The first row is the
-- state of a new database. They are committed in the order of seq.
CREATE TABLE change (
	seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at   BIGINT NOT NULL,
	node BYTEA NOT NULL,
	doc  BYTEA NOT NULL -- a zstd frame that holds JSON
);
INSERT INTO change (at, node, doc) VALUES (weir_now(), '', '');

-- Processes that have, or had, the database open.
CREATE TABLE node (
	id      BYTEA PRIMARY KEY,
	name    BYTEA NOT NULL,
	started BIGINT NOT NULL,
	ended   BIGINT NOT NULL, -- by a clean stop; 0: not
	batch   BIGINT NOT NULL  -- the newest that was recorded (see limit.Batch)
);
-- A table of its own, so that no batch on its way keeps a node from saying that
-- it is alive.
CREATE TABLE beat (
	id   BYTEA PRIMARY KEY,
	seen BIGINT NOT NULL
);

CREATE TABLE bucket (
	name BYTEA PRIMARY KEY,
	used DOUBLE PRECISION NOT NULL
);
CREATE TABLE clean_stop (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	at BIGINT NOT NULL
);
INSERT INTO clean_stop (id, at) VALUES (1, weir_now());

-- Function code, under its SHA-256.
CREATE TABLE code (
	sha  BYTEA PRIMARY KEY,
	size BIGINT NOT NULL,
	at   BIGINT NOT NULL
);
CREATE TABLE code_chunk (
	sha  BYTEA NOT NULL REFERENCES code (sha),
	n    INTEGER NOT NULL,
	data BYTEA NOT NULL,
	PRIMARY KEY (sha, n)
);
ALTER TABLE code_chunk ALTER COLUMN data SET STORAGE EXTERNAL; -- a zip is packed already

CREATE TABLE log_group (
	id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name    BYTEA NOT NULL UNIQUE,
	created BIGINT NOT NULL
);
CREATE TABLE log_stream (
	id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	group_id BIGINT NOT NULL REFERENCES log_group (id),
	name     BYTEA NOT NULL,
	created  BIGINT NOT NULL,
	UNIQUE (group_id, name)
);
CREATE TABLE log_event (
	seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	group_id  BIGINT NOT NULL,
	stream_id BIGINT NOT NULL REFERENCES log_stream (id),
	time      BIGINT NOT NULL,
	ingested  BIGINT NOT NULL,
	message   BYTEA NOT NULL
);
CREATE INDEX log_event_stream ON log_event (stream_id, time, seq);
CREATE INDEX log_event_group ON log_event (group_id, time, seq);
`

// migratePostgres brings the database up to the last of migrations, all in one
// transaction, one node at a time.
func (c *session) migratePostgres(migrations []string) error {
	limit := c.limit
	c.limit = migrationWait
	defer func() { c.limit = limit }()
	return c.transact(func() error {
		// The wait of another node for a long migration is a migration's too.
		if err := c.exec("SET LOCAL lock_timeout = " + milliseconds(migrationWait)); err != nil {
			return err
		}
		if err := c.exec(lockMigrations); err != nil {
			return err
		}
		version, err := c.postgresVersion(len(migrations))
		if err != nil {
			return err
		}
		for i := version; i < len(migrations); i++ {
			err := c.script(migrations[i])
			if err == nil && i == 0 {
				err = c.exec("CREATE TABLE weir_schema (id INTEGER PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)")
				if err == nil {
					err = c.exec("INSERT INTO weir_schema (id, version) VALUES (1, 1)")
				}
			} else if err == nil {
				err = c.exec("UPDATE weir_schema SET version = ?", int64(i+1))
			}
			if err != nil {
				return fmt.Errorf("store: cannot bring the database to schema version %d: %w", i+1, err)
			}
		}
		return nil
	})
}

// postgresVersion reads how far a database has been brought, 0 for a new one,
// for which it makes the schema. It refuses what is not ours and what is newer
// than newest.
func (c *session) postgresVersion(newest int) (version int, err error) {
	var schema, ours bool
	var others int
	_, err = c.row(`SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'weir'),
		EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'weir' AND tablename = 'weir_schema'),
		(SELECT count(*) FROM pg_tables WHERE schemaname = 'weir')`, nil, &schema, &ours, &others)
	switch {
	case err != nil:
		return 0, err
	case !schema:
		return 0, c.exec("CREATE SCHEMA weir")
	case !ours && others > 0:
		return 0, fmt.Errorf("store: the database's schema weir holds the tables of another program: give weir a database of its own")
	case !ours:
		return 0, nil
	}
	if _, err := c.row("SELECT version FROM weir_schema", nil, &version); err != nil {
		return 0, err
	}
	if version > newest {
		return 0, newerSchema(version, newest)
	}
	return version, nil
}

func newerSchema(version, newest int) error {
	return fmt.Errorf("store: the database has schema version %d, and this weir knows versions up to %d: start the newer weir that wrote it", version, newest)
}
