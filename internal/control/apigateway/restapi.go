package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/policy"
	"weir/internal/store"
)

func (s *service) restAPIOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("CreateRestApi", "POST", "/restapis", 201, s.createRestAPI),
		protocol.REST("GetRestApis", "GET", "/restapis", 200, s.getRestAPIs),
		protocol.REST("GetRestApi", "GET", "/restapis/{restapi_id}", 200, s.getRestAPI),
		protocol.REST("UpdateRestApi", "PATCH", "/restapis/{restapi_id}", 200, s.updateRestAPI),
		protocol.REST("DeleteRestApi", "DELETE", "/restapis/{restapi_id}", 202, s.deleteRestAPI),
	}
}

type endpointConfiguration struct {
	Types          []string `json:"types"`
	IPAddressType  *string  `json:"ipAddressType,omitempty"`
	VPCEndpointIDs []string `json:"vpcEndpointIds,omitempty"`
}

// check words wrong values as AWS does for these two members, where the text
// for a list's items ends otherwise than elsewhere.
func (e *endpointConfiguration) check() error {
	const at = "at 'createRestApiInput.endpointConfiguration."
	var broken []string
	types := []string{catalog.EndpointPrivate, catalog.EndpointEdge, catalog.EndpointRegional}
	if slices.ContainsFunc(e.Types, func(t string) bool { return !slices.Contains(types, t) }) {
		broken = append(broken, "Value '["+strings.Join(e.Types, ", ")+"]' "+at+"types' failed to satisfy constraint: "+
			"Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]")
	}
	if ip := e.IPAddressType; ip != nil && *ip != catalog.IPv4 && *ip != catalog.DualStack {
		broken = append(broken, "Value '"+*ip+"' "+at+"ipAddressType' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [ipv4, dualstack]")
	}
	if len(broken) == 0 {
		return nil
	}
	plural := ""
	if len(broken) > 1 {
		plural = "s"
	}
	err := badRequest(fmt.Sprintf("%d validation error%s detected: %s", len(broken), plural, strings.Join(broken, "; ")))
	err.Code = "ValidationException"
	return err
}

type createRestAPIInput struct {
	Name                      string                 `json:"name" required:"true"`
	Description               *string                `json:"description"`
	Version                   string                 `json:"version"`
	CloneFrom                 string                 `json:"cloneFrom"`
	BinaryMediaTypes          []string               `json:"binaryMediaTypes"`
	MinimumCompressionSize    json.RawMessage        `json:"minimumCompressionSize"`
	APIKeySource              string                 `json:"apiKeySource" enum:"HEADER,AUTHORIZER"`
	EndpointConfiguration     *endpointConfiguration `json:"endpointConfiguration"`
	Policy                    string                 `json:"policy"`
	Tags                      map[string]string      `json:"tags"`
	DisableExecuteAPIEndpoint bool                   `json:"disableExecuteApiEndpoint"`
	SecurityPolicy            string                 `json:"securityPolicy"`
	EndpointAccessMode        string                 `json:"endpointAccessMode" enum:"BASIC,STRICT"`
}

type restAPI struct {
	ID                        string                `json:"id"`
	Name                      string                `json:"name"`
	Description               string                `json:"description,omitempty"`
	CreatedDate               time.Time             `json:"createdDate"`
	Version                   string                `json:"version,omitempty"`
	BinaryMediaTypes          []string              `json:"binaryMediaTypes,omitempty"`
	MinimumCompressionSize    *int                  `json:"minimumCompressionSize,omitempty"`
	APIKeySource              string                `json:"apiKeySource"`
	EndpointConfiguration     endpointConfiguration `json:"endpointConfiguration"`
	Policy                    string                `json:"policy,omitempty"`
	Tags                      *map[string]string    `json:"tags,omitempty"`
	DisableExecuteAPIEndpoint bool                  `json:"disableExecuteApiEndpoint"`
	RootResourceID            string                `json:"rootResourceId"`
	SecurityPolicy            string                `json:"securityPolicy,omitempty"`
	EndpointAccessMode        string                `json:"endpointAccessMode,omitempty"`
}

func newRestAPI(a catalog.RestAPI) *restAPI {
	return &restAPI{
		ID: a.ID, Name: a.Name, Description: a.Description, CreatedDate: a.CreatedDate, Version: a.Version,
		BinaryMediaTypes: a.BinaryMediaTypes, MinimumCompressionSize: a.MinimumCompressionSize,
		APIKeySource: a.APIKeySource,
		EndpointConfiguration: endpointConfiguration{
			Types: a.EndpointTypes, IPAddressType: &a.IPAddressType, VPCEndpointIDs: a.VPCEndpointIDs,
		},
		Policy: shownPolicy(a.Policy), Tags: some(a.Tags),
		DisableExecuteAPIEndpoint: a.DisableExecuteAPIEndpoint, RootResourceID: a.RootResourceID,
		SecurityPolicy: a.SecurityPolicy, EndpointAccessMode: a.EndpointAccessMode,
	}
}

// shownPolicy is how AWS returns a policy: with its quotes escaped once more
// than JSON asks for. Terraform undoes that and fails without it.
func shownPolicy(text string) string {
	if text == "" {
		return ""
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// readPolicy checks a resource policy and gives it without blanks.
func readPolicy(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	invalid := badRequest("Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
	if _, err := policy.Parse([]byte(text)); err != nil {
		return "", invalid
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return "", invalid
	}
	return compact.String(), nil
}

// findRestAPI reads an API or answers AWS's 404.
func (s *service) findRestAPI(tx *store.Tx, id string) (catalog.RestAPI, error) {
	a, ok, err := store.Get[catalog.RestAPI](tx, id)
	if err == nil && !ok {
		err = &catalog.Error{Class: catalog.NotFound, Message: "Invalid API identifier specified " + s.Account + ":" + id}
	}
	return a, err
}

func (s *service) createRestAPI(ctx context.Context, _ protocol.Call, in *createRestAPIInput) (*restAPI, error) {
	a, err := in.api()
	if err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		if a.ID, err = newID[catalog.RestAPI](tx, longID); err != nil {
			return err
		}
		a.CreatedDate = tx.Now()
		a.RootResourceID = randomText(longID, idAlphabet)
		if in.CloneFrom != "" {
			return s.clone(tx, in.CloneFrom, a)
		}
		if err := store.Put(tx, *a); err != nil {
			return err
		}
		return store.Put(tx, catalog.Resource{APIID: a.ID, ID: a.RootResourceID, Path: "/"})
	})
	if err != nil {
		return nil, err
	}
	return newRestAPI(*a), nil
}

// api makes the API that a creation asks for.
func (in *createRestAPIInput) api() (*catalog.RestAPI, error) {
	if e := in.EndpointConfiguration; e != nil {
		if err := e.check(); err != nil {
			return nil, err
		}
	}
	if in.Description != nil && *in.Description == "" {
		return nil, badRequest("Description cannot be an empty string")
	}
	a := &catalog.RestAPI{
		Name: in.Name, Version: in.Version, BinaryMediaTypes: in.BinaryMediaTypes, APIKeySource: in.APIKeySource,
		DisableExecuteAPIEndpoint: in.DisableExecuteAPIEndpoint, Tags: in.Tags,
		SecurityPolicy: in.SecurityPolicy, EndpointAccessMode: in.EndpointAccessMode,
	}
	if in.Description != nil {
		a.Description = *in.Description
	}
	if raw := in.MinimumCompressionSize; raw != nil {
		n, err := strconv.Atoi(string(raw))
		if err != nil {
			return nil, catalog.ErrCompressionSize()
		}
		a.MinimumCompressionSize = &n
	}
	if e := in.EndpointConfiguration; e != nil {
		a.EndpointTypes, a.VPCEndpointIDs = e.Types, e.VPCEndpointIDs
		if e.IPAddressType != nil {
			a.IPAddressType = *e.IPAddressType
		}
	}
	a.SetDefaults()
	if err := catalog.CheckTags(a.Tags); err != nil {
		return nil, err
	}
	var err error
	if a.Policy, err = readPolicy(in.Policy); err != nil {
		return nil, err
	}
	return a, a.Check()
}

// clone copies the resources and authorizers, and what the new API does not say
// itself, of another API.
func (s *service) clone(tx *store.Tx, from string, a *catalog.RestAPI) error {
	original, err := s.findRestAPI(tx, from)
	if err != nil {
		return err
	}
	if a.Description == "" {
		a.Description = original.Description
	}
	if a.BinaryMediaTypes == nil {
		a.BinaryMediaTypes = original.BinaryMediaTypes
	}
	a.RootResourceID = original.RootResourceID
	if err := store.Put(tx, *a); err != nil {
		return err
	}
	resources, err := store.List[catalog.Resource](tx, from)
	if err != nil {
		return err
	}
	for _, r := range resources {
		r.APIID = a.ID
		if err := store.Put(tx, r); err != nil {
			return err
		}
	}
	authorizers, err := store.List[catalog.Authorizer](tx, from)
	if err != nil {
		return err
	}
	for _, auth := range authorizers { // under their ids, which the methods name
		auth.APIID = a.ID
		if err := store.Put(tx, auth); err != nil {
			return err
		}
	}
	return nil
}

type getRestAPIsInput struct {
	paging
}

type restAPIs struct {
	Item     []*restAPI `json:"item"`
	Position string     `json:"position,omitempty"`
}

func (s *service) getRestAPIs(ctx context.Context, _ protocol.Call, in *getRestAPIsInput) (*restAPIs, error) {
	out := &restAPIs{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		all, err := store.List[catalog.RestAPI](tx)
		if err != nil {
			return err
		}
		slices.SortStableFunc(all, func(a, b catalog.RestAPI) int { return a.CreatedDate.Compare(b.CreatedDate) })
		all, out.Position = page(&in.paging, all, func(a catalog.RestAPI) string { return a.ID })
		for _, a := range all {
			out.Item = append(out.Item, newRestAPI(a))
		}
		return nil
	})
	return out, err
}

type restAPIInput struct {
	APIID string `path:"restapi_id"`
}

func (s *service) getRestAPI(ctx context.Context, _ protocol.Call, in *restAPIInput) (out *restAPI, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		a, err := s.findRestAPI(tx, in.APIID)
		out = newRestAPI(a)
		return err
	})
	return out, err
}

type updateRestAPIInput struct {
	restAPIInput
	patchInput
}

func (s *service) updateRestAPI(ctx context.Context, _ protocol.Call, in *updateRestAPIInput) (out *restAPI, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		a, err := s.findRestAPI(tx, in.APIID)
		if err != nil {
			return err
		}
		if err := restAPIPatch.Apply(&a, in.PatchOperations); err != nil {
			return err
		}
		if err := a.Check(); err != nil {
			return err
		}
		out = newRestAPI(a)
		out.Tags = always(a.Tags)
		return store.Put(tx, a)
	})
	return out, err
}

// deleteRestAPI takes everything of the API away. Plans lose its stages as
// they lose a stage that is deleted by itself; what AWS does with a plan that
// still names the API is not recorded.
func (s *service) deleteRestAPI(ctx context.Context, _ protocol.Call, in *restAPIInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		if err := leavePlans(tx, func(p catalog.PlanStage) bool { return p.APIID == in.APIID }); err != nil {
			return err
		}
		if err := deleteAll(tx, in.APIID, func(e catalog.Stage) string { return e.StageName }); err != nil {
			return err
		}
		if err := deleteAll(tx, in.APIID, func(e catalog.Deployment) string { return e.ID }); err != nil {
			return err
		}
		if err := deleteAll(tx, in.APIID, func(e catalog.Authorizer) string { return e.ID }); err != nil {
			return err
		}
		if err := deleteAll(tx, in.APIID, func(e catalog.Resource) string { return e.ID }); err != nil {
			return err
		}
		return store.Delete[catalog.RestAPI](tx, in.APIID)
	})
}

// deleteAll deletes every entry of a kind below an API.
func deleteAll[T catalog.Entry](tx *store.Tx, apiID string, id func(T) string) error {
	all, err := store.List[T](tx, apiID)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := store.Delete[T](tx, apiID, id(e)); err != nil {
			return err
		}
	}
	return nil
}
