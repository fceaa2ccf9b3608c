"""Answers the time. API Gateway hands the request on as an event whose body is
a string; what is sent in it comes back beside the timestamp."""
import json
from datetime import datetime, timezone


def lambda_handler(event, context):
    body = json.loads(event['body']) if event.get('body') else {}
    now = datetime.now(timezone.utc).isoformat(timespec='milliseconds')
    return {
        'statusCode': 200,
        'body': json.dumps({'timestamp': now, 'received': body}),
    }
