package protection

import (
	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/limit"
)

// terms say who gets in with a key: whether it is enabled, and what its tags
// and its rotation add. Immutable: a change makes other ones, so that a call
// sees all of an edit or nothing of it. Keys without more share two, so that
// 100,000 of them pay a pointer each and no more.
type terms struct {
	enabled bool
	more    bool         // the fields below say something
	broken  bool         // the tags cannot be read: nobody gets in
	seats   *limit.Seats // nil: no cap on the calls at a time
	catalog.KeyTerms
}

var (
	enabledTerms  = &terms{enabled: true}
	disabledTerms = &terms{}
)

// compileTerms gives the terms of a key, whose tags it reads; its seats come
// when it is put: see seatLocked.
func compileTerms(k *catalog.APIKey) *terms {
	t, err := k.Terms()
	switch {
	case err != nil:
		// Nothing is stored that cannot be read, but by an older weir, to which
		// the tag meant nothing. What it was to keep out is kept out.
		return &terms{enabled: k.Enabled, more: true, broken: true, KeyTerms: catalog.KeyTerms{Previous: k.Previous}}
	case t != nil:
		return &terms{enabled: k.Enabled, more: true, KeyTerms: *t}
	}
	return plainTerms(k.Enabled)
}

// seatLocked gives terms with a cap the seats of those that they replace: who
// sits stays seated when the cap is edited. Where the limiter divides, nodes
// find each other by the seats' name.
func (g *Guard) seatLocked(id string, t, old *terms) {
	switch {
	case t.MaxConcurrency == 0:
	case g.limiter.Divides():
		t.seats = g.limiter.Seats("seats/"+id, t.MaxConcurrency, g.version.Load(), g.now())
	case old != nil && old.seats != nil:
		t.seats = old.seats
		t.seats.SetLimit(t.MaxConcurrency)
	default:
		t.seats = limit.NewSeats(t.MaxConcurrency)
	}
}

// plainTerms are those of a key without tags.
func plainTerms(enabled bool) *terms {
	if enabled {
		return enabledTerms
	}
	return disabledTerms
}

// refuses says why a call does not get in on the key's terms, or nil. previous
// says that it sent the value from before the key's rotation.
func (t *terms) refuses(previous bool, req *message.Request, now func() limit.Instant) *Refusal {
	switch {
	case !t.enabled:
		return disabledKey
	case !t.more:
		return nil
	case t.broken:
		return brokenTerms
	}
	at := now().Wall
	switch {
	case previous && !at.Before(t.PreviousUntil):
		return previousValue
	case !t.Expires.IsZero() && !at.Before(t.Expires):
		return expiredKey
	case !t.ComesFrom(req.Source):
		return wrongAddress
	}
	return nil
}
