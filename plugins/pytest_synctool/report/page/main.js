// The page: its parts, and what they tell each other.

const PAUSE = 200; // ms without another key until a text is taken as meant

const open = new Set();
const grid = new Grid(document.getElementById('grid'), (row, column) => {
  if (row?.group !== undefined && column === null) {
    if (!open.delete(row.group)) open.add(row.group);
    refresh();
  } else {
    describe(row, column);
  }
});

function refresh() {
  const state = readForm();
  const view = makeView(state, open);
  grid.show(view);
  const explorer = document.getElementById('explorer');
  explorer.classList.toggle('small', grid.small);
  document.getElementById('omitted').textContent = omitted(view);
  document.getElementById('no-matrix').hidden = grid.small;
  const filtered = TEXTS.some((name) => state[name]);
  const none = view.nodes && view.columns.length ? '' : ' Nothing in this run fits the filters.';
  document.getElementById('status').textContent = `${filtered ? 'Filtered: ' : ''}${inNodes(view.nodes)}, `
    + `${inEntries(view.columns.length)}, ${plural(view.matching, 'finding', 'findings')}.${none}`;
  return state;
}

let timer = 0;
function changed(event) {
  clearTimeout(timer);
  timer = setTimeout(() => toAddress(refresh()), event.target.type === 'text' ? PAUSE : 0);
}

function legend() {
  const items = [...BY_RANK].reverse().filter((key) => key !== 'none').map((key) => make('li', {},
    make('span', { className: `cell ${key}`, textContent: OUTCOMES[key].letter }), ` ${OUTCOMES[key].words}`));
  const blank = make('li', {}, make('span', { className: 'cell none' }), ` ${OUTCOMES.none.words}`);
  document.getElementById('legend').append(...items, blank);
}

// A page from a file may have no storage; then a choice lasts as long as the page.
function stored(use) {
  try {
    return use(window.localStorage);
  } catch {
    return null;
  }
}

function theme() {
  const root = document.documentElement, control = document.getElementById('theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const now = () => root.dataset.theme ?? (system.matches ? 'dark' : 'light');
  const tell = () => {
    control.textContent = now() === 'dark' ? 'Light colours' : 'Dark colours';
  };
  const known = stored((storage) => storage.getItem('synctool-theme'));
  if (known === 'dark' || known === 'light') root.dataset.theme = known;
  control.onclick = () => {
    root.dataset.theme = now() === 'dark' ? 'light' : 'dark';
    stored((storage) => storage.setItem('synctool-theme', root.dataset.theme));
    tell();
  };
  system.onchange = tell;
  control.hidden = false;
  tell();
}

function begin() {
  const form = document.getElementById('filters');
  theme();
  prepareTables();
  correctLinks();
  legend();
  fillForm();
  writeForm(fromAddress(location.hash) ?? defaults());
  form.oninput = form.onchange = changed;
  form.onsubmit = (event) => event.preventDefault();
  form.onreset = (event) => {
    event.preventDefault();
    writeForm({ ...readForm(), ...Object.fromEntries(TEXTS.map((name) => [name, ''])) });
    toAddress(refresh());
  };
  window.onhashchange = () => {
    const state = fromAddress(location.hash);
    if (state === null) return;
    writeForm(state);
    refresh();
  };
  document.getElementById('close').onclick = () => dialog.close();
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.onclose = () => grid.focus();
  if (nodes.length && entries.length) {
    document.getElementById('explorer').hidden = false;
    document.documentElement.classList.add('scripted');
    refresh();
  }
  // Not a noscript element: where a server does not allow scripts, browsers would not show that.
  document.getElementById('no-script').hidden = true;
}

begin();
