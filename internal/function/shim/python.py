"""The Python runtime of a function: it loads the handler, asks the Runtime API
for work, and answers. Words and shapes are those of Lambda's Python runtime.

Start-up time decides what is imported: logging and traceback are loaded when
they are needed, and the client is a bare socket.
"""
import builtins
import os
import sys
import time

import _sitebuiltins
import _socket
import json

TASK_ROOT = os.environ["LAMBDA_TASK_ROOT"]
API = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime/"
# What Lambda's own runtime brings; of the packages of this machine only these
# may be imported, so that a function that runs here does not fail there.
PROVIDED = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"}

request_id = ""


class Fault(Exception):
    """A failure that the runtime itself found, with the error type it has on Lambda."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


class Connection:
    """One connection to the Runtime API."""

    def __init__(self):
        host, port = API.rsplit(":", 1)
        self.sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.sock.connect((host, int(port)))
        self.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.rest = b""
        self.next = ("GET %sinvocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (PREFIX, API)).encode("ascii")

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[self.sock.send(view):]

    def receive(self):
        """Read one answer: status, header fields in lower case, body."""
        data = self.rest
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            more = self.sock.recv(65536)
            if not more:
                os._exit(1)  # the server is gone
            data += more
        lines = data[:end].decode("utf-8", "replace").split("\r\n")
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        length = int(fields.get("content-length", 0))
        start = end + 4
        if len(data) - start < length:
            body = bytearray(data[start:])
            while len(body) < length:
                more = self.sock.recv(min(1 << 20, length - len(body)))
                if not more:
                    os._exit(1)
                body += more
            self.rest = b""
            body = bytes(body)
        else:
            body = data[start:start + length]
            self.rest = data[start + length:]
        return int(lines[0].split(" ", 2)[1]), fields, body

    def post(self, path, body, kind="", more=b""):
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n" % (PREFIX, path, API)
        if kind:
            kind = "".join(c if " " < c < "\x7f" else "?" for c in kind)
            head += "Lambda-Runtime-Function-Error-Type: %s\r\n" % kind
        head += "Content-Length: %d\r\n\r\n" % len(body)
        self.send(head.encode("ascii") + body + more)


class Record:
    """An object with the fields of a dictionary, None where there is none."""

    def __init__(self, values, names):
        for name in names:
            setattr(self, name, values.get(name) if isinstance(values, dict) else None)


class ClientContext(Record):
    def __init__(self, values):
        super().__init__(values, ("custom", "env"))
        self.client = Record(values.get("client"), (
            "installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"))


class CognitoIdentity(Record):
    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


class LambdaContext:
    def __init__(self, fields):
        environ = os.environ
        self.aws_request_id = fields["lambda-runtime-aws-request-id"]
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = fields.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = fields.get("lambda-runtime-aws-tenant-id")
        client = fields.get("lambda-runtime-client-context")
        self.client_context = ClientContext(parse_field(client, "Client Context")) if client else None
        identity = fields.get("lambda-runtime-cognito-identity")
        self.identity = CognitoIdentity(parse_field(identity, "Cognito Identity") if identity else {})
        self._epoch_deadline_time_in_ms = int(fields["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([" + ",".join("%s=%s" % (n, getattr(self, n)) for n in names) + "])"


def parse_field(text, name):
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value
    except ValueError as e:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, e))


def plain(value):
    """Numbers that boto3 gives back become numbers again."""
    if type(value).__name__ == "Decimal":
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


# Newer runtimes answer in UTF-8, older ones escape.
ASCII = os.environ.get("AWS_EXECUTION_ENV", "") in {
    "AWS_Lambda_python3.9", "AWS_Lambda_python3.10", "AWS_Lambda_python3.11"}


def marshal(value):
    if isinstance(value, bytes):
        return value
    try:
        return json.dumps(value, default=plain, ensure_ascii=ASCII).encode("utf-8")
    except Exception as e:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e)


def unmarshal(body):
    try:
        return json.loads(body)
    except Exception as e:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)


def describe(error):
    """The error object of a failure, without the runtime's own frames."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        import traceback
        frames = traceback.extract_tb(error.__traceback__)
        own = 0
        while own < len(frames) and frames[own].filename == __file__:
            own += 1
        kind, trace = type(error).__name__, traceback.format_list(frames[own:] or frames)
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def log_error(error):
    """One message of several lines: the platform cuts at line ends only, and
    indents are no-break spaces, as on Lambda."""
    lines = ["[ERROR] %s: %s" % (error["errorType"], error["errorMessage"]), "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines():
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    try:
        sys.stdout.write("\r".join(line.replace("\n", "\r") for line in lines) + "\n")
    except Exception:
        pass  # the function closed it; the error is told all the same


def flush():
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        try:
            stream.flush()
        except Exception:
            pass


class HostPackages:
    """Finds the packages that Lambda provides among those of this machine."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is not None or name not in PROVIDED:
            return None
        from importlib.machinery import PathFinder
        version = "python%d.%d" % sys.version_info[:2]
        places = [os.path.join(sys.prefix, "lib", version, "site-packages"),
                  os.path.join("/usr/local/lib", version, "dist-packages"), "/usr/lib/python3/dist-packages"]
        return PathFinder.find_spec(name, places, target)


class LoggingHook:
    """Sets the root logger up as soon as somebody imports logging."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder
        spec = PathFinder.find_spec(name, path, target)
        if spec is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            set_up_logging(module)

        spec.loader.exec_module = exec_module
        return spec


def set_up_logging(logging):
    class Handler(logging.Handler):
        def emit(self, record):
            try:
                record.aws_request_id = request_id
                sys.stdout.write(self.format(record).replace("\n", "\r") + "\n")
            except Exception:
                self.handleError(record)

    logging.Formatter.converter = time.gmtime
    handler = Handler()
    handler.setFormatter(logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


def prepare():
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.path[0] = TASK_ROOT
    sys.argv = [""]
    sys.meta_path.insert(0, LoggingHook())
    sys.meta_path.append(HostPackages)


def load(handler):
    module_name, dot, name = handler.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    from importlib import import_module
    try:
        module = import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e),
                    ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)])
    try:
        return getattr(module, name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module_name))


def main():
    global request_id
    prepare()
    connection = Connection()
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as e:
        error = describe(e)
        log_error(error)
        flush()
        connection.post("init/error", json.dumps(error).encode("utf-8"), error["errorType"])
        connection.receive()
        sys.exit(1)
    flush()
    connection.send(connection.next)
    while True:
        status, fields, body = connection.receive()
        if status != 200:
            sys.exit(1)
        request_id = fields["lambda-runtime-aws-request-id"]
        trace = fields.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            context = LambdaContext(fields)
            answer, verb, kind = marshal(handler(unmarshal(body), context)), "response", ""
        except Exception as e:
            error = describe(e)
            log_error(error)
            answer, verb, kind = json.dumps(error).encode("utf-8"), "error", error["errorType"]
        flush()
        # The answer and the next request for work leave in one piece.
        connection.post("invocation/%s/%s" % (request_id, verb), answer, kind, connection.next)
        del body, answer
        connection.receive()


if __name__ == "__main__":
    main()
