// The run as objects that refer to each other. report/page/data.py says what the arrays hold.

const OUTCOMES = {
  none: { letter: '', words: 'not for this node', rank: 0 },
  ok: { letter: '.', words: 'in sync', rank: 1 },
  skipped: { letter: 's', words: 'skipped', rank: 2 },
  fixed: { letter: 'F', words: 'fixed', rank: 3 },
  waived: { letter: 'W', words: 'drift, waived', rank: 4 },
  drift: { letter: 'D', words: 'drift', rank: 5 },
  error: { letter: 'E', words: 'error', rank: 6 },
  unseen: { letter: '?', words: 'not looked at', rank: 7 },
};
const BY_RANK = Object.keys(OUTCOMES);
const rankOf = (outcome) => OUTCOMES[outcome].rank;
// From here on there is something to tell.
const TROUBLE = OUTCOMES.fixed.rank;
const NO_GROUP = '(no group)';

const raw = JSON.parse(document.getElementById('data').textContent);

const entries = raw.entries.map(([kind, path, check, name], index) => ({ index, kind, path, check, name }));

const findings = raw.findings.map(([outcome, message, changes, source, diff, waiver]) => (
  { outcome, message, changes, source, diff, waiver }
));

const found = raw.found.map(([finding, details, life]) => ({
  finding: findings[finding],
  details: details < 0 ? [] : raw.details[details],
  life: life < 0 ? null : { since: raw.lives[life][0], cause: raw.lives[life][1] },
}));

const sets = raw.sets.map((list) => {
  const has = new Uint8Array(entries.length);
  for (const entry of list) has[entry] = 1;
  return { list, has };
});

const nodes = raw.nodes.map(([name, groups, word, error, set, seconds, done, notes, pairs], index) => {
  const node = { index, name, groups, word, error, set: sets[set], seconds, done, notes, found: new Map(), rank: 1 };
  for (let at = 0; at < pairs.length; at += 2) {
    const what = found[pairs[at + 1]];
    node.found.set(node.set.list[pairs[at]], what);
    node.rank = Math.max(node.rank, rankOf(what.finding.outcome));
  }
  if (error !== null) node.rank = OUTCOMES.unseen.rank;
  return node;
});

// How an entry of a node ended, a key of OUTCOMES.
function outcomeOf(node, entry) {
  if (!node.set.has[entry]) return 'none';
  if (node.error !== null) return 'unseen';
  const what = node.found.get(entry);
  return what === undefined ? 'ok' : what.finding.outcome;
}

// The message of an entry of a node; empty where there is none.
function messageOf(node, entry) {
  if (node.error !== null) return node.error;
  const what = node.found.get(entry);
  return what === undefined ? '' : what.finding.message;
}

// How a node ended, in words; a run that puts old versions back does not look whether it is in sync.
const wordOf = (node) => (raw.mode === 'restore' && node.word === 'skipped' ? 'nothing put back' : node.word.replace('_', ' '));

const firstGroup = (node) => node.groups[0] ?? NO_GROUP;

const number = (value) => value.toLocaleString('en');
const plural = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;
const inSeconds = (value) => `${value.toLocaleString('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
const inNodes = (value) => plural(value, 'node', 'nodes');
const inEntries = (value) => plural(value, 'entry', 'entries');

// Names in short form, as --hosts takes them: node[1-3,7],web1.
function fold(names) {
  const parts = names.map((name) => /^(.*?)(\d*)(\D*)$/s.exec(name).slice(1));
  // Numbers of a width in which one begins with a zero belong together: 099 and 100.
  const key = ([before, digits, after], width) => JSON.stringify([before, after, digits !== '', width]);
  const padded = new Set(parts.filter(([, digits]) => /^0\d/.test(digits)).map((part) => key(part, part[1].length)));
  const families = new Map();
  for (const part of parts) {
    const [before, digits, after] = part;
    const wide = key(part, digits.length);
    const family = padded.has(wide) ? wide : key(part, 0);
    if (!families.has(family)) families.set(family, { before, after, digits: [] });
    families.get(family).digits.push(digits);
  }
  return [...families.values()].map(({ before, after, digits }) => {
    if (digits.length === 1) return before + digits[0] + after;
    const sorted = digits.sort((a, b) => Number(a) - Number(b));
    const ranges = [];
    for (const text of sorted) {
      const last = ranges.at(-1);
      if (last && Number(text) === Number(last[1]) + 1) last[1] = text;
      else ranges.push([text, text]);
    }
    return `${before}[${ranges.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(',')}]${after}`;
  }).join(',');
}

// A name, a path or a list of nodes, which is broken after `/` and `,` only: breaks.py does the same.
function breakable(text) {
  const words = text.split(' ');
  if (text.split(/[/,]/).length > 400) return [text];
  return words.flatMap((word, at) => {
    const parts = word.split(/(?<=[^/,][/,])(?=[^/,])/);
    const whole = parts.length === 1 && !word.includes('-');
    return [at ? ' ' : '', ...(whole ? parts : parts.map((part) => make('span', { className: 'part', textContent: part })))];
  });
}

// An element with these properties; text is text, never markup.
function make(tag, properties = {}, ...children) {
  const { role, label, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  if (role) element.setAttribute('role', role);
  if (label) element.setAttribute('aria-label', label);
  element.append(...children);
  return element;
}
