package publish

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Call is one changing call. Arguments are "Name=value", without code, keys
// and the values of variables.
type Call struct {
	Service   string   `json:"service"`   // "apigateway"
	Operation string   `json:"operation"` // "CreateRestApi"
	Arguments []string `json:"arguments"` // "Name=timestamper"
}

func (c Call) String() string {
	return strings.Join(append([]string{c.Service, c.Operation}, c.Arguments...), " ")
}

// run is one Publish or Unpublish.
type run struct {
	Publisher
	name    string
	region  string
	current string // the step that is being done
	calls   []Call
	pause   func(context.Context, time.Duration) error

	agw  *apigateway.Client
	fns  *lambda.Client
	iam  *iam.Client
	sts  *sts.Client
	logs *cloudwatchlogs.Client
}

func (p Publisher) newRun(name string) *run {
	c := p.Config
	// A refused call did nothing and is made again. One without an answer may
	// have made something, and would make it twice: Publish is run again, and
	// finds it.
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
		})
	}
	if p.Report == nil {
		p.Report = func(Event) {}
	}
	return &run{
		Publisher: p, name: name, region: c.Region, pause: pause,
		agw: apigateway.NewFromConfig(c), fns: lambda.NewFromConfig(c), iam: iam.NewFromConfig(c),
		sts: sts.NewFromConfig(c), logs: cloudwatchlogs.NewFromConfig(c),
	}
}

// step does one named part and reports it. What it did is told by the calls
// that it made.
func (r *run) step(name, detail string, do func() error) error {
	r.current = name
	r.Report(Event{name, Started, detail})
	before := len(r.calls)
	if err := do(); err != nil {
		r.Report(Event{name, ended(err), detail})
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Report(Event{name, outcome(r.calls[before:]), detail})
	return nil
}

// read does one part that only looks, and reports what it found.
func (r *run) read(name, detail string, do func() (found string, err error)) error {
	r.current = name
	r.Report(Event{name, Started, detail})
	found, err := do()
	if err != nil {
		r.Report(Event{name, ended(err), detail})
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Report(Event{name, Done, found})
	return nil
}

// ended is the state of a step that ended with an error.
func ended(err error) State {
	if errors.Is(err, context.Canceled) {
		return Stopped
	}
	return Failed
}

func outcome(calls []Call) State {
	is := func(prefix string) bool {
		return slices.ContainsFunc(calls, func(c Call) bool { return strings.HasPrefix(c.Operation, prefix) })
	}
	switch {
	case len(calls) == 0:
		return Unchanged
	case is("Create"), is("Add"):
		return Made
	case is("Delete"):
		return Removed
	}
	return Changed
}

// change makes one changing call, or notes it only. It is the one way in which
// this package changes anything, so a dry run and a real one make the same
// list. dry is what a dry run goes on with.
func change[In, Out, Options any](
	ctx context.Context, r *run, do func(context.Context, *In, ...func(*Options)) (*Out, error), in *In, dry *Out,
) (*Out, error) {
	r.calls = append(r.calls, callOf(in))
	if r.DryRun {
		return dry, nil
	}
	for attempt := 0; ; attempt++ {
		out, err := do(ctx, in)
		why, wait := again(err)
		if wait == 0 || attempt >= int(patience/wait) {
			return out, err
		}
		r.Report(Event{r.current, Waiting, why})
		if err := r.pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// takeAway makes one call that removes something. What is gone already is no
// error.
func takeAway[In, Out, Options any](
	ctx context.Context, r *run, do func(context.Context, *In, ...func(*Options)) (*Out, error), in *In,
) error {
	if _, err := change(ctx, r, do, in, nil); !absent(err) {
		return err
	}
	return nil
}

// patience is how long one call is tried again.
const patience = 2 * time.Minute

// again says whether a refusal is one that passes, and when to ask again.
func again(err error) (why string, wait time.Duration) {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		return "", 0
	}
	message := refusal.ErrorMessage()
	switch code := refusal.ErrorCode(); {
	case code == "TooManyRequestsException", strings.HasPrefix(code, "Throttling"):
		return "AWS asks for patience (it takes UpdateUsagePlan once in 20 s, DeleteRestApi once in 30 s)", 20 * time.Second
	case code == "InvalidParameterValueException" && strings.Contains(message, "cannot be assumed by Lambda"):
		return "the new role is not known everywhere yet", 3 * time.Second
	case code == "ResourceConflictException" && (strings.Contains(message, "in progress") || strings.Contains(message, "Pending")),
		code == "ConflictException" && strings.Contains(message, "concurrent modification"):
		return "an earlier change is not complete yet", 2 * time.Second
	}
	return "", 0
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// absent reports whether an error says that a thing is not there.
func absent(err error) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) &&
		slices.Contains([]string{"NotFoundException", "ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException"}, refusal.ErrorCode())
}

// callOf tells what an input asks for: its type names service and operation.
func callOf(in any) Call {
	t := reflect.TypeOf(in).Elem()
	service := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
	return Call{service, strings.TrimSuffix(t.Name(), "Input"), arguments("", reflect.ValueOf(in).Elem())}
}

// arguments are the members of a value that are set.
func arguments(name string, v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.String {
			return []string{name + "=" + v.Elem().String()} // said, though it may be empty
		}
		return arguments(name, v.Elem())
	case reflect.Struct:
		var all []string
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				all = append(all, arguments(strings.TrimPrefix(name+"."+f.Name, "."), v.Field(i))...)
			}
		}
		return all
	case reflect.Map:
		var all []string
		for _, k := range v.MapKeys() {
			if strings.HasSuffix(name, "Variables") {
				all = append(all, name+"."+k.String()+"=…") // a value may be a secret
				continue
			}
			all = append(all, arguments(name+"."+k.String(), v.MapIndex(k))...)
		}
		slices.Sort(all)
		return all
	case reflect.Slice:
		return list(name, v)
	}
	if v.IsZero() {
		return nil
	}
	return []string{fmt.Sprintf("%s=%v", name, v.Interface())}
}

func list(name string, v reflect.Value) []string {
	if v.Len() == 0 {
		return nil
	}
	if code, ok := v.Interface().([]byte); ok {
		return []string{fmt.Sprintf("%s=(%d bytes)", name, len(code))}
	}
	var all []string
	for i := range v.Len() {
		for _, text := range arguments("", v.Index(i)) {
			all = append(all, strings.TrimPrefix(text, "="))
		}
	}
	return []string{name + "=[" + strings.Join(all, " ") + "]"}
}
