package apigateway

import (
	"context"
	"maps"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) tagOperations() []protocol.Operation {
	const path = "/tags/{resource_arn+}" // tools send the ARN's slashes escaped or as they are
	return []protocol.Operation{
		protocol.REST("TagResource", "PUT", path, 204, s.tagResource),
		protocol.REST("UntagResource", "DELETE", path, 204, s.untagResource),
		protocol.REST("GetTags", "GET", path, 200, s.getTags),
	}
}

// tagged is an entry with tags, whatever its kind.
type tagged struct {
	tags  map[string]string
	check func(tags map[string]string) error
	put   func(tags map[string]string) error
}

// findTagged reads what an ARN names: arn:aws:apigateway:{region}::/restapis/{id}.
func (s *service) findTagged(tx *store.Tx, arn string) (*tagged, error) {
	path, ok := strings.CutPrefix(arn, "arn:aws:apigateway:"+s.Region+"::/")
	parts := strings.Split(path, "/")
	switch {
	case !ok:
	case len(parts) == 2 && parts[0] == "restapis":
		a, err := s.findRestAPI(tx, parts[1])
		return &tagged{a.Tags, catalog.CheckTags, func(t map[string]string) error { a.Tags = t; return store.Put(tx, a) }}, err
	case len(parts) == 4 && parts[0] == "restapis" && parts[2] == "stages":
		st, err := (&stageInput{restAPIInput{parts[1]}, parts[3]}).find(s, tx)
		check := func(t map[string]string) error { st.Tags = t; return st.CheckTags() }
		return &tagged{st.Tags, check, func(t map[string]string) error { st.Tags = t; return store.Put(tx, st) }}, err
	case len(parts) == 2 && parts[0] == "apikeys":
		k, err := findAPIKey(tx, parts[1])
		check := func(t map[string]string) error { k.Tags = t; return k.CheckTags() }
		return &tagged{k.Tags, check, func(t map[string]string) error { return store.Put(tx, withTags(k, t)) }}, err
	case len(parts) == 2 && parts[0] == "usageplans":
		p, err := findUsagePlan(tx, parts[1])
		check := func(t map[string]string) error { p.Tags = t; return p.CheckTags() }
		return &tagged{p.Tags, check, func(t map[string]string) error { p.Tags = t; return store.Put(tx, p) }}, err
	}
	return nil, badRequest("Invalid resource ARN specified: " + arn)
}

type tagInput struct {
	ResourceARN string `path:"resource_arn"`
}

type tagResourceInput struct {
	tagInput
	Tags map[string]string `json:"tags" required:"true"`
}

func (s *service) tagResource(ctx context.Context, _ protocol.Call, in *tagResourceInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		e, err := s.findTagged(tx, in.ResourceARN)
		if err != nil {
			return err
		}
		next := make(map[string]string, len(e.tags)+len(in.Tags))
		maps.Copy(next, e.tags)
		maps.Copy(next, in.Tags)
		if err := e.check(next); err != nil {
			return err
		}
		return e.put(next)
	})
}

// withTags gives a key other tags. One that goes on without the tag that lets
// its previous value in has no such value any more, for good.
func withTags(k catalog.APIKey, tags map[string]string) catalog.APIKey {
	k.Tags = tags
	if _, ok := tags[catalog.TagPreviousUntil]; !ok {
		k.Previous = [32]byte{}
	}
	return k
}

type untagResourceInput struct {
	tagInput
	TagKeys []string `query:"tagKeys" required:"true"`
}

func (s *service) untagResource(ctx context.Context, _ protocol.Call, in *untagResourceInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		e, err := s.findTagged(tx, in.ResourceARN)
		if err != nil {
			return err
		}
		next := maps.Clone(e.tags)
		for _, k := range in.TagKeys {
			delete(next, k)
		}
		return e.put(next)
	})
}

type tags struct {
	Tags map[string]string `json:"tags"`
}

// getTags gives all tags at once: there are never more than fit on a page.
func (s *service) getTags(ctx context.Context, _ protocol.Call, in *tagInput) (*tags, error) {
	out := &tags{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		e, err := s.findTagged(tx, in.ResourceARN)
		if err == nil {
			out.Tags = e.tags
		}
		return err
	})
	return out, err
}
