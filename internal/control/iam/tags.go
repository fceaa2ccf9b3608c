package iam

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

type tagRoleInput struct {
	roleInput
	Tags []tag `form:"Tags" required:"true" max:"50"`
}

type untagRoleInput struct {
	roleInput
	TagKeys []string `form:"TagKeys" required:"true" max:"50"`
}

type roleTags struct {
	pageOutput
	Tags []tag `xml:"Tags>member"`
}

func invalidInput(msg string) *protocol.Error {
	return &protocol.Error{Code: "InvalidInput", Status: http.StatusBadRequest, Message: msg}
}

// addTags sets tags on a role whose map is its own. Keys are the same without
// regard to case; the last spelling stands.
func addTags(r *catalog.Role, tags []tag) error {
	if r.Tags == nil && len(tags) > 0 {
		r.Tags = make(map[string]string, len(tags))
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		low := strings.ToLower(t.Key)
		if strings.HasPrefix(low, "aws:") {
			return invalidInput("Tag keys must not begin with aws:, which is reserved for system tags.")
		}
		if seen[low] {
			return invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[low] = true
		removeTag(r, t.Key)
		r.Tags[t.Key] = t.Value
	}
	return nil
}

func removeTag(r *catalog.Role, key string) {
	maps.DeleteFunc(r.Tags, func(k, _ string) bool { return strings.EqualFold(k, key) })
}

// tagsOf gives a role's tags in the order of their keys.
func tagsOf(r catalog.Role) []tag {
	var out []tag
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		out = append(out, tag{k, r.Tags[k]})
	}
	return out
}

func (h *handlers) tagRole(ctx context.Context, _ protocol.Call, in *tagRoleInput) (*protocol.Nothing, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error { return addTags(r, in.Tags) })
	return nil, err
}

func (h *handlers) untagRole(ctx context.Context, _ protocol.Call, in *untagRoleInput) (*protocol.Nothing, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		for _, k := range in.TagKeys {
			removeTag(r, k)
		}
		return nil
	})
	return nil, err
}

func (h *handlers) listRoleTags(ctx context.Context, _ protocol.Call, in *roleListInput) (*roleTags, error) {
	r, err := h.view(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	tags, rest := page(tagsOf(r), in.pageInput, func(t tag) string { return t.Key })
	return &roleTags{rest, tags}, nil
}

// instanceProfiles is always empty: there are no instances here, but tools ask
// before they delete a role.
type instanceProfiles struct {
	pageOutput
	InstanceProfiles []string `xml:"InstanceProfiles>member"`
}

func (h *handlers) listInstanceProfilesForRole(ctx context.Context, _ protocol.Call, in *roleListInput) (*instanceProfiles, error) {
	_, err := h.view(ctx, in.RoleName)
	return &instanceProfiles{}, err
}
