// The gRPC service of the client matrix: it gives a message back, over HTTP/2 with real TLS, and insists on its
// credential; of what comes through a tunnel (a path under /open) it insists that it has none.
//
//   usage: grpc.js DIR      DIR as for upstream.py; writes DIR/grpc-port, ends with its standard input
'use strict';
const fs = require('fs'), http2 = require('http2'), path = require('path'), tls = require('tls');
const dir = process.argv[2];
const secret = fs.readFileSync(path.join(dir, 'secret'), 'utf8').trim();

const server = http2.createSecureServer({ SNICallback: (name, done) => {
    const pem = fs.readFileSync(path.join(dir, path.basename(name) + '.pem'));
    done(null, tls.createSecureContext({ key: pem, cert: pem }));
} });
server.on('stream', (stream, headers) => {
    const host = headers[':authority'].split(':')[0], untouched = /^(tunnel|own)\./.test(host);
    const good = untouched ? !JSON.stringify(headers).includes(secret) : headers.authorization === `Bearer ${secret}`;
    fs.appendFileSync(path.join(dir, 'requests.log'), JSON.stringify({ method: headers[':method'],
        path: headers[':path'], headers: [['Host', host], ...Object.entries(headers)] }) + '\n');
    const parts = [];
    stream.on('data', (data) => parts.push(data));
    stream.on('end', () => { // what came is a message in its frame, and so is what goes
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers(good ? { 'grpc-status': '0' } :
            { 'grpc-status': '16', 'grpc-message': 'bad credentials' }));
        stream.end(!good ? undefined : headers[':method'] === 'GET' ? 'octo\n' : Buffer.concat(parts));
    });
});
server.listen(0, '127.0.0.1', () => {
    fs.writeFileSync(path.join(dir, 'grpc-port.new'), `${server.address().port}\n`);
    fs.renameSync(path.join(dir, 'grpc-port.new'), path.join(dir, 'grpc-port'));
});
process.stdin.on('end', () => process.exit(0)).resume();
