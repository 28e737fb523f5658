// The matrix: a grid of which only what is in sight is in the document, and the cell that has the focus.

const WIDTH = 30;
const HEIGHT = 24;
const HEAD = 150;
const BEYOND = 4; // rows and columns that are made before they are in sight
const STEP = 8; // columns are made in blocks, so that not every step sideways makes them anew
const LONGEST_HEAD = 22;
const PRINTED = { rows: 60, columns: 24 }; // a matrix of this size is in the document as a whole

class Grid {
  // `open(row, column)` is called for what was chosen: a row of the view or null, an entry or null.
  constructor(root, open) {
    this.root = root;
    this.open = open;
    this.active = { row: 0, column: 0 };
    this.made = new Map();
    this.space = make('div', { className: 'space', role: 'presentation' });
    this.head = make('div', { className: 'head', role: 'row', ariaRowIndex: '1' });
    this.space.append(this.head);
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
    new ResizeObserver(() => this.view && this.resized()).observe(root);
    root.addEventListener('click', (event) => this.clicked(event));
    root.addEventListener('keydown', (event) => this.pressed(event));
    root.addEventListener('mouseover', (event) => {
      const cell = event.target.closest('[data-row]');
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
    this.resized();
  }

  resized() {
    this.names = this.root.clientWidth < 600 ? 120 : 200;
    this.space.style.width = `${this.names + this.view.columns.length * WIDTH}px`;
    this.space.style.height = `${HEAD + this.view.rows.length * HEIGHT}px`;
    this.root.style.setProperty('--names', `${this.names}px`);
    this.columns = null;
    this.render();
  }

  render() {
    const { rows, columns } = this.view;
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.root;
    let from = Math.max(0, Math.floor(scrollTop / HEIGHT) - BEYOND);
    let to = Math.min(rows.length, Math.ceil((scrollTop + clientHeight - HEAD) / HEIGHT) + BEYOND);
    let left = Math.max(0, Math.floor((scrollLeft / WIDTH - BEYOND) / STEP) * STEP);
    let right = Math.ceil(((scrollLeft + clientWidth - this.names) / WIDTH + BEYOND) / STEP) * STEP;
    if (this.small) [from, to, left, right] = [0, rows.length, 0, columns.length];
    right = Math.min(columns.length, right);
    const focused = this.root.contains(document.activeElement);
    if (!this.columns || this.columns.left !== left || this.columns.right !== right) {
      this.columns = { left, right };
      for (const element of this.made.values()) element.remove();
      this.made.clear();
      this.head.replaceChildren(...this.headCells());
    }
    for (const [row, element] of this.made) {
      if ((row < from || row >= to) && row !== this.active.row) {
        element.remove();
        this.made.delete(row);
      }
    }
    const news = [];
    const need = (row) => {
      if (row < 0 || this.made.has(row)) return;
      const element = this.row(row);
      this.made.set(row, element);
      news.push(element);
    };
    for (let row = from; row < to; row += 1) need(row);
    if (rows.length) need(this.active.row);
    this.space.append(...news);
    this.mark(focused);
  }

  // The columns that are made: those in sight, and that of the active cell where it is needed.
  wanted(row) {
    const wanted = [];
    for (let column = this.columns.left; column < this.columns.right; column += 1) wanted.push(column);
    const { active } = this;
    if (row === active.row && active.column >= 0 && !wanted.includes(active.column)) wanted.push(active.column);
    return wanted;
  }

  headCells() {
    const corner = this.cell(-1, -1, 'columnheader', 'corner', 'Nodes and groups');
    corner.textContent = 'Node';
    return [corner, ...this.wanted(-1).map((column) => {
      const { path, kind } = this.view.columns[column];
      const cell = this.cell(-1, column, 'columnheader', 'name', `${path} (${kind})`);
      const short = path.length > LONGEST_HEAD ? `…${path.slice(1 - LONGEST_HEAD)}` : path;
      cell.append(make('span', { textContent: short }));
      return cell;
    })];
  }

  row(index) {
    const row = this.view.rows[index];
    const element = make('div', { className: row.group === undefined ? 'row' : 'row group', role: 'row',
      ariaRowIndex: String(index + 2) });
    element.style.top = `${HEAD + index * HEIGHT}px`;
    element.append(this.rowHead(row, index));
    for (const column of this.wanted(index)) {
      const entry = this.view.columns[column].index;
      element.append(row.group === undefined ? this.nodeCell(row.node, index, column, entry)
        : this.groupCell(row, index, column, entry));
    }
    return element;
  }

  rowHead(row, index) {
    if (row.group === undefined) {
      const { node } = row;
      const word = node.word.replace('_', ' ');
      const cell = this.cell(index, -1, 'rowheader', `name is-${node.word}`, `${node.name}: ${word}`);
      cell.textContent = node.name;
      return cell;
    }
    const missed = row.nodes.filter((node) => node.rank === OUTCOMES.unseen.rank).length;
    const left = missed ? `, ${number(missed)} not looked at` : '';
    const cell = this.cell(index, -1, 'rowheader', 'name', `group ${row.group}, ${inNodes(row.nodes.length)}${left}`);
    cell.ariaExpanded = String(row.open);
    cell.append(make('span', { className: 'sign', textContent: row.open ? '▾' : '▸' }), row.group,
      make('small', { textContent: ` ${number(row.nodes.length)}` }));
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
      + (of ? `${told} of ${inNodes(of)}` : 'not for these nodes');
    const cell = this.cell(row, column, 'gridcell', outcome, label);
    cell.textContent = letter;
    if (rankOf(outcome) > OUTCOMES.ok.rank) cell.append(make('small', { textContent: count < 1000 ? count : '1k' }));
    return cell;
  }

  cell(row, column, role, className, label) {
    const cell = make('div', { className: `cell ${className}`, role, label, ariaColIndex: String(column + 2), tabIndex: -1 });
    cell.dataset.row = row;
    cell.dataset.column = column;
    if (column >= 0) cell.style.left = `${this.names + column * WIDTH}px`;
    return cell;
  }

  element({ row, column }) {
    return this.space.querySelector(`[data-row="${row}"][data-column="${column}"]`);
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
    const before = this.active.row;
    this.active = { row, column };
    // Its row may have been made without the cell.
    for (const stale of [before, row]) {
      this.made.get(stale)?.remove();
      this.made.delete(stale);
    }
    if (row < 0 || before < 0) this.head.replaceChildren(...this.headCells());
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
    const cell = event.target.closest('[data-row]');
    if (!cell) return;
    this.go(Number(cell.dataset.row), Number(cell.dataset.column));
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
