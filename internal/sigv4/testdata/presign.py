"""Makes presigned.json: URLs as botocore presigns them, for the tests of this
package. Run it by hand; it needs boto3.

    python3 testdata/presign.py > testdata/presigned.json
"""
import datetime, json
import boto3
import botocore.auth
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 24, 4, 30, 0)
botocore.auth.get_current_datetime = lambda *a, **k: NOW
KEY, SECRET, HOST = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "127.0.0.1:4566"
out = []


def keep(method, url, headers=None):
    out.append({"method": method, "target": url.split(HOST, 1)[1], "headers": headers or {}, "body": ""})


def client(service, token=None):
    return boto3.client(service, region_name="us-east-1", endpoint_url="http://" + HOST, aws_access_key_id=KEY,
        aws_secret_access_key=SECRET, aws_session_token=token, config=Config(signature_version="v4"))


sts = client("sts")
keep("GET", sts.generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=60))
keep("POST", sts.generate_presigned_url("get_caller_identity"))
keep("GET", client("sts", "session//token+with=signs").generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=604800))
fn = client("lambda")
keep("GET", fn.generate_presigned_url("get_function", Params={"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:timestamper:prod"}))
keep("GET", fn.generate_presigned_url("list_tags", Params={"Resource": "arn:aws:lambda:us-east-1:000000000000:function:ä~é x"}))
keep("POST", fn.generate_presigned_url("invoke", Params={"FunctionName": "f"}))  # a body is never part of it
agw = client("apigateway")
keep("GET", agw.generate_presigned_url("get_rest_apis", Params={"limit": 500, "position": "a b+c/d=="}))
keep("DELETE", agw.generate_presigned_url("untag_resource", Params={"resourceArn": "arn:aws:apigateway:us-east-1::/restapis/abc", "tagKeys": ["b", "a", "ä&=", "a"]}))
iam = client("iam")
keep("GET", iam.generate_presigned_url("create_role", HttpMethod="GET", Params={"RoleName": "r", "AssumeRolePolicyDocument": '{"a": "ä+ &="}'}))
# What the tokens for EKS are: a header of the cluster's name is signed too.
request = AWSRequest("GET", "http://" + HOST + "/?Action=GetCallerIdentity&Version=2011-06-15", headers={"x-k8s-aws-id": "a  cluster"})
SigV4QueryAuth(Credentials(KEY, SECRET), "sts", "us-east-1", expires=60).add_auth(request)
keep("GET", request.url, {"x-k8s-aws-id": "a  cluster"})
print(json.dumps(out, indent=1, ensure_ascii=False))
