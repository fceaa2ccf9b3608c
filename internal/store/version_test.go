package store_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"weir/internal/catalog"
	"weir/internal/store"
)

// TestVersionsOrderStates: whoever reads the number of a state, it is greater
// than anybody's of an earlier one.
func TestVersionsOrderStates(t *testing.T) {
	database := newDatabase(t)
	const nodes, states = 2, 12
	var mu sync.Mutex
	var read [states + 1][]int64 // by state, what nodes read of it
	note := func(a catalog.Entry, version int64) {
		api, ok := a.(catalog.RestAPI)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n, _ := strconv.Atoi(api.Name)
		read[n] = append(read[n], version)
	}
	refused := errors.New("refused")
	join := func() *store.Store {
		s := openDatabase(t, database)
		s.Watch(func(tx *store.Tx, cs []store.Change) (func(), error) {
			for _, c := range cs {
				note(c.New, tx.Version())
			}
			return nil, nil
		})
		err := s.Follow(t.Context(), func(tx *store.Tx) error {
			all, err := store.List[catalog.RestAPI](tx)
			for _, a := range all {
				note(a, tx.Version())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	members := []*store.Store{join(), join()}
	for n := 1; n <= states; n++ {
		s := members[n%nodes]
		put := func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "a", Name: strconv.Itoa(n)}) }
		if err := s.Update(t.Context(), func(tx *store.Tx) error { return errors.Join(put(tx), refused) }); !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 {
			join()
		}
	}
	eventually(t, "the last state on every node", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(read[states]) >= nodes+states/4
	})
	newest := int64(0)
	for n := 1; n <= states; n++ {
		before := newest
		for _, v := range read[n] {
			if v <= before {
				t.Errorf("state %d was read as version %d, an earlier one as %d", n, v, before)
			}
			newest = max(newest, v)
		}
	}
}
