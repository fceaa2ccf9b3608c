package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/integration"
	"weir/internal/gateway/protection"
	"weir/internal/gateway/route"
	"weir/internal/telemetry"
)

// StageChange is what becomes of one stage.
type StageChange struct {
	APIID      string
	StageName  string
	Stage      *catalog.Stage // nil: removed
	Deployment *catalog.Deployment
}

// state is everything published, indexed as the table numbers it. Immutable.
type state struct {
	table  *route.Table
	stages []*stage
}

// stage is one published stage with what was compiled for it; plans and logged
// are indexed by method. Immutable.
type stage struct {
	name             route.Name
	site             *route.Site
	protection       *protection.Stage
	plans            []*integration.Plan
	logged           []logLevel
	logGroup         string
	logStream        string
	endpointDisabled bool
}

// Prepare compiles changed stages aside. The error says what cannot be
// compiled, and nothing has happened then; otherwise publish makes all changes
// visible to callers at once. Prepared changes may be published in any order
// and dropped without harm; of two for one stage the one published last counts.
func (g *Gateway) Prepare(changes []StageChange) (publish func(), err error) {
	compiled := make(map[route.Name]*stage, len(changes))
	for _, c := range changes {
		name := route.Name{APIID: c.APIID, Stage: c.StageName}
		if c.Stage == nil {
			compiled[name] = nil
			continue
		}
		if compiled[name], err = g.compile(name, c); err != nil {
			return nil, fmt.Errorf("stage %s of API %s: %w", c.StageName, c.APIID, err)
		}
	}
	return func() { g.publish(compiled) }, nil
}

// publish swaps in a state with the changed stages.
func (g *Gateway) publish(changed map[route.Name]*stage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[route.Name]*stage{}
	for _, st := range g.state.Load().stages {
		all[st.name] = st
	}
	for name, st := range changed {
		if st == nil {
			delete(all, name)
			continue
		}
		all[name] = st
		g.options.Guard.PublishStage(st.protection)
	}
	next := &state{}
	names := slices.Collect(maps.Keys(all))
	for _, name := range names {
		next.stages = append(next.stages, all[name])
	}
	next.table = route.NewTable(names)
	g.state.Store(next)
	for name, st := range changed {
		if st == nil {
			g.options.Guard.RemoveStage(name.APIID, name.Stage)
		}
	}
}

// compile makes one stage.
func (g *Gateway) compile(name route.Name, c StageChange) (*stage, error) {
	if c.Deployment == nil {
		return nil, errors.New("it points at no deployment")
	}
	site, err := route.Compile(c.Deployment.Resources)
	if err != nil {
		return nil, err
	}
	st := &stage{
		name:             name,
		site:             site,
		logGroup:         "API-Gateway-Execution-Logs_" + name.APIID + "/" + name.Stage,
		logStream:        streamOf(name),
		endpointDisabled: c.Deployment.API.DisableExecuteAPIEndpoint,
	}
	specs := make([]protection.MethodSpec, 0, len(site.Methods()))
	for i := range site.Methods() {
		m := &site.Methods()[i]
		if m.Config == nil {
			return nil, fmt.Errorf("%s %s has no method", m.Verb, m.ResourcePath)
		}
		specs = append(specs, protection.MethodSpec{
			ResourceID: m.ResourceID, ResourcePath: m.ResourcePath, Verb: m.Verb, Method: *m.Config,
		})
		st.plans = append(st.plans, g.runner.Compile(c.Deployment, c.Stage, m))
		st.logged = append(st.logged, levelOf(c.Stage, m))
	}
	st.protection, err = g.options.Guard.CompileStage(name.APIID, *c.Stage, c.Deployment, specs)
	return st, err
}

// logLevel is a method's loggingLevel.
type logLevel uint8

const (
	logOff logLevel = iota
	logErrors
	logAll
)

// levelOf reads a method's logging level: its own setting, else the stage's.
func levelOf(st *catalog.Stage, m *route.Method) logLevel {
	own := strings.TrimPrefix(m.ResourcePath, "/")
	if own == "" {
		own = "/"
	}
	for _, key := range []string{own + "/" + m.Verb, "*/*"} {
		switch st.MethodSettings[key].LoggingLevel {
		case "ERROR":
			return logErrors
		case "INFO":
			return logAll
		case "OFF":
			return logOff
		}
	}
	return logOff
}

// streamOf names the log stream of a stage, in the form AWS uses: 32 hex
// digits.
func streamOf(name route.Name) string {
	sum := sha256.Sum256([]byte(name.APIID + "/" + name.Stage))
	return hex.EncodeToString(sum[:16])
}

// logExecution hands over the lines that were kept for a request.
func (g *Gateway) logExecution(x *exchange) {
	lines := x.req.Trail.Lines()
	if len(lines) == 0 || x.stage.logged[x.method] == logErrors && x.resp.Status < 400 {
		return
	}
	prefix := "(" + x.req.ID + ") "
	now := time.Now()
	events := make([]telemetry.LogEvent, 0, len(lines)+1)
	for _, line := range append(lines, fmt.Sprintf("Method completed with status: %d", x.resp.Status)) {
		events = append(events, telemetry.LogEvent{
			Group: x.stage.logGroup, Stream: x.stage.logStream, Time: now, Message: prefix + line,
		})
	}
	g.options.ExecutionLog(events)
}
