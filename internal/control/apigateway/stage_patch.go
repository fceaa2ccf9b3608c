package apigateway

import (
	"context"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

type updateStageInput struct {
	stageInput
	patchInput
}

func (s *service) updateStage(ctx context.Context, _ protocol.Call, in *updateStageInput) (out *stage, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		st, err := in.find(s, tx)
		if err != nil {
			return err
		}
		if len(in.PatchOperations) > maxStageOperations {
			return badRequest("Too many patch operations")
		}
		logged := st.Logs()
		e := stageEdit{st, tx}
		for _, op := range in.PatchOperations {
			if err := e.apply(op); err != nil {
				return err
			}
		}
		if err := e.Check(); err != nil {
			return err
		}
		if e.Logs() && !logged {
			if err := checkLogging(tx); err != nil {
				return err
			}
		}
		if len(in.PatchOperations) > 0 {
			e.LastUpdatedDate = tx.Now()
		}
		out = newStage(e.Stage)
		return store.Put(tx, e.Stage)
	})
	return out, err
}

const maxStageOperations = 1000

// stageEdit is a stage under change. A stage's paths are not a table like
// those of other kinds: any method's path can stand in front of a setting, its
// slashes escaped as AWS's documentation asks for or plain as Terraform sends
// them, and what no rule takes is told as a method setting that is none.
type stageEdit struct {
	catalog.Stage
	tx *store.Tx
}

func (e *stageEdit) apply(op protocol.PatchOperation) error {
	value := ""
	if op.Value != nil {
		value = *op.Value
	}
	switch op.Op {
	case "copy":
		return refuseCopy(op)
	case "remove":
		return e.remove(op)
	case "add", "replace":
	default:
		return badRequest("Invalid patch operation specified. Must be 'add'|'remove'|'replace'|'copy'")
	}
	area, rest, below := strings.Cut(strings.TrimPrefix(op.Path, "/"), "/")
	switch {
	case area == "accessLogSettings":
		return e.accessLog(rest, value)
	case area == "canarySettings":
		return e.canary(op, rest, value)
	case area == "variables" && below:
		next := with(e.Variables, unescape(rest), value)
		e.Variables = next
		return nil
	case !below:
		return e.field(op, area, value)
	}
	return e.methodSetting(op, value)
}

// field changes one of the stage's own members.
func (e *stageEdit) field(op protocol.PatchOperation, name, value string) error {
	set := map[string]func() error{
		"deploymentId": func() error {
			e.DeploymentID = value
			return checkDeployment(e.tx, e.APIID, value)
		},
		"description":          func() error { e.Description = value; return nil },
		"cacheClusterEnabled":  func() error { e.CacheClusterEnabled = catalog.Truth(value); return nil },
		"cacheClusterSize":     func() error { e.CacheClusterSize = value; return nil },
		"clientCertificateId":  func() error { e.ClientCertificateID = value; return nil },
		"documentationVersion": func() error { e.DocumentationVersion = value; return nil },
		"tracingEnabled":       func() error { e.TracingEnabled = catalog.Truth(value); return nil },
	}[name]
	switch {
	case set == nil:
		return errSettingPath(op.Path)
	case op.Op != "replace":
		return badRequest("Invalid add operation with path: " + op.Path)
	}
	return set()
}

func (e *stageEdit) accessLog(name, value string) error {
	next := catalog.AccessLogSettings{}
	if e.AccessLogSettings != nil {
		next = *e.AccessLogSettings
	}
	switch name {
	case "destinationArn":
		next.DestinationARN = value
	case "format":
		next.Format = value
	default:
		return badRequest("Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, /accessLogSettings/format]")
	}
	if value == "" {
		return badRequest("Access Log value must not be empty")
	}
	e.AccessLogSettings = &next
	return nil
}

// canary words what AWS refuses of a canary; the rest is refused here.
func (e *stageEdit) canary(op protocol.PatchOperation, name, value string) error {
	first, _, _ := strings.Cut(name, "/")
	if !slices.Contains([]string{"deploymentId", "percentTraffic", "stageVariableOverrides", "useStageCache"}, first) {
		return errSettingPath(op.Path)
	}
	if op.Op == "add" {
		return badRequest("Invalid add operation with path: " + op.Path)
	}
	if name == "deploymentId" {
		if err := checkDeployment(e.tx, e.APIID, value); err != nil {
			return err
		}
	}
	return errCanary()
}

// refuseCopy answers the promotion of a canary: there is none.
func refuseCopy(op protocol.PatchOperation) error {
	switch op.Path + " " + op.From {
	case "/deploymentId /canarySettings/deploymentId", "/variables /canarySettings/stageVariableOverrides":
		return badRequest("Promotion not available. Canary does not exist.")
	}
	return badRequest("Invalid copy operation with path: " + op.Path + " and from " + op.From +
		". Valid copy:path are [/deploymentId, /variables] and valid copy:from are " +
		"[/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]")
}

func (e *stageEdit) remove(op protocol.PatchOperation) error {
	path := strings.TrimPrefix(op.Path, "/")
	if path == "accessLogSettings" {
		e.AccessLogSettings = nil
		return nil
	}
	if name, ok := strings.CutPrefix(path, "variables/"); ok {
		name = unescape(name)
		if _, there := e.Variables[name]; !there {
			return badRequest("Invalid stage variable name: " + name)
		}
		e.Variables = less(e.Variables, name)
		return nil
	}
	segments := strings.Split(path, "/")
	last := len(segments) - 1
	if key, ok := methodKey(segments[:last], segments[last]); ok && e.RemoveMethodSetting(key) {
		return nil
	}
	return badRequest("Cannot remove method setting " + path + " because there is no method setting for this method ")
}

func (e *stageEdit) methodSetting(op protocol.PatchOperation, value string) error {
	segments := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	n := len(segments)
	if n < 4 {
		return errSettingPath(op.Path)
	}
	key, ok := methodKey(segments[:n-3], segments[n-3])
	if !ok {
		return errSettingPath(op.Path)
	}
	known, err := e.SetMethodSetting(key, segments[n-2]+"/"+segments[n-1], value)
	if !known {
		return errSettingPath(op.Path)
	}
	return err
}

func methodKey(path []string, verb string) (string, bool) {
	return catalog.MethodKey(unescape(strings.Join(path, "/")), verb)
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// unescape decodes a JSON pointer's segment.
func unescape(s string) string { return pointerEscapes.Replace(s) }

// errSettingPath is AWS's answer to a path that it does not know, its missing
// commas included.
func errSettingPath(path string) error {
	const method, all = "/{resourcePath}/{httpMethod}", "/*/*"
	return badRequest("Invalid method setting path: " + path + ". Must be one of: [/deploymentId, /description, " +
		"/cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, /accessLogSettings, " +
		"/accessLogSettings/destinationArn, /accessLogSettings/format, " +
		method + "/metrics/enabled, " + method + "/logging/dataTrace, " + method + "/logging/loglevel, " +
		method + "/throttling/burstLimit" + method + "/throttling/rateLimit" + method + "/caching/ttlInSeconds, " +
		method + "/caching/enabled, " + method + "/caching/dataEncrypted, " +
		method + "/caching/requireAuthorizationForCacheControl, " +
		method + "/caching/unauthorizedCacheControlHeaderStrategy, " +
		all + "/metrics/enabled, " + all + "/logging/dataTrace, " + all + "/logging/loglevel, " +
		all + "/throttling/burstLimit " + all + "/throttling/rateLimit " + all + "/caching/ttlInSeconds, " +
		all + "/caching/enabled, " + all + "/caching/dataEncrypted, " +
		all + "/caching/requireAuthorizationForCacheControl, " +
		all + "/caching/unauthorizedCacheControlHeaderStrategy, /variables/{variable_name}, /tracingEnabled]")
}
