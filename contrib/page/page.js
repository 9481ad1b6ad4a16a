// The page: what waits, the sessions, the live record. All that comes from the daemon becomes text nodes and nothing
// else; what a person could not see in it is written out (show). Nothing is decided that is not open on the screen.
'use strict';

const KEY = 'aileron-key', KEYS_OFF = 'aileron-keys-off';
const ROWS = 20, LINES_AT_ONCE = 50, LINES = 300, RETRY_MS = 1000, RETRY_MAX_MS = 10000;
const $ = (id) => document.getElementById(id);

const now = { rows: new Map(), open: '', limit: ROWS, sessions: new Map(), lines: [], fresh: [], seq: 0, paused: false, show: '' };

// ---- text ----

// As on the terminal (core/base/text.c): controls, and what changes the order or the look of its neighbours.
const UNSEEN = new RegExp('[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5' +
  '\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb' +
  '\\ufffe\\uffff\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}\\ud800-\\udfff]', 'gu');

const named = (c) => {
  const code = c.codePointAt(0);
  return code < 0x80 ? '\\x' + code.toString(16).padStart(2, '0') : '\\u{' + code.toString(16) + '}';
};

const visible = (text) => String(text).replace(UNSEEN, named);

// Adds text to a node; what is unseen stands out, so that it cannot be confused with the same text written out.
function show(node, text, lines) {
  let at = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (lines && match[0] === '\n') continue;
    node.append(text.slice(at, match.index), element('span', { class: 'unseen' }, named(match[0])));
    at = match.index + match[0].length;
  }
  node.append(text.slice(at));
  return node;
}

function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== undefined) node.setAttribute(key, value);
  }
  for (const child of children) if (child !== undefined) node.append(child);
  return node;
}

const text = (name, attributes, value) => show(element(name, attributes), String(value === undefined ? '' : value));
const say = (words) => { $('said').textContent = words; };
const time = new Intl.DateTimeFormat([], { timeStyle: 'medium', hour12: false }); // made once: it costs more than a row
const clock = (iso) => time.format(new Date(iso));

function ago(iso) {
  const s = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (s < 60) return 'just now';
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  return s < 86400 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} days ago`;
}

function facts(pairs) {
  const list = element('dl', { class: 'facts' });
  for (const [name, value] of pairs) {
    if (value !== undefined && value !== '' && value !== null) list.append(element('dt', {}, name), text('dd', {}, value));
  }
  return list;
}

// ---- the daemon ----

const headers = () => ({ 'Content-Type': 'application/json', 'X-Aileron-Key': localStorage.getItem(KEY) || '' });

async function call(method, path, body) {
  const answer = await fetch('/api/' + path, { method, body, headers: headers(), cache: 'no-store' });
  const json = await answer.json();
  if (answer.ok) return json;
  const error = json.error || { message: 'it failed', hint: '' };
  if (answer.status === 403) logged(false, error.message);
  throw new Error(error.message + (error.hint ? '. ' + error.hint : ''));
}

// One at a time, and once more where it was wanted meanwhile.
function single(work) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      try { await work(); } catch (error) { if (!$('app').hidden) say(error.message); }
    }
    running = false;
  };
}

function logged(yes, why) {
  $('app').hidden = $('tools').hidden = !yes;
  $('login').hidden = yes;
  $('login-why').textContent = yes ? '' : why || '';
  if (yes) return;
  live('Not logged in', '');
  document.title = 'Aileron';
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
}

function live(words, kind) {
  if ($('live').textContent !== words) $('live').textContent = words;
  $('live').className = 'chip ' + kind;
}

// ---- what waits ----

const place = (shown) => (shown.port === 443 || !shown.port ? shown.host : `${shown.host}:${shown.port}`);

function title(shown) {
  const line = element('span', { class: 'title' });
  if (shown.kind === 'operation') {
    line.append(text('b', {}, `${shown.tool} ${shown.operation}`), text('span', {}, shown.preview));
  } else {
    line.append(text('b', {}, shown.method), text('span', {}, place(shown) + (shown.path || '')));
  }
  return line;
}

const plain = (shown) => visible(shown.kind === 'operation' ? `${shown.tool} ${shown.operation}: ${shown.preview || ''}`
  : `${shown.method} ${shown.host}${shown.path || ''}`).slice(0, 200);

// "claude ·4K2QZ": what runs there, and the end of its id.
function sessionName(id) {
  const session = now.sessions.get(id) || {};
  return `${session.agent || (session.command || '').split(' ')[0].split('/').pop()} ·${id.slice(-5)}`.trim();
}
const sessionNode = (id) => text('span', { 'data-session': id, title: id }, sessionName(id));

const since = (iso) => element('span', { 'data-ago': iso }, ago(iso));
const under = (...parts) => element('span', { class: 'under' }, ...parts.filter(Boolean)
  .map((part) => (typeof part === 'string' ? text('span', {}, part) : part)));

function card(row) {
  const inside = element('div', { class: 'inside', id: 'in-' + row.id, hidden: true });
  const head = element('button', { type: 'button', class: 'head', 'aria-expanded': 'false', 'aria-controls': inside.id,
    onclick: () => toggle(row.id) }, title(row.shown),
    under(sessionNode(row.session), row.shown.binding && 'with ' + row.shown.binding, row.rule, since(row.created)));
  const item = element('li', { class: 'card', id: row.id }, element('h3', {}, head), inside);
  return { row, item, head, inside, whole: null };
}

const loadApprovals = single(async () => {
  const answer = await call('GET', 'approvals?limit=' + now.limit);
  const seen = new Set(), first = now.rows.size === 0 && !now.loaded, fresh = [];
  now.loaded = true;
  for (const row of answer.approvals) {
    seen.add(row.id);
    if (now.rows.has(row.id)) continue;
    const one = card(row);
    if (!first) { one.item.classList.add('new'); fresh.push(one); }
    now.rows.set(row.id, one);
    $('list').append(one.item);
  }
  for (const [id, one] of now.rows) if (!seen.has(id)) drop(id, one);
  $('pending').textContent = answer.pending;
  $('pending').classList.toggle('some', answer.pending > 0);
  $('empty').hidden = answer.pending > 0;
  $('more').hidden = answer.pending <= answer.approvals.length;
  $('more').textContent = `Show more (${answer.pending - answer.approvals.length} others wait)`;
  document.title = (answer.pending ? `(${answer.pending}) ` : '') + 'Aileron';
  if (fresh.length === 1) say('New: ' + plain(fresh[0].row.shown));
  else if (fresh.length > 1) say(`${fresh.length} new, ${answer.pending} wait`);
  if (now.show) await reveal(answer.pending > answer.approvals.length);
});

// The one that a notification's link is about; others may wait before it.
async function reveal(more) {
  const one = now.rows.get(now.show), id = now.show;
  if (!one && more && now.limit < 1000) { now.limit = 1000; loadApprovals(); return; }
  now.show = '';
  if (!one) { say('What the link was about waits no more'); return; }
  if (now.open !== id) await toggle(id);
  one.head.focus();
}

// Focus goes to a neighbour, which is not open: no key decides about what nobody has seen.
function drop(id, one) {
  const had = one.item.contains(document.activeElement);
  const next = one.item.nextElementSibling || one.item.previousElementSibling;
  one.item.remove();
  now.rows.delete(id);
  if (now.open === id) now.open = '';
  if ((now.dialog || {}).id === id) { $('deny').close(); $('edit').close(); say('It is decided already'); }
  if (had) (next ? next.querySelector('.head') : $('waiting')).focus();
}

function close(one) {
  one.inside.hidden = true;
  one.inside.replaceChildren();
  one.item.classList.remove('open');
  one.head.setAttribute('aria-expanded', 'false');
  one.whole = null;
  now.open = '';
}

async function toggle(id) {
  const one = now.rows.get(id), before = now.rows.get(now.open);
  if (before) close(before);
  if (!one || before === one) return;
  now.open = id;
  one.inside.hidden = false;
  one.item.classList.add('open');
  one.head.setAttribute('aria-expanded', 'true');
  one.inside.replaceChildren(element('p', { class: 'note' }, 'Loading'));
  try {
    const whole = await call('GET', 'approval?id=' + id);
    if (now.open !== id) return;
    fill(one, whole);
    one.whole = whole;
  } catch (error) {
    one.inside.replaceChildren(text('p', { class: 'error', role: 'alert' }, error.message));
  }
}

function block(name, value) {
  return [element('p', { class: 'note' }, name), show(element('pre', { tabindex: '0', 'aria-label': name }), value, true)];
}

// What it would be decided about is on the screen, also a field that this script has no name for.
const NAMED = ['kind', 'preview', 'tool', 'operation', 'connector', 'host', 'port', 'method', 'override', 'scheme', 'path',
  'query', 'type', 'own', 'binding', 'rule', 'reason', 'args', 'body', 'body_base64'];
const others = (shown) => Object.keys(shown).filter((key) => !NAMED.includes(key)).map((key) => [key, JSON.stringify(shown[key])]);

function fill(one, whole) {
  const shown = whole.shown || {}, parts = [facts([
    ['Connector', shown.connector], ['Host', place(shown)], ['Method', shown.method], ['Method by', shown.override],
    ['Scheme', shown.scheme === 'https' ? '' : shown.scheme], ['Path', shown.path], ['Query', shown.query],
    ['Type', shown.type], ...others(shown), ['Credential', shown.binding || (shown.own ? 'none: a token of its own' : 'none')],
    ['Own token', shown.own], ['Rule', whole.rule], ['Why', shown.reason],
    ['Session', sessionName(whole.session)], ['Asked', new Date(whole.created).toLocaleString()],
    ['Expires', new Date(whole.expires).toLocaleString()]])];
  if (whole.args_text) parts.push(...block('Arguments', whole.args_text));
  if (shown.body) parts.push(...block(`Body, ${shown.body.length} characters`, shown.body));
  if (whole.sealed) { // who sees a part may say no, and no more
    parts.push(element('p', { class: 'error' }, 'The vault is locked: the rest cannot be shown, and so not be approved. Type aileron vault unlock.'));
  }
  if (shown.body_base64) parts.push(...block('Body, in base64', shown.body_base64));
  const button = (label, key, kind, onclick) => element('button', { type: 'button', class: kind, onclick }, label,
    element('kbd', { 'aria-hidden': 'true' }, key));
  parts.push(text('p', { class: 'error', role: 'alert' }, ''), element('p', { class: 'buttons' },
    whole.sealed ? '' : button('Approve once', 'a', 'yes', () => approve(one, 'once')),
    whole.sealed ? '' : button('Approve for the session', 's', '', () => approve(one, 'session')),
    shown.kind === 'operation' && !whole.sealed ? button('Edit', 'e', '', () => edit(one)) : '',
    button('Deny', 'd', 'no', () => deny(one))));
  one.inside.replaceChildren(...parts);
}

// args: the text that the person wrote, as it is; numbers would not survive being parsed here.
async function decide(one, decision, scope, reason, args) {
  if (!one.whole || one.busy || (decision === 'approve' && one.whole.sealed)) return;
  const body = JSON.stringify({ decision, scope, reason: reason || undefined, digest: one.whole.digest });
  one.busy = true;
  one.inside.querySelectorAll('button').forEach((button) => { button.disabled = true; });
  try {
    await call('POST', 'decide?id=' + one.row.id, args === undefined ? body : `${body.slice(0, -1)},"args":${args}}`);
    now.dialog = null;
    $('edit').close();
    drop(one.row.id, one);
    say((decision === 'approve' ? 'Approved: ' : 'Denied: ') + plain(one.row.shown));
    loadApprovals();
  } catch (error) {
    const place = one.inside.querySelector('.error');
    if (place) place.textContent = visible(error.message);
    one.inside.querySelectorAll('button').forEach((button) => { button.disabled = false; });
    throw error;
  } finally { one.busy = false; }
}

const approve = (one, scope) => decide(one, 'approve', scope).catch(() => {});

function deny(one) {
  now.dialog = { id: one.row.id, one };
  $('deny-what').replaceChildren(title(one.row.shown));
  $('deny-reason').value = '';
  $('deny').showModal();
  $('deny-reason').focus();
}

function denied() {
  const one = now.dialog.one;
  now.dialog = null;
  $('deny').close();
  decide(one, 'deny', 'once', $('deny-reason').value.replace(UNSEEN, ' ').trim()).catch(() => {});
}

// JSON may write a character as \uXXXX: so the unseen ones stand in the text, and mean the same.
const jsonVisible = (json) => json.replace(UNSEEN, (c) => c === '\n' ? c
  : [...Array(c.length).keys()].map((i) => '\\u' + c.charCodeAt(i).toString(16).padStart(4, '0')).join(''));

function edit(one) {
  now.dialog = { id: one.row.id, one };
  $('edit-what').replaceChildren(title(one.row.shown));
  $('edit-text').value = jsonVisible(one.whole.args_text || '{}');
  $('edit-error').textContent = '';
  $('edit').showModal();
  $('edit-text').focus();
}

async function edited() {
  const written = $('edit-text').value;
  $('edit-error').textContent = '';
  try {
    const value = JSON.parse(written);
    if (Object.prototype.toString.call(value) !== '[object Object]') throw new Error('The arguments are one JSON object');
    await decide(now.dialog.one, 'approve', 'once', '', written);
  } catch (error) { $('edit-error').textContent = visible(error.message); }
}

// ---- sessions ----

// What a session is: sealed, or in the state that it is in.
function badge(row) {
  if (row.state !== 'ready') return text('span', { class: 'chip ' + (row.state === 'failed' ? 'bad' : '') }, row.state);
  return row.enforced ? element('span', { class: 'chip good' }, 'sealed') : element('span', { class: 'chip ask' }, 'not enforced');
}

function sessionCard(row, before) {
  const summary = element('summary', {}, text('span', { class: 'title mono' }, row.command || row.id), badge(row),
    under(row.agent, row.engine, row.workspace, since(row.created)));
  if (before) {
    if (!before.node.contains(document.activeElement)) before.node.firstChild.replaceWith(summary);
    return { ...row, node: before.node, inside: before.inside, stale: before.stale };
  }
  const inside = element('div', { class: 'inside' });
  const node = element('details', { class: 'card session', ontoggle: () => loadHosts(row.id) }, summary, inside);
  $('session-list').append(node);
  return { ...row, node, inside, stale: true };
}

const loadState = single(async () => {
  const state = await call('GET', 'state'), known = now.sessions;
  now.sessions = new Map(state.sessions.map((row) => [row.id, sessionCard(row, known.get(row.id))]));
  for (const [id, one] of known) if (!now.sessions.has(id)) one.node.remove();
  for (const [id, one] of now.sessions) if (!known.has(id) && now.sessions.size <= 2) one.node.open = true;
  $('session-count').textContent = now.sessions.size;
  $('no-session').hidden = now.sessions.size > 0;
  options($('filter-session'), [...now.sessions.keys()].map((id) => [id, visible(sessionName(id)).slice(0, 40)]));
  for (const node of document.querySelectorAll('[data-session]')) {
    node.replaceChildren(...sessionNode(node.dataset.session).childNodes);
  }
  vault(state.vault);
  trouble(state);
});

function vault(state) {
  $('vault').textContent = `Vault: ${state}`;
  $('vault').className = 'chip ' + ({ unlocked: 'good', locked: 'ask', damaged: 'bad' }[state] || '');
  $('lock').hidden = state !== 'unlocked';
}

function trouble(state) {
  const parts = state.problems.map((problem) => element('div', {}, text('p', {}, problem.message),
    text('p', { class: 'hint' }, problem.hint)));
  if (state.vault === 'locked') {
    const refused = state.vault_refused === 1 ? '1 request was' : `${state.vault_refused} requests were`;
    parts.unshift(element('div', { class: 'ask' }, element('p', {}, 'The vault is locked: what needs a credential is ' +
      'refused' + (state.vault_refused ? ` (${refused})` : '') +
      '. Unlock it in a terminal; this page never asks for a passphrase.'), element('p', { class: 'command' },
      element('code', {}, 'aileron vault unlock'), element('button', { type: 'button', 'data-copy': 'aileron vault unlock' }, 'Copy'))));
  }
  $('trouble').replaceChildren(...parts);
  $('trouble').hidden = parts.length === 0;
}

const loading = new Set();
const counts = [['allowed', 'allowed'], ['denied', 'denied'], ['asked', 'asked'], ['credential', 'used']];

function hostTable(hosts) {
  const head = ['Host', 'Allowed', 'Denied', 'Asked', 'Credential'].map((name) => element('th', { scope: 'col' }, name));
  const rows = hosts.sort((a, b) => (b.last < a.last ? -1 : 1)).map((host) => element('tr', {},
    text('td', {}, host.host || 'others'),
    ...counts.map(([key, kind]) => element('td', { class: host[key] ? kind : 'none' }, String(host[key])))));
  return element('table', {}, element('caption', { class: 'unheard' }, 'Hosts that this session talks to'),
    element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows));
}

async function loadHosts(id) {
  const one = now.sessions.get(id);
  if (!one || !one.node.open || loading.has(id)) return;
  loading.add(id);
  one.stale = false;
  try {
    const { hosts } = await call('GET', 'hosts?session=' + id);
    one.inside.replaceChildren(hosts.length ? hostTable(hosts)
      : element('p', { class: 'note' }, 'It has talked to no host since the daemon began.'));
  } catch (error) { say(error.message); }
  loading.delete(id);
}

setInterval(() => { for (const [id, one] of now.sessions) if (one.stale) loadHosts(id); }, 500);
setInterval(() => {
  for (const node of document.querySelectorAll('[data-ago]')) node.textContent = ago(node.dataset.ago);
}, 20000);

// ---- the record ----

function options(select, pairs) {
  const have = new Set([...select.options].map((option) => option.value)), want = new Set(pairs.map(([value]) => value));
  for (const option of [...select.options]) if (option.value && !want.has(option.value) && !option.selected) option.remove();
  for (const [value, label] of pairs) if (!have.has(value)) select.append(element('option', { value }, label));
}

const wanted = (line) => (!$('filter-event').value || line.event === $('filter-event').value) &&
  (!$('filter-session').value || line.session === $('filter-session').value) &&
  (!$('filter-decision').value || line.decision === $('filter-decision').value);

const COMMON = ['ts', 'seq', 'event', 'session', 'id', 'prev', 'decision'];
const decisions = { allow: 'good', deny: 'bad', approve: 'ask' };

function lineText(line) {
  const words = [line.action, line.entry, line.tool && `${line.tool} ${line.name || ''}`, line.method,
    line.host ? line.host + (line.path || '') : '', line.state, line.reason, line.message].filter(Boolean);
  if (words.length) return words.join(' ');
  return Object.entries(line).filter(([key, value]) => !COMMON.includes(key) && value !== '')
    .map(([key, value]) => `${key}=${value}`).join(' ');
}

function lineNode(line) {
  const open = ({ target }) => { // all its fields, when somebody looks
    if (!target.open || target.children.length > 1) return;
    target.append(facts(Object.entries(line).filter(([key]) => key !== 'prev').map(([key, value]) => [key, String(value)])));
  };
  return element('li', {}, element('details', { ontoggle: open }, element('summary', {},
    element('time', { class: 'when', datetime: line.ts }, clock(line.ts)), text('span', { class: 'mono' }, line.event),
    line.decision ? text('span', { class: 'chip ' + (decisions[line.decision] || '') }, line.decision) : element('span'),
    text('span', { class: 'what' }, lineText(line).slice(0, 300)),
    element('span', { class: 'who' }, line.session ? sessionNode(line.session) : ''))));
}

function draw() {
  now.drawing = false;
  if (now.paused) return;
  now.fresh = now.fresh.filter(wanted);
  const list = $('lines'), nodes = now.fresh.splice(0, LINES_AT_ONCE).reverse().map(lineNode);
  list.prepend(...nodes);
  while (list.childElementCount > LINES) list.lastElementChild.remove();
  if (now.fresh.length) soon(); // what a person does meanwhile comes first
}

function soon() {
  if (!now.drawing) { now.drawing = true; setTimeout(draw, 30); }
}

function take(lines) {
  for (const line of lines) {
    now.seq = line.seq;
    now.lines.push(line);
    now.fresh.push(line);
    const session = now.sessions.get(line.session);
    if (session && (line.event === 'network' || line.event === 'credential')) session.stale = true;
  }
  now.lines.splice(0, now.lines.length - LINES);
  now.fresh.splice(0, now.fresh.length - LINES);
  options($('filter-event'), [...new Set(now.lines.map((line) => line.event))].sort().map((event) => [event, event]));
  soon();
}

function redraw() {
  $('lines').replaceChildren();
  now.fresh = [...now.lines];
  draw();
}

// ---- live ----

function heard(event, data) {
  if (event === 'approvals') loadApprovals();
  else if (event === 'state') loadState();
  else if (event === 'lines') take(JSON.parse(data).lines);
  else if (event === 'end') throw new Error(JSON.parse(data));
}

// Server-sent events, read by hand: the browser's own reader can send no key.
async function listen() {
  const answer = await fetch('/api/events?after=' + now.seq, { headers: headers(), cache: 'no-store' });
  if (answer.status === 403) { logged(false, (await answer.json()).error.message); return; }
  if (!answer.ok) throw new Error('the daemon is busy');
  live('Live', 'good');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = '', piece; !(piece = await reader.read()).done;) {
    const parts = (text + piece.value).split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const match = /^event: (\w+)\ndata: (.*)$/s.exec(part);
      if (match) heard(match[1], match[2]);
    }
  }
}

async function follow() {
  if (now.following) return;
  now.following = true;
  for (let wait = RETRY_MS; !$('app').hidden; wait = Math.min(2 * wait, RETRY_MAX_MS)) {
    const began = Date.now();
    try {
      await listen();
    } catch (error) { live(/fetch|network/i.test(error.message) ? 'Not connected' : visible(error.message), 'bad'); }
    if ($('app').hidden) break;
    if (Date.now() - began > RETRY_MAX_MS) wait = RETRY_MS;
    await new Promise((done) => { setTimeout(done, wait); });
    if (!$('app').hidden) live('Connecting', '');
  }
  now.following = false;
}

// ---- keys ----

function move(step) {
  const heads = [...document.querySelectorAll('#list .head')];
  const item = document.activeElement.closest('#list > li') || (now.open ? $(now.open) : null);
  const at = item ? heads.indexOf(item.querySelector('.head')) + step : step > 0 ? 0 : heads.length - 1;
  if (heads[at]) heads[at].focus();
}

function act(key) {
  const item = document.activeElement.closest('#list > li') || (now.open ? $(now.open) : null);
  const one = item && now.rows.get(item.id);
  if (!one) { move(1); return; }
  if (!one.whole) { if (now.open !== item.id) toggle(item.id); return; }
  if (key === 'a') approve(one, 'once');
  else if (key === 's') approve(one, 'session');
  else if (key === 'd') deny(one);
  else if (one.whole.shown.kind === 'operation' && !one.whole.sealed) edit(one);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || document.querySelector('dialog[open]')) return;
  if ($('app').hidden || !$('keys-on').checked || event.target.closest('input, textarea, select')) return;
  const keys = { j: () => move(1), k: () => move(-1), '?': () => $('help').showModal() };
  const run = keys[event.key] || ('asde'.includes(event.key) ? () => act(event.key) : null);
  if (!run) return;
  event.preventDefault();
  if (!event.repeat || event.key === 'j' || event.key === 'k') run();
});

// ---- start ----

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-copy], [data-close]');
  if (!button) return;
  if (button.hasAttribute('data-close')) button.closest('dialog').close();
  else navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = 'Copied'; }, () => {});
});
$('deny').addEventListener('close', () => { now.dialog = null; });
$('edit').addEventListener('close', () => { now.dialog = null; });
$('deny-go').addEventListener('click', denied);
$('deny-reason').addEventListener('keydown', (event) => { if (event.key === 'Enter' && !event.isComposing) denied(); });
$('edit-go').addEventListener('click', edited);
$('help-open').addEventListener('click', () => $('help').showModal());
$('keys-on').addEventListener('change', () => localStorage.setItem(KEYS_OFF, $('keys-on').checked ? '' : '1'));
$('more').addEventListener('click', () => { now.limit = Math.min(now.limit + ROWS, 1000); loadApprovals(); });
$('lock').addEventListener('click', () => call('POST', 'lock', '{}')
  .then(() => say('The vault is locked'), (error) => say(error.message)));
$('logout').addEventListener('click', async () => {
  await call('POST', 'logout', '{}').catch(() => {});
  localStorage.removeItem(KEY);
  logged(false, 'You have logged out.');
});
$('pause').addEventListener('click', () => {
  now.paused = !now.paused;
  $('pause').setAttribute('aria-pressed', String(now.paused));
  $('pause').textContent = now.paused ? 'Go on' : 'Pause';
  if (!now.paused) draw();
});
for (const id of ['filter-event', 'filter-session', 'filter-decision']) $(id).addEventListener('change', redraw);

// The link's token stands behind the '#', which no server sees; it is gone from the address at once.
async function login() {
  const match = /^#login=([0-9a-f]{64})(?:&show=(apr_[0-9A-Z]{26}))?$/.exec(location.hash);
  if (!match) return;
  history.replaceState(null, '', '/');
  now.show = match[2] || '';
  const before = localStorage.getItem(KEY);
  localStorage.removeItem(KEY);
  try {
    const answer = await call('POST', 'login', JSON.stringify({ token: match[1] }));
    localStorage.setItem(KEY, answer.key);
  } catch (error) { // an old notification: whoever is logged in stays so
    if (!now.show || !before) throw error;
    localStorage.setItem(KEY, before);
  }
}

async function start() {
  $('keys-on').checked = !localStorage.getItem(KEYS_OFF);
  try {
    await login();
    if (!localStorage.getItem(KEY)) { logged(false, ''); return; }
    logged(true);
    follow();
  } catch (error) { logged(false, error.message); }
}
window.addEventListener('hashchange', start);
start();
