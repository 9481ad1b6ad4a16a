// One request with what is named: get.js https|fetch|axios|http2|ws URL
'use strict';
const [how, url] = process.argv.slice(2);
const fail = (error) => { console.error(error); process.exit(1); };

const ways = {
    https: () => require('https').get(url, (res) => {
        if (res.statusCode !== 200) fail(res.statusCode);
        res.pipe(process.stdout);
    }).on('error', fail),
    fetch: () => fetch(url).then(async (res) => {
        if (!res.ok) fail(res.status);
        console.log(await res.text());
    }).catch(fail),
    axios: () => require('axios').get(url, { responseType: 'text' })
        .then((res) => console.log(res.data)).catch(fail),
    http2: () => {
        const { origin, pathname } = new URL(url), session = require('http2').connect(origin).on('error', fail);
        const stream = session.request({ ':path': pathname });
        stream.on('response', (headers) => {
            if (headers[':status'] !== 200) fail(headers[':status']);
            console.log(`http=2 over ${session.alpnProtocol}`);
        }).on('error', fail).on('end', () => session.close()).pipe(process.stdout);
    },
    ws: () => { // Debian's package; a Node of another source does not look there by itself
        const socket = new (require('/usr/share/nodejs/ws'))(url.replace('https:', 'wss:'));
        const text = 'octo '.repeat(20000);
        let count = 0;
        socket.on('error', fail).on('message', (data) => {
            if (++count === 1) socket.send(text);
            else { console.log(data.toString() === text ? 'octo' : 'another message'); socket.close(); }
        });
    },
};
ways[how]();
