// y = relu(W2 relu(W1 x)) in numbers, and the way back of a signal g from y to x by three rules for the ReLU.

function build(ui, data) {
  const [W1, W2] = data.weights;
  const RULES = [
    { name: "gradient", title: "Gradient", formula: "open if the way up was > 0", passes: (x) => x > 0 },
    { name: "deconvnet", title: "Deconvnet", formula: "open if the signal is > 0", passes: (x, g) => g > 0 },
    {
      name: "guided",
      title: "Guided backpropagation",
      formula: "open if both are > 0",
      passes: (x, g) => x > 0 && g > 0,
    },
  ];
  const STEP = 1e-4; // by which inputs are moved to try the slope
  const state = { x: [...data.examples[0].x], g: [...data.examples[0].g] };

  // ---- arithmetic ----
  const times = (matrix, vector) =>
    matrix.map((row) => row.reduce((sum, weight, j) => sum + weight * vector[j], 0));
  const transposed = (matrix) => matrix[0].map((_, j) => matrix.map((row) => row[j]));
  const relu = (vector) => vector.map((value) => Math.max(0, value));
  function up(x) {
    const a = times(W1, x),
      h = relu(a),
      b = times(W2, h);
    return { a, h, b, y: relu(b) };
  }
  function back(rule, { a, b }) {
    const through = (x, g) => {
      const mask = x.map((value, i) => (rule.passes(value, g[i]) ? 1 : 0));
      return { mask, sent: g.map((value, i) => value * mask[i] + 0) };
    };
    const second = through(b, state.g);
    const arrives = times(transposed(W2), second.sent);
    const first = through(a, arrives);
    return { second, arrives, first, x: times(transposed(W1), first.sent) };
  }
  const score = (x) => up(x).y.reduce((sum, value, i) => sum + value * state.g[i], 0);
  const slope = (i) => {
    const moved = (by) => state.x.map((value, j) => (j === i ? value + by : value));
    return (score(moved(STEP)) - score(moved(-STEP))) / (2 * STEP);
  };

  // ---- controls ----
  const own = data.examples.length;
  const examples = select("Example", [...data.examples.map(({ name }) => name), "your own"], 0, (index) => {
    if (index === own) return;
    state.x = [...data.examples[index].x];
    state.g = [...data.examples[index].g];
    fields.forEach(({ field, list, i }) => field.set(state[list][i]));
    ui.draw();
  });
  const fields = [
    ["x", "Input", "x"],
    ["g", "Signal that arrives at output", "g"],
  ].flatMap(([list, label, letter]) =>
    state[list].map((value, i) => ({
      list,
      i,
      field: number(
        `${letter}${subscript(i + 1)}`,
        value,
        (typed) => {
          state[list][i] = typed;
          examples.set(own);
          ui.draw();
        },
        { min: -99, max: 99, name: `${label} ${i + 1}` },
      ),
    })),
  );
  const group = (legend, list) =>
    html(
      "fieldset",
      {},
      html("legend", {}, legend),
      html(
        "div",
        { class: "controls tight", style: "margin:0" },
        fields.filter((f) => f.list === list).map((f) => f.field.node),
      ),
    );

  // ---- the page ----
  const sheet = html(
    "style",
    {},
    `.numbers { border-collapse: separate; border-spacing: 2px; font-size: .88em; font-variant-numeric: tabular-nums; width: 100%; table-layout: fixed; }
    .numbers caption { text-align: left; font-weight: 650; padding: 0 0 4px; color: var(--ink); }
    .numbers caption span { display: block; font-weight: 400; color: var(--muted); }
    .numbers th { text-align: left; font-weight: 400; color: var(--muted); padding: 2px 4px 2px 0; line-height: 1.2; width: 38%; }
    .numbers td { text-align: center; padding: 3px 1px; border-radius: 3px; height: 27px; line-height: 1.2; }
    .numbers tr.end th { color: var(--ink); font-weight: 650; }
    .numbers tr.end td:not(:empty) { font-weight: 700; outline: 2px solid var(--edge); outline-offset: -2px; }
    .numbers td.open { border: 1.5px solid var(--edge); font-weight: 650; }
    .numbers td.closed { border: 1.5px dashed var(--edge); color: var(--muted); }
        .forward { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 10px 26px; align-items: start; }
    .matrices { display: grid; gap: 10px; }
    .rules { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 14px 20px; align-items: start; margin-top: 14px; padding-top: 12px; border-top: 1px solid var(--line); }
    @container (max-width: 640px) { .rules, .forward { grid-template-columns: minmax(0, 1fr); } .numbers th { width: 34%; } }`,
  );
  const forward = html("div", { class: "forward" });
  const rules = html("div", { class: "rules" });
  const readout = html("p", { class: "total", "aria-live": "polite" });
  const tried = html("p", {});
  const note = html("p", { class: "small" });
  ui.body.append(
    sheet,
    html("div", { class: "controls" }, examples.node),
    html("div", { class: "controls" }, group("Inputs x", "x"), group("Signal g that arrives at y", "g")),
    forward,
    rules,
    html("div", { class: "result" }, readout, tried, note),
  );

  const columns = Math.max(W1.length, W1[0].length, W2.length);
  function colored(value, largest) {
    const ground = signed(value, largest, ui.dark());
    return html("td", { style: `background:${ground};color:${inkOn(ground)}` }, format(value));
  }
  const gate = (open) => html("td", { class: open ? "open" : "closed" }, open ? "1" : "0");
  const empty = (count) => range(count).map(() => html("td", {}));
  const line = (label, cells_, className = "") =>
    html(
      "tr",
      { class: className },
      html("th", { scope: "row" }, label),
      cells_,
      empty(columns - cells_.length),
    );
  const table = (title, detail, lines) =>
    html(
      "table",
      { class: "numbers" },
      html("caption", {}, title, " ", html("span", {}, detail)),
      html("tbody", {}, lines),
    );

  function matrix(name, weights) {
    const rows = weights.map((row, i) =>
      line(
        `unit ${i + 1}`,
        row.map((value) => colored(value, 3)),
      ),
    );
    return table(name, "a row for each unit of the layer", rows);
  }

  ui.draw = () => {
    const now = up(state.x);
    const results = RULES.map((rule) => ({ rule, ...back(rule, now) }));
    const slopes = state.x.map((_, i) => slope(i));
    const top = (lists) => Math.max(1, ...lists.flat().map(Math.abs));
    const reach = top([state.x, now.a, now.b]);
    const shades = (values, largest) => values.map((value) => colored(value, largest));
    forward.replaceChildren(
      table("The way up", "units with a value above 0 are open", [
        line("input x", shades(state.x, reach), "end"),
        line("W₁x", shades(now.a, reach)),
        line("h = relu(W₁x)", shades(now.h, reach)),
        line("W₂h", shades(now.b, reach)),
        line("y = relu(W₂h)", shades(now.y, reach), "end"),
      ]),
      html("div", { class: "matrices" }, matrix("W₁", W1), matrix("W₂", W2)),
    );
    const most = top([state.g, ...results.map(({ arrives, x }) => [...arrives, ...x])]);
    rules.replaceChildren(
      ...results.map(({ rule, second, arrives, first, x }) =>
        table(rule.title, rule.formula, [
          line("g at y", shades(state.g, most)),
          line("mask", second.mask.map(gate)),
          line("sent on", shades(second.sent, most)),
          line("W₂ᵀ: at h", shades(arrives, most)),
          line("mask", first.mask.map(gate)),
          line("sent on", shades(first.sent, most)),
          line("W₁ᵀ: at x", shades(x, most), "end"),
        ]),
      ),
    );
    const list = (values) => `(${values.map((value) => format(value)).join(", ")})`;
    readout.textContent = `Sent back to x: ${results.map(({ rule, x }) => `${rule.name} ${list(x)}`).join("; ")}.`;
    // where a unit stands at exactly 0 the score has a kink, and moving x to both sides gives the mean of two slopes
    const kink = [...now.a, ...now.b].some((value) => Math.abs(value) < 1e-9);
    tried.textContent = kink
      ? "A unit stands at exactly 0, where the score has a kink and no slope."
      : `Tried by moving each input a little: the slopes of g·y are ${list(slopes)}. Only the gradient says that.`;
    const [, deconvnet, guided] = results;
    const wrong = (values, mask) => values.filter((value, i) => value <= 0 && mask[i]).length;
    const closed = wrong(now.a, deconvnet.first.mask) + wrong(now.b, deconvnet.second.mask);
    const parts = [
      closed
        ? `Deconvnet sends a signal through ${closed} closed unit${closed === 1 ? "" : "s"}, which said nothing on the way up.`
        : "",
      guided.x.every((value) => value === 0) && slopes.some((value) => Math.abs(value) > 1e-6)
        ? "Guided backpropagation sends nothing at all, although the score does depend on x."
        : "",
      results.every(({ x }) => list(x) === list(results[0].x)) ? "All three agree." : "",
    ];
    note.textContent = parts.filter(Boolean).join(" ");
    ui.publish({
      x: state.x,
      g: state.g,
      forward: now,
      back: Object.fromEntries(results.map(({ rule, x }) => [rule.name, x])),
      masks: Object.fromEntries(
        results.map(({ rule, first, second }) => [rule.name, [first.mask, second.mask]]),
      ),
      slopes: kink ? [] : slopes,
    });
  };
}
