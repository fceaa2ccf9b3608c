package apigateway

import (
	"context"
	"slices"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) stageOperations() []protocol.Operation {
	const all, one = "/restapis/{restapi_id}/stages", "/restapis/{restapi_id}/stages/{stage_name}"
	return []protocol.Operation{
		protocol.REST("CreateStage", "POST", all, 201, s.createStage),
		protocol.REST("GetStages", "GET", all, 200, s.getStages),
		protocol.REST("GetStage", "GET", one, 200, s.getStage),
		protocol.REST("UpdateStage", "PATCH", one, 200, s.updateStage),
		protocol.REST("DeleteStage", "DELETE", one, 202, s.deleteStage),
	}
}

type methodSetting struct {
	MetricsEnabled                         bool    `json:"metricsEnabled"`
	LoggingLevel                           string  `json:"loggingLevel,omitempty"`
	DataTraceEnabled                       bool    `json:"dataTraceEnabled"`
	ThrottlingBurstLimit                   int     `json:"throttlingBurstLimit"`
	ThrottlingRateLimit                    float64 `json:"throttlingRateLimit"`
	CachingEnabled                         bool    `json:"cachingEnabled"`
	CacheTTLInSeconds                      int     `json:"cacheTtlInSeconds"`
	CacheDataEncrypted                     bool    `json:"cacheDataEncrypted"`
	RequireAuthorizationForCacheControl    bool    `json:"requireAuthorizationForCacheControl"`
	UnauthorizedCacheControlHeaderStrategy string  `json:"unauthorizedCacheControlHeaderStrategy"`
}

type accessLogSettings struct {
	Format         string `json:"format,omitempty"`
	DestinationARN string `json:"destinationArn,omitempty"`
}

type stage struct {
	DeploymentID         string                   `json:"deploymentId"`
	ClientCertificateID  string                   `json:"clientCertificateId,omitempty"`
	StageName            string                   `json:"stageName"`
	Description          string                   `json:"description,omitempty"`
	CacheClusterEnabled  bool                     `json:"cacheClusterEnabled"`
	CacheClusterSize     string                   `json:"cacheClusterSize,omitempty"`
	CacheClusterStatus   string                   `json:"cacheClusterStatus"`
	MethodSettings       map[string]methodSetting `json:"methodSettings"`
	Variables            map[string]string        `json:"variables,omitempty"`
	DocumentationVersion string                   `json:"documentationVersion,omitempty"`
	AccessLogSettings    *accessLogSettings       `json:"accessLogSettings,omitempty"`
	TracingEnabled       bool                     `json:"tracingEnabled"`
	WebACLARN            string                   `json:"webAclArn,omitempty"`
	Tags                 map[string]string        `json:"tags,omitempty"`
	CreatedDate          time.Time                `json:"createdDate"`
	LastUpdatedDate      time.Time                `json:"lastUpdatedDate"`
}

func newStage(st catalog.Stage) *stage {
	out := &stage{
		DeploymentID: st.DeploymentID, ClientCertificateID: st.ClientCertificateID, StageName: st.StageName,
		Description: st.Description, CacheClusterEnabled: st.CacheClusterEnabled, CacheClusterSize: st.CacheClusterSize,
		CacheClusterStatus: st.CacheClusterStatus(), MethodSettings: make(map[string]methodSetting, len(st.MethodSettings)),
		Variables: st.Variables, DocumentationVersion: st.DocumentationVersion, TracingEnabled: st.TracingEnabled,
		WebACLARN: st.WebACLARN, Tags: st.Tags, CreatedDate: st.CreatedDate, LastUpdatedDate: st.LastUpdatedDate,
	}
	for key, m := range st.MethodSettings {
		out.MethodSettings[key] = methodSetting(m)
	}
	if a := st.AccessLogSettings; a != nil {
		out.AccessLogSettings = &accessLogSettings{a.Format, a.DestinationARN}
	}
	return out
}

type createStageInput struct {
	restAPIInput
	StageName            string            `json:"stageName" required:"true"`
	DeploymentID         string            `json:"deploymentId" required:"true"`
	Description          string            `json:"description"`
	CacheClusterEnabled  bool              `json:"cacheClusterEnabled"`
	CacheClusterSize     string            `json:"cacheClusterSize" enum:"0.5,1.6,6.1,13.5,28.4,58.2,118,237"`
	Variables            map[string]string `json:"variables"`
	DocumentationVersion string            `json:"documentationVersion"`
	CanarySettings       *canarySettings   `json:"canarySettings"`
	TracingEnabled       bool              `json:"tracingEnabled"`
	Tags                 map[string]string `json:"tags"`
}

func (s *service) createStage(ctx context.Context, _ protocol.Call, in *createStageInput) (out *stage, err error) {
	st := catalog.Stage{
		APIID: in.APIID, StageName: in.StageName, DeploymentID: in.DeploymentID, Description: in.Description,
		CacheClusterEnabled: in.CacheClusterEnabled, CacheClusterSize: in.CacheClusterSize, Variables: in.Variables,
		DocumentationVersion: in.DocumentationVersion, TracingEnabled: in.TracingEnabled, Tags: in.Tags,
	}
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		if err := catalog.CheckStageName(in.StageName); err != nil {
			return err
		}
		if err := checkDeployment(tx, in.APIID, in.DeploymentID); err != nil {
			return err
		}
		if in.CanarySettings != nil {
			if id := in.CanarySettings.DeploymentID; id != "" {
				if err := checkDeployment(tx, in.APIID, id); err != nil {
					return err
				}
			}
			return errCanary()
		}
		if err := st.CheckTags(); err != nil {
			return err
		}
		if err := st.Check(); err != nil {
			return err
		}
		if _, taken, err := store.Get[catalog.Stage](tx, in.APIID, in.StageName); err != nil || taken {
			if err == nil {
				err = &catalog.Error{Class: catalog.Conflict, Message: "Stage already exists"}
			}
			return err
		}
		st.CreatedDate, st.LastUpdatedDate = tx.Now(), tx.Now()
		out = newStage(st)
		return store.Put(tx, st)
	})
	return out, err
}

// checkDeployment says whether a stage can point at a deployment.
func checkDeployment(tx *store.Tx, apiID, id string) error {
	_, ok, err := store.Get[catalog.Deployment](tx, apiID, id)
	if err == nil && !ok {
		err = catalog.ErrDeploymentID()
	}
	return err
}

type getStagesInput struct {
	restAPIInput
	DeploymentID string `query:"deploymentId"`
}

type stages struct {
	Item []*stage `json:"item"`
}

func (s *service) getStages(ctx context.Context, _ protocol.Call, in *getStagesInput) (*stages, error) {
	out := &stages{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		all, err := store.List[catalog.Stage](tx, in.APIID)
		for _, st := range all {
			if in.DeploymentID == "" || st.DeploymentID == in.DeploymentID {
				out.Item = append(out.Item, newStage(st))
			}
		}
		return err
	})
	return out, err
}

type stageInput struct {
	restAPIInput
	StageName string `path:"stage_name"`
}

// find reads the stage or answers which part of its path is unknown.
func (in *stageInput) find(s *service, tx *store.Tx) (catalog.Stage, error) {
	if _, err := s.findRestAPI(tx, in.APIID); err != nil {
		return catalog.Stage{}, err
	}
	st, ok, err := store.Get[catalog.Stage](tx, in.APIID, in.StageName)
	if err == nil && !ok {
		err = catalog.ErrStage()
	}
	return st, err
}

func (s *service) getStage(ctx context.Context, _ protocol.Call, in *stageInput) (out *stage, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		st, err := in.find(s, tx)
		out = newStage(st)
		return err
	})
	return out, err
}

func (s *service) deleteStage(ctx context.Context, _ protocol.Call, in *stageInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := in.find(s, tx); err != nil {
			return err
		}
		err := leavePlans(tx, func(p catalog.PlanStage) bool { return p.APIID == in.APIID && p.Stage == in.StageName })
		if err != nil {
			return err
		}
		return store.Delete[catalog.Stage](tx, in.APIID, in.StageName)
	})
}

// leavePlans takes stages that are about to be deleted out of every plan. A
// stage made later under the same name is not put back.
func leavePlans(tx *store.Tx, leaves func(catalog.PlanStage) bool) error {
	plans, err := store.List[catalog.UsagePlan](tx)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if !slices.ContainsFunc(p.APIStages, leaves) {
			continue
		}
		p.APIStages = slices.DeleteFunc(slices.Clone(p.APIStages), leaves)
		if err := store.Put(tx, p); err != nil {
			return err
		}
	}
	return nil
}
