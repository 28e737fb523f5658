// What there is to know of a cell, a node, an entry or a group, in a dialog.

const MOST_LINES = 400;
const MOST_ITEMS = 200;
const CAUSES = {
  node: 'the node was changed',
  masterdir: 'the masterdir was changed',
  first: 'it has been so since it was first looked at',
  command: 'a command, which repairs run',
  restore: '--restore put back an old version',
  unknown: 'cause not known',
};
const NO_DIFF = -1;

const dialog = document.getElementById('details');

// A cell of the matrix was chosen, or a head: then the row or the entry is null.
function describe(row, entry) {
  if (row === null && entry === null) return;
  if (row === null) describeMany(entry.path, `${entry.kind}, on all nodes`, nodes, entry);
  else if (row.group !== undefined) describeGroup(row.group, entry);
  else if (entry === null) describeNode(row.node);
  else describeCell(row.node, entry);
}

function describeGroup(name, entry) {
  const these = nodes.filter((node) => firstGroup(node) === name);
  describeMany(entry.path, `${entry.kind}, on all nodes of group ${name}`, these, entry);
}

function display(title, ...parts) {
  document.getElementById('details-title').replaceChildren(...breakable(title));
  const body = document.getElementById('details-body');
  body.replaceChildren(...parts.filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById('details-title').focus();
}

function describeCell(node, entry) {
  const outcome = outcomeOf(node, entry.index);
  const what = node.found.get(entry.index);
  const finding = what?.finding;
  display(
    `${node.name}: ${entry.path}`,
    verdictOf(outcome, messageOf(node, entry.index)),
    facts([
      ['Node', node.name], ['Groups', node.groups.join(', ') || 'none'], ['Kind', entry.kind],
      ['Source', finding?.source], ['Since', what?.life?.since],
      ['Why', what?.life && (CAUSES[what.life.cause] ?? what.life.cause)], ['Waiver', finding?.waiver],
    ]),
    finding && changesOf(finding.changes),
    what?.details.length && part('More', lines(what.details)),
    finding && diffOf(finding.diff),
    finding && alike(node, entry, finding),
    commands(node, entry, outcome),
  );
}

function describeNode(node) {
  const rows = [...node.found].map(([index, { finding }]) => [entries[index], finding])
    .sort((a, b) => rankOf(b[1].outcome) - rankOf(a[1].outcome));
  const unseen = node.error !== null;
  const quiet = unseen ? 'Nothing is known of its entries.'
    : `${inEntries(node.set.list.length)}, ${number(node.set.list.length - rows.length)} of them in sync.`;
  display(
    node.name,
    verdictOf(unseen ? 'unseen' : BY_RANK[node.rank], node.error ?? quiet),
    facts([['Groups', node.groups.join(', ') || 'none'], ['Ended', wordOf(node)],
      ['Entries', number(node.set.list.length)], ['Took', inSeconds(node.seconds)]]),
    node.notes.length && part('Notes', lines(node.notes)),
    node.done.length && part('Done there', lines(node.done)),
    rows.length && part('Not in sync', list(rows, ([entry, finding]) => button(
      `${OUTCOMES[finding.outcome].words}: ${entry.path} ${finding.message}`, () => describeCell(node, entry)))),
  );
}

// An entry on many nodes: every finding once, under the nodes that have it.
function describeMany(title, about, these, entry) {
  const kinds = new Map();
  for (const node of these) {
    const outcome = outcomeOf(node, entry.index);
    if (outcome === 'none') continue;
    const message = messageOf(node, entry.index);
    const key = `${outcome} ${message}`;
    if (!kinds.has(key)) kinds.set(key, { outcome, message, nodes: [] });
    kinds.get(key).nodes.push(node);
  }
  const sorted = [...kinds.values()].sort((a, b) => rankOf(b.outcome) - rankOf(a.outcome) || b.nodes.length - a.nodes.length);
  display(
    title,
    make('p', { textContent: about }),
    sorted.length ? list(sorted, (one) => make('div', {},
      verdictOf(one.outcome, one.message),
      make('p', { className: 'nodes' }, `${inNodes(one.nodes.length)}: `,
        ...breakable(fold(one.nodes.map((node) => node.name)))),
      button(`Details of ${one.nodes[0].name}`, () => describeCell(one.nodes[0], entry)),
    )) : make('p', { textContent: 'None of these nodes has this entry.' }),
  );
}

function verdictOf(outcome, message) {
  return make('p', { className: 'outcome' },
    make('span', { className: `word ${outcome}`, textContent: OUTCOMES[outcome].words }), ' ',
    make('span', { className: 'message', textContent: message }));
}

function part(title, ...children) {
  return make('section', {}, make('h3', { textContent: title }), ...children);
}

function facts(pairs) {
  return make('dl', {}, ...pairs.filter(([, value]) => value).map(([term, value]) => (
    make('div', {}, make('dt', { textContent: term }), make('dd', {}, ...breakable(value))))));
}

const lines = (texts) => make('pre', { tabIndex: 0, label: 'Lines', role: 'group', textContent: texts.join('\n') });

function list(values, item) {
  const shown = make('ul', { className: 'items' }, ...values.slice(0, MOST_ITEMS).map((value) => make('li', {}, item(value))));
  if (values.length <= MOST_ITEMS) return shown;
  return make('div', {}, shown,
    make('p', { textContent: `${number(values.length - MOST_ITEMS)} more are in drift.json.` }));
}

function button(textContent, onclick) {
  return make('button', { type: 'button', textContent, onclick });
}

function changesOf(changes) {
  if (!changes.length) return null;
  const head = make('tr', {}, ...['What', 'Expected', 'Found'].map((textContent) => make('th', { scope: 'col', textContent })));
  const rows = changes.map((texts) => make('tr', {}, ...texts.map((textContent) => make('td', { textContent }))));
  return part('Expected and found', make('div', { className: 'scroll' },
    make('table', { className: 'changes' }, make('thead', {}, head), make('tbody', {}, ...rows))));
}

function diffOf(index) {
  if (index === NO_DIFF) return null;
  if (index < 0) return part('Difference', make('p', { textContent: 'It is left out of this page for its size; it is in drift.json.' }));
  const all = raw.diffs[index].split('\n');
  const pre = make('pre', { className: 'diff', tabIndex: 0, role: 'group', label: 'Difference' });
  const add = (texts) => pre.append(...texts.map((text) => make('span', { className: lineClass(text), textContent: `${text}\n` })));
  add(all.slice(0, MOST_LINES));
  if (all.length <= MOST_LINES) return part('Difference', pre);
  const more = button(`Show all ${number(all.length)} lines`, () => {
    add(all.slice(MOST_LINES));
    more.remove();
    pre.focus();
  });
  return part('Difference', pre, more);
}

function lineClass(text) {
  if (/^(---|\+\+\+) /.test(text)) return 'file';
  return { '+': 'plus', '-': 'minus', '@': 'place' }[text[0]] ?? '';
}

// Which nodes have the same finding.
function alike(node, entry, finding) {
  const others = nodes.filter((one) => one.found.get(entry.index)?.finding === finding);
  if (others.length < 2) return null;
  return part(`The same on ${inNodes(others.length)}`,
    make('p', { className: 'nodes' }, ...breakable(fold(others.map((one) => one.name)))));
}

function commands(node, entry, outcome) {
  if (outcome === 'none') return null;
  const of = `--synctool-conf=${shell(raw.configuration)} --hosts=${shell(node.name)}`;
  const test = shell(`${entry.check}::${node.name}::${entry.name}`);
  const told = outcome === 'drift' && raw.mode !== 'restore' ? [
    ['To put right just this:', `pytest ${of} --fix ${test}`],
    ['To put right all that failed on this node, in the directory of the run:',
      `pytest ${of} --lf --fix --pyargs synctool_checks`],
  ] : [['To look at just this again:', `pytest ${of} ${test}`]];
  return part('What to run', make('p', { textContent: 'With what else the run was started with, such as --sudo:' }),
    ...told.map(([about, command]) => make('p', {}, about,
      make('code', { textContent: command }), copyButton(() => command))));
}

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
