// Package publish puts a folder behind a key: role, function, API, permission,
// deployment, usage plan and key, made or brought up to date by AWS's own APIs.
// The same calls go to a weir and to an AWS account.
//
// What it makes carries the tag weir:publication=NAME, and only what carries it
// is ever changed or removed. So a second Publish updates what the first made,
// whatever interrupted the first, and Unpublish takes all of it away.
//
//	p := publish.Publisher{Config: config}
//	made, err := p.Publish(ctx, publish.Spec{Folder: "examples/timestamper", Rate: 1, Burst: 1})
package publish

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// tag marks what a publication made; its value is the publication's name.
const tag = "weir:publication"

// Publisher publishes to one place. It may be used by one goroutine at a time.
type Publisher struct {
	Config aws.Config // credentials, region and endpoint of the place
	AWS    bool       // the place is an AWS account: programs are built for Linux, and Lambda's log group is removed
	DryRun bool       // changing calls are listed, not made
	Report func(Event)
}

// State says how far a step is.
type State string

// The states of a step, in the words that are printed. A step begins with
// Started, may report Waiting any number of times, and ends with one of the
// others: Done when it changes nothing by nature.
const (
	Started   State = "started"
	Waiting   State = "waiting"
	Done      State = "done"
	Made      State = "made"
	Changed   State = "changed"
	Unchanged State = "unchanged"
	Removed   State = "removed"
	Failed    State = "failed"
	Stopped   State = "interrupted" // the context was cancelled
)

// Event tells of one step's progress.
type Event struct {
	Step   string // "role", "function", …
	State  State
	Detail string // what the step is about; of Waiting, what is waited for
}

// Publication is what Publish made or found.
type Publication struct {
	Name        string
	Account     string
	Region      string
	Runtime     string
	Handler     string
	FunctionARN string
	APIID       string
	Stage       string
	Path        string // "/timestamper"
	Methods     []string
	PlanID      string // "" for a publication without a key, as the next two
	KeyID       string
	KeyValue    string // "" too when the place does not give values back
	KeyEnabled  bool
	Calls       []Call // the changing calls, in order
}

// Publish makes what spec asks for, or brings it up to date. Of an error the
// calls made before it stand, and the next Publish goes on from there. A
// *SpecError means that nothing was tried, a *FolderError that no call was made.
func (p Publisher) Publish(ctx context.Context, spec Spec) (Publication, error) {
	if err := spec.complete(); err != nil {
		return Publication{}, err
	}
	r := p.newRun(spec.Name)
	var code code
	err := r.read("code", spec.Folder, func() (detail string, err error) {
		code, err = r.pack(ctx, &spec)
		return fmt.Sprintf("code for %s, %s, %d KB", spec.Runtime, spec.Handler, (len(code.zip)+1023)/1024), err
	})
	if err != nil {
		return Publication{}, &FolderError{err}
	}
	var have state
	err = r.read("account", "what is there", func() (detail string, err error) {
		if have, err = r.look(ctx); err == nil {
			err = r.lookAPI(ctx, &have, &spec)
		}
		return have.place(r.region), err
	})
	if err != nil {
		return Publication{}, err
	}
	b := builder{r, &spec, &have, code}
	for _, s := range []struct {
		name, detail string
		do           func(context.Context) error
	}{
		{"role", "role " + spec.Name, b.role},
		{"function", "function " + spec.Name, b.function},
		{"api", "API " + spec.Name, b.api},
		{"method", spec.verbs() + " " + spec.Path, b.methods},
		{"permission", "API may invoke the function", b.permission},
		{"stage", "stage " + spec.Stage, b.deploy},
		{"plan", "usage plan: " + spec.Limits(), b.plan},
		{"key", "API key " + spec.Name, b.key},
		{"leftovers", "stages of an earlier publication", b.leftovers},
	} {
		if spec.Open && (s.name == "plan" || s.name == "key") || s.name == "leftovers" && len(b.otherStages()) == 0 {
			continue
		}
		if err := r.step(s.name, s.detail, func() error { return s.do(ctx) }); err != nil {
			return Publication{}, err
		}
	}
	return b.publication(), nil
}

func (b *builder) publication() Publication {
	out := Publication{
		Name: b.spec.Name, Account: b.have.account, Region: b.region,
		Runtime: b.spec.Runtime, Handler: b.spec.Handler,
		FunctionARN: b.have.functionARN, APIID: b.have.apiID,
		Stage: b.spec.Stage, Path: b.spec.Path, Methods: b.spec.Methods,
		Calls: b.calls,
	}
	if !b.spec.Open {
		out.PlanID, out.KeyID, out.KeyValue, out.KeyEnabled = b.have.planID, b.have.key.id, b.have.key.value, b.have.key.enabled
	}
	return out
}

// foreign says that a thing which publish did not make has the name.
func foreign(kind, name string) error {
	return fmt.Errorf("a %s named %s is there already, and weir publish did not make it (it has no tag %s=%s): choose another --name, or remove it first", kind, name, tag, name)
}
