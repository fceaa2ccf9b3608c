package authorizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"weir/internal/gateway/event"
	"weir/internal/policy"
)

// maxAnswer bounds what a function may answer. AWS does not say where it ends.
const maxAnswer = 64 << 10

// answer is what a function said of a caller. Immutable.
type answer struct {
	principal string
	policy    *policy.Document
	text      []byte // of the policy, for TestInvokeAuthorizer
	members   []byte // of requestContext.authorizer
	key       string // usageIdentifierKey
	size      int    // bytes of memory that keeping it takes, at most
}

// parseAnswer reads a function's answer: an object with none but AWS's four
// members, of which principalId and policyDocument are required. An error is a
// sentence for the owner; it holds nothing of the answer but member names.
func parseAnswer(payload []byte) (*answer, error) {
	if len(payload) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	a := &answer{}
	var said struct{ principal, policy, context, key json.RawMessage }
	err := eachMember(payload, func(name string, value json.RawMessage) error {
		switch name {
		case "principalId":
			said.principal = value
		case "policyDocument":
			said.policy = value
		case "context":
			said.context = value
		case "usageIdentifierKey":
			said.key = value
		default:
			return fmt.Errorf("Unrecognized field %.100q , not marked as ignorable", name) // AWS's words
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := text(said.principal, &a.principal); err != nil {
		return nil, fmt.Errorf("principalId is not a string")
	}
	if said.key != nil && string(said.key) != "null" {
		if err := text(said.key, &a.key); err != nil {
			return nil, fmt.Errorf("usageIdentifierKey is not a string")
		}
	}
	if said.policy == nil {
		return nil, fmt.Errorf("policyDocument is missing")
	}
	if a.policy, err = policy.Parse(said.policy); err != nil {
		return nil, err
	}
	if err := a.policy.ValidFor(policy.Authorizer); err != nil {
		return nil, err
	}
	if a.members, err = contextMembers(said.context, a.principal); err != nil {
		return nil, err
	}
	a.text = bytes.Clone(said.policy)
	texts := bytes.Count(payload, []byte{'"'})/2 + bytes.Count(payload, []byte{','})
	a.size = entryOverhead + 4*len(payload) + texts*perTextInBytes
	return a, nil
}

// contextMembers writes the context as events show it: every value a string.
// What is null is left out, and the principal is the answer's own.
func contextMembers(object json.RawMessage, principal string) ([]byte, error) {
	var dst []byte
	if object != nil && string(object) != "null" {
		err := eachMember(object, func(name string, value json.RawMessage) error {
			shown := string(value)
			switch value[0] {
			case '{', '[':
				return fmt.Errorf("the context's value of %.100q is an object or a list", name)
			case '"':
				if err := text(value, &shown); err != nil {
					return err
				}
			case 'n':
				return nil
			}
			if name == "principalId" || name == "integrationLatency" {
				return nil
			}
			dst = append(event.AppendString(dst, name), ':')
			dst = append(event.AppendString(dst, shown), ',')
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	dst = append(dst, `"principalId":`...)
	return event.AppendString(dst, principal), nil
}

// text reads a JSON string.
func text(value json.RawMessage, into *string) error {
	if len(value) == 0 || value[0] != '"' {
		return fmt.Errorf("not a string")
	}
	return json.Unmarshal(value, into)
}

// eachMember calls f with every member of the object that is the whole of
// text. A member that occurs twice is an error: two readers would take it
// differently.
func eachMember(text []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("the answer is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return fmt.Errorf("the answer is not valid JSON")
		}
		if seen[name] {
			return fmt.Errorf("%.100q occurs twice", name)
		}
		seen[name] = true
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the answer is not valid JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows the answer")
	}
	return nil
}
