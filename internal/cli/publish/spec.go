package publish

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Spec says what to publish. Folder is required; every other zero value has
// the meaning named beside it.
type Spec struct {
	Folder  string
	Name    string            // of the publication and of all it makes; default: the folder's name
	Runtime string            // "python3.12"; default: found in the folder
	Handler string            // "lambda_function.lambda_handler"; default: found in the folder
	Path    string            // "/timestamper"; default: "/" and the name
	Methods []string          // default: POST; ANY stands for all
	Stage   string            // default: "default"
	Rate    float64           // calls a second of one key, or of the whole stage when Open; zero refuses every call
	Burst   int32             // calls at once; zero refuses every call
	Quota   *Quota            // of one key; nil: none
	Memory  int32             // MB; default 128
	Timeout int32             // seconds; default 3
	Env     map[string]string // the function's variables
	Open    bool              // no key is asked for: no plan, no quota
}

// Quota is a number of calls in a calendar period.
type Quota struct {
	Limit  int32
	Period string // DAY, WEEK or MONTH
}

// SpecError says what of a Spec cannot be published; nothing was tried.
type SpecError struct{ Message string }

func (e *SpecError) Error() string { return e.Message }

// FolderError says what of a folder cannot be packed; no call was made.
type FolderError struct{ Err error }

func (e *FolderError) Error() string { return e.Err.Error() }
func (e *FolderError) Unwrap() error { return e.Err }

func refuse(format string, args ...any) error {
	return &SpecError{fmt.Sprintf(format, args...)}
}

// ParseQuota reads "10/day", "1000/week", "50000/month" or "none", which is nil.
func ParseQuota(text string) (*Quota, error) {
	if text == "none" {
		return nil, nil
	}
	number, period, _ := strings.Cut(text, "/")
	limit, err := strconv.ParseInt(number, 10, 32)
	period = strings.ToUpper(period)
	if err != nil || limit < 1 || !slices.Contains([]string{"DAY", "WEEK", "MONTH"}, period) {
		return nil, refuse("--quota %q: give a number and a period, such as 10/day, 500/week or 10000/month, or none", text)
	}
	return &Quota{int32(limit), period}, nil
}

var (
	// What Lambda, IAM and a path all take.
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	notName         = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	stagePattern    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	segmentPattern  = regexp.MustCompile(`^([A-Za-z0-9._:-]+|\{[A-Za-z0-9._-]+\+?\})$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`) // Lambda's
	verbs           = []string{"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
)

// NameOf is the name under which a folder is published unless told otherwise.
func NameOf(folder string) string {
	full, err := filepath.Abs(folder)
	if err != nil {
		full = folder
	}
	name := strings.Trim(notName.ReplaceAllString(filepath.Base(full), "-"), "-")
	return name[:min(len(name), 64)]
}

// Check refuses what cannot be published, with a *SpecError. It reads the
// folder, and changes nothing.
func (s Spec) Check() error {
	if err := s.complete(); err != nil {
		return err
	}
	_, err := s.detect()
	return err
}

// complete fills the defaults in and refuses what cannot be published.
func (s *Spec) complete() error {
	if s.Name == "" {
		s.Name = NameOf(s.Folder)
	}
	if s.Path == "" {
		s.Path = "/" + s.Name
	}
	if len(s.Methods) == 0 {
		s.Methods = []string{"POST"}
	}
	if s.Stage == "" {
		s.Stage = "default"
	}
	if s.Memory == 0 {
		s.Memory = 128
	}
	if s.Timeout == 0 {
		s.Timeout = 3
	}
	s.Methods = slices.Clone(s.Methods)
	for i, m := range s.Methods {
		s.Methods[i] = strings.ToUpper(m)
	}
	slices.Sort(s.Methods)
	s.Methods = slices.Compact(s.Methods)
	return s.check()
}

func (s *Spec) check() error {
	switch {
	case s.Folder == "":
		return refuse("name the folder to publish")
	case s.Name == "":
		return refuse("%s has no name that a function could have: choose one with --name", s.Folder)
	case !namePattern.MatchString(s.Name):
		return refuse("--name %q: use 1 to 64 letters, digits, - and _", s.Name)
	case !stagePattern.MatchString(s.Stage):
		return refuse("--stage %q: use 1 to 128 letters, digits, - and _", s.Stage)
	case math.IsNaN(s.Rate) || math.IsInf(s.Rate, 0):
		return refuse("--rate: give a number of calls a second")
	case s.Rate < 0 || s.Burst < 0:
		return refuse("--rate and --burst cannot be negative")
	case s.Memory < 128 || s.Memory > 10240:
		return refuse("--memory %d: give 128 to 10240 MB", s.Memory)
	case s.Timeout < 1 || s.Timeout > 900:
		return refuse("--timeout %d: give 1 to 900 seconds", s.Timeout)
	case s.Open && s.Quota != nil:
		return refuse("--no-key and --quota exclude each other: a quota counts the calls of a key")
	}
	for name := range s.Env {
		if !variablePattern.MatchString(name) { // which is not shown: it may be a part of a secret
			return refuse("--env: the name of a variable is a letter and then at least one more letter, digit or _")
		}
	}
	for _, m := range s.Methods {
		if !slices.Contains(verbs, m) {
			return refuse("--method %q: choose of %s", m, strings.Join(verbs, ", "))
		}
	}
	return s.checkPath()
}

func (s *Spec) checkPath() error {
	if s.Path == "/" {
		return nil
	}
	segments := s.segments()
	if !strings.HasPrefix(s.Path, "/") {
		return refuse("--path %q: begin with a slash, such as /%s", s.Path, s.Name)
	}
	for i, segment := range segments {
		if !segmentPattern.MatchString(segment) {
			return refuse("--path %q: the part %q is not one; use letters, digits, . _ : - or a parameter such as {id}, or {proxy+} at the end", s.Path, segment)
		}
		if strings.HasSuffix(segment, "+}") && i < len(segments)-1 {
			return refuse("--path %q: %s takes all that follows, so it must be last", s.Path, segment)
		}
	}
	return nil
}

// segments are the parts of the path; none for "/".
func (s *Spec) segments() []string {
	if s.Path == "/" {
		return nil
	}
	return strings.Split(s.Path[1:], "/")
}

func (s *Spec) verbs() string { return strings.Join(s.Methods, ",") }

// Limits says rate, burst and quota in words.
func (s *Spec) Limits() string {
	text := fmt.Sprintf("%s a second, burst %d", number(s.Rate), s.Burst)
	if s.Quota != nil {
		text += fmt.Sprintf(", %d a %s", s.Quota.Limit, strings.ToLower(s.Quota.Period))
	}
	return text
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
