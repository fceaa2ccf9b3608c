package catalog

import "time"

// Sources of the API key of a request (RestApi.apiKeySource).
const (
	KeySourceHeader     = "HEADER"
	KeySourceAuthorizer = "AUTHORIZER"
)

// RestAPI is one REST API without its resources, which are entries of their
// own. What callers see is never this value but the copy that a Deployment
// froze.
type RestAPI struct {
	ID                        string
	Name                      string
	Description               string `json:",omitempty"`
	Version                   string `json:",omitempty"`
	CreatedDate               time.Time
	BinaryMediaTypes          []string `json:",omitempty"`
	MinimumCompressionSize    *int     `json:",omitempty"`
	APIKeySource              string
	EndpointTypes             []string // EDGE, REGIONAL or PRIVATE
	IPAddressType             string   // ipv4 or dualstack
	VPCEndpointIDs            []string `json:",omitempty"`
	Policy                    string   `json:",omitempty"` // resource policy, JSON text
	DisableExecuteAPIEndpoint bool     `json:",omitempty"`
	SecurityPolicy            string   `json:",omitempty"` // of its domain; kept for tools, not enforced
	EndpointAccessMode        string   `json:",omitempty"` // BASIC or STRICT; kept for tools, not enforced
	RootResourceID            string
	Tags                      map[string]string `json:",omitempty"`
}

// Kind implements Entry.
func (RestAPI) Kind() Kind { return KindRestAPI }

// Key implements Entry: "{apiId}".
func (a RestAPI) Key() string { return a.ID }

// Resource is a path node of an API with the methods on it. The root has no
// ParentID and no PathPart.
type Resource struct {
	APIID    string
	ID       string
	ParentID string             `json:",omitempty"`
	PathPart string             `json:",omitempty"`
	Path     string             // "/" for the root, "/pets/{id}" below it
	Methods  map[string]*Method `json:",omitempty"` // by HTTP verb or ANY
}

// Kind implements Entry.
func (Resource) Kind() Kind { return KindResource }

// Key implements Entry: "{apiId}/{resourceId}".
func (r Resource) Key() string { return r.APIID + "/" + r.ID }

// Authorization types of a method.
const (
	AuthorizationNone    = "NONE"
	AuthorizationIAM     = "AWS_IAM"
	AuthorizationCustom  = "CUSTOM"
	AuthorizationCognito = "COGNITO_USER_POOLS"
)

// Method is a verb on a resource: who may call it and what it calls.
type Method struct {
	HTTPMethod          string
	AuthorizationType   string
	AuthorizerID        string                     `json:",omitempty"`
	AuthorizationScopes []string                   `json:",omitempty"`
	APIKeyRequired      bool                       `json:",omitempty"`
	OperationName       string                     `json:",omitempty"`
	RequestValidatorID  string                     `json:",omitempty"`
	RequestParameters   map[string]bool            `json:",omitempty"`
	RequestModels       map[string]string          `json:",omitempty"`
	Responses           map[string]*MethodResponse `json:",omitempty"` // by status code
	Integration         *Integration               `json:",omitempty"`
}

// MethodResponse declares a status a method may answer with.
type MethodResponse struct {
	StatusCode         string
	ResponseParameters map[string]bool   `json:",omitzero"` // nil: never given, which AWS shows differently from {}
	ResponseModels     map[string]string `json:",omitzero"`
}

// Types of an integration.
const (
	IntegrationHTTP      = "HTTP"
	IntegrationHTTPProxy = "HTTP_PROXY"
	IntegrationAWS       = "AWS"
	IntegrationAWSProxy  = "AWS_PROXY"
	IntegrationMock      = "MOCK"
)

// Integration is what a method calls.
type Integration struct {
	Type                 string
	HTTPMethod           string            `json:",omitempty"`
	URI                  string            `json:",omitempty"`
	ConnectionType       string            `json:",omitempty"`
	ConnectionID         string            `json:",omitempty"`
	Credentials          string            `json:",omitempty"` // role ARN
	RequestParameters    map[string]string `json:",omitempty"`
	RequestTemplates     map[string]string `json:",omitempty"` // by media type
	PassthroughBehavior  string            `json:",omitempty"`
	ContentHandling      string            `json:",omitempty"`
	TimeoutInMillis      int
	CacheNamespace       string                          `json:",omitempty"`
	CacheKeyParameters   []string                        `json:",omitempty"`
	InsecureSkipVerify   *bool                           `json:",omitempty"` // tlsConfig, nil when none was given
	IntegrationTarget    string                          `json:",omitempty"`
	ResponseTransferMode string                          `json:",omitempty"`
	Responses            map[string]*IntegrationResponse `json:",omitempty"` // by status code
}

// IntegrationResponse says how one outcome of an integration becomes the
// method's response.
type IntegrationResponse struct {
	StatusCode         string
	SelectionPattern   string            `json:",omitempty"` // regular expression; "" is the default response
	PatternGiven       bool              `json:",omitempty"` // SelectionPattern was sent, be it ""; AWS shows it then
	ResponseParameters map[string]string `json:",omitzero"`  // nil: never given, which AWS shows differently from {}
	ResponseTemplates  map[string]string `json:",omitzero"`  // by media type; "" passes the body through
	ContentHandling    string            `json:",omitempty"`
}

// Deployment is an immutable copy of an API and its resources. Only what a
// deployment froze, and only while a stage points at it, reaches callers.
type Deployment struct {
	APIID       string
	ID          string
	Description string `json:",omitempty"`
	CreatedDate time.Time
	API         RestAPI
	Resources   []Resource
	Authorizers []Authorizer `json:",omitempty"`
}

// Kind implements Entry.
func (Deployment) Kind() Kind { return KindDeployment }

// Key implements Entry: "{apiId}/{deploymentId}".
func (d Deployment) Key() string { return d.APIID + "/" + d.ID }

// Stage is a named pointer to a deployment, with settings that apply without a
// new one.
type Stage struct {
	APIID                string
	StageName            string
	DeploymentID         string
	Description          string `json:",omitempty"`
	CreatedDate          time.Time
	LastUpdatedDate      time.Time
	CacheClusterEnabled  bool                     `json:",omitempty"`
	CacheClusterSize     string                   `json:",omitempty"`
	Variables            map[string]string        `json:",omitempty"`
	DocumentationVersion string                   `json:",omitempty"`
	ClientCertificateID  string                   `json:",omitempty"`
	TracingEnabled       bool                     `json:",omitempty"`
	WebACLARN            string                   `json:",omitempty"`
	AccessLogSettings    *AccessLogSettings       `json:",omitempty"`
	CanarySettings       *CanarySettings          `json:",omitempty"`
	MethodSettings       map[string]MethodSetting `json:",omitempty"` // by "*/*" or "{path without leading /}/{VERB}", root "//{VERB}"
	Tags                 map[string]string        `json:",omitempty"`
	// AuthorizersFlushed counts the flushes of the authorizers' cache: an
	// answer is kept under it, so that none outlives a flush on any node.
	AuthorizersFlushed int64 `json:",omitempty"`
}

// Kind implements Entry.
func (Stage) Kind() Kind { return KindStage }

// Key implements Entry: "{apiId}/{stageName}".
func (s Stage) Key() string { return s.APIID + "/" + s.StageName }

// AccessLogSettings says where a stage's access log goes and what a line holds.
type AccessLogSettings struct {
	DestinationARN string `json:",omitempty"`
	Format         string `json:",omitempty"`
}

// CanarySettings sends a share of a stage's calls to another deployment.
type CanarySettings struct {
	PercentTraffic         float64           `json:",omitempty"`
	DeploymentID           string            `json:",omitempty"`
	StageVariableOverrides map[string]string `json:",omitempty"`
	UseStageCache          bool              `json:",omitempty"`
}

// MethodSetting is one entry of a stage's methodSettings. A throttling value
// of -1 means no limit at that level.
type MethodSetting struct {
	MetricsEnabled                         bool
	LoggingLevel                           string // OFF, ERROR, INFO; empty is unset
	DataTraceEnabled                       bool
	ThrottlingBurstLimit                   int
	ThrottlingRateLimit                    float64
	CachingEnabled                         bool
	CacheTTLInSeconds                      int
	CacheDataEncrypted                     bool
	RequireAuthorizationForCacheControl    bool
	UnauthorizedCacheControlHeaderStrategy string
}
