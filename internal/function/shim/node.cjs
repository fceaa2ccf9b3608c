'use strict';
// The Node.js runtime of a function: it loads the handler, asks the Runtime API
// for work, and answers. Words and shapes are those of Lambda's Node.js runtime.
// The client is a bare socket: loading http costs more than most functions.

const net = require('net');
const fs = require('fs');
const path = require('path');
const util = require('util');

const env = process.env;
const api = env.AWS_LAMBDA_RUNTIME_API;
const prefix = '/2018-06-01/runtime/';
const nextRequest = `GET ${prefix}invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
// Node.js 24 on Lambda took callbacks away.
const runtimeMajor = Number((/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || '') || [])[1] || 0);

let requestId; // of the call that runs
let invocation = null; // the call that runs, until it was answered

// ---- the connection

let socket;
let pieces = [];
let wanted = 0; // bytes of the answer that is being read; 0: its head is not complete
let answer = null;
let waiting = null;

function connect() {
  const at = api.lastIndexOf(':');
  socket = net.connect({ host: api.slice(0, at), port: Number(api.slice(at + 1)), noDelay: true });
  socket.on('data', receive);
  socket.on('error', () => process.exit(1));
  socket.on('close', () => process.exit(1));
}

function receive(chunk) {
  pieces.push(chunk);
  for (;;) {
    let size = 0;
    for (const p of pieces) size += p.length;
    if (size === 0 || (wanted > 0 && size < wanted)) return;
    const data = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    pieces = [data];
    if (wanted === 0) {
      const end = data.indexOf('\r\n\r\n');
      if (end < 0) return;
      answer = parseHead(data.toString('utf8', 0, end));
      answer.start = end + 4;
      wanted = answer.start + Number(answer.fields['content-length'] || 0);
      if (data.length < wanted) return;
    }
    const done = answer;
    done.body = data.subarray(done.start, wanted);
    pieces = [data.subarray(wanted)];
    wanted = 0;
    const take = waiting;
    waiting = null;
    if (take) take(done);
  }
}

function parseHead(text) {
  const lines = text.split('\r\n');
  const fields = {};
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(':');
    fields[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return { status: Number(lines[0].split(' ')[1]), fields };
}

function send(where, body, kind, then) {
  const content = Buffer.from(body);
  let head = `POST ${prefix}${where} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n`;
  if (kind) head += `Lambda-Runtime-Function-Error-Type: ${kind.replace(/[^\x21-\x7e]/g, '?')}\r\n`;
  head += `Content-Length: ${content.length}\r\n\r\n`;
  socket.write(Buffer.concat([Buffer.from(head), content, Buffer.from(then)]));
}

// ---- the log

let guarded = false;

// A function may have closed its output: what it then logs is lost, and that
// is no failure of the call.
function write(line) {
  if (!guarded) {
    guarded = true;
    process.stdout.on('error', () => {});
  }
  process.stdout.write(line);
}

function patchConsole() {
  const order = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const least = Math.max(order.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()), 0);
  const writer = (level) =>
    order.indexOf(level) < least
      ? () => {}
      : (...args) => {
          const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...args)}`;
          write(line.replace(/\r?\n/g, '\r') + '\n');
        };
  console.trace = writer('TRACE');
  console.debug = writer('DEBUG');
  console.info = console.log = writer('INFO');
  console.warn = writer('WARN');
  console.error = writer('ERROR');
  console.fatal = writer('FATAL');
}

function logError(what, error) {
  const e = error instanceof Error ? error : new Error(String(error));
  let text;
  try {
    text = JSON.stringify(e, (_key, value) =>
      value instanceof Error
        ? { errorType: value.name, errorMessage: value.message, code: value.code, ...value, stack: String(value.stack).split('\n') }
        : value);
  } catch {
    text = JSON.stringify(describe(e));
  }
  console.error(what, '\t' + text);
}

function describe(error) {
  try {
    if (util.types.isNativeError(error) || (error && error.name && error.message && error.stack)) {
      return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

function fault(kind, message, cause) {
  const e = new Error(message);
  e.name = `Runtime.${kind}`;
  if (cause && cause.stack) {
    // The cause says where: its stack follows ours, or is ours when it begins alike.
    e.stack = `${e.name}: ${cause.stack.startsWith(message) ? '' : message + '\n'}${cause.stack}`;
  } else e.stack = e.stack.replace(/^[^:]*/, e.name);
  return e;
}

// ---- the handler

function isModuleFolder(folder) {
  for (;;) {
    if (folder.endsWith('/node_modules')) return false;
    const file = path.join(folder, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch {
        return false;
      }
    }
    const up = path.dirname(folder);
    if (up === folder) return false;
    folder = up;
  }
}

async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const has = (end) => fs.existsSync(file + end);
  const imported = (end) => import(require('url').pathToFileURL(file + end).href);
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  const esm = isModuleFolder(path.dirname(file));
  if (has('.js')) return esm ? imported('.js') : require(file + '.js');
  if (has('.mjs')) return imported('.mjs');
  if (has('.cjs')) return require(file + '.cjs');
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

async function load(handler) {
  if (handler.includes('..')) {
    throw fault('MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(handler);
  const folder = handler.slice(0, handler.length - base.length);
  const dot = base.indexOf('.');
  if (dot < 0) throw fault('MalformedHandlerName', 'Bad handler');
  let found;
  try {
    found = await loadModule(env.LAMBDA_TASK_ROOT, folder, base.slice(0, dot));
  } catch (e) {
    if (e instanceof SyntaxError) throw fault('UserCodeSyntaxError', String(e), e);
    if (e && e.code === 'MODULE_NOT_FOUND') throw fault('ImportModuleError', String(e), e);
    throw e;
  }
  for (const name of base.slice(dot + 1).split('.')) found = found && found[name];
  if (!found) throw fault('HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw fault('HandlerNotFound', `${handler} is not a function`);
  if (runtimeMajor >= 24 && found.length >= 3) {
    throw fault('CallbackHandlerDeprecated',
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
      'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
      'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
  return found;
}

// ---- one call after the other

// A call ends once, whichever of promise, callback, failure or an empty event
// loop comes first.
function newInvocation(id) {
  const call = { id, whenEmpty: null };
  const end = (verb, body, kind) => {
    if (invocation !== call) return false;
    invocation = null;
    // While a call runs the socket does not keep the event loop alive, so that
    // its being empty can be seen.
    socket.ref();
    expectEvent();
    send(`invocation/${id}/${verb}`, body, kind, nextRequest);
    return true;
  };
  call.fail = (error) => {
    if (invocation !== call) return;
    logError('Invoke Error', error);
    const told = describe(error);
    end('error', JSON.stringify(told), told.errorType);
  };
  call.succeed = (value) => {
    let text;
    try {
      text = JSON.stringify(value === undefined ? null : value);
      if (text === undefined) text = 'null';
    } catch {
      return call.fail(new Error('Unable to stringify response body'));
    }
    end('response', text);
  };
  call.whenEmpty = () => call.succeed(null);
  return call;
}

process.on('beforeExit', () => {
  if (invocation && invocation.whenEmpty) invocation.whenEmpty();
});

function contextOf(fields, call) {
  const deadline = Number(fields['lambda-runtime-deadline-ms']);
  let waits = true;
  const parse = (name) => (fields[name] ? JSON.parse(fields[name]) : undefined);
  const context = {
    get callbackWaitsForEmptyEventLoop() { return waits; },
    set callbackWaitsForEmptyEventLoop(value) { waits = value; },
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse('lambda-runtime-client-context'),
    identity: parse('lambda-runtime-cognito-identity'),
    invokedFunctionArn: fields['lambda-runtime-invoked-function-arn'],
    awsRequestId: call.id,
    getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
  };
  let called = false;
  const once = (f) => (...args) => {
    if (called) return;
    called = true;
    f(...args);
  };
  const done = (error, value) => (error === undefined || error === null ? call.succeed(value) : call.fail(error));
  const callback = once((error, value) => {
    if ((error === undefined || error === null) && waits) call.whenEmpty = () => call.succeed(value);
    else done(error, value);
  });
  if (runtimeMajor < 24) {
    context.succeed = once((value) => call.succeed(value));
    context.fail = once((error) => call.fail(error === undefined || error === null ? 'handled' : error));
    context.done = once(done);
  }
  return [context, callback];
}

function run(handler, event) {
  requestId = event.fields['lambda-runtime-aws-request-id'];
  const trace = event.fields['lambda-runtime-trace-id'];
  if (trace) env._X_AMZN_TRACE_ID = trace;
  else delete env._X_AMZN_TRACE_ID;
  const call = newInvocation(requestId);
  invocation = call;
  socket.unref();
  try {
    const [context, callback] = contextOf(event.fields, call);
    const result = handler(JSON.parse(event.body.toString('utf8')), context, callback);
    if (result && typeof result.then === 'function') {
      result.then(call.succeed, (e) => call.fail(e === undefined || e === null ? 'handled' : e));
    } else if (runtimeMajor >= 24) {
      call.succeed(result);
    }
  } catch (e) {
    call.fail(e);
  }
}

let expectEvent;

function die(what, error, status) {
  logError(what, error);
  const told = describe(error);
  const where = invocation ? `invocation/${invocation.id}/error` : 'init/error';
  socket.ref();
  waiting = () => process.exit(status);
  send(where, JSON.stringify(told), told.errorType, '');
  invocation = null;
}

async function main() {
  patchConsole();
  connect();
  process.on('uncaughtException', (e) => die('Uncaught Exception', e, 129));
  process.on('unhandledRejection', (reason) => {
    const e = fault('UnhandledPromiseRejection', String(reason));
    e.reason = reason;
    die('Unhandled Promise Rejection', e, 128);
  });
  let handler;
  try {
    handler = await load(env._HANDLER);
  } catch (e) {
    die('Uncaught Exception', e, 129);
    return;
  }
  expectEvent = () => {
    waiting = (a) => {
      if (a.status === 200) return run(handler, a);
      if (a.status === 410) process.exit(0); // there will be no more work
      return expectEvent(); // to the answer before, taken or not
    };
  };
  expectEvent();
  socket.write(nextRequest);
}

main();
