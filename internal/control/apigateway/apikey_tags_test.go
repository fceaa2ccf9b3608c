package apigateway

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"weir/internal/catalog"
	"weir/internal/store"
)

func keyARN(id string) *string { return aws.String("arn:aws:apigateway:us-east-1::/apikeys/" + id) }

// tag sets one tag of a key and gives the error.
func (s *server) tag(id, name, value string) error {
	_, err := s.sdk.TagResource(ctx, &client.TagResourceInput{ResourceArn: keyARN(id), Tags: map[string]string{name: value}})
	return err
}

func (s *server) untag(id string, names ...string) {
	s.t.Helper()
	_, err := s.sdk.UntagResource(ctx, &client.UntagResourceInput{ResourceArn: keyARN(id), TagKeys: names})
	check(s.t, err)
}

// stored reads a key from the store.
func (s *server) stored(id string) (k catalog.APIKey) {
	s.t.Helper()
	check(s.t, s.store.View(ctx, func(tx *store.Tx) (err error) { k, err = findAPIKey(tx, id); return err }))
	return k
}

// Tags that mean something are held to what they can mean, at both ends where
// they are set, and what is refused leaves the key as it was.
func TestTagsOfAKeyAreChecked(t *testing.T) {
	s := newServer(t)
	id := s.key("k")
	check(t, s.tag(id, catalog.TagExpires, "2030-01-01"))
	for _, c := range []struct{ name, value, message string }{
		{catalog.TagExpires, "soon", "Invalid value of tag weir:expires: must be a date (2026-12-31, which begins at 00:00 UTC) or an instant (2026-12-31T18:00:00Z)"},
		{catalog.TagSourceRanges, "10.0.0.1/8", "Invalid value of tag weir:source-ranges: 10.0.0.1/8 has bits beyond its mask; the range is 10.0.0.0/8"},
		{catalog.TagMaxConcurrent, "none", "Invalid value of tag weir:max-concurrency: must be a number of calls from 1 to 1000000"},
		{catalog.TagPreviousUntil, "2030-01-01", "Tag weir:previous-value-until says how long the value before a rotation works, and the API Key has no such value: 'weir keys rotate' gives it one"},
		{"weir:expiry", "2030-01-01", "Tag weir:expiry means nothing on an API Key. Tags of an API Key that begin with 'weir:' are: weir:expires, weir:source-ranges, weir:max-concurrency, weir:previous-value-until"},
	} {
		answered(t, s.tag(id, c.name, c.value), "BadRequestException", c.message)
		s.refused(400, "BadRequestException", c.message, "POST", "/apikeys", `{"tags":{"`+c.name+`":"`+c.value+`"}}`)
	}
	if k := s.stored(id); len(k.Tags) != 1 || k.Tags[catalog.TagExpires] != "2030-01-01" {
		t.Errorf("%v", k.Tags)
	}
	s.untag(id, catalog.TagExpires)
	if k := s.stored(id); len(k.Tags) != 0 {
		t.Errorf("%v", k.Tags)
	}
	// On plans and stages the tags mean nothing, and on APIs nothing does.
	s.refused(400, "BadRequestException", "Tag weir:expires means nothing on a Usage Plan. Tags of a Usage Plan that begin with 'weir:' are: weir:rate-limit-headers, weir:shadow, weir:when-ledger-away",
		"POST", "/usageplans", `{"name":"n","tags":{"weir:expires":"soon"}}`)
	s.ok(201, "POST", "/restapis", `{"name":"n","tags":{"weir:expires":"soon"}}`)
}

func (s *server) rotate(id, body string) map[string]any {
	s.t.Helper()
	return s.ok(200, "POST", KeyRoutes+id+"/rotate", body)
}

func (s *server) value(id string) string {
	s.t.Helper()
	out, err := s.sdk.GetApiKey(ctx, &client.GetApiKeyInput{ApiKey: &id, IncludeValue: aws.Bool(true)})
	check(s.t, err)
	return *out.Value
}

func TestRotation(t *testing.T) {
	s := newServer(t)
	plan := s.plan()
	key := s.member(plan)
	before := s.stored(key)
	first := s.value(key)
	s.pass(time.Minute)

	got := s.rotate(key, `{"keepSeconds":604800}`)
	second := got["value"].(string)
	if got["id"] != key || got["name"] != "k" || got["previousValueUntil"] != "2026-12-01T10:01:00Z" || len(second) != 40 || second == first || s.value(key) != second {
		t.Errorf("%v, and the value is %s", got, s.value(key))
	}
	k := s.stored(key)
	if k.Previous != before.Digest || k.Digest == before.Digest || k.Tags[catalog.TagPreviousUntil] != "2026-12-01T10:01:00Z" ||
		!k.LastUpdatedDate.Equal(s.clock()) || !k.CreatedDate.Equal(before.CreatedDate) {
		t.Errorf("%+v", k)
	}
	// Neither value can be another key's.
	for _, v := range []string{first, second} {
		s.refused(409, "ConflictException", "API Key already exists", "POST", "/apikeys", `{"value":"`+v+`"}`)
	}
	s.ok(200, "GET", "/usageplans/"+plan+"/keys/"+key, "") // still a member

	// Who asks again because the answer was lost does not end what callers have.
	const again = ". When nobody uses that one any more, remove the tag weir:previous-value-until and try again"
	s.refused(409, "ConflictException", "API Key "+key+" was rotated before, and its previous value works until 2026-12-01T10:01:00Z"+again,
		"POST", KeyRoutes+key+"/rotate", `{"keepSeconds":1}`)
	// The date moves, and is held to be one.
	check(t, s.tag(key, catalog.TagPreviousUntil, "2026-12-24"))
	if err := s.tag(key, catalog.TagPreviousUntil, "x"); err == nil {
		t.Error("no date was taken")
	}
	if k := s.stored(key); k.Previous != before.Digest || k.Tags[catalog.TagPreviousUntil] != "2026-12-24" {
		t.Errorf("%+v", k)
	}
	// When its time is over the next rotation takes its place.
	s.pass(30 * 24 * time.Hour)
	third := s.rotate(key, `{"keepSeconds":1}`)["value"].(string)
	s.ok(201, "POST", "/apikeys", `{"value":"`+first+`"}`) // free again
	s.refused(409, "ConflictException", "API Key already exists", "POST", "/apikeys", `{"value":"`+second+`"}`)
	// The tag removed, the previous value is over for good.
	s.untag(key, catalog.TagPreviousUntil)
	if k := s.stored(key); k.Previous != [32]byte{} {
		t.Errorf("%+v", k)
	}
	s.refused(400, "BadRequestException", "Tag weir:previous-value-until says how long the value before a rotation works, and the API Key has no such value: 'weir keys rotate' gives it one",
		"PUT", "/tags/"+*keyARN(key), `{"tags":{"weir:previous-value-until":"2027-01-01"}}`)
	s.ok(201, "POST", "/apikeys", `{"value":"`+second+`"}`)
	// Without a time to keep, nothing is kept, whatever was.
	s.rotate(key, `{"keepSeconds":60}`)
	fifth := s.rotate(key, `{}`)
	if k := s.stored(key); k.Previous != [32]byte{} || len(k.Tags) != 0 || fifth["previousValueUntil"] != nil {
		t.Errorf("%+v, %v", k, fifth)
	}
	s.ok(201, "POST", "/apikeys", `{"value":"`+third+`"}`)
}

func TestRotationErrors(t *testing.T) {
	s := newServer(t)
	key := s.key("k")
	at := KeyRoutes + key + "/rotate"
	const length = "Invalid keepSeconds specified, must be between 0 and 31622400, which is 366 days"
	s.refused(404, "NotFoundException", "Invalid API Key identifier specified", "POST", KeyRoutes+"nope/rotate", `{}`)
	s.refused(400, "BadRequestException", length, "POST", at, `{"keepSeconds":-1}`)
	s.refused(400, "BadRequestException", length, "POST", at, `{"keepSeconds":31622401}`)
	s.rotate(key, `{"keepSeconds":31622400}`)
	for _, body := range []string{`{"keepSeconds":"soon"}`, `{`} {
		if status, code, answer := s.raw("POST", at, body); status != 400 || code == "" {
			t.Errorf("%s: %d %s %s", body, status, code, answer)
		}
	}
	full := s.key("full")
	for i := range 5 { // 50 tags: there is no room for one more
		tags := map[string]string{}
		for j := range 10 {
			tags[string(rune('a'+i))+string(rune('a'+j))] = ""
		}
		_, err := s.sdk.TagResource(ctx, &client.TagResourceInput{ResourceArn: keyARN(full), Tags: tags})
		check(t, err)
	}
	value := s.value(full)
	s.refused(429, "LimitExceededException", "A resource can have at most 50 tags", "POST", KeyRoutes+full+"/rotate", `{"keepSeconds":1}`)
	if s.value(full) != value {
		t.Error("a refused rotation changed the value")
	}
	s.rotate(full, `{}`)
}
