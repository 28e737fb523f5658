// Tables that can be sorted, texts that can be copied, and links that lead on from any place of the page.

const COPIED = 1500; // ms

// A button that copies the text that `textOf` returns.
function copyButton(textOf) {
  const control = button('Copy', async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(textOf());
    } catch {
      done = false; // such as a browser that lets no page from a file do it
    }
    control.textContent = done ? 'Copied' : 'Not allowed';
    setTimeout(() => { control.textContent = 'Copy'; }, COPIED);
  });
  control.classList.add('copy');
  return control;
}

function cellText(row, column) {
  const cell = row.cells[column];
  const folded = cell.querySelector('details.fold');
  if (folded === null) return cell.textContent.trim();
  return [...folded.childNodes].filter((node) => node.nodeName !== 'SUMMARY').map((node) => node.textContent).join('').trim();
}

function compareTexts(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}

// Lets a click on a head sort the rows of a table, and another click turn them around.
function sortable(table) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const key = (row) => (head.classList.contains('number') ? cellText(row, column).replaceAll(',', '') : cellText(row, column));
    const control = button(head.textContent, () => {
      const descending = head.ariaSort === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      head.ariaSort = descending ? 'descending' : 'ascending';
      // Outcomes have an order of their own: that in which the page has them.
      const rows = column === 0 ? [...first] : [...first].sort((a, b) => compareTexts(key(a), key(b)));
      body.append(...(descending ? rows.reverse() : rows));
    });
    head.replaceChildren(control);
  });
}

function copyable(table) {
  table.tHead.rows[0].append(make('th', { scope: 'col', textContent: 'Copy' }));
  for (const row of table.tBodies[0].rows) {
    const [outcome, nodesOf, , finding] = [0, 1, 2, 3].map((column) => cellText(row, column));
    const cell = make('td', {}, copyButton(() => `${outcome} ${nodesOf}: ${finding}`));
    cell.dataset.label = '';
    row.append(cell);
  }
}

function prepareTables() {
  for (const table of document.querySelectorAll('table.sortable')) {
    sortable(table);
    copyable(table);
  }
}

// The page of a run of the whole cluster is in two places. In that of the run, links begin two directories higher.
function correctLinks() {
  const place = decodeURIComponent(location.pathname).split('/');
  if (raw.base !== '' || place.at(-2) !== raw.run || place.at(-3) !== 'runs') return;
  for (const link of document.querySelectorAll('a.run-link')) {
    link.setAttribute('href', `../../${link.getAttribute('href')}`);
  }
}
