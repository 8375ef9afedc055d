// Parameters and multiply-adds of a network by layer. A weight of a convolution is used at every position of
// its output.

function build(ui, data) {
  const state = {
    network: data.first,
    side: data.sides.indexOf(224),
    width: 1,
    head: "published",
    reductions: true,
  };
  const net = () => data.networks[state.network];

  // ---- arithmetic ----
  // [maps in, maps out, kernel, groups] at positions of one side: weights and biases, weights times positions
  function cost(layers, side) {
    let params = 0,
      macs = 0;
    for (const [maps, wide, k, groups] of layers) {
      const weights = (k * k * maps * wide) / groups;
      params += weights + wide;
      macs += weights * side * side;
    }
    return { params, macs };
  }

  // the rows of the table: one for each convolution, module and layer of the head
  function account({ network, side, width, average, reductions }) {
    const wide = (count) => Math.max(1, Math.round(width * count));
    const rows = [];
    let n = side,
      maps = 3;
    const put = (name, layers, at, kind) => rows.push({ name, kind, ...cost(layers, at) });
    for (const step of network.steps) {
      if (step.kind === "pool") {
        const places = (n - step.k) / step.s;
        n = (step.ceil ? Math.ceil(places) : Math.floor(places)) + 1;
      } else if (step.kind === "conv") {
        n = Math.floor((n + 2 * step.p - step.k) / step.s) + 1;
        put(step.name, [[maps, wide(step.c), step.k, step.groups]], n, "conv");
        maps = wide(step.c);
      } else {
        const [a, b, c, d, e, f] = step.row.map(wide);
        const large = reductions
          ? [
              [maps, b, 1, 1],
              [b, c, 3, 1],
              [maps, d, 1, 1],
              [d, e, 5, 1],
            ]
          : [
              [maps, c, 3, 1],
              [maps, e, 5, 1],
            ];
        put(step.name, [[maps, a, 1, 1], ...large, [maps, f, 1, 1]], n, "conv");
        maps = a + c + e + f;
      }
    }
    if (average) put("linear", [[maps, data.classes, 1, 1]], 1, "full");
    else {
      const hidden = wide(data.hidden);
      put("fc6", [[maps, hidden, n, 1]], 1, "full");
      put("fc7", [[hidden, hidden, 1, 1]], 1, "full");
      put("fc8", [[hidden, data.classes, 1, 1]], 1, "full");
    }
    const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
    return { rows, n, maps, params: sum("params"), macs: sum("macs") };
  }
  const published = () =>
    account({ network: net(), side: 224, width: 1, average: net().average, reductions: true });
  const chosen = () =>
    account({
      network: net(),
      side: data.sides[state.side],
      width: state.width,
      average: state.head === "published" ? net().average : state.head === "average",
      reductions: state.reductions,
    });

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const names = data.networks.map(({ name }) => name);
  const network = choice("Network", range(names.length), state.network, change("network"), names);
  const side = slider("Side of the image", state.side, change("side"));
  const width = choice("Channels and hidden units", data.widths, 1, change("width"), [
    "half",
    "as published",
    "twice",
  ]);
  const head = choice("Head", ["published", "hidden", "average"], "published", change("head"), [
    "as published",
    "hidden layers",
    "average",
  ]);
  const reductions = toggle("1×1 reductions", true, change("reductions"));
  const caption = side.node.firstChild;

  // ---- the page ----
  const table = html("div", {}),
    total = html("p", { class: "total", "aria-live": "polite" }),
    against = html("p", {});
  ui.body.append(
    html("div", { class: "controls" }, network.node),
    html("div", { class: "controls" }, side.node),
    html("div", { class: "controls" }, width.node, head.node, reductions.node),
    table,
    html("div", { class: "result" }, total, against),
  );

  const million = (value) => (value / 1e6).toFixed(value < 9.5e4 ? 3 : value < 9.95e6 ? 1 : 0);
  function drawTable({ rows }) {
    const full = ui.width(),
      left = 62,
      right = 44,
      gap = 12,
      line = 19,
      top = 22;
    const room = Math.max(40, (full - left - gap) / 2 - right);
    const starts = [left, left + room + right + gap];
    const picture = drawing(
      full,
      top + rows.length * line + 2,
      `${net().name}: parameters and multiply-adds of ${rows.length} layers`,
    );
    [
      ["params", "million parameters"],
      ["macs", "million multiply-adds"],
    ].forEach(([column, heading], at) => {
      const most = Math.max(...rows.map((row) => row[column]));
      const short =
        full < 430 ? heading.replace("million ", "M ").replace("multiply-adds", "mult.-adds") : heading;
      picture.append(
        svg("text", { x: starts[at], y: 12, "font-size": 12, fill: "var(--ink)", "font-weight": 600 }, short),
      );
      rows.forEach((row, place) => {
        const y = top + place * line,
          length = Math.max(0.5, (room * row[column]) / most);
        const fill = row.kind === "full" ? PALETTE.orange : ui.dark() ? PALETTE.sky : PALETTE.blue;
        picture.append(
          svg("rect", { x: starts[at], y: y + 3, width: length, height: line - 6, fill }),
          svg(
            "text",
            {
              x: starts[at] + length + 4,
              y: y + line / 2,
              dy: "0.35em",
              "font-size": 11,
              fill: "var(--ink)",
            },
            million(row[column]),
          ),
        );
        if (at === 0)
          picture.append(
            svg(
              "text",
              {
                x: left - 6,
                y: y + line / 2,
                dy: "0.35em",
                "text-anchor": "end",
                "font-size": 11,
                fill: "var(--muted)",
              },
              row.name,
            ),
          );
      });
    });
    table.replaceChildren(picture);
  }

  const amount = (value, unit, name) => `${(value / unit).toFixed(unit === 1e6 ? 1 : 2)} ${name}`;
  const times = (a, b) => `${format(a / b, 2)} times`;
  ui.draw = () => {
    const now = chosen(),
      before = published();
    const pixels = data.sides[state.side];
    network.set(state.network);
    side.set(state.side, data.sides.length - 1, `${pixels} pixels`);
    caption.textContent = `Side of the image: ${pixels} pixels`;
    reductions.node.hidden = !net().steps.some(({ kind }) => kind === "module");
    drawTable(now);
    total.textContent = `${net().name}: ${amount(now.params, 1e6, "million")} parameters, ${amount(now.macs, 1e9, "billion")} multiply-adds for one image; ${now.maps} last maps of ${now.n}×${now.n}.`;
    const same = now.params === before.params && now.macs === before.macs;
    against.textContent = same
      ? "As published."
      : `Against the published network: ${times(now.params, before.params)} the parameters, ${times(now.macs, before.macs)} the multiply-adds.`;
    ui.publish({
      network: net().name,
      cost: { side: pixels, params: now.params, macs: now.macs, last: now.n },
      rows: now.rows.map(({ name, params, macs }) => [name, params, macs]),
    });
  };
}
