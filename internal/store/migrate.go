package store

import (
	"fmt"
	"time"
)

// applicationID marks a database file as ours ("weir" in ASCII), so that no
// other program's file is changed by mistake.
const applicationID = 0x77656972

// migrations brings a SQLite database from version i to i+1. A migration that has
// been released is never edited; a change is a new one at the end.
var migrations = []string{schema1, schema2, schema3, schema4}

const schema1 = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) WITHOUT ROWID;

-- Every kind of entry without a table of its own. key is catalog's.
CREATE TABLE entry (
	kind TEXT NOT NULL,
	key  TEXT NOT NULL,
	doc  BLOB NOT NULL, -- JSON, or a zstd frame that holds JSON
	PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- Times are nanoseconds since 1970; 0 is no time.
CREATE TABLE api_key (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation, never used twice
	id          TEXT NOT NULL UNIQUE,
	digest      BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
	enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
	name        TEXT NOT NULL,
	description TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	created     INTEGER NOT NULL,
	updated     INTEGER NOT NULL,
	sealed      BLOB,
	tags        TEXT
);
CREATE INDEX api_key_name ON api_key (name);
CREATE INDEX api_key_customer ON api_key (customer_id, seq);
-- What a node loads at its start: one narrow value a row (see start.go).
CREATE INDEX api_key_face ON api_key (CAST(digest || enabled || id || '/' AS BLOB));

CREATE TABLE usage_plan_key (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT, -- order of joining, never used twice
	plan_id TEXT NOT NULL,
	key_id  TEXT NOT NULL REFERENCES api_key (id),
	added   INTEGER NOT NULL,
	UNIQUE (plan_id, key_id)
);
CREATE INDEX usage_plan_key_key ON usage_plan_key (key_id, plan_id);
CREATE INDEX usage_plan_key_seq ON usage_plan_key (plan_id, seq);
CREATE INDEX usage_plan_key_face ON usage_plan_key (CAST(plan_id || '/' || key_id || '/' || added || '/' AS BLOB));

-- Places in lists that were deleted not long ago: a tool that deletes each
-- page before it asks for the next one still finds its place.
CREATE TABLE gone (
	plan_id TEXT NOT NULL, -- '': the list of all keys
	key_id  TEXT NOT NULL,
	seq     INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (plan_id, key_id)
) WITHOUT ROWID;
CREATE INDEX gone_at ON gone (at);

-- The only truth about quotas: what was used in a period is the sum over its
-- days. So no edit of a limit or a period moves or resets anything. Rows do
-- not refer to keys and plans, and outlive them.
CREATE TABLE usage (
	plan_id TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	day     INTEGER NOT NULL, -- since 1970-01-01, UTC
	used    INTEGER NOT NULL,
	PRIMARY KEY (plan_id, key_id, day)
) WITHOUT ROWID;

-- Of a clean stop. A row in clean_stop is its mark; a new database has one,
-- because nothing was admitted before it.
CREATE TABLE bucket (
	name TEXT PRIMARY KEY,
	used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE clean_stop (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	at INTEGER NOT NULL
);

CREATE TABLE log_stream (
	id         INTEGER PRIMARY KEY,
	group_name TEXT NOT NULL,
	name       TEXT NOT NULL,
	UNIQUE (group_name, name)
);
CREATE TABLE log_event (
	seq       INTEGER PRIMARY KEY,
	stream_id INTEGER NOT NULL REFERENCES log_stream (id),
	time      INTEGER NOT NULL,
	message   TEXT NOT NULL
);
CREATE INDEX log_event_time ON log_event (stream_id, time);
`

// schema2 makes groups things of their own and lets all events of a group be
// read in their order, whatever the number of its streams.
const schema2 = `
CREATE TABLE log_group (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	created INTEGER NOT NULL
);
CREATE TABLE new_stream (
	id       INTEGER PRIMARY KEY,
	group_id INTEGER NOT NULL REFERENCES log_group (id),
	name     TEXT NOT NULL,
	created  INTEGER NOT NULL,
	UNIQUE (group_id, name)
);
CREATE TABLE new_event (
	seq       INTEGER PRIMARY KEY, -- in the order in which events were written
	group_id  INTEGER NOT NULL,
	stream_id INTEGER NOT NULL REFERENCES new_stream (id),
	time      INTEGER NOT NULL,
	ingested  INTEGER NOT NULL,
	message   TEXT NOT NULL
);

INSERT INTO log_group (name, created)
	SELECT s.group_name, min(e.time) FROM log_stream s JOIN log_event e ON e.stream_id = s.id GROUP BY s.group_name;
INSERT INTO new_stream (id, group_id, name, created)
	SELECT s.id, g.id, s.name, min(e.time)
	FROM log_stream s JOIN log_group g ON g.name = s.group_name JOIN log_event e ON e.stream_id = s.id GROUP BY s.id;
INSERT INTO new_event (seq, group_id, stream_id, time, ingested, message)
	SELECT e.seq, s.group_id, e.stream_id, e.time, e.time, e.message FROM log_event e JOIN new_stream s ON s.id = e.stream_id;

DROP TABLE log_event;
DROP TABLE log_stream;
ALTER TABLE new_stream RENAME TO log_stream;
ALTER TABLE new_event RENAME TO log_event;
CREATE INDEX log_event_stream ON log_event (stream_id, time);
CREATE INDEX log_event_group ON log_event (group_id, time);
`

// schema3 lets nodes hold calls of a quota ahead, and grants change what is left
// of a period. What is left of a quota in a period is its limit and the sum of
// extra, less the sums of used and of held, over the period's days.
const schema3 = `
-- The processes that live. A row of usage_held whose node is not here was held
-- by one that died: lost until its period ends.
CREATE TABLE node (
	id    TEXT PRIMARY KEY,
	batch INTEGER NOT NULL -- the newest that was recorded (see limit.Batch)
) WITHOUT ROWID;

CREATE TABLE usage_held (
	plan_id TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	day     INTEGER NOT NULL, -- on which it was granted
	node    TEXT NOT NULL,
	held    INTEGER NOT NULL CHECK (held > 0),
	PRIMARY KEY (plan_id, key_id, day, node)
) WITHOUT ROWID;

-- By UpdateUsage. As usage, rows outlive keys and plans.
CREATE TABLE usage_grant (
	plan_id TEXT NOT NULL,
	key_id  TEXT NOT NULL,
	day     INTEGER NOT NULL,
	extra   INTEGER NOT NULL, -- added to the limit; below 0: taken from it
	PRIMARY KEY (plan_id, key_id, day)
) WITHOUT ROWID;
`

// schema4 gives keys the digest of the value they had before a rotation, and
// marks those that let callers in on terms (see catalog.KeyTerms): a node loads
// the terms at its start without reading every key's tags.
const schema4 = `
ALTER TABLE api_key ADD COLUMN previous BLOB CHECK (length(previous) = 32);
ALTER TABLE api_key ADD COLUMN has_terms INTEGER NOT NULL DEFAULT 0 CHECK (has_terms IN (0, 1));
CREATE UNIQUE INDEX api_key_previous ON api_key (previous) WHERE previous IS NOT NULL;
CREATE INDEX api_key_terms ON api_key (seq) WHERE has_terms = 1;
UPDATE api_key SET has_terms = 1
	WHERE instr(tags, '"weir:expires"') > 0 OR instr(tags, '"weir:source-ranges"') > 0 OR instr(tags, '"weir:max-concurrency"') > 0;
`

// migrate brings the database up to the last of migrations, each in a
// transaction together with the number that records it.
func (c *session) migrate(path string, migrations []string, now time.Time) error {
	version, err := c.schemaVersion(path, migrations)
	if err != nil {
		return err
	}
	for i := version; i < len(migrations); i++ {
		err := c.transact(func() error {
			// Not prepared: a migration is many statements.
			if err := c.script(migrations[i]); err != nil {
				return err
			}
			if i == 0 {
				if err := c.exec("INSERT INTO clean_stop (id, at) VALUES (1, ?)", nanos(now)); err != nil {
					return err
				}
			}
			return c.script(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, i+1))
		})
		if err != nil {
			return fmt.Errorf("store: cannot bring %s to schema version %d: %w", path, i+1, err)
		}
	}
	return nil
}

// schemaVersion reads how far a database has been brought, 0 for a new one. It
// refuses what is not ours and what is newer than migrations.
func (c *session) schemaVersion(path string, migrations []string) (version int, err error) {
	var app int
	if _, err := c.row("PRAGMA user_version", nil, &version); err != nil {
		return 0, err
	}
	if _, err := c.row("PRAGMA application_id", nil, &app); err != nil {
		return 0, err
	}
	if app != applicationID && (app != 0 || version != 0) {
		return 0, fmt.Errorf("store: %s is a database of another program (application id %#x)", path, app)
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("store: %s has schema version %d, and this weir knows versions up to %d: "+
			"start the newer weir that wrote it, or restore a backup that this one made", path, version, len(migrations))
	}
	return version, nil
}

// nanos and fromNanos keep a time in a column. 0 is the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
