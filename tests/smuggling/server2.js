// Node's own HTTP/2 server (and HTTP/1.1 beside it, for what HTTP/2 cannot carry) on loopback, with TLS: writes down each
// whole request that it gets, and answers as nginx does in upstreams.py.
//   node server2.js CERTIFICATE PORT-FILE LOG
'use strict';
const fs = require('fs'), http2 = require('http2');
const [, , certificate, portFile, logFile] = process.argv;
const pem = fs.readFileSync(certificate);
const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: true, maxHeaderListPairs: 1000 }, (request, response) => {
    const parts = [];
    request.on('data', (data) => parts.push(data));
    request.on('error', () => {});
    request.on('aborted', () => { request.broken = true; });
    request.on('end', () => {
        if (request.broken) return;
        fs.appendFileSync(logFile, JSON.stringify({ version: request.httpVersion, method: request.method, target: request.url,
            host: request.authority || request.headers.host, fields: request.rawHeaders, trailers: request.rawTrailers,
            body: Buffer.concat(parts).toString('latin1') }) + '\n');
        response.setHeader('X-Saw', `${request.method} ${request.url}`);
        response.end('ok');
    });
});
server.on('sessionError', () => {});
server.listen(0, '127.0.0.1', () => {
    fs.writeFileSync(portFile + '.new', `${server.address().port}\n`);
    fs.renameSync(portFile + '.new', portFile);
});
process.stdin.resume().on('end', () => process.exit());
