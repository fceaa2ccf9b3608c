package apigateway

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) deploymentOperations() []protocol.Operation {
	const all, one = "/restapis/{restapi_id}/deployments", "/restapis/{restapi_id}/deployments/{deployment_id}"
	return []protocol.Operation{
		protocol.REST("CreateDeployment", "POST", all, 201, s.createDeployment),
		protocol.REST("GetDeployments", "GET", all, 200, s.getDeployments),
		protocol.REST("GetDeployment", "GET", one, 200, s.getDeployment),
		protocol.REST("UpdateDeployment", "PATCH", one, 200, s.updateDeployment),
		protocol.REST("DeleteDeployment", "DELETE", one, 202, s.deleteDeployment),
	}
}

type methodSnapshot struct {
	AuthorizationType string `json:"authorizationType"`
	APIKeyRequired    bool   `json:"apiKeyRequired"`
}

type deployment struct {
	ID          string                               `json:"id"`
	Description string                               `json:"description,omitempty"`
	CreatedDate time.Time                            `json:"createdDate"`
	APISummary  map[string]map[string]methodSnapshot `json:"apiSummary,omitempty"`
}

func newDeployment(d catalog.Deployment) *deployment {
	return &deployment{ID: d.ID, Description: d.Description, CreatedDate: d.CreatedDate}
}

// summary is what a deployment froze, by path and verb.
func summary(d catalog.Deployment) map[string]map[string]methodSnapshot {
	out := map[string]map[string]methodSnapshot{}
	for _, r := range d.Resources {
		for verb, m := range r.Methods {
			if out[r.Path] == nil {
				out[r.Path] = map[string]methodSnapshot{}
			}
			out[r.Path][verb] = methodSnapshot{m.AuthorizationType, m.APIKeyRequired}
		}
	}
	return out
}

type canarySettings struct {
	DeploymentID           string            `json:"deploymentId,omitempty"`
	PercentTraffic         float64           `json:"percentTraffic"`
	StageVariableOverrides map[string]string `json:"stageVariableOverrides,omitempty"`
	UseStageCache          bool              `json:"useStageCache"`
}

// errCanary refuses what the gateway does not do yet: a canary that is stored
// and gets no traffic would be a lie.
func errCanary() error {
	return badRequest("Canary release deployments are not supported by this server")
}

type createDeploymentInput struct {
	restAPIInput
	StageName           *string           `json:"stageName"`
	StageDescription    *string           `json:"stageDescription"`
	Description         string            `json:"description"`
	CacheClusterEnabled *bool             `json:"cacheClusterEnabled"`
	CacheClusterSize    *string           `json:"cacheClusterSize" enum:"0.5,1.6,6.1,13.5,28.4,58.2,118,237"`
	Variables           map[string]string `json:"variables"`
	CanarySettings      *canarySettings   `json:"canarySettings"`
	TracingEnabled      *bool             `json:"tracingEnabled"`
}

func (s *service) createDeployment(ctx context.Context, _ protocol.Call, in *createDeploymentInput) (out *deployment, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		api, err := s.findRestAPI(tx, in.APIID)
		if err != nil {
			return err
		}
		if in.CanarySettings != nil {
			return in.refuseCanary(tx)
		}
		if utf8.RuneCountInString(in.Description) > 125_000 {
			return badRequest("Invalid deployment description specified.")
		}
		resources, err := store.List[catalog.Resource](tx, in.APIID)
		if err != nil {
			return err
		}
		authorizers, err := store.List[catalog.Authorizer](tx, in.APIID)
		if err != nil {
			return err
		}
		d := catalog.Deployment{APIID: in.APIID, Description: in.Description, CreatedDate: tx.Now()}
		if err := d.Freeze(api, resources, authorizers); err != nil {
			return err
		}
		if d.ID, err = newID[catalog.Deployment](tx, shortID, in.APIID); err != nil {
			return err
		}
		out = newDeployment(d)
		if err := store.Put(tx, d); err != nil {
			return err
		}
		if in.StageName == nil || *in.StageName == "" {
			return nil
		}
		return in.putStage(tx, d.ID)
	})
	return out, err
}

// refuseCanary words what AWS says of a canary that it would refuse as well,
// and otherwise that there are none here.
func (in *createDeploymentInput) refuseCanary(tx *store.Tx) error {
	const invalid = "Invalid deployment content specified."
	if in.StageName == nil {
		return badRequest(invalid + "Non null and non empty stageName must be provided for canary deployment. Provided value is null")
	}
	if *in.StageName == "" {
		return badRequest(invalid + "Non null and non empty stageName must be provided for canary deployment. Provided value is ")
	}
	_, ok, err := store.Get[catalog.Stage](tx, in.APIID, *in.StageName)
	switch {
	case err != nil:
		return err
	case !ok:
		return badRequest(invalid + "Stage " + *in.StageName + " must already be created before making a canary release deployment")
	}
	return errCanary()
}

// putStage makes the stage or points it at the new deployment. What the call
// does not name stays as it is.
func (in *createDeploymentInput) putStage(tx *store.Tx, deploymentID string) error {
	st, ok, err := store.Get[catalog.Stage](tx, in.APIID, *in.StageName)
	if err != nil {
		return err
	}
	if !ok {
		if err := catalog.CheckStageName(*in.StageName); err != nil {
			return err
		}
		st = catalog.Stage{APIID: in.APIID, StageName: *in.StageName, CreatedDate: tx.Now()}
	}
	st.DeploymentID, st.LastUpdatedDate = deploymentID, tx.Now()
	if in.StageDescription != nil {
		st.Description = *in.StageDescription
	}
	if in.CacheClusterEnabled != nil {
		st.CacheClusterEnabled = *in.CacheClusterEnabled
	}
	if in.CacheClusterSize != nil {
		st.CacheClusterSize = *in.CacheClusterSize
	}
	if in.Variables != nil {
		st.Variables = in.Variables
	}
	if in.TracingEnabled != nil {
		st.TracingEnabled = *in.TracingEnabled
	}
	if err := st.Check(); err != nil {
		return err
	}
	return store.Put(tx, st)
}

type getDeploymentsInput struct {
	restAPIInput
	paging
}

type deployments struct {
	Item     []*deployment `json:"item"`
	Position string        `json:"position,omitempty"`
}

func (s *service) getDeployments(ctx context.Context, _ protocol.Call, in *getDeploymentsInput) (*deployments, error) {
	out := &deployments{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		all, err := store.List[catalog.Deployment](tx, in.APIID)
		if err != nil {
			return err
		}
		slices.SortStableFunc(all, func(a, b catalog.Deployment) int { return a.CreatedDate.Compare(b.CreatedDate) })
		all, out.Position = page(&in.paging, all, func(d catalog.Deployment) string { return d.ID })
		for _, d := range all {
			out.Item = append(out.Item, newDeployment(d))
		}
		return nil
	})
	return out, err
}

type deploymentInput struct {
	restAPIInput
	DeploymentID string `path:"deployment_id"`
}

// find reads the deployment or answers which part of its path is unknown.
func (in *deploymentInput) find(s *service, tx *store.Tx) (catalog.Deployment, error) {
	if _, err := s.findRestAPI(tx, in.APIID); err != nil {
		return catalog.Deployment{}, err
	}
	d, ok, err := store.Get[catalog.Deployment](tx, in.APIID, in.DeploymentID)
	if err == nil && !ok {
		err = catalog.ErrDeployment()
	}
	return d, err
}

type getDeploymentInput struct {
	deploymentInput
	Embed []string `query:"embed"`
}

func (s *service) getDeployment(ctx context.Context, _ protocol.Call, in *getDeploymentInput) (out *deployment, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		d, err := in.find(s, tx)
		if err != nil {
			return err
		}
		out = newDeployment(d)
		if slices.Contains(in.Embed, "apisummary") {
			out.APISummary = summary(d)
		}
		return nil
	})
	return out, err
}

var deploymentPatch = protocol.Patch[catalog.Deployment]{Rules: []protocol.PatchRule[catalog.Deployment]{
	{Ops: "replace", Path: "/description", Set: setText(func(d *catalog.Deployment) *string { return &d.Description })},
}}

type updateDeploymentInput struct {
	deploymentInput
	patchInput
}

func (s *service) updateDeployment(ctx context.Context, _ protocol.Call, in *updateDeploymentInput) (out *deployment, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		d, err := in.find(s, tx)
		if err != nil {
			return err
		}
		if err := deploymentPatch.Apply(&d, in.PatchOperations); err != nil {
			return err
		}
		out = newDeployment(d)
		return store.Put(tx, d)
	})
	return out, err
}

func (s *service) deleteDeployment(ctx context.Context, _ protocol.Call, in *deploymentInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		d, err := in.find(s, tx)
		if err != nil {
			return err
		}
		stages, err := store.List[catalog.Stage](tx, in.APIID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(stages, func(st catalog.Stage) bool { return st.DeploymentID == d.ID }) {
			return badRequest("Active stages pointing to this deployment must be moved or deleted")
		}
		return store.Delete[catalog.Deployment](tx, in.APIID, d.ID)
	})
}
