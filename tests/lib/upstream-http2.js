// An HTTPS service that speaks HTTP/2, and HTTP/1.1 to who does not: for the stories of HTTP/2.
//
//   usage: upstream-http2.js DIR NAME [plain]   DIR as for upstream.py; serves NAME, writes DIR/NAME-port, ends with
//                                               its standard input. plain: takes WebSocket over HTTP/1.1 alone
//
// It insists on its credential but under /open. /count answers how many connections and requests there were. After a
// WebSocket handshake (/ws) it sends every byte back as it came.
'use strict';
const fs = require('fs'), http2 = require('http2'), crypto = require('crypto'), path = require('path');
const [, , dir, name, plain] = process.argv;
const secret = fs.readFileSync(path.join(dir, 'secret'), 'utf8').trim();
const pem = fs.readFileSync(path.join(dir, `${name}.pem`));
let connections = 0, requests = 0, gone = 0;

const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: true,
    settings: { maxConcurrentStreams: 50, enableConnectProtocol: !plain } });
server.on('secureConnection', () => { connections++; });
server.on('request', (req, res) => {
    const url = new URL(req.url, 'https://http2.test');
    requests++;
    if (!url.pathname.startsWith('/open') && req.headers.authorization !== `Bearer ${secret}`) {
        res.writeHead(401, { 'content-type': 'application/json' });
        res.end('{"message":"Bad credentials"}\n');
        return;
    }
    if (url.pathname === '/download') {
        const size = Number(url.searchParams.get('bytes'));
        const block = Buffer.alloc(65536, 'x');
        let left = size;
        res.writeHead(200, { 'content-type': 'application/octet-stream' });
        const more = () => {
            while (left > 0) {
                const part = block.subarray(0, Math.min(left, block.length));
                left -= part.length;
                if (!res.write(part)) { res.once('drain', more); return; }
            }
            res.end();
        };
        more();
        return;
    }
    if (url.pathname === '/early') { // an answer ahead of the request's end
        res.writeHead(413);
        res.end('too large\n');
        return;
    }
    if (url.pathname === '/open/poll') { // answers never: how many of those who asked have gone, /open/gone says
        res.on('close', () => { gone++; });
        return;
    }
    if (url.pathname === '/open/gone') { res.end(`gone ${gone}\n`); return; }
    if (url.pathname === '/reset') { req.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR); return; }
    if (url.pathname === '/hints') {
        req.stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' });
        res.end('hinted\n');
        return;
    }
    const hash = crypto.createHash('sha256');
    let length = 0;
    req.on('data', (data) => { hash.update(data); length += data.length; });
    req.on('end', () => {
        const body = { http: req.httpVersion, method: req.method, path: req.url, length, sha256: hash.digest('hex'),
            connections, requests, host: req.headers[':authority'] || req.headers.host,
            trailers: req.trailers || {} };
        if (url.pathname === '/grpc') { // a unary call: its status comes behind the message
            res.writeHead(200, { 'content-type': 'application/grpc' });
            res.addTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' });
            res.end(JSON.stringify(body) + '\n');
            return;
        }
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end(JSON.stringify(body) + '\n');
    });
});
function websocket(headers, url, answer) { // what both versions say of it
    if (headers.authorization !== `Bearer ${secret}`) return answer(401, {});
    return answer(200, { 'sec-websocket-extensions': headers['sec-websocket-extensions'] || 'none' });
}
server.on('upgrade', (req, socket, head) => {
    websocket(req.headers, req.url, (status, fields) => {
        const accept = crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11');
        socket.write(status !== 200 ? 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'
            : 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Over: h1\r\n' +
              `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n` +
              `Sec-WebSocket-Extensions: ${fields['sec-websocket-extensions']}\r\n\r\n`);
        socket.write(head);
        socket.on('error', () => {});
        socket.pipe(socket);
    });
});
server.on('connect', (req, res) => {
    websocket(req.headers, req.url, (status, fields) => {
        if (req.headers[':protocol'] !== 'websocket') { res.writeHead(405); res.end(); return; }
        req.stream.respond({ ':status': status, 'x-over': 'h2', ...fields });
        req.stream.on('error', () => {});
        req.stream.pipe(req.stream);
    });
});
server.listen(0, '127.0.0.1', () => {
    fs.writeFileSync(path.join(dir, `${name}-port.new`), `${server.address().port}\n`);
    fs.renameSync(path.join(dir, `${name}-port.new`), path.join(dir, `${name}-port`));
});
process.stdin.on('end', () => process.exit(0)).resume();
