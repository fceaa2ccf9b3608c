package apigateway

import (
	"slices"
	"strconv"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

type restAPIRule = protocol.PatchRule[catalog.RestAPI]

// restAPIPatch is AWS's table for APIs (patch-operations page), with the
// unwritten forms that AWS's own recordings use.
var restAPIPatch = byPath(
	restAPIRule{Ops: "replace", Path: "/name", Set: setText(func(a *catalog.RestAPI) *string { return &a.Name })},
	restAPIRule{Ops: "add,remove,replace", Path: "/description", Set: setText(func(a *catalog.RestAPI) *string { return &a.Description })},
	restAPIRule{Ops: "replace", Path: "/version", Set: setText(func(a *catalog.RestAPI) *string { return &a.Version })},
	restAPIRule{Ops: "replace", Path: "/apiKeySource", Set: setText(func(a *catalog.RestAPI) *string { return &a.APIKeySource })},
	restAPIRule{Ops: "replace", Path: "/securityPolicy", Set: setText(func(a *catalog.RestAPI) *string { return &a.SecurityPolicy })},
	restAPIRule{Ops: "replace", Path: "/endpointAccessMode", Set: setText(func(a *catalog.RestAPI) *string { return &a.EndpointAccessMode })},
	restAPIRule{Ops: "replace", Path: "/disableExecuteApiEndpoint", Set: func(a *catalog.RestAPI, p protocol.PatchCall) error {
		a.DisableExecuteAPIEndpoint = catalog.Truth(p.Value)
		return nil
	}},
	restAPIRule{Ops: "replace", Path: "/minimumCompressionSize", Set: patchCompression},
	restAPIRule{Ops: "replace", Path: "/policy", Set: func(a *catalog.RestAPI, p protocol.PatchCall) (err error) {
		a.Policy, err = readPolicy(p.Value)
		return err
	}},
	restAPIRule{Ops: "replace", Path: "/endpointConfiguration/ipAddressType", Set: func(a *catalog.RestAPI, p protocol.PatchCall) error {
		if p.Value != catalog.IPv4 && p.Value != catalog.DualStack {
			return badRequest("ipAddressType must be either ipv4 or dualstack.")
		}
		a.IPAddressType = p.Value
		return nil
	}},
	restAPIRule{Ops: "replace", Path: "/endpointConfiguration/types/{type}", Set: patchEndpointType},
	restAPIRule{Ops: "remove,add", Path: "/endpointConfiguration/types/{type}", Set: func(*catalog.RestAPI, protocol.PatchCall) error {
		return badRequest(refusedOperation([]string{"add", "remove", "replace"})) // AWS's words, though it takes replace only
	}},
	restAPIRule{Ops: "add,remove", Path: "/endpointConfiguration/vpcEndpointIds", Set: func(a *catalog.RestAPI, p protocol.PatchCall) error {
		a.VPCEndpointIDs = without(a.VPCEndpointIDs, p.Value)
		if p.Op == "add" {
			a.VPCEndpointIDs = append(a.VPCEndpointIDs, p.Value)
		}
		return nil
	}},
	restAPIRule{Ops: "add,remove,replace", Path: "/binaryMediaTypes/{type}", Set: patchBinaryMediaType},
)

func patchCompression(a *catalog.RestAPI, p protocol.PatchCall) error {
	if p.Value == "" { // null and nothing at all disable compression
		a.MinimumCompressionSize = nil
		return nil
	}
	n, err := strconv.Atoi(p.Value)
	if err != nil {
		return catalog.ErrCompressionSize()
	}
	a.MinimumCompressionSize = &n
	return nil
}

// patchEndpointType changes the endpoint's type; the label is the type before
// or an index. The addresses follow: a private endpoint has dualstack ones.
func patchEndpointType(a *catalog.RestAPI, p protocol.PatchCall) error {
	a.EndpointTypes = []string{p.Value}
	if a.Private() {
		a.IPAddressType = catalog.DualStack
	}
	return a.Check()
}

func patchBinaryMediaType(a *catalog.RestAPI, p protocol.PatchCall) error {
	a.BinaryMediaTypes = without(a.BinaryMediaTypes, p.Labels["type"])
	switch p.Op {
	case "add":
		a.BinaryMediaTypes = append(a.BinaryMediaTypes, p.Labels["type"])
	case "replace":
		a.BinaryMediaTypes = append(without(a.BinaryMediaTypes, p.Value), p.Value)
	}
	return nil
}

// without gives a copy of list that does not hold item.
func without(list []string, item string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == item })
}
