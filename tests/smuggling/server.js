// Node's own HTTP server on a socket: writes down each whole request that it makes of the bytes it gets.
//   node server.js SOCKET LOG
'use strict';
const fs = require('fs'), http = require('http');
const log = (row) => fs.appendFileSync(process.argv[3], JSON.stringify(row) + '\n');
let connections = 0;
const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
    const parts = [];
    request.on('data', (data) => parts.push(data));
    request.on('error', () => {});
    request.on('end', () => {
        log({ connection: request.socket.number, method: request.method, target: request.url, host: request.headers.host,
              fields: request.rawHeaders, trailers: request.rawTrailers, body: Buffer.concat(parts).toString('latin1') });
        response.end('ok');
    });
});
server.on('connection', (socket) => { socket.number = connections++; });
server.on('clientError', (error, socket) => {
    log({ connection: socket.number, error: error.code });
    socket.destroy();
});
server.listen(process.argv[2]);
process.stdin.resume().on('end', () => process.exit());
