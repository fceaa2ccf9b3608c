package app

import (
	"fmt"

	"weir/internal/catalog"
	"weir/internal/gateway"
	"weir/internal/store"
)

// watch is the one place where what is configured meets who acts on it: it
// prepares every change for the guard, the gateway and the functions.
func (a *App) watch(tx *store.Tx, changes []store.Change) (func(), error) {
	a.guard.SetVersion(tx.Version())
	var publish []func()
	var stages []gateway.StageChange
	for _, c := range changes {
		switch c.Kind {
		case catalog.KindStage:
			s, err := stageChange(tx, c)
			if err != nil {
				return nil, err
			}
			stages = append(stages, s)
		case catalog.KindFunction:
			p, err := a.functionChange(c)
			if err != nil {
				return nil, err
			}
			publish = append(publish, p)
		case catalog.KindAPIKey, catalog.KindUsagePlan, catalog.KindUsagePlanKey, catalog.KindUsageGrant:
			publish = append(publish, a.guardChange(c))
		}
	}
	if len(stages) > 0 {
		p, err := a.gateway.Prepare(stages)
		if err != nil {
			return nil, &catalog.Error{Class: catalog.Invalid, Message: err.Error()}
		}
		publish = append(publish, p)
	}
	return func() {
		for _, p := range publish {
			p()
		}
	}, nil
}

// stageChange reads the deployment that a changed stage points at.
func stageChange(tx *store.Tx, c store.Change) (gateway.StageChange, error) {
	if c.New == nil {
		old := c.Old.(catalog.Stage)
		return gateway.StageChange{APIID: old.APIID, StageName: old.StageName}, nil
	}
	return compiledStage(tx, c.New.(catalog.Stage))
}

func compiledStage(tx *store.Tx, s catalog.Stage) (gateway.StageChange, error) {
	d, ok, err := store.Get[catalog.Deployment](tx, s.APIID, s.DeploymentID)
	if err != nil {
		return gateway.StageChange{}, err
	}
	if !ok {
		return gateway.StageChange{}, &catalog.Error{
			Class:   catalog.Invalid,
			Message: fmt.Sprintf("Stage %s points at deployment %s, which does not exist", s.StageName, s.DeploymentID),
		}
	}
	return gateway.StageChange{APIID: s.APIID, StageName: s.StageName, Stage: &s, Deployment: &d}, nil
}

func (a *App) functionChange(c store.Change) (func(), error) {
	if c.New == nil {
		return func() { a.functions.Remove(c.Key) }, nil
	}
	return a.functions.Prepare(c.New.(catalog.Function))
}

func (a *App) guardChange(c store.Change) func() {
	return func() {
		switch e := c.New.(type) {
		case catalog.APIKey:
			a.guard.PutKeyWithTerms(e)
		case catalog.UsagePlan:
			a.guard.PutPlan(e)
		case catalog.UsagePlanKey:
			a.guard.Link(e)
		case catalog.UsageGrant:
			a.guard.Recall(e.PlanID, e.KeyID)
		case nil:
			switch e := c.Old.(type) {
			case catalog.APIKey:
				a.guard.DeleteKey(e.ID)
			case catalog.UsagePlan:
				a.guard.DeletePlan(e.ID)
			case catalog.UsagePlanKey:
				a.guard.Unlink(e.PlanID, e.KeyID)
			}
		}
	}
}
