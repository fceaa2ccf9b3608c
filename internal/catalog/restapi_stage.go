package catalog

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AWS's account-wide throttle, which is what a method setting says until
// somebody sets it.
const (
	AccountBurstLimit = 5000
	AccountRateLimit  = 10_000.0
)

// NoLimit in a method setting's throttle takes that limit away.
const NoLimit = -1

// AllMethods is the method setting that stands for every method of a stage.
const AllMethods = "*/*"

// Logging levels of a method setting.
const (
	LoggingOff   = "OFF"
	LoggingError = "ERROR"
	LoggingInfo  = "INFO"
)

// Bounds of a stage (AWS's quotas page).
const (
	maxStageName      = 128
	maxVariables      = 100
	maxVariableName   = 64
	maxVariableValue  = 512
	maxAccessFormat   = 3 << 10
	maxCacheTTL       = 3600
	maxMethodSettings = 1000
)

var (
	stageNameForm     = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	variableNameForm  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	variableValueForm = regexp.MustCompile(`^[A-Za-z0-9._~:/?#&=,@%+!-]*$`)
	accessLogTarget   = regexp.MustCompile(`^arn:[a-z-]+:(?:logs:[^:]*:[^:]*:log-group:[^:*\s]+|firehose:[^:]*:[^:]*:deliverystream/amazon-apigateway-\S+)$`)
	cacheSizes        = []string{"0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"}
)

// ErrStage answers an unknown stage.
func ErrStage() error { return violation(NotFound, "Invalid stage identifier specified") }

// ErrDeployment answers an unknown deployment that is asked for itself.
func ErrDeployment() error { return violation(NotFound, "Invalid Deployment identifier specified") }

// ErrDeploymentID answers an unknown deployment that a stage should point at.
func ErrDeploymentID() error { return violation(Invalid, "Deployment id does not exist") }

// CheckStageName holds the name of a new stage against AWS's rules.
func CheckStageName(name string) error {
	if !stageNameForm.MatchString(name) {
		return violation(Invalid, "Stage name only allows a-zA-Z0-9_-")
	}
	if len(name) > maxStageName {
		return violation(Invalid, "Stage name can be at most 128 characters")
	}
	return nil
}

// Check holds a stage, but for its name and deployment, against AWS's rules.
func (s *Stage) Check() error {
	if utf8.RuneCountInString(s.Description) > maxDescriptionLength {
		return violation(Invalid, "Invalid stage description specified.")
	}
	if s.CacheClusterSize != "" && !slices.Contains(cacheSizes, s.CacheClusterSize) {
		return violationf(Invalid, "Invalid cache cluster size specified. Valid options are %s", strings.Join(cacheSizes, ","))
	}
	if len(s.MethodSettings) > maxMethodSettings {
		return violation(LimitExceeded, "Too many method settings")
	}
	if err := CheckVariables(s.Variables); err != nil {
		return err
	}
	return s.AccessLogSettings.check()
}

// CheckVariables holds stage variables against AWS's rules.
func CheckVariables(variables map[string]string) error {
	if len(variables) > maxVariables {
		return violation(LimitExceeded, "A stage can have at most 100 stage variables")
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		switch value := variables[name]; {
		case len(name) > maxVariableName || !variableNameForm.MatchString(name):
			return violationf(Invalid, "Invalid stage variable name: %s. Names have 1 to 64 of the characters a-zA-Z0-9_", name)
		case len(value) > maxVariableValue || !variableValueForm.MatchString(value):
			return violationf(Invalid, "Invalid stage variable value: %s. Values have up to 512 of the characters allowed in a URL", value)
		}
	}
	return nil
}

func (a *AccessLogSettings) check() error {
	switch {
	case a == nil:
		return nil
	case a.DestinationARN != "" && !accessLogTarget.MatchString(a.DestinationARN):
		return violation(Invalid, "Invalid ARN specified in the request. It must name a log group or a Firehose stream "+
			"whose name begins with amazon-apigateway-")
	case len(a.Format) > maxAccessFormat:
		return violation(Invalid, "Access Log format exceeds maximum size of 3 KB")
	case a.Format != "" && !strings.Contains(a.Format, "$context.requestId") &&
		!strings.Contains(a.Format, "$context.extendedRequestId"):
		return violation(Invalid, "Access Log format must include $context.requestId or $context.extendedRequestId")
	}
	return nil
}

// CacheClusterStatus is what AWS tells about the stage's cache.
func (s *Stage) CacheClusterStatus() string {
	if s.CacheClusterEnabled {
		return "AVAILABLE"
	}
	return "NOT_AVAILABLE"
}

// Logs says whether a method setting or the access log of the stage writes
// anything, which needs the account's CloudWatch role.
func (s *Stage) Logs() bool {
	if s.AccessLogSettings != nil && s.AccessLogSettings.DestinationARN != "" {
		return true
	}
	for _, m := range s.MethodSettings {
		if m.LoggingLevel == LoggingError || m.LoggingLevel == LoggingInfo {
			return true
		}
	}
	return false
}

// MethodKey gives the key of a method setting: "*/*", "pets/{id}/GET" for
// /pets/{id}, "//GET" for the root. ok is false when the verb is none.
func MethodKey(path, verb string) (key string, ok bool) {
	path = strings.Trim(path, "/")
	if path == "*" && verb == "*" {
		return AllMethods, true
	}
	if path == "*" || !slices.Contains(verbs, verb) {
		return "", false
	}
	if path == "" {
		path = "/"
	}
	return path + "/" + verb, true
}

// newMethodSetting gives the setting that a method has before anything of its
// own is set: the one of all methods, or AWS's defaults.
func (s *Stage) newMethodSetting() MethodSetting {
	if all, ok := s.MethodSettings[AllMethods]; ok {
		return all
	}
	return MethodSetting{
		ThrottlingBurstLimit:                   AccountBurstLimit,
		ThrottlingRateLimit:                    AccountRateLimit,
		CacheTTLInSeconds:                      300,
		RequireAuthorizationForCacheControl:    true,
		UnauthorizedCacheControlHeaderStrategy: "SUCCEED_WITH_RESPONSE_HEADER",
	}
}

// SetMethodSetting changes one setting, "throttling/rateLimit", of the methods
// under key. known is false when there is no such setting. The stage's map is
// replaced, not written to.
func (s *Stage) SetMethodSetting(key, setting, value string) (known bool, err error) {
	set, known := methodSetters[setting]
	if !known {
		return false, nil
	}
	m, ok := s.MethodSettings[key]
	if !ok {
		m = s.newMethodSetting()
	}
	if err := set(&m, value); err != nil {
		return true, err
	}
	next := make(map[string]MethodSetting, len(s.MethodSettings)+1)
	maps.Copy(next, s.MethodSettings)
	next[key] = m
	s.MethodSettings = next
	return true, nil
}

// RemoveMethodSetting takes all settings of key away; false when there are none.
func (s *Stage) RemoveMethodSetting(key string) bool {
	if _, ok := s.MethodSettings[key]; !ok {
		return false
	}
	next := maps.Clone(s.MethodSettings)
	delete(next, key)
	s.MethodSettings = next
	return true
}

// methodSetters are the settings by their patch path below a method.
var methodSetters = map[string]func(m *MethodSetting, value string) error{
	"metrics/enabled":       func(m *MethodSetting, v string) error { m.MetricsEnabled = Truth(v); return nil },
	"logging/dataTrace":     func(m *MethodSetting, v string) error { m.DataTraceEnabled = Truth(v); return nil },
	"logging/loglevel":      setLoggingLevel,
	"throttling/burstLimit": setBurstLimit,
	"throttling/rateLimit":  setRateLimit,
	"caching/enabled":       func(m *MethodSetting, v string) error { m.CachingEnabled = Truth(v); return nil },
	"caching/dataEncrypted": func(m *MethodSetting, v string) error { m.CacheDataEncrypted = Truth(v); return nil },
	"caching/ttlInSeconds":  setCacheTTL,
	"caching/requireAuthorizationForCacheControl": func(m *MethodSetting, v string) error {
		m.RequireAuthorizationForCacheControl = Truth(v)
		return nil
	},
	"caching/unauthorizedCacheControlHeaderStrategy": setCacheStrategy,
}

// Truth reads a boolean of a patch operation as AWS does: what is not "true"
// is false.
func Truth(value string) bool { return strings.EqualFold(value, "true") }

func setLoggingLevel(m *MethodSetting, v string) error {
	switch v {
	case LoggingOff, LoggingError, LoggingInfo:
		m.LoggingLevel = v
		return nil
	}
	return violation(Invalid, "Invalid logging level specified. Valid options are OFF,ERROR,INFO")
}

func setBurstLimit(m *MethodSetting, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < NoLimit {
		return violationf(Invalid, "Invalid throttling burst limit specified: %s", v)
	}
	m.ThrottlingBurstLimit = int(n)
	return nil
}

func setRateLimit(m *MethodSetting, v string) error {
	rate, err := ParseRate(v)
	if err != nil || rate < 0 && rate != NoLimit {
		return violationf(Invalid, "Invalid throttling rate limit specified: %s", v)
	}
	m.ThrottlingRateLimit = rate
	return nil
}

func setCacheTTL(m *MethodSetting, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxCacheTTL {
		return violation(Invalid, "Invalid cache TTL specified, must be between 0 and 3600")
	}
	m.CacheTTLInSeconds = n
	return nil
}

func setCacheStrategy(m *MethodSetting, v string) error {
	switch v {
	case "FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER":
		m.UnauthorizedCacheControlHeaderStrategy = v
		return nil
	}
	return violation(Invalid, "Invalid unauthorized cache control header strategy specified. Valid options are "+
		"FAIL_WITH_403,SUCCEED_WITH_RESPONSE_HEADER,SUCCEED_WITHOUT_RESPONSE_HEADER")
}

// ParseRate reads a rate: a finite decimal number.
func ParseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(rate) || math.IsInf(rate, 0) || strings.ContainsAny(text, "xX_") {
		return 0, violationf(Invalid, "Invalid rate limit specified: %s", text)
	}
	return rate, nil
}
