// Drives the page in a real browser: node page.js SCENARIO [ARGUMENT...]. A scenario prints what the test looks for, and
// ends with status 1 where something is not as it should be. PAGE_DRIVER is the directory of playwright-core.
'use strict';
const { chromium } = require(process.env.PAGE_DRIVER), { execFileSync } = require('child_process');
const assert = require('assert'), fs = require('fs'), http = require('http'), path = require('path');

const OUT = path.join(__dirname, '..', 'e2e', 'out'), WAIT_MS = 20000;
const trouble = [];
const link = () => execFileSync('aileron', ['open', '--print'], { encoding: 'utf8' }).trim();
const decided = (id) => JSON.parse(execFileSync('aileron', ['approvals', 'show', '--json', id], { encoding: 'utf8' }));

const recorded = () => execFileSync('aileron', ['audit', 'list', '--json'], { encoding: 'utf8' }).trim().split('\n')
  .map((line) => JSON.parse(line));

// Whatever a scenario does: no violation of the page's policy, no error of its script, no dialog of the browser.
async function tab(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  page.on('dialog', (dialog) => { trouble.push('dialog: ' + dialog.message()); dialog.dismiss(); });
  page.on('pageerror', (error) => trouble.push('script: ' + error.message));
  page.on('console', (line) => { if (/Content Security Policy|Trusted/i.test(line.text())) trouble.push(line.text()); });
  return page;
}

async function login(browser, options) {
  const page = await tab(browser, options);
  await page.goto(link());
  await page.locator('#live.good').waitFor();
  return page;
}

const shot = async (page, name, full) => {
  fs.mkdirSync(OUT, { recursive: true });
  await page.screenshot({ path: path.join(OUT, name + '.png'), fullPage: full === undefined ? true : full, animations: 'disabled' });
};
const fits = async (page) => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways');
const cards = (page, count) => page.waitForFunction((n) => document.querySelectorAll('#list > li').length === n, count);

// Opens the one card by keys alone.
async function openByKeys(page) {
  await page.locator('#list > li').first().waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.locator('#list .buttons').waitFor();
}

const scenarios = {
  async login(browser) {
    const page = await tab(browser), address = link();
    await page.goto(address.replace(/#.*/, ''));
    await page.locator('#login').waitFor();
    await shot(page, 'login');
    await page.goto(address);
    await page.locator('#live.good').waitFor();
    assert.ok(!page.url().includes('login'), 'the link is still in the address');
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/']);
    assert.equal(await page.evaluate(() => document.cookie), '');
    await page.reload();
    await page.locator('#live.good').waitFor();
    const other = await tab(browser);
    await other.goto(address); // a stolen link, a second time
    await other.locator('#login').waitFor();
    assert.match(await other.locator('#login-why').textContent(), /has been used/);
    assert.equal((await other.context().cookies()).length, 0);
    await page.locator('#logout').click();
    await page.locator('#login').waitFor();
    await page.context().addCookies([cookie]); // what was logged out stays so
    await page.evaluate(() => localStorage.setItem('aileron-key', 'a'.repeat(64)));
    await page.reload();
    await page.locator('#login').waitFor();
  },

  // A notification's LINK: the card is open, and can be decided about; the same link again changes nothing.
  async shown(browser, address) {
    const id = /show=(.*)$/.exec(address)[1], page = await tab(browser);
    await page.goto(address);
    await page.locator(`#${id}.open .buttons`).waitFor();
    assert.ok(!page.url().includes('login'), 'the link is still in the address');
    assert.equal(await page.locator('#list > li.open').count(), 1);
    await page.goto('about:blank');
    await page.goto(address);
    await page.locator(`#${id}.open .buttons`).waitFor();
    const other = await tab(browser);
    await other.goto(address);
    await other.locator('#login').waitFor();
    await page.keyboard.press('d');
    await page.keyboard.type('no');
    await page.keyboard.press('Enter');
    await page.locator('#' + id).waitFor({ state: 'detached' });
    assert.equal(decided(id).state, 'denied');
  },

  // RESULT is written by the agent when aileron-wait has printed. How long that took is printed, and asserts nothing.
  async approve(browser, result) {
    const page = await login(browser);
    await openByKeys(page);
    const text = await page.locator('#list .facts').textContent();
    for (const part of ['api.test', 'DELETE', 'user/api']) assert.ok(text.includes(part), text);
    await shot(page, 'one-open');
    assert.ok(!fs.existsSync(result));
    await page.waitForTimeout(1000); // the browser has drawn its picture: it is not what is measured
    await page.evaluate(() => document.addEventListener('keydown', () => { window.pressed = Date.now(); }, { capture: true, once: true }));
    await page.keyboard.press('a');
    while (!fs.existsSync(result)) await new Promise((done) => { setTimeout(done, 1); });
    console.log(`approve to result: ${(fs.statSync(result).mtimeMs - await page.evaluate(() => window.pressed)).toFixed(0)} ms, ` +
      'from the key to what aileron-wait has written in the sandbox');
    const at = (test) => Date.parse(recorded().filter(test).pop().ts);
    const said = at((one) => one.event === 'approval' && one.decision === 'approve');
    console.log(`by the record: decided to answered ${at((one) => one.event === 'operation' && one.from === 'running') - said} ms, ` +
      `to collected ${at((one) => one.event === 'operation.collected') - said} ms`);
    await cards(page, 0);
    assert.match(await page.locator('#said').textContent(), /^Approved/);
  },

  async deny(browser) {
    const page = await login(browser);
    await openByKeys(page);
    const id = await page.locator('#list > li').getAttribute('id');
    await page.keyboard.press('d');
    await shot(page, 'deny', false);
    await page.keyboard.type('use the staging system');
    await page.keyboard.press('Enter');
    await cards(page, 0);
    assert.deepEqual([decided(id).state, decided(id).by, decided(id).reason], ['denied', 'page', 'use the staging system']);
  },

  async edit(browser) {
    const page = await login(browser);
    await openByKeys(page);
    await page.keyboard.press('e');
    const area = page.locator('#edit-text'), before = await area.inputValue();
    assert.ok(before.includes('9007199254740993'), before); // more than a script's number holds
    await area.fill('{"name": ');
    await page.locator('#edit-go').click();
    await page.locator('#edit-error:not(:empty)').waitFor();
    await shot(page, 'edit', false);
    await area.fill(before.replace('dear', 'cheap'));
    await page.locator('#edit-go').click();
    await cards(page, 0);
    assert.match(await page.locator('#said').textContent(), /^Approved/);
    assert.equal(await page.locator('dialog[open]').count(), 0);
  },

  // Two decide: the page that comes second is told, and goes on.
  async race(browser) {
    const page = await login(browser);
    await openByKeys(page);
    const id = await page.locator('#list > li').getAttribute('id');
    await page.route('**/api/approvals*', (route) => route.abort()); // it does not hear of the other
    execFileSync('aileron', ['approvals', 'deny', id]);
    await page.keyboard.press('a');
    await page.locator('#list .error:not(:empty)').waitFor();
    assert.match(await page.locator('#list .error').textContent(), /denied already/);
    assert.equal(decided(id).by, 'cli');
  },

  // An approval that comes while the page is open: from the record's time to the card, printed. Keys decide nothing that
  // is not open: a second `a` opens the next one.
  async live(browser) {
    const page = await login(browser);
    await page.evaluate(() => new MutationObserver(() => { window.came = window.came || Date.now(); })
      .observe(document.getElementById('list'), { childList: true }));
    console.log('watching');
    await cards(page, 2);
    const ids = await page.locator('#list > li').evaluateAll((items) => items.map((item) => item.id));
    const line = recorded().find((one) => one.approval === ids[0]);
    console.log(`record to card: ${await page.evaluate(() => window.came) - Date.parse(line.ts)} ms`);
    assert.match(await page.locator('#said').textContent(), /New|new/);
    assert.match(await page.title(), /^\(2\)/);
    await openByKeys(page);
    await page.keyboard.press('a');
    await page.keyboard.press('a'); // while the first is under way, or opens the second: it never decides
    await cards(page, 1);
    if (await page.locator('#list .open').count() === 0) await page.keyboard.press('a');
    await page.locator('#list .buttons').waitFor();
    assert.equal(decided(ids[1]).state, 'pending');
    await page.keyboard.press('d');
    await page.locator('#deny-go').click();
    await cards(page, 0);
  },

  // What an agent writes is text: it is on the screen, and nothing of it runs or hides.
  async markup(browser) {
    const page = await login(browser);
    await openByKeys(page);
    const open = page.locator('#list .inside'), text = await open.textContent();
    assert.ok(text.includes('<img src=x onerror="window.pwned=1">'), text);
    assert.ok(text.includes('\\u{202e}') && text.includes('\\x1b'), text);
    assert.equal(await open.locator('img, script, iframe').count(), 0);
    assert.ok(!/[\u202e\u0000-\u0008\u000b-\u001f]/.test(await page.locator('body').innerText()));
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await shot(page, 'markup');
    const refused = await page.evaluate(() => { try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (e) { return e.name; } });
    assert.equal(refused, 'TypeError'); // trusted types: not even our own script could
    trouble.length = 0; // that was on purpose
  },

  // Another origin: a page that frames this one, posts to it, reads from it, and has its cookie's jar.
  async origin(browser) {
    const page = await login(browser), origin = new URL(page.url()).origin, id = await page.locator('#list > li').first().getAttribute('id');
    const server = http.createServer((req, res) => { server.cookie = req.headers.cookie || ''; res.setHeader('Content-Type', 'text/html'); res.end('<!doctype html><p>evil'); });
    await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
    const evil = await page.context().newPage();
    await evil.goto(`http://127.0.0.1:${server.address().port}/`);
    assert.match(server.cookie, /aileron_/); // a jar is for all ports: this is why there is a key
    const tried = await evil.evaluate(async ([to, approval]) => {
      const frame = document.body.appendChild(document.createElement('iframe'));
      const loaded = new Promise((done) => { frame.onload = () => { let seen; try { seen = frame.contentDocument && frame.contentDocument.title; } catch (e) { seen = e.name; } done(seen); }; });
      frame.src = to;
      const ask = (where, options) => fetch(to + where, { credentials: 'include', ...options }).then((a) => a.status, () => 'failed');
      return [await loaded, await ask('/api/state'), await ask('/api/decide?id=' + approval, { method: 'POST', mode: 'no-cors', body: '{"decision":"approve"}' }),
        await ask('/api/decide?id=' + approval, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })];
    }, [origin, id]);
    assert.notEqual(tried[0], 'Aileron');
    assert.deepEqual(tried.slice(1), ['failed', 'failed', 'failed']);
    assert.equal(decided(id).state, 'pending');
    server.close();
    trouble.length = 0; // the browser tells of the frame that it refused
  },

  async vault(browser) {
    const page = await login(browser);
    await page.locator('#lock').click();
    await page.locator('#trouble').getByText('aileron vault unlock').waitFor();
    await shot(page, 'locked');
    console.log('locked');
    await page.locator('#trouble').getByText('1 request was').waitFor(); // an agent needs it meanwhile
    console.log('refused');
    await page.locator('#vault.good').waitFor(); // unlocked in a terminal meanwhile
    await page.locator('#trouble').waitFor({ state: 'hidden' });
    console.log('unlocked');
    await page.locator('#trouble').getByText('policy.yaml').waitFor(); // and a file that does not load
    await shot(page, 'trouble');
  },

  // A session that talks: its hosts, and the record with filters.
  async hosts(browser) {
    const page = await login(browser);
    const row = (host) => page.locator('#session-list tr', { hasText: host });
    await row('forbidden.test').waitFor();
    assert.deepEqual(await row('forbidden.test').locator('td').allTextContents(), ['forbidden.test', '0', '1', '0', '0']);
    const cells = await row('api.test').locator('td').allTextContents();
    assert.ok(Number(cells[1]) > 0 && Number(cells[4]) > 0, cells.join());
    await page.locator('#filter-session').selectOption({ index: 1 });
    await page.locator('#filter-decision').selectOption('deny');
    await page.waitForFunction(() => document.querySelectorAll('#lines li').length === 1);
    assert.match(await page.locator('#lines .what').textContent(), /forbidden\.test/);
    await page.locator('#lines summary').click();
    await page.locator('#lines .facts').getByText('no forbidden host').waitFor();
    await page.locator('#filter-decision').selectOption('');
    await page.locator('#filter-event').selectOption('session.start');
    assert.ok(await page.locator('#lines li').count() >= 1);
    for (const name of ['event', 'session']) await page.locator('#filter-' + name).selectOption('');
    await shot(page, 'sessions');
    const dark = await login(browser, { colorScheme: 'dark' });
    await dark.locator('#session-list td').first().waitFor();
    await shot(dark, 'sessions-dark');
  },

  // Figures for tests/bench/page: from the address to a list that can be used, and one row to the next page of rows.
  // The page measures itself: what waits for it from outside would run a script of its own in the middle.
  async speed(browser) {
    const figures = [];
    for (let i = 0; i < 5; i++) {
      const page = await tab(browser);
      await page.addInitScript(() => {
        const watch = new MutationObserver(() => {
          if (!document.querySelector('#list > li')) return;
          watch.disconnect();
          requestAnimationFrame(() => { // and the task after the frame: it is painted
            const after = new MessageChannel();
            after.port1.onmessage = () => { window.painted = performance.now(); };
            after.port2.postMessage(0);
          });
        });
        watch.observe(document, { childList: true, subtree: true });
      });
      const figure = () => page.waitForTimeout(2000).then(() => page.evaluate(() => {
        const began = performance.getEntriesByType('resource').find((one) => one.name.includes('/api/approvals'));
        return [window.painted, began.responseEnd - began.startTime, window.painted - began.responseEnd];
      }));
      await page.goto(link());
      const first = await figure();
      await page.reload();
      figures.push([...first, ...await figure()]);
      if (i === 4) {
        const more = await page.evaluate(() => new Promise((done) => {
          const began = performance.now(), list = document.getElementById('list'), before = list.childElementCount;
          new MutationObserver(() => { if (list.childElementCount > before) requestAnimationFrame(() => done(performance.now() - began)); })
            .observe(list, { childList: true });
          document.getElementById('more').click();
        }));
        console.log(`browser: 20 more rows                       ${more.toFixed(1)} ms`);
      }
      await page.context().close();
    }
    const median = (at) => figures.map((one) => one[at]).sort((a, b) => a - b)[2].toFixed(1);
    console.log(`browser: a new window and a login, painted  ${median(0)} ms`);
    console.log(`browser: the list's answer                  ${median(1)} ms`);
    console.log(`browser: from its answer to the paint       ${median(2)} ms`);
    console.log(`browser: the same window again, painted     ${median(3)} ms`);
    console.log(`browser: from the answer to the paint       ${median(5)} ms`);
  },

  // Sizes, colours and long texts; and by the accessibility tree, that everything has a name.
  async looks(browser) {
    for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: { width: 360, height: 740 } }],
      ['phone-dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark', hasTouch: true, isMobile: true }]]) {
      const page = await login(browser, options);
      await page.locator('#list > li').first().waitFor();
      await fits(page);
      await shot(page, name);
      await page.locator('#list .head').nth(1).click();
      await page.locator('#list .buttons').waitFor();
      await fits(page);
      await shot(page, name + '-open');
      await page.locator('#help-open').click();
      await shot(page, name + '-help', false);
      const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, dialog, section')]
        .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || (node.labels || []).length)).map((node) => node.outerHTML));
      assert.deepEqual(nameless, []);
      await page.context().close();
    }
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  try {
    await scenarios[process.argv[2]](browser, ...process.argv.slice(3));
    assert.deepEqual(trouble, []);
  } catch (error) {
    for (const context of browser.contexts()) for (const page of context.pages()) await shot(page, 'failed-' + process.argv[2]).catch(() => {});
    console.error(error);
    process.exitCode = 1;
  } finally { await browser.close(); }
})();
