// Which rows and columns the matrix has for what is asked for, and in which order.

// `fits` tells whether a cell is asked for; `hidden` counts what is left out since there is nothing to tell of it.
function makeView(state, open) {
  const nodeFits = nodeTest(state.node);
  const textFits = textTest(state.text);
  const searching = state.text.trim() !== '';
  const chosen = nodes.filter((node) => nodeFits(node.name) && (!state.group || node.groups.includes(state.group)));
  const kindFits = entries.map((entry) => !state.kind || entry.kind === state.kind);
  const pathFits = entries.map((entry) => textFits(entry.path));
  const messageFits = new Map(findings.map((finding) => [finding, textFits(finding.message)]));
  const columns = { there: new Uint8Array(entries.length), rank: new Uint8Array(entries.length),
    skipped: new Uint8Array(entries.length), hits: new Uint32Array(entries.length) };

  const fits = (node, entry, outcome) => {
    if (!kindFits[entry] || (state.outcome && outcome !== state.outcome)) return false;
    return pathFits[entry] || (searching && textFits(messageOf(node, entry)));
  };

  // Entries by their path, or all for a reason that fits: of many nodes with the same entries looked up once.
  const known = new Map();
  const fittingOf = (set, whole) => {
    if (!known.has(set)) known.set(set, []);
    const found = known.get(set)[Number(whole)] ??= set.list.filter((entry) => kindFits[entry] && (whole || pathFits[entry]));
    if (!state.outcome && !found.marked) for (const entry of found) columns.there[entry] = 1;
    found.marked = true;
    return found;
  };

  let matching = 0;
  const rows = [];
  for (const node of chosen) {
    const row = { node, rank: 0, hits: 0, there: false };
    const errorFits = node.error !== null && searching && textFits(node.error);
    const quiet = !state.outcome || state.outcome === (node.error === null ? 'ok' : 'unseen');
    if (node.error === null) {
      for (const [entry, { finding }] of node.found) {
        if (!kindFits[entry] || (state.outcome && finding.outcome !== state.outcome)) continue;
        if (!pathFits[entry] && !messageFits.get(finding)) continue;
        const rank = rankOf(finding.outcome);
        row.there = true;
        row.rank = Math.max(row.rank, rank);
        columns.there[entry] = 1;
        columns.rank[entry] = Math.max(columns.rank[entry], rank);
        if (finding.outcome === 'skipped') columns.skipped[entry] = 1;
        columns.hits[entry] += 1;
        row.hits += 1;
        if (rank >= TROUBLE) matching += 1;
      }
    }
    if (quiet) {
      const fitting = fittingOf(node.set, errorFits);
      if (!state.outcome) row.there ||= fitting.length > 0;
      else {
        for (const entry of fitting) {
          if (node.found.has(entry)) continue;
          row.there = true;
          row.hits += 1;
          columns.there[entry] = 1;
          columns.hits[entry] += 1;
        }
      }
    }
    if (!row.there) continue;
    rows.push(row);
    if (node.error !== null) {
      row.rank = node.rank;
      matching += 1;
    }
  }

  let shownRows = rows;
  const there = entries.filter((entry) => columns.there[entry.index]);
  let shownColumns = there;
  if (!state.all && !state.outcome) {
    shownRows = rows.filter((row) => row.rank >= TROUBLE);
    shownColumns = there.filter((entry) => columns.rank[entry.index] >= TROUBLE);
    if (!shownRows.length) shownRows = rows;
    if (!shownColumns.length) shownColumns = there;
  }
  const kept = new Set(shownColumns);
  const left = there.filter((entry) => !kept.has(entry));
  const hidden = {
    rows: rows.length - shownRows.length,
    columns: left.length,
    skipped: left.some((entry) => columns.skipped[entry.index]),
    unseen: rows.some((row) => row.node.rank === OUTCOMES.unseen.rank),
  };
  shownRows = [...shownRows].sort((a, b) => b.rank - a.rank || a.node.index - b.node.index);
  shownColumns = [...shownColumns].sort((a, b) => columns.rank[b.index] - columns.rank[a.index]
    || columns.hits[b.index] - columns.hits[a.index] || a.index - b.index);
  return {
    state, fits, hidden, matching,
    nodes: shownRows.length, ofNodes: rows.length, ofEntries: there.length,
    columns: shownColumns,
    rows: state.fold ? folded(shownRows, open) : shownRows,
  };
}

// Rows with one for each first group before its nodes; those of a group that is not open are left out.
function folded(rows, open) {
  const groups = new Map();
  for (const row of rows) {
    const name = firstGroup(row.node);
    if (!groups.has(name)) groups.set(name, { group: name, rank: 0, nodes: [], rows: [] });
    const group = groups.get(name);
    group.rank = Math.max(group.rank, row.rank);
    group.nodes.push(row.node);
    group.rows.push(row);
  }
  return [...groups.values()].sort((a, b) => b.rank - a.rank).flatMap((group) => {
    group.open = open.has(group.group);
    group.of = nodes.filter((node) => firstGroup(node) === group.group).length;
    return group.open ? [group, ...group.rows] : [group];
  });
}

// What of a group is shown in one letter: one node that was not looked at must not cover the drift of others.
const IN_GROUPS = ['error', 'drift', 'unseen', 'waived', 'fixed', 'skipped', 'ok'];

// How an entry ended on the nodes of a group: [outcome, number of nodes] with the worst first, and how many have it.
function outcomesOf(group, entry) {
  group.counts ??= countsOf(group.nodes);
  const { there, ended } = group.counts;
  const pairs = IN_GROUPS.slice(0, -1).map((outcome) => [outcome, ended[outcome][entry]]);
  const quiet = there[entry] - pairs.reduce((sum, [, count]) => sum + count, 0);
  return { of: there[entry], pairs: [...pairs, ['ok', quiet]].filter(([, count]) => count) };
}

function countsOf(these) {
  const there = new Uint32Array(entries.length);
  const ended = Object.fromEntries(IN_GROUPS.map((outcome) => [outcome, new Uint32Array(entries.length)]));
  const alike = new Map();
  for (const node of these) {
    alike.set(node.set, (alike.get(node.set) ?? 0) + 1);
    if (node.error !== null) for (const index of node.set.list) ended.unseen[index] += 1;
    else for (const [index, { finding }] of node.found) ended[finding.outcome][index] += 1;
  }
  for (const [set, times] of alike) for (const index of set.list) there[index] += times;
  return { there, ended };
}

// What the view leaves out since there is nothing to tell of it, in words.
function omitted({ hidden, ofNodes, ofEntries, state }) {
  if (!hidden.rows && !hidden.columns) return '';
  const where = hidden.unseen ? 'wherever they could be looked at' : 'on every node';
  const filtered = TEXTS.some((name) => state[name]);
  const parts = [];
  if (hidden.columns) {
    const how = hidden.skipped ? 'in sync or skipped' : 'in sync';
    parts.push(`${number(hidden.columns)} of ${inEntries(ofEntries)}, ${how} ${where}`);
  }
  if (hidden.rows) {
    const there = filtered ? ' in what the filters leave' : '';
    parts.push(`${number(hidden.rows)} of ${inNodes(ofNodes)}, with nothing that differs${there}`);
  }
  return `Not shown${filtered ? ' of what the filters leave' : ''}: ${parts.join('; ')}.`;
}
