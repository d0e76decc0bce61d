// Runs one of the peer's published handlers against the Lambda Runtime API.
//
// Lambda's own client for Node does more than this loop (error serialisation,
// log formatting, an HTTP client in C++), so the figures here are lower than
// those of Lambda's Node runtime.
'use strict';

const http = require('node:http');
const path = require('node:path');

if (process.env.BENCH_PLAIN_HTTP === '1') {
  // The peer itself prepends `https://` to GitHub's domain; the AWS SDK uses its endpoint's scheme.
  const fetch = globalThis.fetch;
  globalThis.fetch = (url, options) => fetch(String(url).replace(/^https:/, 'http:'), options);
}

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const base = '/2018-06-01/runtime';

function call(method, target, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request({ host, port, method, path: base + target, agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

const told = (error) => JSON.stringify({ errorType: error.name, errorMessage: error.message, stackTrace: String(error.stack).split('\n') });

async function serve(handler) {
  for (;;) {
    const next = await call('GET', '/invocation/next');
    const id = next.headers['lambda-runtime-aws-request-id'];
    try {
      const answer = await handler(JSON.parse(next.body), { awsRequestId: id });
      await call('POST', `/invocation/${id}/response`, JSON.stringify(answer ?? null));
    } catch (error) {
      await call('POST', `/invocation/${id}/error`, told(error));
    }
  }
}

let handler;
try {
  ({ handler } = require(path.resolve(process.env.LAMBDA_TASK_ROOT, 'index.js')));
} catch (error) {
  call('POST', '/init/error', told(error)).finally(() => process.exit(1));
}
if (handler !== undefined) {
  serve(handler).catch(() => process.exit(1));
}
