package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/store"
)

// digest is a digest with bytes that are awkward in text: zeros, slashes,
// quotes, and what is no UTF-8.
func digest(n int) (d [32]byte) {
	for i := range d {
		d[i] = []byte{0, '/', '\'', 0xff, 0xc3}[(i+n)%5]
	}
	d[0], d[30], d[31] = byte(n*37), byte(n>>8), byte(n)
	return d
}

func key(n int) catalog.APIKey {
	return catalog.APIKey{ID: fmt.Sprintf("key%04d", (n*7)%10000), Name: fmt.Sprint("name ", n), Enabled: n%3 != 0, Digest: digest(n)}
}

func query(t *testing.T, s *store.Store, q store.KeyQuery) (ids []string) {
	t.Helper()
	view(t, s, func(tx *store.Tx) error {
		all, err := tx.APIKeys(q)
		for _, k := range all {
			ids = append(ids, k.ID)
		}
		return err
	})
	return ids
}

func apiKeys(t *testing.T, s *store.Store) {
	full := catalog.APIKey{
		ID: "full", Name: "Ünï", Description: "d", CustomerID: "c", Enabled: true, CreatedDate: Epoch,
		LastUpdatedDate: Epoch.Add(time.Nanosecond), Digest: digest(9), Sealed: []byte{0, 1, 2}, Tags: map[string]string{"k": "v"},
	}
	roundTrip(t, s, full)
	roundTrip(t, s, catalog.APIKey{ID: "bare", Digest: digest(10)})
	roundTrip(t, s, catalog.APIKey{ID: "zero"}) // a digest of zeros is a digest

	seen := watched(s)
	put(t, s, full)
	put(t, s, full) // no change
	edited := full
	edited.Enabled, edited.Name, edited.Tags = false, "new", map[string]string{"k": "w"}
	put(t, s, edited)
	want := []store.Change{
		{Kind: catalog.KindAPIKey, Key: "full", New: full},
		{Kind: catalog.KindAPIKey, Key: "full", Old: full, New: edited},
	}
	if !reflect.DeepEqual(*seen, want) {
		t.Errorf("the watcher saw\n%+v, want\n%+v", *seen, want)
	}
	view(t, s, func(tx *store.Tx) error {
		if k, ok, err := tx.APIKeyByDigest(full.Digest); !ok || err != nil || !reflect.DeepEqual(k, edited) {
			t.Errorf("by its digest: %+v, %v, %v", k, ok, err)
		}
		if _, ok, err := tx.APIKeyByDigest(digest(11)); ok || err != nil {
			t.Errorf("an unknown digest: %v, %v", ok, err)
		}
		return nil
	})
}

func apiKeyFilters(t *testing.T, s *store.Store) {
	for i, k := range []catalog.APIKey{
		{ID: "a", Name: "team-1", CustomerID: "c1"},
		{ID: "b", Name: "Team-2", CustomerID: "c1"},
		{ID: "c", Name: "team%x", CustomerID: "C1"},
		{ID: "d", Name: "team_x"},
		{ID: "e", Name: "tea"},
		{ID: "f", Name: "teb"},
		{ID: "g", Name: "team\U0010FFFF"},
		{ID: "h", Name: "\xff\xffz"},
	} {
		k.Digest = digest(i)
		put(t, s, k)
	}
	put(t, s, catalog.UsagePlanKey{PlanID: "p", KeyID: "d"}, catalog.UsagePlanKey{PlanID: "p", KeyID: "a"}, catalog.UsagePlanKey{PlanID: "q", KeyID: "b"})
	for _, c := range []struct {
		q    store.KeyQuery
		want string
	}{
		{store.KeyQuery{}, "hgfedcba"},
		{store.KeyQuery{NamePrefix: "team"}, "gdca"},
		{store.KeyQuery{NamePrefix: "Team"}, "b"},
		{store.KeyQuery{NamePrefix: "team%"}, "c"},
		{store.KeyQuery{NamePrefix: "team_"}, "d"},
		{store.KeyQuery{NamePrefix: "%"}, ""},
		{store.KeyQuery{NamePrefix: "tea"}, "gedca"},
		{store.KeyQuery{NamePrefix: "\xff\xff"}, "h"},
		{store.KeyQuery{CustomerID: "c1"}, "ba"},
		{store.KeyQuery{CustomerID: "c1", NamePrefix: "t"}, "a"},
		{store.KeyQuery{PlanID: "p"}, "ad"}, // newest in the plan first
		{store.KeyQuery{PlanID: "p", NamePrefix: "team_"}, "d"},
		{store.KeyQuery{PlanID: "none"}, ""},
		{store.KeyQuery{PlanID: "p", CustomerID: "c1", NamePrefix: "team", Limit: 5}, "a"},
		{store.KeyQuery{Limit: 2}, "hg"},
		{store.KeyQuery{After: "g", Limit: 2}, "fe"},
		{store.KeyQuery{After: "a"}, ""},
		{store.KeyQuery{PlanID: "p", After: "a"}, "d"},
	} {
		got := ""
		for _, id := range query(t, s, c.q) {
			got += id
		}
		if got != c.want {
			t.Errorf("%+v selects %q, want %q", c.q, got, c.want)
		}
	}
	var rule *catalog.Error
	err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.APIKeys(store.KeyQuery{After: "nobody"}); return err })
	if !errors.As(err, &rule) || rule.Class != catalog.Invalid {
		t.Errorf("an unknown place gives %v", err)
	}
}

// pages reads page after page; each is handed to between before the next.
func pages(t *testing.T, s *store.Store, q store.KeyQuery, between func(page []string)) (all []string) {
	t.Helper()
	for range 100 {
		page := query(t, s, q)
		all = append(all, page...)
		if len(page) < q.Limit {
			return all
		}
		q.After = page[len(page)-1]
		between(page)
	}
	t.Fatal("pages do not end")
	return nil
}

// apiKeyPages edits and renames while it reads pages: an edited key keeps its place.
func apiKeyPages(t *testing.T, s *store.Store) {
	var want []string
	for i := range 50 {
		put(t, s, key(i))
		want = append(want, key(i).ID)
	}
	slices.Reverse(want)
	got := pages(t, s, store.KeyQuery{Limit: 7}, func(page []string) {
		k := get[catalog.APIKey](t, s, true, page[0])
		k.Name = "renamed"
		put(t, s, k)
	})
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold\n%q, want\n%q", got, want)
	}
}

func apiKeyPagesWhileDeleting(t *testing.T, s *store.Store) {
	var want []string
	for i := range 30 {
		put(t, s, key(i), catalog.UsagePlanKey{PlanID: "p", KeyID: key(i).ID, AddedAt: Epoch})
		want = append(want, key(i).ID)
	}
	slices.Reverse(want)
	got := pages(t, s, store.KeyQuery{PlanID: "p", Limit: 7}, func(page []string) {
		update(t, s, func(tx *store.Tx) error {
			for _, id := range page {
				if err := store.Delete[catalog.UsagePlanKey](tx, "p", id); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if !slices.Equal(got, want) {
		t.Errorf("the plan's pages hold\n%q, want\n%q", got, want)
	}
	got = pages(t, s, store.KeyQuery{Limit: 7}, func(page []string) {
		update(t, s, func(tx *store.Tx) error {
			for _, id := range page {
				if err := store.Delete[catalog.APIKey](tx, id); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold\n%q, want\n%q", got, want)
	}
}

func duplicateKey(t *testing.T, s *store.Store) {
	one, two := key(1), key(2)
	put(t, s, one, two)
	for name, twin := range map[string]catalog.APIKey{"new": {ID: "new", Digest: one.Digest}, "edited": {ID: two.ID, Digest: one.Digest}} {
		err := s.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, twin) })
		var rule *catalog.Error
		if !errors.Is(err, store.ErrDuplicateKey) || !errors.As(err, &rule) || rule.Class != catalog.Conflict || rule.Message != "API Key already exists" {
			t.Errorf("%s: %v, want ErrDuplicateKey", name, err)
		}
	}
	// An import goes on after one: nothing but that key is left out.
	update(t, s, func(tx *store.Tx) error {
		if err := store.Put(tx, catalog.APIKey{ID: "new", Digest: one.Digest}); err != store.ErrDuplicateKey {
			t.Errorf("Put returned %v", err)
		}
		return store.Put(tx, key(3))
	})
	get[catalog.APIKey](t, s, true, key(3).ID)
	get[catalog.APIKey](t, s, false, "new")
	// A deleted key's value is free again.
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(store.Delete[catalog.APIKey](tx, one.ID), store.Put(tx, catalog.APIKey{ID: "new", Digest: one.Digest}))
	})
	get[catalog.APIKey](t, s, true, "new")
}

func links(t *testing.T, s *store.Store) {
	put(t, s, key(1), key(2), key(3))
	id := func(n int) string { return key(n).ID }
	roundTrip(t, s, catalog.UsagePlanKey{PlanID: "p", KeyID: id(1), AddedAt: Epoch})
	seen := watched(s)
	first := catalog.UsagePlanKey{PlanID: "p", KeyID: id(2), AddedAt: Epoch}
	again := catalog.UsagePlanKey{PlanID: "p", KeyID: id(2), AddedAt: Epoch.Add(time.Hour)}
	put(t, s, first)
	put(t, s, first) // no change
	put(t, s, again)
	want := []store.Change{
		{Kind: catalog.KindUsagePlanKey, Key: "p/" + id(2), New: first},
		{Kind: catalog.KindUsagePlanKey, Key: "p/" + id(2), Old: first, New: again},
	}
	if !reflect.DeepEqual(*seen, want) {
		t.Errorf("the watcher saw\n%+v, want\n%+v", *seen, want)
	}
	put(t, s, catalog.UsagePlanKey{PlanID: "p", KeyID: id(1), AddedAt: Epoch}, catalog.UsagePlanKey{PlanID: "pp", KeyID: id(1), AddedAt: Epoch},
		catalog.UsagePlanKey{PlanID: "a", KeyID: id(1), AddedAt: Epoch})
	view(t, s, func(tx *store.Tx) error {
		inPlan, err := tx.PlanLinks("p")
		if want := []catalog.UsagePlanKey{{PlanID: "p", KeyID: id(1), AddedAt: Epoch}, again}; err != nil || !reflect.DeepEqual(inPlan, want) {
			t.Errorf("PlanLinks are %v, %v, want %v", inPlan, err, want)
		}
		ofKey, err := tx.KeyLinks(id(1))
		if err != nil || len(ofKey) != 3 || ofKey[0].PlanID != "a" || ofKey[1].PlanID != "p" || ofKey[2].PlanID != "pp" {
			t.Errorf("KeyLinks are %v, %v", ofKey, err)
		}
		return nil
	})
	if got, want := list[catalog.UsagePlanKey](t, s, "p"), []string{"p/" + id(1), "p/" + id(2)}; !slices.Equal(got, want) {
		t.Errorf("List below the plan is %q, want %q", got, want)
	}
	if got, want := list[catalog.UsagePlanKey](t, s), []string{"a/" + id(1), "p/" + id(1), "p/" + id(2), "pp/" + id(1)}; !slices.Equal(got, want) {
		t.Errorf("List is %q, want %q", got, want)
	}
}

func linksGoWithKey(t *testing.T, s *store.Store) {
	k := key(1)
	a := catalog.UsagePlanKey{PlanID: "a", KeyID: k.ID, AddedAt: Epoch}
	b := catalog.UsagePlanKey{PlanID: "b", KeyID: k.ID, AddedAt: Epoch}
	other := catalog.UsagePlanKey{PlanID: "b", KeyID: key(2).ID, AddedAt: Epoch}
	put(t, s, k, key(2), a, b, other)
	seen := watched(s)
	update(t, s, func(tx *store.Tx) error { return store.Delete[catalog.APIKey](tx, k.ID) })
	want := []store.Change{
		{Kind: catalog.KindUsagePlanKey, Key: a.Key(), Old: a},
		{Kind: catalog.KindUsagePlanKey, Key: b.Key(), Old: b},
		{Kind: catalog.KindAPIKey, Key: k.ID, Old: k},
	}
	if !reflect.DeepEqual(*seen, want) {
		t.Errorf("the watcher saw\n%+v, want\n%+v", *seen, want)
	}
	if got := list[catalog.UsagePlanKey](t, s); !slices.Equal(got, []string{other.Key()}) {
		t.Errorf("left are %q", got)
	}
}

func eachKeyAndLink(t *testing.T, s *store.Store) {
	view(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.EachKey(func(k store.KeyRow) error { return fmt.Errorf("a key in an empty store: %v", k) }),
			tx.EachLink(func(l catalog.UsagePlanKey) error { return fmt.Errorf("a link in an empty store: %v", l) }))
	})
	const n = 300
	wantKeys, wantLinks := map[string]store.KeyRow{}, map[string]catalog.UsagePlanKey{}
	update(t, s, func(tx *store.Tx) error {
		for i := range n {
			k := key(i)
			l := catalog.UsagePlanKey{PlanID: fmt.Sprint("plan", i%5), KeyID: k.ID, AddedAt: Epoch.Add(time.Duration(i))}
			wantKeys[k.ID] = store.KeyRow{ID: k.ID, Digest: k.Digest, Enabled: k.Enabled}
			wantLinks[l.Key()] = l
			if err := errors.Join(store.Put(tx, k), store.Put(tx, l)); err != nil {
				return err
			}
		}
		return nil
	})
	keys, links := map[string]store.KeyRow{}, map[string]catalog.UsagePlanKey{}
	rows := 0
	view(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.EachKey(func(k store.KeyRow) error { rows++; keys[k.ID] = k; return nil }),
			tx.EachLink(func(l catalog.UsagePlanKey) error { rows++; links[l.Key()] = l; return nil }))
	})
	if rows != 2*n || !reflect.DeepEqual(keys, wantKeys) || !reflect.DeepEqual(links, wantLinks) {
		t.Errorf("%d rows, %d keys, %d links are not the %d of each that were put", rows, len(keys), len(links), n)
	}
	err := s.View(t.Context(), func(tx *store.Tx) error { return tx.EachKey(func(store.KeyRow) error { return errWanted }) })
	if err != errWanted {
		t.Errorf("EachKey returned %v, want fn's error as it is", err)
	}
	err = s.View(t.Context(), func(tx *store.Tx) error { return tx.EachLink(func(catalog.UsagePlanKey) error { return errWanted }) })
	if err != errWanted {
		t.Errorf("EachLink returned %v, want fn's error as it is", err)
	}
}
