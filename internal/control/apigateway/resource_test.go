package apigateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// child makes a resource and gives its identifier.
func (s *server) child(p site, parent, part string) string {
	s.t.Helper()
	out, err := s.sdk.CreateResource(ctx, &client.CreateResourceInput{RestApiId: &p.api, ParentId: &parent, PathPart: &part})
	check(s.t, err)
	return *out.Id
}

func (s *server) empty() site {
	s.t.Helper()
	api := s.ok(201, "POST", "/restapis", `{"name":"n"}`)
	return site{api: api["id"].(string), root: api["rootResourceId"].(string)}
}

// paths lists an API's resource paths in the order of the answer.
func (s *server) paths(p site) (paths []string) {
	s.t.Helper()
	for _, r := range s.ok(200, "GET", s.path(p, "/resources?limit=500"), "")["item"].([]any) {
		paths = append(paths, r.(map[string]any)["path"].(string))
	}
	return paths
}

func same(t testing.TB, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestResourceTree(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.golden(`{"item":[{"id":"ID","path":"/"}]}`, "GET", s.path(p, "/resources"), "")
	s.golden(`{"id":"ID","parentId":"ID","pathPart":"pets","path":"/pets"}`, "POST", s.path(p, "/resources/"+p.root), `{"pathPart":"pets"}`)
	all, err := s.sdk.GetResources(ctx, &client.GetResourcesInput{RestApiId: &p.api})
	check(t, err)
	pets := *all.Items[1].Id
	if len(pets) != 6 {
		t.Errorf("id %s", pets)
	}
	id := s.child(p, pets, "{id}")
	s.child(p, id, "toys")
	s.child(p, p.root, "{proxy+}")
	same(t, s.paths(p), "/", "/pets", "/pets/{id}", "/pets/{id}/toys", "/{proxy+}")

	// Whatever stands below a renamed or moved resource follows.
	s.ok(200, "PATCH", s.path(p, "/resources/"+pets), patch("replace", "/pathPart", "dogs"))
	same(t, s.paths(p), "/", "/dogs", "/dogs/{id}", "/dogs/{id}/toys", "/{proxy+}")
	zoo := s.child(p, p.root, "zoo")
	s.ok(200, "PATCH", s.path(p, "/resources/"+id), patch("replace", "/parentId", zoo, "replace", "/pathPart", "{name}"))
	same(t, s.paths(p), "/", "/dogs", "/zoo", "/zoo/{name}", "/zoo/{name}/toys", "/{proxy+}")

	// Deleting takes what stands below along.
	if _, err := s.sdk.DeleteResource(ctx, &client.DeleteResourceInput{RestApiId: &p.api, ResourceId: &zoo}); err != nil {
		t.Fatal(err)
	}
	same(t, s.paths(p), "/", "/dogs", "/{proxy+}")
}

func TestResourceErrors(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	pets := s.child(p, p.root, "pets")
	sub := s.child(p, pets, "sub")
	s.child(p, sub, "pets")
	proxy := s.child(p, p.root, "{proxy+}")
	const bad, missing = "BadRequestException", "NotFoundException"
	const part = "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end"
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, missing, "Invalid Resource identifier specified", "POST", "nope", `{"pathPart":"x"}`},
		{404, missing, "Invalid Resource identifier specified", "GET", "nope", ``},
		{404, missing, "Invalid Resource identifier specified", "DELETE", "nope", ``},
		{404, missing, "Invalid Resource identifier specified", "PATCH", "nope", patch("replace", "/pathPart", "x")},
		{404, missing, "Invalid Resource identifier specified", "PATCH", pets, patch("replace", "/parentId", "nope")},
		{400, "ValidationException", "1 validation error detected: Value null at 'createResourceInput.pathPart' failed to satisfy constraint: Member must not be null", "POST", p.root, `{}`},
		{400, bad, part, "POST", p.root, `{"pathPart":"a b"}`},
		{400, bad, part, "POST", p.root, `{"pathPart":""}`},
		{400, bad, part, "POST", p.root, `{"pathPart":"x{id}"}`},
		{400, bad, part, "POST", p.root, `{"pathPart":"{+}"}`},
		{400, bad, part, "POST", p.root, `{"pathPart":"a/b"}`},
		{409, "ConflictException", "Another resource with the same parent already has this name: pets", "POST", p.root, `{"pathPart":"pets"}`},
		{400, bad, "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed", "POST", p.root, `{"pathPart":"{id}"}`},
		{400, bad, "Cannot create a child of a resource with a greedy path variable: {proxy+}", "POST", proxy, `{"pathPart":"x"}`},
		{400, bad, "Cannot create a child of a resource with a greedy path variable: {sub+}", "PATCH", sub, patch("replace", "/pathPart", "{sub+}")},
		{400, bad, "Resources cannot be cyclical.", "PATCH", pets, patch("replace", "/parentId", sub)},
		{400, bad, "Resources cannot be cyclical.", "PATCH", pets, patch("replace", "/parentId", pets)},
		{409, "ConflictException", "Another resource with the same parent already has this name: pets", "PATCH", sub, patch("replace", "/parentId", p.root, "replace", "/pathPart", "pets")},
		{400, bad, "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]", "PATCH", pets, patch("replace", "/invalid", "x")},
		{400, bad, "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations", "PATCH", pets, patch("remove", "/pathPart", "x")},
		{400, bad, "Root resource cannot update its pathPart.", "PATCH", p.root, patch("replace", "/pathPart", "x")},
		{400, bad, "Root resource cannot update its parentId.", "PATCH", p.root, patch("replace", "/parentId", pets)},
		{400, bad, "Root resource cannot be deleted.", "DELETE", p.root, ``},
	} {
		s.refused(c.status, c.code, c.message, c.method, s.path(p, "/resources/"+c.target), c.body)
	}
	s.refused(404, missing, "Invalid API identifier specified 000000000000:nope", "GET", "/restapis/nope/resources", "")
	same(t, s.paths(p), "/", "/pets", "/pets/sub", "/pets/sub/pets", "/{proxy+}")
}

func TestResourceMethodsAreEmbeddedOnDemand(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.mock(p, p.root, "GET")
	s.golden(`{"item":[{"id":"ID","path":"/","resourceMethods":{"GET":{}}}]}`, "GET", s.path(p, "/resources"), "")
	out, err := s.sdk.GetResource(ctx, &client.GetResourceInput{RestApiId: &p.api, ResourceId: &p.root, Embed: []string{"methods"}})
	check(t, err)
	if m := out.ResourceMethods["GET"]; *m.AuthorizationType != "NONE" || m.MethodIntegration.Type != types.IntegrationTypeMock {
		t.Errorf("%+v", m)
	}
	if _, err := s.sdk.UpdateResource(ctx, &client.UpdateResourceInput{RestApiId: &p.api, ResourceId: aws.String(p.root)}); err != nil {
		t.Errorf("an update of nothing: %v", err)
	}
}
