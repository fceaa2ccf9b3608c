package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

func newFunctions() *cobra.Command {
	var (
		t target
		d display
		l listing
	)
	c := &cobra.Command{
		Use:   "functions",
		Short: "List functions: runtime, handler, memory, timeout, code size, state",
		Long: `List functions with their runtime, handler, memory in MB, timeout in seconds, the
size of their code as it was sent, their state, and how long ago they were
changed.`,
		Example: `  weir functions
  weir functions --name time --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.showServer(c, &t, &l, func(ctx context.Context, conn *connection) (picture, error) {
				return conn.functions(ctx, &l, time.Now())
			})
		},
	}
	t.register(c)
	l.flags(c, "functions")
	d.flags(c)
	return c
}

// functionList is the JSON of `weir functions`.
type functionList struct {
	Functions []functionView `json:"functions"`
	More      bool           `json:"more"`
	l         *listing
	now       time.Time
}

type functionView struct {
	Name     string    `json:"name"`
	ARN      string    `json:"arn"`
	Runtime  string    `json:"runtime"`
	Handler  string    `json:"handler"`
	MemoryMB int32     `json:"memoryMb"`
	TimeoutS int32     `json:"timeoutSeconds"`
	CodeSize int64     `json:"codeBytes"`
	State    string    `json:"state"`
	Update   string    `json:"lastUpdateStatus"`
	Modified time.Time `json:"lastModified"`
}

// lambdaTime is how Lambda writes a time.
const lambdaTime = "2006-01-02T15:04:05.999-0700"

func (c *connection) functions(ctx context.Context, l *listing, now time.Time) (*functionList, error) {
	found, more, err := c.listFunctions(ctx, l)
	if err != nil {
		return nil, err
	}
	views := make([]functionView, len(found))
	// Lists leave the state out, on AWS too.
	err = each(ctx, len(found), func(ctx context.Context, i int) error {
		f, err := lambda.NewFromConfig(c.aws).GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: found[i].FunctionName})
		var gone *types.ResourceNotFoundException // deleted since it was listed
		if errors.As(err, &gone) {
			return nil
		}
		if err != nil {
			return err
		}
		modified, _ := time.Parse(lambdaTime, aws.ToString(f.LastModified))
		views[i] = functionView{
			Name: aws.ToString(f.FunctionName), ARN: aws.ToString(f.FunctionArn), Runtime: string(f.Runtime), Handler: aws.ToString(f.Handler),
			MemoryMB: aws.ToInt32(f.MemorySize), TimeoutS: aws.ToInt32(f.Timeout), CodeSize: f.CodeSize,
			State: string(f.State), Update: string(f.LastUpdateStatus), Modified: modified.UTC(),
		}
		return nil
	})
	views = slices.DeleteFunc(views, func(v functionView) bool { return v.Name == "" })
	return &functionList{Functions: views, More: more, l: l, now: now}, err
}

func (c *connection) listFunctions(ctx context.Context, l *listing) ([]types.FunctionConfiguration, bool, error) {
	return collect(ctx, l, lambda.NewListFunctionsPaginator(lambda.NewFromConfig(c.aws), &lambda.ListFunctionsInput{}),
		func(o *lambda.ListFunctionsOutput) []types.FunctionConfiguration { return o.Functions },
		func(f types.FunctionConfiguration) *string { return f.FunctionName })
}

func (v *functionList) print(s *screen) {
	if len(v.Functions) == 0 {
		s.printf("no functions\n")
		return
	}
	t := newTable(elastic("NAME"), left("RUNTIME"), elastic("HANDLER"), right("MB"), right("TIMEOUT"), right("CODE"), left("STATE"), right("CHANGED"))
	for _, f := range v.Functions {
		state := styled(warn, f.State)
		switch types.State(f.State) {
		case types.StateActive:
			state.in = good
		case types.StateFailed:
			state.in = bad
		}
		if f.Update == string(types.LastUpdateStatusFailed) {
			state = styled(bad, f.State+", update failed")
		}
		t.add(text(f.Name), text(f.Runtime), text(f.Handler), text(strconv.Itoa(int(f.MemoryMB))), text(strconv.Itoa(int(f.TimeoutS))+"s"),
			text(size(f.CodeSize)), state, text(ago(f.Modified, v.now)))
	}
	t.print(s)
	v.l.foot(s, v.More)
}
