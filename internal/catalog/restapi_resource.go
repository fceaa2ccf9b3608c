package catalog

import (
	"regexp"
	"strings"
)

// pathPartForm is what one segment of a resource path may be: a literal, a
// {variable} or a {greedy+} variable.
var pathPartForm = regexp.MustCompile(`^(?:[A-Za-z0-9._:,-]+|\{[A-Za-z0-9._:,-]+\+?\})$`)

// maxPathPart bounds one segment of a resource path, in bytes.
const maxPathPart = 1024

// CheckPathPart holds one segment of a resource path against AWS's rules.
func CheckPathPart(part string) error {
	if len(part) > maxPathPart || !pathPartForm.MatchString(part) {
		return violation(Invalid, "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable "+
			"and curly braces at the beginning and the end")
	}
	return nil
}

// Root says whether r is the resource "/" that every API has.
func (r *Resource) Root() bool { return r.ParentID == "" }

// Variable says whether r stands for any segment, "{id}" or "{proxy+}".
func (r *Resource) Variable() bool { return strings.HasPrefix(r.PathPart, "{") }

// Greedy says whether r stands for the rest of a path, "{proxy+}".
func (r *Resource) Greedy() bool { return strings.HasSuffix(r.PathPart, "+}") }

// Tree is all resources of one API by ID. It is not safe for concurrent use.
type Tree map[string]Resource

// NewTree takes an API's resources.
func NewTree(all []Resource) Tree {
	t := make(Tree, len(all))
	for _, r := range all {
		t[r.ID] = r
	}
	return t
}

// Check says whether r, new or changed, may stand where its ParentID and
// PathPart put it.
func (t Tree) Check(r Resource) error {
	parent, ok := t[r.ParentID]
	if !ok {
		return ErrResource()
	}
	if err := CheckPathPart(r.PathPart); err != nil {
		return err
	}
	for up := parent; ; up = t[up.ParentID] {
		if up.ID == r.ID {
			return violation(Invalid, "Resources cannot be cyclical.")
		}
		if up.Root() {
			break
		}
	}
	if parent.Greedy() {
		return violationf(Invalid, "Cannot create a child of a resource with a greedy path variable: %s", parent.PathPart)
	}
	return t.checkRelatives(r)
}

func (t Tree) checkRelatives(r Resource) error {
	var variable string
	for _, other := range t {
		switch {
		case other.ParentID == r.ID && r.Greedy():
			return violationf(Invalid, "Cannot create a child of a resource with a greedy path variable: %s", r.PathPart)
		case other.ParentID != r.ParentID || other.ID == r.ID:
		case other.PathPart == r.PathPart:
			return violationf(Conflict, "Another resource with the same parent already has this name: %s", r.PathPart)
		case other.Variable() && r.Variable():
			variable = other.PathPart
		}
	}
	if variable != "" {
		return violationf(Invalid, "A sibling (%s) of this resource already has a variable path part -- only one is allowed", variable)
	}
	return nil
}

// Put places r, which Check allowed, and gives every resource whose path
// changed by it: r itself first, then what stands below it.
func (t Tree) Put(r Resource) []Resource {
	r.Path = JoinPath(t[r.ParentID].Path, r.PathPart)
	t[r.ID] = r
	changed := []Resource{r}
	for i := 0; i < len(changed); i++ {
		for _, c := range t {
			if c.ParentID != changed[i].ID {
				continue
			}
			if path := JoinPath(changed[i].Path, c.PathPart); path != c.Path {
				c.Path = path
				t[c.ID] = c
				changed = append(changed, c)
			}
		}
	}
	return changed
}

// Below gives the resource id and everything under it.
func (t Tree) Below(id string) []Resource {
	list := []Resource{t[id]}
	for i := 0; i < len(list); i++ {
		for _, c := range t {
			if c.ParentID == list[i].ID {
				list = append(list, c)
			}
		}
	}
	return list
}

// JoinPath gives the path of a child.
func JoinPath(parent, part string) string {
	if parent == "/" {
		return "/" + part
	}
	return parent + "/" + part
}

// ErrResource answers an unknown resource.
func ErrResource() error { return violation(NotFound, "Invalid Resource identifier specified") }
