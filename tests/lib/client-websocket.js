// Says WebSocket's frames from a sandbox, as raw bytes, to a service that sends every byte back, and compares:
// node client-websocket.js h1|h2 HOST [over] [pieces]. over: a request goes first, so that the upstream is connected to.
'use strict';
const crypto = require('crypto'), fs = require('fs'), http2 = require('http2'), tls = require('tls');
const [, , how, host, ...options] = process.argv;
const ca = fs.readFileSync(process.env.SSL_CERT_FILE);

function say(...words) { console.log(...words); process.exit(0); }

// RFC 6455 5.2. As a client says it (masked) and as a server does: nobody between the two may care.
function frame(fin, opcode, payload, masked) {
    const length = payload.length, head = [(fin ? 0x80 : 0) | opcode];
    const bit = masked ? 0x80 : 0;
    if (length < 126) head.push(bit | length);
    else if (length < 65536) head.push(bit | 126, length >> 8, length & 255);
    else head.push(bit | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
    if (!masked) return Buffer.concat([Buffer.from(head), payload]);
    const key = crypto.randomBytes(4), hidden = Buffer.from(payload);
    for (let i = 0; i < length; i++) hidden[i] ^= key[i & 3];
    return Buffer.concat([Buffer.from(head), key, hidden]);
}

function all() {
    const frames = [], bytes = (n) => crypto.randomBytes(n);
    for (const masked of [true, false]) {
        for (const size of [0, 1, 125, 126, 127, 65535, 65536, 1 << 20])
            for (const opcode of [1, 2]) frames.push(frame(true, opcode, bytes(size), masked));
        // A message in pieces, of which some are empty, with pings and pongs between them.
        frames.push(frame(false, 1, bytes(10), masked), frame(true, 9, bytes(125), masked), frame(false, 0, bytes(0), masked),
            frame(true, 10, bytes(0), masked), frame(false, 0, bytes(70000), masked), frame(true, 9, bytes(0), masked),
            frame(true, 0, bytes(0), masked));
        for (let opcode = 0; opcode < 16; opcode++) frames.push(frame(true, opcode, bytes(5), masked)); // reserved ones too
        for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999])
            frames.push(frame(true, 8, Buffer.concat([Buffer.from([code >> 8, code & 255]), bytes(40)]), masked));
        frames.push(Buffer.concat([Buffer.from([0xf1, 0x80]), bytes(4)])); // all reserved bits
    }
    return frames;
}

// What is written, piece by piece; pieces: some small frames, cut in two at every position there is.
function pieces() {
    if (!options.includes('pieces')) return all();
    const one = Buffer.concat([frame(true, 1, Buffer.from('hello'), true), frame(false, 2, Buffer.alloc(0), true),
        frame(true, 9, Buffer.from('ping'), true), frame(true, 0, crypto.randomBytes(126), true),
        frame(true, 8, Buffer.from([3, 232]), true)]);
    const cut = [];
    for (let at = 1; at < one.length; at++) cut.push(one.subarray(0, at), one.subarray(at));
    return cut;
}

function converse(stream, first) {
    const parts = pieces(), wanted = Buffer.concat(parts), got = [first];
    let length = first.length, at = 0;
    const check = () => {
        if (length < wanted.length) return;
        const back = Buffer.concat(got);
        const end = back.equals(wanted) ? 'the same bytes' : 'other bytes';
        stream.on('end', () => say(end, 'and the end'));
        stream.end();
    };
    stream.on('data', (data) => { got.push(data); length += data.length; check(); });
    // Each piece is a write of its own: a record, a frame of DATA.
    const next = () => {
        if (at === parts.length) return;
        const more = stream.write(parts[at++]);
        if (more) setImmediate(next); else stream.once('drain', next);
    };
    next();
    setTimeout(() => say(`${length} of ${wanted.length} bytes came back`), 60000).unref();
}

function over1() {
    const socket = tls.connect({ host, port: 443, servername: host, ca, ALPNProtocols: ['http/1.1'] }, () => {
        const key = crypto.randomBytes(16).toString('base64');
        socket.setNoDelay(true);
        socket.write(`GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
            `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n`);
        let head = Buffer.alloc(0);
        const read = (data) => {
            head = Buffer.concat([head, data]);
            const end = head.indexOf('\r\n\r\n');
            if (end < 0) return;
            const text = head.subarray(0, end).toString();
            const accept = crypto.createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
            if (!text.startsWith('HTTP/1.1 101 ') || !text.includes(`Sec-WebSocket-Accept: ${accept}`)) say(text);
            console.log(/x-over: .*/i.exec(text)[0], /sec-websocket-extensions: .*/i.exec(text)[0]);
            socket.removeListener('data', read);
            converse(socket, head.subarray(end + 4));
        };
        socket.on('data', read);
    });
    socket.on('error', (error) => say('error', error.code));
}

function over2() {
    const session = http2.connect(`https://${host}`, { ca });
    session.on('error', (error) => say('error', error.code));
    const begin = () => {
        if (!session.remoteSettings.enableConnectProtocol) say('not announced');
        const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws',
            'sec-websocket-version': '13', 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' },
            { endStream: false });
        stream.on('error', (error) => say('error', error.code));
        stream.on('response', (head) => {
            if (head[':status'] !== 200) { say('status', head[':status']); }
            console.log(`x-over: ${head['x-over']}`, `sec-websocket-extensions: ${head['sec-websocket-extensions']}`);
            converse(stream, Buffer.alloc(0));
        });
    };
    session.once('remoteSettings', () => {
        if (!options.includes('over')) { begin(); return; }
        const stream = session.request({ ':path': '/open' });
        stream.on('close', begin).resume();
    });
}
if (how === 'h1') over1(); else over2();
