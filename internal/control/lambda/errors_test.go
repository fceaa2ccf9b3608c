package lambda_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// refusal is an expected error: where its message stands is part of it.
type refusal struct {
	name, method, path string
	in                 any
	status             int
	code, message      string
	key                string // "message" when empty
	bare               bool   // no Type member
}

func (b *bench) refuses(cases []refusal) {
	b.t.Helper()
	for _, c := range cases {
		b.t.Run(c.name, func(t *testing.T) {
			status, header, body := b.send(c.method, c.path, c.in)
			if c.key == "" {
				c.key = "message"
			}
			want := object{c.key: c.message}
			if !c.bare && c.code != "ValidationException" {
				want["Type"] = "User"
			}
			got := object{}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%d %q", status, body)
			}
			if status != c.status || header.Get("x-amzn-ErrorType") != c.code || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("\n got %d %s %v\nwant %d %s %v", status, header.Get("x-amzn-ErrorType"), got, c.status, c.code, want)
			}
		})
	}
}

const (
	functionPattern   = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`
	namespacedPattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`
	runtimes          = `[nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2] or be a valid ARN`
	unable            = "Lambda was unable to configure your environment variables because the environment variables you have provided "
)

func violation(value, member, constraint string) string {
	return "1 validation error detected: Value " + value + " at '" + member + "' failed to satisfy constraint: " + constraint
}

// announcing is a zip whose one file says that it unpacks to n bytes.
func announcing(t *testing.T, n uint64) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "zeros", Method: zip.Deflate, CompressedSize64: 2, UncompressedSize64: n})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{3, 0}); err != nil { // an empty deflate stream
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCreateRefusals(t *testing.T) {
	b := newBench(t)
	b.create("taken", nil)
	const ipv, ve = "InvalidParameterValueException", "ValidationException"
	var cases []refusal
	add := func(name string, changes object, status int, code, message string) {
		cases = append(cases, refusal{
			name: name, method: "POST", path: "/2015-03-31/functions",
			in: creation(t, "f", changes), status: status, code: code, message: message, bare: status == 413,
		})
	}
	add("taken", object{"FunctionName": "taken"}, 409, "ResourceConflictException", "Function already exist: taken")
	add("taken by ARN", object{"FunctionName": prefix + "taken"}, 409, "ResourceConflictException", "Function already exist: taken")
	add("name missing", object{"FunctionName": nil}, 400, ve, violation("null", "functionName", "Member must not be null"))
	add("name pattern", object{"FunctionName": "my-function!"}, 400, ve, violation("'my-function!'", "functionName", "Member must satisfy regular expression pattern: "+functionPattern))
	add("name too long", object{"FunctionName": strings.Repeat("a", 65)}, 400, ipv, violation("'"+strings.Repeat("a", 65)+"'", "functionName", "Member must have length less than or equal to 64"))
	add("role", object{"Role": "r1"}, 400, ve, violation("'r1'", "role", `Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`))
	add("role missing", object{"Role": nil}, 400, ve, violation("null", "role", "Member must not be null"))
	add("code missing", object{"Code": nil}, 400, ve, violation("null", "code", "Member must not be null"))
	add("unknown runtime", object{"Runtime": "non-existent-runtime"}, 400, ipv, "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "+runtimes)
	add("upper case runtime", object{"Runtime": "PYTHON3.9"}, 400, ipv, "Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "+runtimes)
	add("retired runtime", object{"Runtime": "go1.x"}, 400, ipv, "The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.")
	for _, r := range []string{"java21", "ruby3.4", "ruby4.0", "dotnet8"} {
		add(r, object{"Runtime": r}, 400, ipv, "The runtime "+r+" cannot be run here: weir runs Python, Node.js and custom runtimes. Put an executable named bootstrap that speaks the Runtime API into the zip and use provided.al2023.")
	}
	add("no runtime", object{"Runtime": nil}, 400, ipv, "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	add("no handler", object{"Handler": nil}, 400, ipv, "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	add("handler with blank", object{"Handler": "a b"}, 400, ve, violation("'a b'", "handler", `Member must satisfy regular expression pattern: [^\s]+`))
	add("memory low", object{"MemorySize": 127}, 400, ve, violation("'127'", "memorySize", "Member must have value greater than or equal to 128"))
	add("memory high", object{"MemorySize": 10241}, 400, ve, violation("'10241'", "memorySize", "Member must have value less than or equal to 10240"))
	add("timeout 0", object{"Timeout": 0}, 400, ve, violation("'0'", "timeout", "Member must have value greater than or equal to 1"))
	add("timeout high", object{"Timeout": 901}, 400, ve, violation("'901'", "timeout", "Member must have value less than or equal to 900"))
	add("storage low", object{"EphemeralStorage": object{"Size": 511}}, 400, ve, violation("'511'", "ephemeralStorage.size", "Member must have value greater than or equal to 512"))
	add("storage high", object{"EphemeralStorage": object{"Size": 10241}}, 400, ve, violation("'10241'", "ephemeralStorage.size", "Member must have value less than or equal to 10240"))
	add("two architectures", object{"Architectures": []string{"x86_64", "arm64"}}, 400, ve, violation("'[x86_64, arm64]'", "architectures", "Member must have length less than or equal to 1"))
	add("upper case architecture", object{"Architectures": []string{"X86_64"}}, 400, ve, violation("'[X86_64]'", "architectures", "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"))
	add("environment too large", object{"Environment": object{"Variables": object{"LARGE_VAR": strings.Repeat("x", 4097-len(`{"LARGE_VAR":""}`))}}}, 400, ipv, unable+"exceeded the 4KB limit. String measured: 4097 bytes")
	add("reserved variables", object{"Environment": object{"Variables": object{"AWS_REGION": "x", "AWS_LAMBDA_RUNTIME_API": "y", "OK_1": "z"}}}, 400, ipv, unable+"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_LAMBDA_RUNTIME_API, AWS_REGION")
	for _, name := range []string{"1A", "A", "A-B", "_HANDLER", ""} {
		add("variable "+name, object{"Environment": object{"Variables": object{name: "x"}}}, 400, ve, violationNoValue)
	}
	add("not a zip", object{"Code": object{"ZipFile": "bm90IGEgemlw"}}, 400, ipv, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	add("empty zip", object{"Code": object{"ZipFile": ""}}, 400, ipv, "Uploaded file must be a non-empty zip")
	add("no code", object{"Code": object{}}, 400, ipv, "Please provide a source for function code.")
	add("S3", object{"Code": object{"S3Bucket": "b", "S3Key": "k"}}, 400, ipv, "weir has no S3 to read b/k from. Send the code as ZipFile.")
	add("image", object{"PackageType": "Image", "Code": object{"ImageUri": "x"}}, 400, ipv, "Container images are not supported by weir. Use PackageType Zip.")
	add("tags", object{"Tags": manyTags(51)}, 400, ipv, "Number of tags exceeds resource tag limit.")
	add("log level with text", object{"LoggingConfig": object{"LogFormat": "Text", "SystemLogLevel": "INFO"}}, 400, ipv, `LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`)
	add("log format", object{"LoggingConfig": object{"LogFormat": "XML"}}, 400, ve, violation("'XML'", "loggingConfig.logFormat", "Member must satisfy enum value set: [JSON, Text]"))
	add("tracing", object{"TracingConfig": object{"Mode": "On"}}, 400, ve, violation("'On'", "tracingConfig.mode", "Member must satisfy enum value set: [Active, PassThrough]"))
	add("other region", object{"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"}, 404, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')")
	cases[len(cases)-1].key = "Message"
	for member, value := range map[string]any{
		"Publish": true, "KMSKeyArn": "arn:aws:kms:us-east-1:1:key/1", "Layers": []string{"arn:l:1"},
		"FileSystemConfigs": []object{{"Arn": "a"}}, "ImageConfig": object{"Command": []string{"c"}},
		"VpcConfig": object{"SubnetIds": []string{"subnet-1"}}, "DeadLetterConfig": object{"TargetArn": "arn:x"},
		"SnapStart": object{"ApplyOn": "PublishedVersions"}, "CodeSigningConfigArn": "arn:x",
		"CapacityProviderConfig": object{"x": 1}, "DurableConfig": object{"x": 1}, "TenancyConfig": object{"x": 1},
	} {
		add(member, object{member: value}, 400, ipv, member+" is not supported by weir. Remove it from the request and try again.")
	}
	b.refuses(cases)
	if body := b.must(200, "GET", "/2015-03-31/functions", nil); strings.Count(body, `"FunctionName"`) != 1 {
		t.Errorf("a refused function was stored: %s", body)
	}
}

const violationNoValue = "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"

func manyTags(n int) object {
	tags := object{}
	for i := range n {
		tags[fmt.Sprintf("key%d", i)] = "v"
	}
	return tags
}

func TestUnzippedSize(t *testing.T) {
	b := newBench(t)
	b.refuses([]refusal{
		{
			"unzipped", "POST", "/2015-03-31/functions",
			creation(t, "f", object{"Code": object{"ZipFile": base64.StdEncoding.EncodeToString(announcing(t, 262144001))}}),
			400, "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes", "", false,
		},
	})
}

// TestBoundaries are the last values that still pass.
func TestBoundaries(t *testing.T) {
	b := newBench(t)
	for i, changes := range []object{
		{"MemorySize": 128, "Timeout": 1, "EphemeralStorage": object{"Size": 512}},
		{"MemorySize": 10240, "Timeout": 900, "EphemeralStorage": object{"Size": 10240}, "Architectures": []string{"arm64"}},
		{"Environment": object{"Variables": object{"LARGE_VAR": strings.Repeat("x", 4096-len(`{"LARGE_VAR":""}`))}}},
		{"Environment": object{"Variables": object{"HTML": strings.Repeat("<", 4096-len(`{"HTML":""}`))}}},
		{"FunctionName": strings.Repeat("a", 64), "Description": strings.Repeat("ä", 256)},
		{
			"Layers": []string{}, "VpcConfig": object{"SubnetIds": []string{}, "SecurityGroupIds": []string{}}, "DeadLetterConfig": object{},
			"SnapStart": object{"ApplyOn": "None"}, "KMSKeyArn": "", "PackageType": "Zip", "Publish": false, "ImageConfig": object{},
		},
		{"Tags": manyTags(50), "TracingConfig": object{"Mode": "Active"}},
		{"Runtime": "provided.al2023", "Handler": "bootstrap"},
		{"Runtime": "provided.al2"},
		{"Runtime": "nodejs22.x"},
		{"Runtime": "python3.8"},
	} {
		status, _, body := b.send("POST", "/2015-03-31/functions", creation(t, fmt.Sprintf("f%d", i), changes))
		if status != 201 {
			t.Errorf("%v: %d %s", changes, status, body)
		}
	}
}

// TestNames are the recorded answers to odd names.
func TestNames(t *testing.T) {
	b := newBench(t)
	b.create("f", nil)
	const nf, ipv, ve = "ResourceNotFoundException", "InvalidParameterValueException", "ValidationException"
	at := "/2015-03-31/functions/"
	long := strings.Repeat("a", 65)
	pattern := func(v string) string {
		return violation("'"+v+"'", "functionName", "Member must satisfy regular expression pattern: "+namespacedPattern)
	}
	b.refuses([]refusal{
		{"unknown", "GET", at + "x", nil, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"unknown, qualified", "GET", at + "x?Qualifier=%24LATEST", nil, 404, nf, "Function not found: " + prefix + "x:$LATEST", "Message", false},
		{"unknown version", "GET", at + "f?Qualifier=1221", nil, 404, nf, "Function not found: " + prefix + "f:1221", "Message", false},
		{"unknown version in name", "GET", at + "f:1221", nil, 404, nf, "Function not found: " + prefix + "f:1221", "Message", false},
		{"unknown alias", "GET", at + "f?Qualifier=live", nil, 404, nf, "Cannot find alias arn: " + prefix + "f:live", "Message", false},
		{"lower case latest", "GET", at + "f?Qualifier=%24latest", nil, 404, nf, "Function not found: " + prefix + "f:$latest", "Message", false},
		{"star", "GET", at + "*", nil, 400, ve, pattern("*"), "", false},
		{"bad account", "GET", at + "invalid-account:function:my-function", nil, 400, ve, pattern("invalid-account:function:my-function"), "", false},
		{"no region", "GET", at + "arn:aws:lambda::000000000000:function:f", nil, 400, ve, pattern("arn:aws:lambda::000000000000:function:f"), "", false},
		{"no account", "GET", at + "arn:aws:lambda:us-east-1::function:f", nil, 400, ve, pattern("arn:aws:lambda:us-east-1::function:f"), "", false},
		{"misspelled latest", "GET", at + prefix + "f:$LATES", nil, 400, ve, pattern(prefix + "f:$LATES"), "", false},
		{"extra qualifier", "GET", at + "function:f:$LATEST:extra", nil, 400, ve, pattern("function:f:$LATEST:extra"), "", false},
		{"incomplete ARN", "GET", at + "arn:aws:lambda:us-east-1:000000000000:function", nil, 404, nf, "Function not found: " + prefix + "function", "Message", false},
		{"dotted", "GET", at + "a.b", nil, 404, nf, "Function not found: " + prefix + "a.b", "Message", false},
		{"too long", "GET", at + long, nil, 404, nf, "Function not found: " + prefix + long, "Message", false},
		{"contradiction", "GET", at + prefix + "f:$LATEST?Qualifier=1", nil, 400, ipv, "The derived qualifier from the function name does not match the specified qualifier.", "", false},
		{"qualifier pattern", "GET", at + "f?Qualifier=invalid%21", nil, 400, ve, violation("'invalid!'", "qualifier", `Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`), "", false},
		{"qualifier length", "GET", at + "f?Qualifier=" + strings.Repeat("a", 129), nil, 400, ve, violation("'"+strings.Repeat("a", 129)+"'", "qualifier", "Member must have length less than or equal to 128"), "", false},
		{"other region", "GET", at + "arn:aws:lambda:eu-west-1:000000000000:function:f", nil, 404, nf, "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')", "Message", false},
		{"other account", "GET", at + "999999999999:function:f", nil, 404, nf, "Function not found: arn:aws:lambda:us-east-1:999999999999:function:f", "Message", false},
		{"delete latest", "DELETE", at + "f?Qualifier=%24LATEST", nil, 400, ipv, "$LATEST version cannot be deleted without deleting the function.", "", false},
		{"delete alias", "DELETE", at + "f:live", nil, 400, ipv, "Deletion of aliases is not currently supported.", "", false},
		{"delete unknown", "DELETE", at + "x", nil, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"delete version of unknown", "DELETE", at + "x?Qualifier=7", nil, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"update unknown", "PUT", at + "x/configuration", object{}, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"code of unknown", "PUT", at + "x/code", object{"ZipFile": "eA=="}, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"concurrency of unknown", "GET", "/2019-09-30/functions/x/concurrency", nil, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"code signing of unknown", "GET", "/2020-06-30/functions/x/code-signing-config", nil, 404, nf, "Function not found: " + prefix + "x", "Message", false},
		{"list version", "GET", "/2015-03-31/functions?FunctionVersion=invalid", nil, 400, ve, violation("'invalid'", "functionVersion", "Member must satisfy enum value set: [ALL]"), "", false},
		{"list too many", "GET", "/2015-03-31/functions?MaxItems=10001", nil, 400, ve, violation("'10001'", "maxItems", "Member must have value less than or equal to 10000"), "", false},
	})
	for _, name := range []string{"f", "f:$LATEST", "function:f", "000000000000:function:f", prefix + "f", prefix + "f:$LATEST", "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"} {
		b.must(200, "GET", at+name, nil)
	}
	b.must(204, "DELETE", at+"f?Qualifier=7", nil)
	b.must(200, "GET", at+"f", nil)
	b.must(204, "DELETE", at+prefix+"f", nil)
}

func TestUpdates(t *testing.T) {
	b := newBench(t)
	first := b.create("f", object{"Environment": object{"Variables": object{"KEPT": "1"}}})
	at := "/2015-03-31/functions/f"
	changed := decode(t, b.must(200, "PUT", at+"/configuration", object{
		"Runtime": "python3.11", "Timeout": 10, "MemorySize": 512, "Description": "Changed", "Handler": "a.b", "RevisionId": first["RevisionId"],
		"LoggingConfig": object{"LogFormat": "JSON", "LogGroup": "/mine"}, "Role": role + "2",
	}))
	want := object{
		"Runtime": "python3.11", "Timeout": 10.0, "MemorySize": 512.0, "Description": "Changed", "Handler": "a.b", "Role": role + "2",
		"LoggingConfig": object{"LogFormat": "JSON", "LogGroup": "/mine", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"},
		"Environment":   object{"Variables": object{"KEPT": "1"}}, "CodeSha256": first["CodeSha256"],
	}
	for k, want := range want {
		if fmt.Sprint(changed[k]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", k, changed[k], want)
		}
	}
	if changed["RevisionId"] == first["RevisionId"] {
		t.Error("the revision did not change")
	}
	cleared := decode(t, b.must(200, "PUT", at+"/configuration", object{"Environment": object{"Variables": object{}}, "LoggingConfig": object{"LogFormat": "Text"}}))
	if fmt.Sprint(cleared["Environment"]) != fmt.Sprint(object{"Variables": object{}}) || fmt.Sprint(cleared["LoggingConfig"]) != fmt.Sprint(object{"LogFormat": "Text", "LogGroup": "/mine"}) {
		t.Errorf("not cleared: %v %v", cleared["Environment"], cleared["LoggingConfig"])
	}
	other := base64.StdEncoding.EncodeToString(zipOf(t, object2("x.py", "other")))
	dry := decode(t, b.must(200, "PUT", at+"/code", object{"ZipFile": other, "DryRun": true}))
	if dry["CodeSha256"] != first["CodeSha256"] || dry["RevisionId"] != cleared["RevisionId"] || dry["LastUpdateStatus"] != "Successful" {
		t.Errorf("a dry run changed something: %v", dry)
	}
	updated := decode(t, b.must(200, "PUT", at+"/code", object{"ZipFile": other, "Architectures": []string{"arm64"}, "RevisionId": cleared["RevisionId"]}))
	if updated["CodeSha256"] == first["CodeSha256"] || updated["RevisionId"] == cleared["RevisionId"] || fmt.Sprint(updated["Architectures"]) != "[arm64]" {
		t.Errorf("not updated: %v", updated)
	}
	stale := "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
	const ipv = "InvalidParameterValueException"
	b.refuses([]refusal{
		{"stale configuration", "PUT", at + "/configuration", object{"RevisionId": first["RevisionId"]}, 412, "PreconditionFailedException", stale, "", false},
		{"stale code", "PUT", at + "/code", object{"RevisionId": first["RevisionId"], "ZipFile": other}, 412, "PreconditionFailedException", stale, "", false},
		{"image", "PUT", at + "/code", object{"ImageUri": "x"}, 400, ipv, "Please don't provide ImageUri when updating a function with packageType Zip.", "", false},
		{"publish", "PUT", at + "/code", object{"ZipFile": other, "Publish": true}, 400, ipv, "Publish is not supported by weir. Remove it from the request and try again.", "", false},
		{"broken code", "PUT", at + "/code", object{"ZipFile": "eA=="}, 400, ipv, "Could not unzip uploaded file. Please check your file, then try to upload again.", "", false},
		{"dry run of broken code", "PUT", at + "/code", object{"ZipFile": "eA==", "DryRun": true}, 400, ipv, "Could not unzip uploaded file. Please check your file, then try to upload again.", "", false},
		{"runtime", "PUT", at + "/configuration", object{"Runtime": "java21"}, 400, ipv, "The runtime java21 cannot be run here: weir runs Python, Node.js and custom runtimes. Put an executable named bootstrap that speaks the Runtime API into the zip and use provided.al2023.", "", false},
	})
	if now := decode(t, b.must(200, "GET", at+"/configuration", nil)); now["RevisionId"] != updated["RevisionId"] {
		t.Error("a refused update changed the function")
	}
}

func TestTags(t *testing.T) {
	b := newBench(t)
	b.create("f", object{"Tags": object{"a": "1"}})
	at := "/2017-03-31/tags/" + prefix
	b.must(204, "POST", at+"f", object{"Tags": object{"b": "2", "c": "3"}})
	b.must(204, "DELETE", at+"f?tagKeys=a&tagKeys=c&tagKeys=none", nil)
	if got := b.must(200, "GET", at+"f", nil); got != `{"Tags":{"b":"2"}}` {
		t.Error(got)
	}
	if got := b.must(200, "GET", "/2015-03-31/functions/f", nil); !strings.HasSuffix(got, `,"Tags":{"b":"2"}}`) {
		t.Error(got)
	}
	const ipv = "InvalidParameterValueException"
	b.refuses([]refusal{
		{"unknown", "POST", at + "x", object{"Tags": object{"a": "1"}}, 404, "ResourceNotFoundException", "Function not found: " + prefix + "x", "Message", false},
		{"qualified", "POST", at + "f:1", object{"Tags": object{"a": "1"}}, 400, ipv, "Tags on function aliases and versions are not supported. Please specify a function ARN.", "", false},
		{"latest", "POST", at + "f:$LATEST", object{"Tags": object{"a": "1"}}, 400, ipv, "Tags on function aliases and versions are not supported. Please specify a function ARN.", "", false},
		{"none", "POST", at + "f", object{"Tags": object{}}, 400, ipv, "An error occurred and the request cannot be processed.", "", false},
		{"no keys", "DELETE", at + "f", nil, 400, "ValidationException", violation("null", "tagKeys", "Member must not be null"), "", false},
		{"too many", "POST", at + "f", object{"Tags": manyTags(50)}, 400, ipv, "Number of tags exceeds resource tag limit.", "", false},
		{"reserved", "POST", at + "f", object{"Tags": object{"AWS:x": "1"}}, 400, ipv, "Tag keys must not begin with aws:, which is reserved.", "", false},
	})
	b.must(204, "DELETE", at+"f?tagKeys=b", nil)
	if got := b.must(200, "GET", at+"f", nil); got != `{"Tags":{}}` {
		t.Error(got)
	}
}

func TestListPages(t *testing.T) {
	b := newBench(t)
	names := make([]string, 0, 53)
	for i := range 53 {
		names = append(names, fmt.Sprintf("f%02d", 52-i))
		b.create(names[i], nil)
	}
	count := func(path string) (got []string, next string) {
		page := decode(t, b.must(200, "GET", path, nil))
		for _, f := range page["Functions"].([]any) {
			got = append(got, f.(object)["FunctionName"].(string))
		}
		next, _ = page["NextMarker"].(string)
		return got, next
	}
	var all []string
	marker := ""
	for {
		page, next := count("/2015-03-31/functions?MaxItems=20&Marker=" + marker)
		all = append(all, page...)
		if marker = next; next == "" {
			break
		}
	}
	if len(all) != 53 || all[0] != "f00" || all[52] != "f52" {
		t.Errorf("pages gave %v", all)
	}
	for _, path := range []string{"/2015-03-31/functions", "/2015-03-31/functions?MaxItems=10000"} {
		if page, next := count(path); len(page) != 50 || next == "" {
			t.Errorf("%s: %d functions, next %q", path, len(page), next)
		}
	}
}
