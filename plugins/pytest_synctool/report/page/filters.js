// What is asked for: in the form, in the address, and as tests of nodes and texts.

const SMALL = 2500; // cells that are shown without being asked for
const MANY_NODES = 100;
const field = (name) => document.getElementById(`f-${name}`);
const TEXTS = ['node', 'group', 'kind', 'outcome', 'text'];
const SWITCHES = ['all', 'fold'];

function defaults() {
  return {
    node: '', group: '', kind: '', outcome: '', text: '',
    all: nodes.length * entries.length <= SMALL,
    fold: nodes.length > MANY_NODES,
  };
}

function fillForm() {
  const options = (name, any, pairs) => field(name).replaceChildren(
    make('option', { value: '', textContent: any }),
    ...pairs.map(([value, textContent]) => make('option', { value, textContent })),
  );
  const sorted = (values) => [...new Set(values)].sort().map((value) => [value, value]);
  options('group', 'all groups', sorted(nodes.flatMap((node) => node.groups)));
  options('kind', 'all kinds', sorted(entries.map((entry) => entry.kind)));
  options('outcome', 'all outcomes', BY_RANK.slice(1).reverse().map((key) => [key, OUTCOMES[key].words]));
}

function readForm() {
  const state = {};
  for (const name of TEXTS) state[name] = field(name).value;
  for (const name of SWITCHES) state[name] = field(name).checked;
  return state;
}

function writeForm(state) {
  for (const name of TEXTS) {
    const input = field(name);
    // A link may ask for what this run does not have: that is not to be taken for no filter at all.
    if (input.tagName === 'SELECT' && ![...input.options].some((option) => option.value === state[name])) {
      input.append(make('option', { value: state[name], textContent: `${state[name]} (not in this run)` }));
    }
    input.value = state[name];
  }
  for (const name of SWITCHES) field(name).checked = state[name];
}

// The state that an address asks for; null if it is about something else.
function fromAddress(hash) {
  if (hash.length > 1 && !hash.includes('=')) return null;
  const asked = new URLSearchParams(hash.slice(1));
  const state = defaults();
  for (const name of TEXTS) state[name] = asked.get(name) ?? '';
  for (const name of SWITCHES) if (asked.has(name)) state[name] = asked.get(name) === '1';
  return state;
}

function toAddress(state) {
  const usual = defaults();
  const asked = new URLSearchParams();
  for (const name of TEXTS) if (state[name]) asked.set(name, state[name]);
  for (const name of SWITCHES) if (state[name] !== usual[name]) asked.set(name, state[name] ? '1' : '0');
  const hash = `#${asked}`;
  try {
    history.replaceState(null, '', hash);
  } catch {
    location.hash = hash; // where a page from a file may not
  }
}

// A test of node names: names, parts of them, and patterns with * and ?, with commas between.
function nodeTest(text) {
  const tests = text.split(',').map((term) => term.trim().toLowerCase()).filter(Boolean).map((term) => {
    if (!/[*?]/.test(term)) return (name) => name.includes(term);
    const source = term.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
    const pattern = new RegExp(`^${source}$`, 's');
    return (name) => pattern.test(name);
  });
  if (!tests.length) return () => true;
  return (name) => tests.some((test) => test(name.toLowerCase()));
}

function textTest(text) {
  const part = text.trim().toLowerCase();
  return part ? (value) => value.toLowerCase().includes(part) : () => true;
}
