package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"
)

func newAPIs() *cobra.Command {
	var (
		t target
		d display
		l listing
	)
	c := &cobra.Command{
		Use:   "apis",
		Short: "List REST APIs: stages, URLs, methods and which of them need a key",
		Long: `List REST APIs with their stages, the URL of each stage, and the methods that its
deployment has. What was changed since the deployment is not shown: callers do
not see it either.

A method with an API key lets in only callers with a key of a usage plan that
covers the stage.`,
		Example: `  weir apis
  weir apis --name time --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.showServer(c, &t, &l, func(ctx context.Context, conn *connection) (picture, error) {
				return conn.apis(ctx, &l)
			})
		},
	}
	t.register(c)
	l.flags(c, "APIs")
	d.flags(c)
	return c
}

// apiList is the JSON of `weir apis`.
type apiList struct {
	APIs []apiView `json:"apis"`
	More bool      `json:"more"`
	l    *listing
}

type apiView struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Created time.Time   `json:"created"`
	Stages  []stageView `json:"stages"`
}

type stageView struct {
	Name         string       `json:"name"`
	URL          string       `json:"url"`
	DeploymentID string       `json:"deploymentId"`
	Methods      []methodView `json:"methods"`
}

type methodView struct {
	Path          string `json:"path"`
	Method        string `json:"method"`
	KeyRequired   bool   `json:"apiKeyRequired"`
	Authorization string `json:"authorizationType"`
}

func (c *connection) apis(ctx context.Context, l *listing) (*apiList, error) {
	pages := apigateway.NewGetRestApisPaginator(apigateway.NewFromConfig(c.aws), &apigateway.GetRestApisInput{Limit: aws.Int32(pageSize)})
	found, more, err := collect(ctx, l, pages,
		func(o *apigateway.GetRestApisOutput) []types.RestApi { return o.Items },
		func(a types.RestApi) *string { return a.Name })
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b types.RestApi) int {
		return strings.Compare(aws.ToString(a.Name), aws.ToString(b.Name))
	})
	out := &apiList{APIs: make([]apiView, len(found)), More: more, l: l}
	err = each(ctx, len(found), func(ctx context.Context, i int) (err error) {
		a := &found[i]
		out.APIs[i] = apiView{ID: aws.ToString(a.Id), Name: aws.ToString(a.Name), Created: aws.ToTime(a.CreatedDate).UTC()}
		out.APIs[i].Stages, err = c.stages(ctx, a.Id)
		return err
	})
	return out, err
}

// stages reads an API's stages; of one that was deleted meanwhile, none.
func (c *connection) stages(ctx context.Context, api *string) ([]stageView, error) {
	found := []stageView{}
	client := apigateway.NewFromConfig(c.aws)
	var gone *types.NotFoundException
	stages, err := client.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: api})
	if errors.As(err, &gone) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	for _, st := range stages.Item {
		name := aws.ToString(st.StageName)
		v := stageView{
			Name: name, URL: c.callerURL() + "/_aws/execute-api/" + aws.ToString(api) + "/" + name,
			DeploymentID: aws.ToString(st.DeploymentId), Methods: []methodView{},
		}
		d, err := client.GetDeployment(ctx, &apigateway.GetDeploymentInput{RestApiId: api, DeploymentId: st.DeploymentId, Embed: []string{"apisummary"}})
		switch {
		case errors.As(err, &gone):
		case err != nil:
			return nil, err
		default:
			v.Methods = methodsOf(d.ApiSummary)
		}
		found = append(found, v)
	}
	return found, nil
}

// methodsOf gives what a deployment froze, by path and verb.
func methodsOf(summary map[string]map[string]types.MethodSnapshot) []methodView {
	found := []methodView{}
	for _, path := range slices.Sorted(maps.Keys(summary)) {
		for _, verb := range slices.Sorted(maps.Keys(summary[path])) {
			m := summary[path][verb]
			found = append(found, methodView{path, verb, m.ApiKeyRequired, aws.ToString(m.AuthorizationType)})
		}
	}
	return found
}

func (v *apiList) print(s *screen) {
	if len(v.APIs) == 0 {
		s.printf("no REST APIs\n")
		return
	}
	for i, a := range v.APIs {
		if i > 0 {
			s.printf("\n")
		}
		s.printf("%s  %s\n", a.ID, clean(a.Name))
		if len(a.Stages) == 0 {
			s.printf("  %s\n", s.paint(warn, "no stage: nothing is deployed"))
		}
		for _, st := range a.Stages {
			st.print(s)
		}
	}
	v.l.foot(s, v.More)
}

// longestPath is how far a path moves the notes of the others to the right.
const longestPath = 50

func (v *stageView) print(s *screen) {
	s.printf("  %s  %s\n", clean(v.Name), v.URL)
	verbs, paths := 0, 0
	for _, m := range v.Methods {
		verbs = max(verbs, len(m.Method))
		paths = min(max(paths, len(clean(m.Path))), longestPath)
	}
	for _, m := range v.Methods {
		notes := s.paint(warn, "open")
		if m.KeyRequired {
			notes = s.paint(good, "API key")
		}
		if m.Authorization != "" && m.Authorization != "NONE" {
			notes += ", " + clean(m.Authorization)
		}
		s.printf("    %-*s %-*s  %s\n", verbs, m.Method, paths, clean(m.Path), notes)
	}
}
