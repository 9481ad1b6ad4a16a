// Plays an HTTP/2 client in a sandbox: node client-http2.js SCENARIO. Prints one line that says what happened.
'use strict';
const http2 = require('http2'), net = require('net'), tls = require('tls'), fs = require('fs');
const host = process.argv[3] || 'http2.test';

function connect(done) { // by name, past the proxy variables: the connection is captured
    const session = http2.connect(`https://${host}`, { ca: fs.readFileSync(process.env.SSL_CERT_FILE) });
    session.on('error', (error) => { console.log('session error', error.code || error.message); process.exit(1); });
    session.once('connect', () => done(session));
}

function ask(session, headers, body, done) {
    const stream = session.request(headers, { endStream: body === undefined });
    let text = '', head = {}, trailers = {}, early = 0;
    stream.setEncoding('utf8');
    stream.on('headers', () => { early++; });
    stream.on('response', (h) => { head = h; });
    stream.on('trailers', (h) => { trailers = h; });
    stream.on('data', (data) => { text += data; });
    stream.on('error', (error) => { text = error.code; });
    stream.on('close', () => done({ head, text, trailers, early }));
    if (body !== undefined) stream.end(body);
}

const scenarios = {
    many(session) { // 300 requests, as many at a time as the other side takes
        let left = 300, good = 0;
        for (let i = 0; i < 300; i++)
            ask(session, { ':path': `/p${i}` }, undefined, (r) => {
                if (r.head[':status'] === 200 && JSON.parse(r.text).path === `/p${i}`) good++;
                if (--left === 0) { console.log(`good ${good}`); session.close(); }
            });
    },
    trailers(session) {
        ask(session, { ':path': '/grpc', ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc' }, 'x',
            (r) => { console.log(`grpc-status ${r.trailers['grpc-status']} ${r.trailers['grpc-message']}`); session.close(); });
    },
    slow(session) { // one stream is not read: the others go on, and it is whole in the end
        const stuck = session.request({ ':path': '/download?bytes=3000000' });
        let others = 0, bytes = 0;
        stuck.pause();
        for (let i = 0; i < 20; i++)
            ask(session, { ':path': `/q${i}` }, undefined, () => {
                if (++others < 20) return;
                stuck.on('data', (data) => { bytes += data.length; });
                stuck.on('close', () => { console.log(`others ${others} bytes ${bytes}`); session.close(); });
                stuck.resume();
            });
    },
    connect(session) { // E08
        const stream = session.request({ ':method': 'CONNECT', ':authority': 'other.test:443' });
        stream.on('response', (h) => { console.log(`status ${h[':status']}`); session.destroy(); });
        stream.on('error', (e) => { console.log(e.code); });
    },
    authority(session) { // E09
        ask(session, { ':path': '/user', ':authority': 'api.test' }, undefined,
            (r) => { console.log(`status ${r.head[':status']} ${r.text}`); session.close(); });
    },
    cancel(session) { // 100 streams are reset; the connection is as good as before
        for (let i = 0; i < 100; i++) {
            const stream = session.request({ ':path': '/download?bytes=1000000' });
            stream.on('error', () => {});
            stream.close(http2.constants.NGHTTP2_CANCEL);
        }
        ask(session, { ':path': '/after' }, undefined, (r) => { console.log(`status ${r.head[':status']}`); session.close(); });
    },
};
connect(scenarios[process.argv[2]]);
