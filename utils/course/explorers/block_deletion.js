// A trained network without one of its blocks, or without two: a table of what is left, and the chosen pair in words.

function build(ui, data) {
  const N = data.networks[0].left.length;
  const state = { network: 0, a: data.first[0], b: data.first[1] };
  const net = () => data.networks[state.network];

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const names = data.networks.map(({ label }) => label);
  const network = choice("Network", range(names.length), 0, change("network"), names);
  const one = slider("One deleted block", state.a, change("a")),
    other = slider("The other (the same: only one is deleted)", state.b, change("b"));

  // ---- the page ----
  const table = html("div", {}),
    said = html("p", { class: "total", "aria-live": "polite" }),
    more = html("p", {});
  ui.body.append(
    html("div", { class: "controls" }, names.length > 1 ? network.node : null),
    html("div", { class: "controls" }, one.node, other.node),
    html(
      "p",
      { class: "caption" },
      "Accuracy in % without the block of the row and that of the column; on the diagonal without one block. Click on a cell to choose it.",
    ),
    table,
    html("div", { class: "result" }, said, more),
  );

  // from a pale to a strong color: the more is lost, the stronger
  function paint(value) {
    const strength = clamp(1 - value / 100, 0, 1);
    return ui.dark() ? mix("#222831", "#6cc1f0", strength) : mix("#ffffff", PALETTE.blue, strength);
  }

  function drawTable() {
    const left = 26,
      top = 20,
      size = Math.floor(Math.min(34, (ui.width() - left - 2) / N));
    const chosen = new Set([`${state.a},${state.b}`, `${state.b},${state.a}`]);
    const picture = drawing(
      left + N * size + 2,
      top + N * size + 2,
      `${net().label}: accuracies without one or two of ${N} blocks`,
    );
    for (const block of range(N))
      picture.append(
        words(left + (block + 0.5) * size, top / 2, block + 1, { "font-size": 11, fill: "var(--muted)" }),
        words(left / 2, top + (block + 0.5) * size, block + 1, { "font-size": 11, fill: "var(--muted)" }),
      );
    const drawn = cells(
      picture,
      N,
      N,
      size,
      (row, column) => {
        const value = net().left[row][column];
        if (value === null) return { fill: "var(--panel)", stroke: "var(--line)", dash: "3 3" };
        const fill = paint(value);
        return {
          fill,
          text: size < 22 ? "" : format(value, 0),
          ink: inkOn(fill),
          stroke: chosen.has(`${row},${column}`) ? PALETTE.vermillion : "none",
        };
      },
      { x: left, y: top, font: 11 },
    );
    drawn.forEach((cellsOfRow, row) =>
      cellsOfRow.forEach(({ box, label }, column) => {
        const choose = () => {
          state.a = row;
          state.b = column;
          ui.draw();
        };
        if (chosen.has(`${row},${column}`)) box.setAttribute("stroke-width", 3);
        for (const node of [box, label])
          if (node) {
            node.addEventListener("click", choose);
            node.style.cursor = "pointer";
          }
      }),
    );
    table.replaceChildren(picture);
  }

  const percent = (value) => `${format(value, 1)} %`;
  function write() {
    const { label, whole, left } = net(),
      { a, b } = state,
      found = left[a][b];
    ui.publish({ network: label, blocks: [a, b], whole, left: found });
    const which = a === b ? `block ${a + 1}` : `blocks ${Math.min(a, b) + 1} and ${Math.max(a, b) + 1}`;
    more.textContent = "";
    if (found === null) {
      said.textContent = `${label}: ${which} cannot be deleted, for a block that changes the shape has no shortcut here.`;
      return;
    }
    said.textContent = `${label} without ${which}: ${percent(found)}, of ${percent(whole)} as a whole.`;
    if (a === b) return;
    const costs = [a, b].map((block) => whole - left[block][block]);
    more.textContent = `Alone, block ${a + 1} costs ${format(costs[0], 1)} points and block ${b + 1} ${format(costs[1], 1)}; together they cost ${format(whole - found, 1)}.`;
  }

  ui.draw = () => {
    network.set(state.network);
    one.set(state.a, N - 1, `block ${state.a + 1}`);
    other.set(state.b, N - 1, `block ${state.b + 1}`);
    drawTable();
    write();
  };
}
