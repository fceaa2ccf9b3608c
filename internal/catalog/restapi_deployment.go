package catalog

// Freeze makes a deployment's copy of an API, its resources and authorizers,
// or says why there is nothing to deploy.
func (d *Deployment) Freeze(api RestAPI, resources []Resource, authorizers []Authorizer) error {
	methods := 0
	for _, r := range resources {
		for _, m := range r.Methods {
			if m.Integration == nil {
				return violation(Invalid, "No integration defined for method")
			}
			methods++
		}
	}
	if methods == 0 {
		return violation(Invalid, "The REST API doesn't contain any methods")
	}
	d.API, d.Resources, d.Authorizers = api, resources, authorizers
	return nil
}
