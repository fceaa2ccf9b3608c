package apigateway

import (
	"context"
	"maps"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) resourceOperations() []protocol.Operation {
	const one = "/restapis/{restapi_id}/resources/{resource_id}"
	return []protocol.Operation{
		protocol.REST("CreateResource", "POST", "/restapis/{restapi_id}/resources/{parent_id}", 201, s.createResource),
		protocol.REST("GetResources", "GET", "/restapis/{restapi_id}/resources", 200, s.getResources),
		protocol.REST("GetResource", "GET", one, 200, s.getResource),
		protocol.REST("UpdateResource", "PATCH", one, 200, s.updateResource),
		protocol.REST("DeleteResource", "DELETE", one, 202, s.deleteResource),
	}
}

type resource struct {
	ID       string                 `json:"id"`
	ParentID string                 `json:"parentId,omitempty"`
	PathPart string                 `json:"pathPart,omitempty"`
	Path     string                 `json:"path"`
	Methods  map[string]*methodView `json:"resourceMethods,omitempty"`
}

// newResource shows a resource; without embedded methods it shows their verbs
// and nothing of them, as AWS does.
func newResource(r catalog.Resource, embed []string) *resource {
	out := &resource{ID: r.ID, ParentID: r.ParentID, PathPart: r.PathPart, Path: r.Path}
	if len(r.Methods) > 0 {
		out.Methods = make(map[string]*methodView, len(r.Methods))
		for verb, m := range r.Methods {
			if slices.Contains(embed, "methods") {
				out.Methods[verb] = newMethodView(m)
			} else {
				out.Methods[verb] = &methodView{}
			}
		}
	}
	return out
}

// findResource reads a resource or answers AWS's 404, which does not tell
// whether the API or the resource is unknown.
func findResource(tx *store.Tx, apiID, id string) (catalog.Resource, error) {
	r, ok, err := store.Get[catalog.Resource](tx, apiID, id)
	if err == nil && !ok {
		err = catalog.ErrResource()
	}
	return r, err
}

// tree reads all resources of an API that exists.
func (s *service) tree(tx *store.Tx, apiID string) (catalog.Tree, error) {
	if _, err := s.findRestAPI(tx, apiID); err != nil {
		return nil, err
	}
	all, err := store.List[catalog.Resource](tx, apiID)
	return catalog.NewTree(all), err
}

type createResourceInput struct {
	APIID    string `path:"restapi_id"`
	ParentID string `path:"parent_id"`
	PathPart string `json:"pathPart" required:"true"`
}

func (s *service) createResource(ctx context.Context, _ protocol.Call, in *createResourceInput) (out *resource, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		tree, err := s.tree(tx, in.APIID)
		if err != nil {
			return err
		}
		r := catalog.Resource{APIID: in.APIID, ParentID: in.ParentID, PathPart: in.PathPart}
		if r.ID, err = newID[catalog.Resource](tx, shortID, in.APIID); err != nil {
			return err
		}
		if err := tree.Check(r); err != nil {
			return err
		}
		r = tree.Put(r)[0]
		out = newResource(r, nil)
		return store.Put(tx, r)
	})
	return out, err
}

type getResourcesInput struct {
	restAPIInput
	paging
	Embed []string `query:"embed"`
}

type resources struct {
	Item     []*resource `json:"item"`
	Position string      `json:"position,omitempty"`
}

func (s *service) getResources(ctx context.Context, _ protocol.Call, in *getResourcesInput) (*resources, error) {
	out := &resources{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		tree, err := s.tree(tx, in.APIID)
		if err != nil {
			return err
		}
		all := slices.SortedFunc(maps.Values(tree), func(a, b catalog.Resource) int { return strings.Compare(a.Path, b.Path) })
		all, out.Position = page(&in.paging, all, func(r catalog.Resource) string { return r.ID })
		for _, r := range all {
			out.Item = append(out.Item, newResource(r, in.Embed))
		}
		return nil
	})
	return out, err
}

type resourceInput struct {
	APIID      string `path:"restapi_id"`
	ResourceID string `path:"resource_id"`
}

type getResourceInput struct {
	resourceInput
	Embed []string `query:"embed"`
}

func (s *service) getResource(ctx context.Context, _ protocol.Call, in *getResourceInput) (out *resource, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		r, err := findResource(tx, in.APIID, in.ResourceID)
		out = newResource(r, in.Embed)
		return err
	})
	return out, err
}

// placement is a resource that an update moves or renames.
type placement struct {
	catalog.Resource
	tree catalog.Tree
}

var resourcePatch = protocol.Patch[placement]{Rules: []protocol.PatchRule[placement]{
	{Ops: "replace", Path: "/parentId", Set: func(t *placement, p protocol.PatchCall) error {
		if t.Root() {
			return badRequest("Root resource cannot update its parentId.")
		}
		t.ParentID = p.Value
		return t.tree.Check(t.Resource)
	}},
	{Ops: "replace", Path: "/pathPart", Set: func(t *placement, p protocol.PatchCall) error {
		if t.Root() {
			return badRequest("Root resource cannot update its pathPart.")
		}
		t.PathPart = p.Value
		return t.tree.Check(t.Resource)
	}},
}}

type updateResourceInput struct {
	resourceInput
	patchInput
}

func (s *service) updateResource(ctx context.Context, _ protocol.Call, in *updateResourceInput) (out *resource, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		tree, err := s.tree(tx, in.APIID)
		if err != nil {
			return err
		}
		r, ok := tree[in.ResourceID]
		if !ok {
			return catalog.ErrResource()
		}
		t := placement{r, tree}
		if err := resourcePatch.Apply(&t, in.PatchOperations); err != nil {
			return err
		}
		out = newResource(r, nil)
		if t.ParentID == r.ParentID && t.PathPart == r.PathPart {
			return nil
		}
		changed := tree.Put(t.Resource)
		out = newResource(changed[0], nil)
		for _, c := range changed {
			if err := store.Put(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *service) deleteResource(ctx context.Context, _ protocol.Call, in *resourceInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		tree, err := s.tree(tx, in.APIID)
		if err != nil {
			return err
		}
		r, ok := tree[in.ResourceID]
		if !ok {
			return catalog.ErrResource()
		}
		if r.Root() {
			return badRequest("Root resource cannot be deleted.")
		}
		for _, c := range tree.Below(r.ID) {
			if err := store.Delete[catalog.Resource](tx, in.APIID, c.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
