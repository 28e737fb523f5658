// The matrix: a grid of which only what is in sight is in the document, and the cell that has the focus.

const WIDTH = 30;
const HEIGHT = 24;
const HEAD = 150;
const BEYOND = 4; // rows and columns that are made before they are in sight
const STEP = 8; // columns are made in blocks, so that not every step sideways makes them anew
const LONGEST_HEAD = 22;
const PRINTED = { rows: 60, columns: 16 }; // a matrix of this size is in the document as a whole

// The numbers from one to another, which is left out, and another one besides unless that is negative.
function numbers(from, to, other) {
  const found = [];
  if (other >= 0 && other < from) found.push(other);
  for (let number = from; number < to; number += 1) found.push(number);
  if (other >= to) found.push(other);
  return found;
}

// Takes elements out of the document, and out of a map by number, unless they are wanted.
function keep(made, wanted) {
  for (const [number, { element }] of made) {
    if (wanted.has(number)) continue;
    element.remove();
    made.delete(number);
  }
}

class Grid {
  // `open(row, column)` is called for what was chosen: a row of the view or null, an entry or null.
  constructor(root, open) {
    this.root = root;
    this.open = open;
    this.active = { row: 0, column: 0 };
    this.made = new Map();
    this.space = make('div', { className: 'space', role: 'presentation' });
    root.append(this.space);
    let waiting = false;
    root.addEventListener('scroll', () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        this.render();
      });
    }, { passive: true });
    new ResizeObserver(() => this.view && this.resized()).observe(root); // calls once also without a change
    root.addEventListener('click', (event) => this.clicked(event));
    root.addEventListener('keydown', (event) => this.pressed(event));
    root.addEventListener('mouseover', (event) => {
      const cell = event.target.closest('.cell');
      if (cell && !cell.title) cell.title = cell.ariaLabel;
    });
  }

  show(view) {
    this.view = view;
    const rows = view.rows.length, columns = view.columns.length;
    this.active = { row: Math.min(this.active.row, rows - 1), column: Math.min(this.active.column, columns - 1) };
    if (this.active.row < 0 && rows) this.active.row = 0;
    this.small = rows <= PRINTED.rows && columns <= PRINTED.columns;
    this.root.ariaRowCount = String(rows + 1);
    this.root.ariaColCount = String(columns + 1);
    this.names = null;
    this.resized();
  }

  resized() {
    const names = this.root.clientWidth < 600 ? 120 : 200;
    const focused = this.focused();
    if (names !== this.names) {
      this.names = names;
      this.space.style.width = `${names + this.view.columns.length * WIDTH}px`;
      this.space.style.height = `${HEAD + this.view.rows.length * HEIGHT}px`;
      this.root.style.setProperty('--names', `${names}px`);
      keep(this.made, new Set());
    }
    this.render(focused);
  }

  // Whether the focus is somewhere in the matrix: it must not get lost with what is taken out of the document.
  focused() {
    return this.root.contains(document.activeElement);
  }

  render(focused = this.focused()) {
    const { rows, columns } = this.view;
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.root;
    let from = Math.max(0, Math.floor(scrollTop / HEIGHT) - BEYOND);
    let to = Math.min(rows.length, Math.ceil((scrollTop + clientHeight - HEAD) / HEIGHT) + BEYOND);
    let left = Math.max(0, Math.floor((scrollLeft / WIDTH - BEYOND) / STEP) * STEP);
    let right = Math.ceil(((scrollLeft + clientWidth - this.names) / WIDTH + BEYOND) / STEP) * STEP;
    if (this.small) [from, to, left, right] = [0, rows.length, 0, columns.length];
    right = Math.min(columns.length, right);
    this.range = { left, right };
    const wanted = numbers(from, to, rows.length ? this.active.row : -1);
    keep(this.made, new Set([-1, ...wanted]));
    let before = this.fill(-1);
    for (const row of wanted) before = this.fill(row, before);
    this.mark(focused);
  }

  // A row with the cells that are in sight, or the heads above all rows for -1; it is made behind another one.
  fill(row, before) {
    let made = this.made.get(row);
    if (made === undefined) {
      made = this.row(row);
      this.made.set(row, made);
      if (before) before.after(made.element);
      else this.space.prepend(made.element);
    }
    const { left, right } = this.range;
    const extra = row === this.active.row ? this.active.column : -1;
    if (made.left !== left || made.right !== right || made.extra !== extra) {
      Object.assign(made, { left, right, extra });
      const wanted = numbers(left, right, extra);
      keep(made.cells, new Set(wanted));
      let last = made.head;
      for (const column of wanted) {
        if (!made.cells.has(column)) {
          const element = this.cellAt(row, column);
          made.cells.set(column, { element });
          last.after(element);
        }
        last = made.cells.get(column).element;
      }
    }
    return made.element;
  }

  row(index) {
    const row = this.view.rows[index];
    const className = index < 0 ? 'head' : row.group === undefined ? 'row' : 'row group';
    const element = make('div', { className, role: 'row', ariaRowIndex: String(index + 2) });
    if (index >= 0) element.style.top = `${HEAD + index * HEIGHT}px`;
    const head = index < 0 ? this.corner() : this.rowHead(row, index);
    element.append(head);
    return { element, head, cells: new Map() };
  }

  cellAt(index, column) {
    if (index < 0) return this.columnHead(column);
    const row = this.view.rows[index];
    const entry = this.view.columns[column].index;
    return row.group === undefined ? this.nodeCell(row.node, index, column, entry) : this.groupCell(row, index, column, entry);
  }

  corner() {
    const cell = this.cell(-1, -1, 'columnheader', 'corner', 'Nodes and groups');
    cell.textContent = 'Node';
    return cell;
  }

  columnHead(column) {
    const { path, kind } = this.view.columns[column];
    const cell = this.cell(-1, column, 'columnheader', 'name', `${path} (${kind})`);
    const more = kind === 'overlay' ? '' : ` (${kind})`;
    const room = Math.max(LONGEST_HEAD - more.length, 8);
    const short = path.length > room ? `…${path.slice(1 - room)}` : path;
    cell.append(make('span', { textContent: short + more }));
    return cell;
  }

  rowHead(row, index) {
    if (row.group === undefined) {
      const { node } = row;
      const cell = this.cell(index, -1, 'rowheader', `name is-${node.word}`, `${node.name}: ${wordOf(node)}`);
      cell.textContent = node.name;
      return cell;
    }
    const missed = row.nodes.filter((node) => node.rank === OUTCOMES.unseen.rank).length;
    const left = missed ? `, ${number(missed)} not looked at` : '';
    const shown = row.nodes.length < row.of ? `${number(row.nodes.length)} of ` : '';
    const cell = this.cell(index, -1, 'rowheader', 'name', `group ${row.group}, ${shown}${inNodes(row.of)}${left}`);
    cell.ariaExpanded = String(row.open);
    cell.append(make('span', { className: 'sign', textContent: row.open ? '▾' : '▸' }), row.group,
      make('small', { textContent: ` ${shown}${number(row.of)}` }));
    if (missed) cell.append(make('small', { className: 'missed', textContent: ` ${number(missed)}?` }));
    return cell;
  }

  nodeCell(node, row, column, entry) {
    const outcome = outcomeOf(node, entry);
    const message = messageOf(node, entry);
    const { letter, words } = OUTCOMES[outcome];
    const label = `${node.name} ${this.view.columns[column].path}: ${words}${message ? `, ${message}` : ''}`;
    const dim = outcome !== 'none' && !this.view.fits(node, entry, outcome) ? ' dim' : '';
    const cell = this.cell(row, column, 'gridcell', outcome + dim, label);
    cell.textContent = letter;
    return cell;
  }

  groupCell(group, row, column, entry) {
    const { of, pairs } = outcomesOf(group, entry);
    const [outcome, count] = pairs[0] ?? ['none', 0];
    const { letter } = OUTCOMES[outcome];
    const told = pairs.map(([one, times]) => `${OUTCOMES[one].words} on ${number(times)}`).join(', ');
    const label = `group ${group.group} ${this.view.columns[column].path}: `
      + (of ? `${told} of ${inNodes(of)}${group.nodes.length < group.of ? ' shown' : ''}` : 'not for these nodes');
    const cell = this.cell(row, column, 'gridcell', outcome, label);
    cell.textContent = letter;
    if (rankOf(outcome) > OUTCOMES.ok.rank) cell.append(make('small', { textContent: count < 1000 ? count : '1k' }));
    return cell;
  }

  cell(row, column, role, className, label) {
    const cell = make('div', { className: `cell ${className}`, role, label, ariaColIndex: String(column + 2), tabIndex: -1 });
    cell.place = { row, column };
    if (column >= 0) cell.style.left = `${this.names + column * WIDTH}px`;
    return cell;
  }

  element({ row, column }) {
    const made = this.made.get(row);
    return column < 0 ? made?.head : made?.cells.get(column)?.element;
  }

  // Let the active cell be the one that the Tab key goes to.
  mark(focus) {
    this.marked?.setAttribute('tabindex', '-1');
    this.marked = this.element(this.active);
    this.marked?.setAttribute('tabindex', '0');
    if (focus) this.marked?.focus({ preventScroll: true });
  }

  go(row, column) {
    const last = { row: this.view.rows.length - 1, column: this.view.columns.length - 1 };
    row = Math.max(-1, Math.min(last.row, row));
    column = Math.max(-1, Math.min(last.column, column));
    this.active = { row, column };
    const { root } = this;
    if (row >= 0) {
      const top = row * HEIGHT, room = root.clientHeight - HEAD - HEIGHT;
      root.scrollTop = Math.max(top - room, Math.min(root.scrollTop, top));
    }
    if (column >= 0) {
      const left = column * WIDTH, room = root.clientWidth - this.names - WIDTH;
      root.scrollLeft = Math.max(left - room, Math.min(root.scrollLeft, left));
    }
    this.render();
    this.mark(true);
  }

  pressed(event) {
    if (event.altKey || event.metaKey) return;
    const { row, column } = this.active;
    const page = Math.max(1, Math.floor((this.root.clientHeight - HEAD) / HEIGHT) - 1);
    const far = Infinity;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageUp: [Math.max(0, row - page), column], PageDown: [row + page, column],
      Home: event.ctrlKey ? [-1, -1] : [row, -1], End: event.ctrlKey ? [far, far] : [row, far],
    };
    if (moves[event.key]) this.go(...moves[event.key]);
    else if (event.key === 'Enter' || event.key === ' ') this.choose();
    else return;
    event.preventDefault();
  }

  clicked(event) {
    const cell = event.target.closest('.cell');
    if (!cell) return;
    this.go(cell.place.row, cell.place.column);
    this.choose();
  }

  choose() {
    const { row, column } = this.active;
    this.open(this.view.rows[row] ?? null, this.view.columns[column] ?? null);
  }

  focus() {
    this.mark(true);
  }
}
