// Losses of examples with true and with wrong labels, epoch by epoch; the reader leaves out the largest and sees what is found and lost.

function build(ui, data) {
  const N = data.examples,
    E = data.epochs,
    BIN = 0.25, // powers of ten
    MOST_SHARE = 80,
    HEIGHT = 300,
    CURVES = 190;
  const wrong = new Uint8Array(N);
  data.wrong.forEach((index) => (wrong[index] = 1));
  const W = data.wrong.length;
  const sources = data.sources.map((source) =>
    source.losses.map((row) => range(N).map((i) => parseInt(row.slice(2 * i, 2 * i + 2), 36))),
  );
  const power = (level) => data.lowest + level / data.perDecade;
  const loss = (level) => 10 ** power(level);
  let top = 0,
    bottom = Infinity;
  for (const rows of sources)
    for (const row of rows)
      for (const level of row) ((top = Math.max(top, level)), (bottom = Math.min(bottom, level)));
  const from = Math.floor(power(bottom) / BIN),
    bins = Math.floor(power(top) / BIN) - from + 1;
  const STEP = 10; // levels between two places of the slider for the loss
  const places = Math.ceil(top / STEP) + 1;

  const order = sources.map((rows) => rows.map((row) => range(N).sort((a, b) => row[b] - row[a] || a - b))); // largest loss first
  const state = {
    source: 0,
    epoch: Math.floor((E - 1) / 3),
    mode: "share",
    share: data.share,
    place: Math.round((-data.lowest * data.perDecade) / STEP),
  };
  state.place = clamp(state.place, 0, places - 1);

  // which examples are left out, and how good that is
  function choose(epoch) {
    const row = sources[state.source][epoch],
      sorted = order[state.source][epoch];
    const count =
      state.mode === "share"
        ? N - Math.floor(((100 - state.share) * N) / 100)
        : row.filter((level) => level > state.place * STEP).length;
    let found = 0;
    for (let i = 0; i < count; i++) found += wrong[sorted[i]];
    return {
      count,
      found,
      precision: count ? found / count : null,
      recall: found / W,
      lost: count - found,
      keptWrong: N > count ? (W - found) / (N - count) : null,
      limit:
        state.mode === "loss"
          ? state.place * STEP
          : count && count < N
            ? (row[sorted[count - 1]] + row[sorted[count]]) / 2
            : count
              ? bottom
              : top,
      out: sorted.slice(0, count),
    };
  }

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const source = select(
    "Losses of",
    data.sources.map((entry) => entry.label),
    0,
    change("source"),
  );
  const mode = choice("Leave out", ["share", "loss"], "share", change("mode"), ["a share", "losses above"]);
  const epoch = slider("Epoch", state.epoch, change("epoch"), () => 5);
  const share = slider("Share left out", state.share, change("share"), () => 10);
  const limit = slider("Loss above which to leave out", state.place, change("place"), () => 10);

  // ---- the page ----
  const sheet = html(
    "style",
    {},
    `.readings { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    .readings th, .readings td { padding: 4px 6px; border-bottom: 1px solid var(--line); font-weight: 400; text-align: left; }
    .readings td { text-align: right; font-weight: 650; white-space: nowrap; }`,
  );
  const stage = html("div", {}),
    curves = html("div", {}),
    legend = html("ul", { class: "legend" }),
    said = html("p", { class: "total", "aria-live": "polite" }),
    table = html("table", { class: "readings" });
  ui.body.append(
    sheet,
    html("div", { class: "controls" }, data.sources.length > 1 ? source.node : null, mode.node),
    stage,
    legend,
    html("div", { class: "controls", style: "margin:8px 0 4px" }, epoch.node, share.node, limit.node),
    html("div", { class: "result" }, said, table),
    html("p", { class: "caption", style: "margin-top:12px" }, "The same rule at every epoch:"),
    curves,
  );

  const ink = (color) => (ui.dark() ? mix(color, "#ffffff", 0.45) : color);
  const percent = (value) => (value === null ? "–" : `${format(100 * value, 1)} %`);
  const short = (value) => String(Number(value.toPrecision(2)));

  // ---- the histograms: true labels upwards, wrong ones downwards ----
  function drawHistogram(chosen) {
    const width = Math.min(ui.width(), 900),
      left = 46,
      right = width - 12,
      high = 14,
      low = HEIGHT - 44;
    const out = new Uint8Array(N);
    chosen.out.forEach((index) => (out[index] = 1));
    const counts = range(bins).map(() => [
      [0, 0],
      [0, 0],
    ]); // [bin][wrong][left out]
    sources[state.source][state.epoch].forEach(
      (level, i) => counts[Math.floor(power(level) / BIN) - from][wrong[i]][out[i]]++,
    );
    const tallest = [0, 1].map((kind) => Math.max(1, ...counts.map((bin) => bin[kind][0] + bin[kind][1])));
    const unit = (low - high) / (tallest[0] + tallest[1]),
      ground = high + unit * tallest[0];
    const x = (value) => left + ((value / BIN - from) / bins) * (right - left);
    const picture = drawing(width, HEIGHT, describe(chosen));
    for (const [kind, color, sign] of [
      [0, PALETTE.blue, -1],
      [1, PALETTE.vermillion, 1],
    ])
      counts.forEach((bin, index) => {
        const [kept, gone] = bin[kind];
        const at = x((from + index) * BIN),
          wide = (right - left) / bins - 1;
        const bar = (first, count, attributes) => {
          if (!count) return;
          const y = sign < 0 ? ground - unit * (first + count) : ground + unit * first;
          picture.append(
            svg("rect", {
              x: at,
              y,
              width: Math.max(1, wide),
              height: unit * count,
              stroke: ink(color),
              "stroke-width": 1,
              ...attributes,
            }),
          );
        };
        bar(0, kept, { fill: ink(color), "fill-opacity": 0.18 });
        bar(kept, gone, { fill: ink(color) });
      });
    const line = (attributes) =>
      svg("line", { stroke: "var(--edge)", "shape-rendering": "crispEdges", ...attributes });
    picture.append(
      line({ x1: left, x2: right, y1: ground, y2: ground, stroke: "var(--ink)" }),
      line({ x1: left, x2: right, y1: low, y2: low }),
    );
    const text = (x_, y_, value, attributes = {}) =>
      picture.append(words(x_, y_, value, { "font-size": 12, fill: "var(--muted)", ...attributes }));
    text(left - 6, high, tallest[0], { "text-anchor": "end" });
    text(left - 6, ground, 0, { "text-anchor": "end" });
    if (low - ground > 12) text(left - 6, low, tallest[1], { "text-anchor": "end" });
    for (let exponent = Math.ceil(from * BIN); exponent <= (from + bins) * BIN; exponent++) {
      picture.append(line({ x1: x(exponent), x2: x(exponent), y1: low, y2: low + 5 }));
      text(x(exponent), low + 15, exponent < -3 ? "≤0.0001" : short(10 ** exponent));
    }
    text(
      (left + right) / 2,
      HEIGHT - 9,
      width < 340 ? "loss (nats, logarithmic scale)" : "loss of an example (nats, logarithmic scale)",
      { "font-size": 12.5 },
    );
    picture.append(
      svg(
        "text",
        {
          transform: `translate(11 ${(high + low) / 2}) rotate(-90)`,
          "text-anchor": "middle",
          "font-size": 12.5,
          fill: "var(--muted)",
        },
        "examples",
      ),
    );
    const border = clamp(x(power(chosen.limit)), left, right);
    picture.append(
      svg("line", {
        x1: border,
        x2: border,
        y1: high - 6,
        y2: low,
        stroke: "var(--ink)",
        "stroke-width": 1.4,
        "stroke-dasharray": "5 3",
      }),
    );
    stage.replaceChildren(picture);
    const patch = (color, full) =>
      html("i", {
        style: `display:inline-block;width:18px;height:12px;border:1px solid ${ink(color)};background:${full ? ink(color) : "none"}`,
        "aria-hidden": "true",
      });
    legend.replaceChildren(
      html("li", {}, patch(PALETTE.blue, true), "up: true label, left out"),
      html("li", {}, patch(PALETTE.blue, false), "kept"),
      html("li", {}, patch(PALETTE.vermillion, true), "down: wrong label, left out"),
      html("li", {}, patch(PALETTE.vermillion, false), "kept"),
    );
  }

  // ---- precision and recall over the epochs ----
  function drawCurves(all) {
    const width = Math.min(ui.width(), 900),
      left = 46,
      right = width - 12,
      high = 12,
      low = CURVES - 44;
    const x = (index) => (E > 1 ? left + (index / (E - 1)) * (right - left) : (left + right) / 2),
      y = (value) => low - value * (low - high);
    const picture = drawing(
      width,
      CURVES,
      `Precision and recall over ${E} epochs; at epoch ${state.epoch + 1} ${percent(all[state.epoch].precision)} and ${percent(all[state.epoch].recall)}`,
    );
    for (const value of [0, 0.5, 1])
      picture.append(
        svg("line", {
          x1: left,
          x2: right,
          y1: y(value),
          y2: y(value),
          stroke: "var(--line)",
          "shape-rendering": "crispEdges",
        }),
        words(left - 6, y(value), `${100 * value} %`, {
          "font-size": 12,
          fill: "var(--muted)",
          "text-anchor": "end",
        }),
      );
    picture.append(
      svg("line", { x1: x(state.epoch), x2: x(state.epoch), y1: high, y2: low, stroke: "var(--ink)" }),
    );
    for (const [name, color, dash] of [
      ["precision", PALETTE.green, null],
      ["recall", PALETTE.purple, "7 3"],
    ]) {
      const points = all.map((entry, index) => [index, entry[name]]).filter(([, value]) => value !== null);
      const path = points
        .map(([index, value], at) => `${at ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)
        .join("");
      if (points.length)
        picture.append(
          svg("path", {
            d: path,
            fill: "none",
            stroke: ink(color),
            "stroke-width": 2.2,
            "stroke-dasharray": dash,
          }),
        );
      const here = all[state.epoch][name];
      if (here !== null)
        picture.append(
          svg("circle", {
            cx: x(state.epoch),
            cy: y(here),
            r: 4,
            fill: "var(--ground)",
            stroke: ink(color),
            "stroke-width": 2,
          }),
        );
    }
    for (const index of [...new Set([0, Math.floor((E - 1) / 2), E - 1])])
      picture.append(words(x(index), low + 14, index + 1, { "font-size": 12, fill: "var(--muted)" }));
    picture.append(
      words((left + right) / 2, CURVES - 9, "epoch: precision solid, recall dashed", {
        "font-size": 12.5,
        fill: "var(--muted)",
      }),
    );
    curves.replaceChildren(picture);
  }

  const describe = (chosen) =>
    `Histogram of the losses after epoch ${state.epoch + 1}: ${N - W} examples with a true label upwards, ${W} with a wrong one downwards; ` +
    `${chosen.count} are left out, ${chosen.found} of them with a wrong label`;

  function write(chosen) {
    const name = data.sources[state.source].label;
    said.textContent = `${name}, after epoch ${state.epoch + 1}: ${chosen.count} of ${N} examples are left out, those with a loss above about ${short(loss(chosen.limit))}.`;
    if (!chosen.count) said.textContent = `${name}, after epoch ${state.epoch + 1}: nothing is left out.`;
    const row = (label, value) => html("tr", {}, html("th", { scope: "row" }, label), html("td", {}, value));
    table.replaceChildren(
      html(
        "tbody",
        {},
        row("precision: wrong labels among those left out", percent(chosen.precision)),
        row("recall: wrong labels that are left out", `${chosen.found} of ${W}, ${percent(chosen.recall)}`),
        row("true labels lost", `${chosen.lost} of ${N - W}, ${percent(chosen.lost / (N - W))}`),
        row("wrong labels among those kept", percent(chosen.keptWrong)),
      ),
    );
  }

  ui.draw = () => {
    const all = range(E).map(choose),
      chosen = all[state.epoch];
    epoch.set(state.epoch, E - 1, `epoch ${state.epoch + 1}`);
    share.set(state.share, MOST_SHARE, `${state.share} %`);
    limit.set(state.place, places - 1, `loss ${short(loss(state.place * STEP))}`);
    share.node.hidden = state.mode !== "share";
    limit.node.hidden = state.mode !== "loss";
    ui.publish({
      source: state.source,
      epoch: state.epoch + 1,
      mode: state.mode,
      share: state.share,
      limit: loss(chosen.limit),
      count: chosen.count,
      found: chosen.found,
      precision: chosen.precision,
      recall: chosen.recall,
      lost: chosen.lost,
      recalls: all.map((entry) => entry.recall),
    });
    drawHistogram(chosen);
    drawCurves(all);
    write(chosen);
  };
}
