package storetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/store"
)

// roundTrip puts e, reads it back by its key, from a list, and deletes it.
func roundTrip[T catalog.Entry](t *testing.T, s *store.Store, e T) {
	t.Helper()
	key := strings.Split(e.Key(), "/")
	get[T](t, s, false, key...)
	put(t, s, e)
	if got := get[T](t, s, true, key...); !reflect.DeepEqual(got, e) {
		t.Errorf("%T came back as\n%#v, want\n%#v", e, got, e)
	}
	if got := list[T](t, s); !slices.Contains(got, e.Key()) {
		t.Errorf("List[%T] is %q, without %q", e, got, e.Key())
	}
	update(t, s, func(tx *store.Tx) error { return store.Delete[T](tx, key...) })
	get[T](t, s, false, key...)
}

func documentsRoundTrip(t *testing.T, s *store.Store) {
	size := 1024
	api := catalog.RestAPI{
		ID: "abc123", Name: "Größe \x00 ≤", CreatedDate: Epoch, MinimumCompressionSize: &size,
		BinaryMediaTypes: []string{"*/*"}, EndpointTypes: []string{"EDGE"}, Tags: map[string]string{"a": "b"},
	}
	res := catalog.Resource{APIID: "abc123", ID: "r1", Path: "/", Methods: map[string]*catalog.Method{
		"ANY": {HTTPMethod: "ANY", AuthorizationType: "NONE", Integration: &catalog.Integration{
			Type:      "MOCK",
			Responses: map[string]*catalog.IntegrationResponse{"200": {StatusCode: "200"}},
		}},
	}}
	dep := catalog.Deployment{APIID: "abc123", ID: "d1", CreatedDate: Epoch, API: api}
	for range 2000 { // large: compressed, many pages
		dep.Resources = append(dep.Resources, res)
	}
	roundTrip(t, s, api)
	roundTrip(t, s, res)
	roundTrip(t, s, dep)
	roundTrip(t, s, catalog.Stage{
		APIID: "abc123", StageName: "prod", DeploymentID: "d1", CreatedDate: Epoch, LastUpdatedDate: Epoch,
		MethodSettings: map[string]catalog.MethodSetting{"*/*": {ThrottlingRateLimit: -1, ThrottlingBurstLimit: -1}},
	})
	roundTrip(t, s, catalog.UsagePlan{
		ID: "p1", Name: "free", Throttle: &catalog.Throttle{RateLimit: 0.1, BurstLimit: 1},
		Quota: &catalog.Quota{Limit: 10, Period: catalog.PeriodDay}, APIStages: []catalog.PlanStage{{APIID: "abc123", Stage: "prod"}},
	})
	roundTrip(t, s, catalog.Function{Name: "timestamper", Runtime: "python3.12", LastModified: Epoch, Architectures: []string{"x86_64"}})
	roundTrip(t, s, catalog.Role{Name: "Lambda-Role", CreateDate: Epoch, AttachedPolicies: []string{"arn:aws:iam::aws:policy/x"}})
}

func listRanges(t *testing.T, s *store.Store) {
	put(t, s,
		catalog.Stage{APIID: "abc", StageName: "x"}, catalog.Stage{APIID: "abc", StageName: "A"}, catalog.Stage{APIID: "abc", StageName: "Ω"},
		catalog.Stage{APIID: "ab", StageName: "y"}, catalog.Stage{APIID: "abc0", StageName: "z"}, catalog.Stage{APIID: "abc.", StageName: "z"},
		catalog.Resource{APIID: "abc", ID: "r"}, catalog.RestAPI{ID: "abc"}, catalog.RestAPI{ID: "ABC"})
	for _, c := range []struct {
		parent []string
		want   []string
	}{
		{[]string{"abc"}, []string{"abc/A", "abc/x", "abc/Ω"}},
		{[]string{"ab"}, []string{"ab/y"}},
		{[]string{"a"}, nil},
		{[]string{"abc", "x"}, nil}, // a whole key has nothing below it
		{[]string{"abc/x"}, nil},
		{[]string{""}, nil},
		{nil, []string{"ab/y", "abc./z", "abc/A", "abc/x", "abc/Ω", "abc0/z"}},
	} {
		if got := list[catalog.Stage](t, s, c.parent...); !slices.Equal(got, c.want) {
			t.Errorf("stages below %q are %q, want %q", c.parent, got, c.want)
		}
	}
	if got, want := list[catalog.RestAPI](t, s), []string{"ABC", "abc"}; !slices.Equal(got, want) {
		t.Errorf("APIs are %q, want %q", got, want)
	}
}

func strangeKeys(t *testing.T, s *store.Store) {
	stage := catalog.Stage{APIID: "abc", StageName: "x"}
	key := catalog.APIKey{ID: "k1", Digest: digest(1)}
	put(t, s, stage, key, catalog.UsagePlanKey{PlanID: "p", KeyID: "k1"})
	get[catalog.Stage](t, s, false, "abc/x")
	get[catalog.Stage](t, s, false, "abc")
	get[catalog.Stage](t, s, false, "abc", "")
	get[catalog.Stage](t, s, false, "abc", "x", "y")
	get[catalog.Stage](t, s, false)
	get[catalog.Stage](t, s, false, "ABC", "x")
	get[catalog.UsagePlanKey](t, s, false, "p/k1")
	get[catalog.UsagePlanKey](t, s, false, "p")
	get[catalog.APIKey](t, s, false, "k1' OR '1'='1")
	update(t, s, func(tx *store.Tx) error { return store.Delete[catalog.Stage](tx, "abc/x") })
	get[catalog.Stage](t, s, true, "abc", "x")

	for _, bad := range []catalog.Entry{
		nil,
		catalog.Stage{APIID: "abc", StageName: "x/y"},
		catalog.Stage{APIID: "abc"},
		catalog.RestAPI{},
		catalog.RestAPI{ID: "a/b"},
		catalog.APIKey{ID: "a/b"},
		catalog.APIKey{},
		catalog.UsagePlanKey{PlanID: "p", KeyID: "nobody"},
		catalog.UsagePlanKey{PlanID: "p/q", KeyID: "k1"},
		(*catalog.Stage)(nil),
		(*catalog.APIKey)(nil),
		unknown{},
	} {
		if err := s.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, bad) }); err == nil {
			t.Errorf("%#v was stored", bad)
		}
	}
	// A pointer is taken for its value; watchers see the value.
	var seen catalog.Entry
	s.Watch(func(_ *store.Tx, cs []store.Change) (func(), error) { seen = cs[0].New; return nil, nil })
	put(t, s, &catalog.Stage{APIID: "abc", StageName: "ptr"})
	if _, ok := seen.(catalog.Stage); !ok {
		t.Errorf("a watcher saw %T, want catalog.Stage", seen)
	}
	update(t, s, func(tx *store.Tx) error {
		if _, _, err := store.Get[*catalog.Stage](tx, "abc", "x"); err == nil {
			t.Error("Get took a pointer type")
		}
		if _, err := store.List[catalog.Entry](tx); err == nil {
			t.Error("List took an interface type")
		}
		return nil
	})
}

type unknown struct{}

func (unknown) Kind() catalog.Kind { return "unknown" }
func (unknown) Key() string        { return "u" }
