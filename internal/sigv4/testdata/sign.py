"""Makes botocore.json: requests as botocore signs and sends them, for the
tests of this package. Run it by hand; it needs boto3.

    python3 testdata/sign.py > testdata/botocore.json
"""
import datetime, json
import boto3
import botocore.auth
from botocore.config import Config

NOW = datetime.datetime(2026, 11, 24, 4, 30, 0)
botocore.auth.get_current_datetime = lambda *a, **k: NOW

out = []

class Stop(Exception):
    pass

def client(service, token=None, region="us-east-1"):
    c = boto3.client(service, region_name=region, endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        aws_session_token=token, config=Config(retries={"max_attempts": 0}))
    def keep(request, **kw):
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        url = request.url.split("127.0.0.1:4566", 1)[1]
        out.append({"method": request.method, "target": url,
            "headers": {k: (v.decode() if isinstance(v, bytes) else v) for k, v in request.headers.items() if k != "User-Agent"},
            "body": body.decode("utf-8")})
        raise Stop
    c.meta.events.register("before-send", keep)
    return c

def run(f):
    try:
        f()
    except Stop:
        return
    raise SystemExit("nothing was sent")

l = client("lambda")
run(lambda: l.list_functions())
run(lambda: l.get_function(FunctionName="arn:aws:lambda:us-east-1:000000000000:function:timestamper:prod"))
run(lambda: l.list_tags(Resource="arn:aws:lambda:us-east-1:000000000000:function:ä~é x"))
run(lambda: l.invoke(FunctionName="timestamper", Payload=b'{"a": "\xc3\xa4"}', LogType="Tail", Qualifier="$LATEST"))
run(lambda: l.create_function(FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Runtime="python3.12", Handler="a.b", Code={"ZipFile": b"PK\x05\x06"}))
a = client("apigateway", token="session//token+with=signs")
run(lambda: a.get_rest_apis(limit=500, position="a b+c/d=="))
run(lambda: a.get_tags(resourceArn="arn:aws:apigateway:us-east-1::/restapis/abc"))
run(lambda: a.untag_resource(resourceArn="arn:aws:apigateway:us-east-1::/restapis/abc", tagKeys=["b", "a", "ä&=", "a"]))
run(lambda: a.update_usage_plan(usagePlanId="abc", patchOperations=[{"op": "replace", "path": "/apiStages/a:b/throttle/~1x/GET/rateLimit", "value": "1"}]))
run(lambda: a.import_api_keys(body=b"Name,Key\n", format="csv"))
i = client("iam", region="us-east-1")
run(lambda: i.create_role(RoleName="r", AssumeRolePolicyDocument='{"a": "ä+ &="}', Tags=[{"Key": "k", "Value": ""}]))
run(lambda: client("sts").get_caller_identity())
print(json.dumps(out, indent=1, ensure_ascii=False))
