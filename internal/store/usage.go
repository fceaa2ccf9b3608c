package store

import (
	"context"

	"weir/internal/catalog"
	"weir/internal/limit"
)

// DayUsage is one day of one key in a plan. What remains of a quota on a day is
// its limit and the sum of Extra, less the sums of Used and Lost, over the days
// of the period until then.
type DayUsage struct {
	KeyID string
	Day   limit.Day
	Used  int64
	Extra int64 // granted by GrantUsage on that day; below 0: taken
	Lost  int64 // held, since that day, by nodes that died
}

// Usage reads what the ledger holds for a plan on the days from..to, both
// included, ordered by key and day; keyID "" means every key. Days of which
// there is nothing to tell are left out. A Usage that begins after a Spend
// returned counts it; calls that nodes spend of what they hold are counted once
// they are recorded.
func (s *Store) Usage(ctx context.Context, planID, keyID string, from, to limit.Day) ([]DayUsage, error) {
	where := " WHERE plan_id = ?1 AND day BETWEEN ?2 AND ?3"
	args := []any{planID, int64(from), int64(to)}
	if keyID != "" {
		where += " AND key_id = ?4"
		args = append(args, keyID)
	}
	query := "SELECT key_id, day, sum(used), sum(extra), sum(lost) FROM (" +
		"SELECT key_id, day, used, 0 AS extra, 0 AS lost FROM usage" + where +
		" UNION ALL SELECT key_id, day, 0, extra, 0 FROM usage_grant" + where +
		" UNION ALL SELECT key_id, day, 0, 0, held FROM usage_held" + where + " AND node NOT IN (" + s.updates.alive + ")" +
		") AS days GROUP BY key_id, day ORDER BY key_id, day"
	var all []DayUsage
	err := s.read(ctx, func(r *session) error {
		return r.rows(query, args, func(scan func(...any) error) error {
			var u DayUsage
			var day int64
			err := scan(&u.KeyID, &day, &u.Used, &u.Extra, &u.Lost)
			u.Day = limit.Day(day)
			all = append(all, u)
			return err
		})
	})
	return all, err
}

// GrantUsage lets exactly remaining more calls of a's account in the period
// that runs; of a it reads Account, Quota and Joined. Watchers hear of it by a
// Change to a catalog.UsageGrant. What nodes spend of calls they hold until
// they hear of it is spent of remaining.
func (tx *Tx) GrantUsage(a limit.Ask, remaining int64) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	day, start, end := a.Days(tx.now)
	// In one statement, which sees one moment: other nodes record what they
	// spent and give back what they hold meanwhile, and what moved in between
	// would be taken for lost.
	const where = " WHERE plan_id = ?1 AND key_id = ?2 AND day BETWEEN ?3 AND ?4"
	var s limit.Standing
	var living int64
	if _, err := tx.row("SELECT (SELECT coalesce(sum(used), 0) FROM usage"+where+"), (SELECT coalesce(sum(extra), 0) FROM usage_grant"+where+"),"+
		" coalesce(sum(held), 0), coalesce(sum(CASE WHEN node IN ("+tx.db.mayAct+") THEN held END), 0) FROM usage_held"+where,
		[]any{a.Account.PlanID, a.Account.KeyID, int64(start), int64(end) - 1}, &s.Used, &s.Extra, &s.Others, &living); err != nil {
		return err
	}
	if err := tx.exec("INSERT INTO usage_grant (plan_id, key_id, day, extra) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT (plan_id, key_id, day) DO UPDATE SET extra = usage_grant.extra + excluded.extra",
		a.Account.PlanID, a.Account.KeyID, int64(day), limit.Extra(a, tx.now, s, living, remaining)); err != nil {
		return err
	}
	g := catalog.UsageGrant{PlanID: a.Account.PlanID, KeyID: a.Account.KeyID, Remaining: remaining}
	tx.changed(g.Kind(), g.Key(), nil, g)
	return nil
}
