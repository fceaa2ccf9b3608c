package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/catalog"
)

// How nodes hear of each other's changes. An Update holds a lock of the whole
// cluster from its beginning to its commit, so changes are committed one after
// the other, and their rows in the table have rising numbers. A node's place is
// the number of the last row that it acts by. An Update first brings its node
// to the newest row, so what it reads and what its watchers are built upon is
// what is stored. Nodes that change nothing are woken by a notification, and
// look twice a second in case one was lost.
//
// A node acts by its own Update without reading its row. When a commit's
// outcome is unknown the row says it: the node's place is before it, and what
// is there is told to the watchers as any other node's change.

const (
	lockUpdates = "SELECT pg_advisory_xact_lock(2003134834, 1)"
	listen      = "LISTEN weir"
	// pollEvery is how soon a node hears of a change without a notification.
	pollEvery = 500 * time.Millisecond
	// loudEvery is how often the same trouble is said.
	loudEvery = 10 * time.Second
	// Changes are kept for this long, and this many whatever their age.
	changesKept    = time.Hour
	changeRowsKept = 10_000
	// So many buckets are forgotten at a time.
	poolsTrimmed = 10_000
)

// ErrBehind is told by Failed when this node's place in the changes is gone.
var ErrBehind = errors.New("store: this node was cut off from the database for so long that it cannot follow what was changed meanwhile: restart it")

// Follow loads: load gets one snapshot, from which it brings what is stored
// into memory. From then on the watchers, which were added before, are told of
// what other nodes change, too. It is called once. A store that does not follow
// tells its watchers of its own changes only.
func (s *Store) Follow(ctx context.Context, load func(*Tx) error) error {
	if s.cluster == nil {
		return s.View(ctx, load)
	}
	if err := s.acquire(ctx, s.updates); err != nil {
		return err
	}
	defer s.updates.release()
	err := s.View(ctx, func(tx *Tx) error {
		newest, _, err := tx.db.places()
		if err != nil {
			return err
		}
		tx.version = newest
		if err := load(tx); err != nil {
			return err
		}
		s.cluster.place.Store(newest)
		return nil
	})
	if err == nil {
		s.cluster.running.Go(s.follow)
	}
	return err
}

// places reads the numbers of the newest and of the oldest change.
func (c *session) places() (newest, oldest int64, err error) {
	var version int
	_, err = c.row("SELECT max(seq), min(seq), (SELECT version FROM weir_schema) FROM change", nil, &newest, &oldest, &version)
	if err == nil && version > len(postgresMigrations) {
		err = newerSchema(version, len(postgresMigrations))
	}
	return newest, oldest, err
}

// follow brings this node to the newest change, again and again.
func (s *Store) follow() {
	ctx := s.cluster.serving
	var said time.Time
	for ; ; s.waitForChange(ctx) { // the first step connects
		if ctx.Err() != nil {
			return
		}
		err := s.step(ctx)
		switch {
		case err == nil:
			if s.cluster.trouble.Swap(nil) != nil {
				s.logger.Info("this node follows the changes of other nodes again")
			}
			said = time.Time{}
			continue
		case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
			return
		}
		s.cluster.trouble.Store(&err)
		if time.Since(said) > loudEvery {
			s.logger.Error("this node cannot follow the changes of other nodes and acts by older ones; it is tried again", "error", err)
			said = time.Now()
		}
		if errors.Is(err, ErrBehind) || s.unpublished.Load() != nil {
			s.fail(err)
			return
		}
	}
}

// waitForChange returns when there is a notification, or half a second later.
func (s *Store) waitForChange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	err := s.cluster.follower.raw(func(conn *pgx.Conn) error {
		if conn.IsClosed() {
			return errors.New("closed")
		}
		_, err := conn.WaitForNotification(ctx)
		return err
	})
	if err != nil {
		<-ctx.Done() // a broken connection is no reason to hurry
	}
}

// step brings this node to the newest change, if it is not there.
func (s *Store) step(ctx context.Context) (err error) {
	defer recovered(&err)
	f := s.cluster.follower
	behind := false
	if err := f.snapshot(func() error {
		newest, _, err := f.places()
		behind = newest != s.cluster.place.Load()
		return err
	}); err != nil || !behind {
		return err
	}
	if err := s.acquire(ctx, s.updates); err != nil {
		return err
	}
	defer s.updates.release()
	if err := s.unpublished.Load(); err != nil {
		return *err
	}
	return f.snapshot(func() error {
		now, err := s.clock(f)
		if err != nil {
			return err
		}
		return s.catchUp(ctx, f, now)
	})
}

// catchUp tells the watchers what was changed since this node's place, as c's
// transaction sees it, and publishes it. It is called with the turn of updates.
func (s *Store) catchUp(ctx context.Context, c *session, now time.Time) error {
	place := s.cluster.place.Load()
	if place == 0 {
		return nil
	}
	newest, oldest, err := c.places()
	if err != nil || newest == place {
		return err
	}
	if oldest > place || newest < place { // trimmed, or a database that went back in time
		s.fail(ErrBehind)
		return ErrBehind
	}
	tx := &Tx{ctx: ctx, db: c, now: now, version: newest}
	if err := tx.readChanges(place); err != nil {
		return err
	}
	publishes, err := s.foreign(tx)
	if err != nil {
		return fmt.Errorf("store: what another node changed cannot be put into force here: %w", err)
	}
	s.publish(publishes)
	s.arrived(newest)
	return nil
}

// arrived moves this node's place; 0 is nowhere.
func (s *Store) arrived(place int64) {
	if s.cluster != nil && place > 0 && s.cluster.place.Load() > 0 {
		s.cluster.place.Store(place)
	}
}

// foreign prepares changes of other nodes.
func (s *Store) foreign(tx *Tx) (publishes []func(), err error) {
	defer tx.end()
	defer recovered(&err)
	return s.tell(tx)
}

// wire is a change as other nodes get it.
type wire struct {
	Kind     catalog.Kind
	Key      string
	Old, New json.RawMessage `json:",omitempty"`
}

// announce writes what a transaction changed for the other nodes, who hear of
// it when it is committed. It returns the change's place, 0 for none.
func (s *Store) announce(c *session, changes []Change) (place int64, err error) {
	if s.cluster == nil || len(changes) == 0 {
		return 0, nil
	}
	all := make([]wire, len(changes))
	for i, change := range changes {
		all[i] = wire{Kind: change.Kind, Key: change.Key}
		for _, side := range []struct {
			entry catalog.Entry
			doc   *json.RawMessage
		}{{change.Old, &all[i].Old}, {change.New, &all[i].New}} {
			if side.entry == nil {
				continue
			}
			if *side.doc, err = json.Marshal(side.entry); err != nil {
				return 0, fmt.Errorf("store: %s %s: %w", change.Kind, change.Key, err)
			}
		}
	}
	doc, err := json.Marshal(all)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	_, err = c.row("INSERT INTO change (at, node, doc) VALUES (weir_now(), ?, ?) RETURNING seq",
		[]any{s.node, packer().EncodeAll(doc, nil)}, &place)
	if err == nil {
		err = c.exec("NOTIFY weir")
	}
	return place, err
}

// readChanges collects what was changed after a place. Several changes of one
// key become one, from the first state to the last, as within one Update: the
// watchers read the last state only.
func (tx *Tx) readChanges(place int64) error {
	return tx.rows("SELECT seq, doc FROM change WHERE seq > ? ORDER BY seq", []any{place}, func(scan func(...any) error) error {
		var seq int64
		var doc []byte
		if err := scan(&seq, &doc); err != nil {
			return err
		}
		plain, err := unpacked(doc)
		var all []wire
		if err == nil {
			err = json.Unmarshal(plain, &all)
		}
		for i := 0; err == nil && i < len(all); i++ {
			var old, new catalog.Entry
			if old, err = all[i].entry(all[i].Old); err == nil {
				new, err = all[i].entry(all[i].New)
			}
			tx.changed(all[i].Kind, all[i].Key, old, new)
		}
		if err != nil {
			return fmt.Errorf("store: change %d is damaged: %w", seq, err)
		}
		return nil
	})
}

func (w wire) entry(doc json.RawMessage) (catalog.Entry, error) {
	if doc == nil {
		return nil, nil
	}
	d, ok := kinds[w.Kind]
	if !ok {
		d, ok = typed[w.Kind]
	}
	if !ok {
		return nil, fmt.Errorf("%s is of kind %q, which this weir does not know", w.Key, w.Kind)
	}
	return d.decode(doc)
}

// trim removes changes that every node has heard of, or is too far behind for,
// buckets that are full and nobody's, and what is remembered of nodes that are
// long gone.
func (c *session) trim() error {
	err := c.exec("DELETE FROM change WHERE at < weir_now() - ? AND seq < (SELECT seq FROM change ORDER BY seq DESC LIMIT 1 OFFSET ?)",
		int64(changesKept), int64(changeRowsKept-1))
	if err == nil { // of keys that are gone, say; what is in use now is left alone
		err = c.exec("DELETE FROM pool WHERE bucket IN (SELECT bucket FROM pool WHERE idle < (SELECT weir_now()) LIMIT ? FOR UPDATE SKIP LOCKED)",
			int64(poolsTrimmed))
	}
	if err == nil {
		err = c.exec("DELETE FROM node WHERE id IN (SELECT id FROM beat WHERE seen < weir_now() - ?)", int64(nodeKept))
	}
	if err == nil {
		err = c.exec("DELETE FROM beat WHERE seen < weir_now() - ?", int64(nodeKept))
	}
	return err
}
