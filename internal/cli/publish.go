package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weir/internal/cli/publish"
)

// publicationFlags say what to publish.
type publicationFlags struct {
	spec  publish.Spec
	quota string
	env   []string
}

func (p *publicationFlags) register(f *pflag.FlagSet) {
	f.StringVar(&p.spec.Name, "name", "", "of the publication and all that belongs to it (default: the folder's name)")
	f.StringVar(&p.spec.Runtime, "runtime", "", "such as python3.12 or nodejs22.x (default: found in the folder)")
	f.StringVar(&p.spec.Handler, "handler", "", "such as lambda_function.lambda_handler (default: found in the folder)")
	f.StringVar(&p.spec.Path, "path", "", "path of the endpoint (default: / and the name)")
	f.StringSliceVar(&p.spec.Methods, "method", []string{"POST"}, "verbs of the endpoint; ANY for all")
	f.StringVar(&p.spec.Stage, "stage", "default", "stage of the API")
	f.Float64Var(&p.spec.Rate, "rate", 1, "calls a second of a key; with --no-key of all callers")
	f.Int32Var(&p.spec.Burst, "burst", 1, "calls at once")
	f.StringVar(&p.quota, "quota", "10/day", "calls of a key in a day, week or month, or none")
	f.Int32Var(&p.spec.Memory, "memory", 128, "memory of the function in MB")
	f.Int32Var(&p.spec.Timeout, "timeout", 3, "seconds that a call may take")
	f.StringArrayVar(&p.env, "env", nil, "`KEY=VALUE` for the function's environment; may be repeated")
	f.BoolVar(&p.spec.Open, "no-key", false, "let everybody call; there is no quota then")
}

// check reads the flags and the folder. Its errors are the command line's.
func (p *publicationFlags) check(f *pflag.FlagSet, folder string) (publish.Spec, error) {
	spec := p.spec
	spec.Folder = folder
	if spec.Open && !f.Changed("quota") {
		p.quota = "none"
	}
	// Of a Spec zero is the default; the flags' defaults are other ones.
	switch {
	case spec.Memory == 0:
		return spec, errors.New("--memory 0: give 128 to 10240 MB")
	case spec.Timeout == 0:
		return spec, errors.New("--timeout 0: give 1 to 900 seconds")
	}
	var err error
	if spec.Quota, err = publish.ParseQuota(p.quota); err != nil {
		return spec, err
	}
	if len(p.env) > 0 {
		spec.Env = map[string]string{}
	}
	for _, e := range p.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return spec, errors.New("--env: give KEY=VALUE") // what was given may be a secret
		}
		spec.Env[name] = value
	}
	return spec, spec.Check()
}

// place is where to publish: a weir, or an AWS account.
type place struct {
	target
	to     string
	region string
}

func (p *place) register(c *cobra.Command) {
	p.target.register(c)
	c.Flags().StringVar(&p.to, "to", "", "'aws': an AWS account instead of a weir, with the credentials that the aws CLI would use")
	c.Flags().StringVar(&p.region, "region", "", "AWS region, with --to aws (default: as the aws CLI finds it)")
	read := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		f := c.Flags()
		switch {
		case p.to != "" && p.to != "aws":
			return fmt.Errorf("--to %q: the one choice is aws; leave it out for a weir", p.to)
		case p.to == "aws" && (f.Changed("data") || f.Changed("endpoint-url")):
			return errors.New("--to aws goes to an AWS account: leave --data and --endpoint-url out")
		case p.to == "" && p.region != "":
			return errors.New("--region is for --to aws: a weir knows its region")
		case p.to == "aws":
			return nil
		}
		return read(c, args)
	}
}

func (p *place) aws() bool { return p.to == "aws" }

// open gives a publisher for the place. server is nil for an AWS account.
func (p *place) open(ctx context.Context) (publisher publish.Publisher, server *connection, err error) {
	if !p.aws() {
		server, err := p.connect(ctx)
		if err != nil {
			return publisher, nil, err
		}
		return publish.Publisher{Config: server.aws}, server, nil
	}
	cfg, err := awsConfig(ctx, p.region, "AWS", "give --region, or set AWS_REGION or AWS_PROFILE")
	if err != nil {
		return publisher, nil, err
	}
	return publish.Publisher{Config: cfg, AWS: true}, nil, nil
}

func newPublish() *cobra.Command {
	var (
		where  place
		what   publicationFlags
		shown  display
		dryRun bool
		noWait bool
	)
	c := &cobra.Command{
		Use:   "publish DIR",
		Short: "Put a folder behind an endpoint with a key, a rate and a quota",
		Long: `Publish a folder as a function: make its role, function, API, permission, stage,
usage plan and key, or bring them up to date. It goes to the running server, or
with --to aws to an AWS account; both get the same calls.

A second publish of the same name changes what differs and keeps the key. The
flags say what there shall be, so one that is left out means its default. What
publish made carries the tag weir:publication=NAME; nothing else is touched.

--to aws asks for the permissions to make all that, and waits until the new key
is let in: that is one call of the function, and of the quota.`,
		Example: `  weir publish examples/timestamper
  weir publish ./resize --rate 5 --burst 10 --quota 10000/month --memory 512 --env BUCKET=photos
  weir publish ./hello --no-key --method GET --path /
  weir publish examples/timestamper --to aws --region eu-central-1 --dry-run`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := what.check(c.Flags(), args[0])
			if err != nil {
				return err
			}
			publisher, server, err := where.open(c.Context())
			if err != nil {
				return err
			}
			publisher.DryRun = dryRun
			if !shown.json && !dryRun { // a dry run makes nothing that could be told
				publisher.Report = (&steps{c.ErrOrStderr()}).report
			}
			made, err := publisher.Publish(c.Context(), spec)
			if err != nil {
				return unfinished(err)
			}
			if dryRun {
				return shown.once(c.OutOrStdout(), append(plannedCalls{}, made.Calls...))
			}
			p := newPublished(spec, made)
			if server != nil {
				p.onWeir(server.callerURL(), server.running.GatewayCA)
			} else {
				p.Endpoint = publish.Endpoint(made)
			}
			if err := shown.once(c.OutOrStdout(), p); err != nil || server != nil || noWait || !made.KeyEnabled && !spec.Open {
				return err
			}
			return awaitKey(c.Context(), c.ErrOrStderr(), p)
		},
	}
	where.register(c)
	what.register(c.Flags())
	shown.jsonFlag(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the changing calls that would be made, and make none")
	c.Flags().BoolVar(&noWait, "no-wait", false, "with --to aws: do not wait until the key is let in")
	return c
}

// unfinished says of a failed publication that it can be gone on with, if so.
func unfinished(err error) error {
	var (
		spec   *publish.SpecError
		folder *publish.FolderError
	)
	switch {
	case errors.As(err, &spec):
		return err
	case errors.As(err, &folder):
		return asFailure(err)
	case errors.Is(err, context.Canceled):
		return &failure{exitFailure, errors.New("interrupted: run the same command again to go on from here")}
	}
	return asFailure(fmt.Errorf("%w\nrun the same command again to go on from here", err))
}

// patienceOfAWS is how long a new key on AWS is waited for.
const patienceOfAWS = 4 * time.Minute

func awaitKey(ctx context.Context, out io.Writer, p *published) error {
	shown := &steps{out}
	event := publish.Event{Step: "wait", State: publish.Started, Detail: "until the key is let in"}
	shown.report(event)
	err := publish.AwaitKey(ctx, p.Methods[0], pathParameter.ReplaceAllString(p.Endpoint, "$1"), p.Key, patienceOfAWS, func(why string) {
		shown.report(publish.Event{Step: "wait", State: publish.Waiting, Detail: "the key is not let in yet: " + why})
	})
	event.State, event.Detail = publish.Done, "the key is let in"
	switch {
	case errors.Is(err, context.Canceled):
		event.State, event.Detail = publish.Stopped, "waiting for the key"
	case err != nil:
		event.State, event.Detail = publish.Failed, "the key is not let in"
	}
	shown.report(event)
	return asFailure(err)
}

// plannedCalls are the calls of a dry run.
type plannedCalls []publish.Call

func (p plannedCalls) print(s *screen) {
	if len(p) == 0 {
		s.printf("nothing would be changed\n")
	}
	for _, c := range p {
		s.printf("%s\n", clean(c.String()))
	}
}
