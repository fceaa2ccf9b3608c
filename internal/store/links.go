package store

import (
	"fmt"

	"weir/internal/catalog"
)

// PlanLinks reads the keys of a plan, ordered by key id.
func (tx *Tx) PlanLinks(planID string) ([]catalog.UsagePlanKey, error) {
	return tx.linksWhere("WHERE plan_id = ? ORDER BY key_id", planID)
}

// KeyLinks reads the plans of a key, ordered by plan id.
func (tx *Tx) KeyLinks(keyID string) ([]catalog.UsagePlanKey, error) {
	return tx.linksWhere("WHERE key_id = ? ORDER BY plan_id", keyID)
}

func (tx *Tx) linksWhere(rest string, args ...any) (all []catalog.UsagePlanKey, err error) {
	err = tx.links(rest, args, func(l catalog.UsagePlanKey) { all = append(all, l) })
	return all, err
}

func (tx *Tx) link(planID, keyID string) (found catalog.UsagePlanKey, ok bool, err error) {
	err = tx.links("WHERE plan_id = ? AND key_id = ?", []any{planID, keyID}, func(l catalog.UsagePlanKey) { found, ok = l, true })
	return found, ok, err
}

func (tx *Tx) links(rest string, args []any, yield func(catalog.UsagePlanKey)) error {
	return tx.rows("SELECT plan_id, key_id, added FROM usage_plan_key "+rest, args, func(scan func(...any) error) error {
		var l catalog.UsagePlanKey
		var added int64
		if err := scan(&l.PlanID, &l.KeyID, &added); err != nil {
			return err
		}
		l.AddedAt = fromNanos(added)
		yield(l)
		return nil
	})
}

func (tx *Tx) putLink(l catalog.UsagePlanKey) error {
	if _, ok := joined([]string{l.PlanID, l.KeyID}); !ok {
		return fmt.Errorf("store: %q cannot be the key of a %s", l.Key(), l.Kind())
	}
	if _, ok, err := tx.key("k.id = ?", l.KeyID); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("store: plan %s cannot have API key %s, which does not exist", l.PlanID, l.KeyID)
	}
	old, exists, err := tx.link(l.PlanID, l.KeyID)
	if err != nil {
		return err
	}
	if exists && old.AddedAt.Equal(l.AddedAt) {
		return nil
	}
	err = tx.exec(`INSERT INTO usage_plan_key (plan_id, key_id, added) VALUES (?, ?, ?)
		ON CONFLICT (plan_id, key_id) DO UPDATE SET added = excluded.added`, l.PlanID, l.KeyID, nanos(l.AddedAt))
	if err != nil {
		return err
	}
	if exists {
		tx.changed(l.Kind(), l.Key(), old, l)
	} else {
		tx.changed(l.Kind(), l.Key(), nil, l)
	}
	return nil
}

func (tx *Tx) deleteLink(l catalog.UsagePlanKey) error {
	if err := tx.leave(l.PlanID, l.KeyID); err != nil {
		return err
	}
	if err := tx.exec("DELETE FROM usage_plan_key WHERE plan_id = ? AND key_id = ?", l.PlanID, l.KeyID); err != nil {
		return err
	}
	tx.changed(l.Kind(), l.Key(), l, nil)
	return nil
}
