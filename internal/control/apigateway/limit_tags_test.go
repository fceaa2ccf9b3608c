package apigateway

import (
	"net/url"
	"testing"

	"weir/internal/catalog"
)

// TestLimitTagsAreChecked when a stage or a plan is made, and when it is
// tagged; what is refused changes nothing.
func TestLimitTagsAreChecked(t *testing.T) {
	s := newServer(t)
	p := s.site()
	api, deployed := p.api, p.deployment
	const message = "Invalid value of tag weir:shadow: must be on or off"
	s.refused(400, "BadRequestException", message, "POST", "/usageplans", `{"name":"n","tags":{"weir:shadow":"yes"}}`)
	s.refused(400, "BadRequestException", "Invalid value of tag weir:rate-limit-headers: must be on or off",
		"POST", "/restapis/"+api+"/stages", `{"stageName":"s","deploymentId":"`+deployed+`","tags":{"weir:rate-limit-headers":"1"}}`)
	s.refused(400, "BadRequestException", "Tag weir:shadow means nothing on a stage. Tags of a stage that begin with 'weir:' are: weir:rate-limit-headers",
		"POST", "/restapis/"+api+"/stages", `{"stageName":"s","deploymentId":"`+deployed+`","tags":{"weir:shadow":"on"}}`)
	s.ok(201, "POST", "/restapis/"+api+"/stages", `{"stageName":"s","deploymentId":"`+deployed+`","tags":{"weir:rate-limit-headers":"on"}}`)
	plan := s.ok(201, "POST", "/usageplans", `{"name":"n","tags":{"weir:shadow":"on","team":"a"}}`)["id"].(string)

	tags := func(arn string) string { return "/tags/" + url.PathEscape("arn:aws:apigateway:us-east-1::"+arn) }
	ofPlan, ofStage := tags("/usageplans/"+plan), tags("/restapis/"+api+"/stages/s")
	s.refused(400, "BadRequestException", message, "PUT", ofPlan, `{"tags":{"weir:shadow":"yes"}}`)
	s.refused(400, "BadRequestException", "Invalid value of tag weir:rate-limit-headers: must be on or off", "PUT", ofStage, `{"tags":{"weir:rate-limit-headers":""}}`)
	if got := s.ok(200, "GET", ofPlan, "")["tags"].(map[string]any); got[catalog.TagShadow] != "on" || got["team"] != "a" {
		t.Errorf("%v", got)
	}
	s.ok(204, "PUT", ofPlan, `{"tags":{"weir:shadow":"off","weir:when-ledger-away":"admit"}}`)
	s.ok(204, "DELETE", ofStage+"?tagKeys=weir%3Arate-limit-headers", "")
}
