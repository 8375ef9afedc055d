// Accuracy over the number of labeled images, for each way to use a trained network, and what the chosen way costs.

function build(ui, data) {
  const HEIGHT = 300,
    STRIP = 40;
  const LOOKS = [
    { color: PALETTE.blue, dash: null, mark: "circle" },
    { color: PALETTE.vermillion, dash: "7 3", mark: "square" },
    { color: PALETTE.green, dash: "2 3", mark: "diamond" },
    { color: PALETTE.purple, dash: "9 3 2 3", mark: "triangle" },
  ];
  const N = data.sizes.length,
    L = data.layers.length;
  const frozenWays = range(data.ways.length).filter((index) => data.ways[index].frozen);
  const state = {
    task: 0,
    way: frozenWays.at(-1) ?? 0,
    size: Math.floor((N - 1) / 2),
    layer: data.whole - 1,
  };

  // ---- numbers ----
  const table = (way, task = state.task) => data.tasks[task].values[way];
  const seeds = (way, size, layer) => (data.ways[way].frozen ? table(way)[layer][size] : table(way)[size]);
  function stats(values) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return {
      n: values.length,
      mean,
      sd: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null,
    };
  }
  const at = (way, size = state.size, layer = state.layer) => stats(seeds(way, size, layer));
  const cost = (way) => data.ways[way].costs[data.ways[way].frozen ? state.layer : 0];

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const names = data.ways.map((way) => way.label);
  const task = select(
    "Target task",
    data.tasks.map((entry) => entry.label),
    0,
    change("task"),
  );
  const way = choice("Way", range(names.length), state.way, change("way"), names);
  const size = slider("Labeled images", state.size, change("size"));
  const layer = slider("Cut behind layer", state.layer, change("layer"));

  // ---- the page ----
  const sheet = html(
    "style",
    {},
    `.readings { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: 8px; }
    .readings th, .readings td { padding: 4px 6px; border-bottom: 1px solid var(--line); font-weight: 400; text-align: right; }
    .readings th[scope="row"] { text-align: left; }
    .readings thead th, .readings thead td { color: var(--muted); font-size: .9em; vertical-align: bottom; }
    .readings th { overflow-wrap: normal; }
    .readings td span { white-space: nowrap; }
    .readings tr.chosen th, .readings tr.chosen td { font-weight: 700; }
    .charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px 18px; margin-top: 12px; }
    @container (max-width: 700px) { .charts { grid-template-columns: minmax(0, 1fr); } .readings { font-size: .85em; } .readings th, .readings td { padding: 4px 2px; } }`,
  );
  const strip = html("div", {}),
    kept = html("p", { class: "small", style: "margin:4px 0 0" }),
    bySize = html("div", {}),
    byLayer = html("div", {}),
    legend = html("ul", { class: "legend" }),
    said = html("p", { class: "total", "aria-live": "polite" }),
    readings = html("table", { class: "readings" });
  ui.body.append(
    sheet,
    html("div", { class: "controls" }, data.tasks.length > 1 ? task.node : null, way.node),
    html("div", { class: "controls" }, size.node, L > 1 ? layer.node : null),
    strip,
    kept,
    html("div", { class: "charts" }, bySize, byLayer),
    legend,
    html("div", { class: "result" }, said, readings),
  );

  const ink = (index) => (ui.dark() ? mix(LOOKS[index].color, "#ffffff", 0.45) : LOOKS[index].color);
  const percent = (value) => (100 * value).toFixed(1);
  const reading = ({ n, mean, sd }) =>
    (sd === null ? `${percent(mean)} %` : `${percent(mean)} ± ${percent(sd)} %`) + ` (n = ${n})`;
  const large = (value) =>
    value >= 1e6
      ? `${format(value / 1e6, 1)} M`
      : value >= 1e4
        ? `${format(value / 1e3, 0)} k`
        : String(value);

  function mark(kind, x, y, r, attributes) {
    if (kind === "circle") return svg("circle", { cx: x, cy: y, r, ...attributes });
    const corners = {
      square: [
        [-1, -1],
        [1, -1],
        [1, 1],
        [-1, 1],
      ],
      diamond: [
        [0, -1.35],
        [1.35, 0],
        [0, 1.35],
        [-1.35, 0],
      ],
      triangle: [
        [0, -1.25],
        [1.2, 0.95],
        [-1.2, 0.95],
      ],
    }[kind];
    return svg("polygon", {
      points: corners.map(([a, b]) => `${x + a * r},${y + b * r}`).join(" "),
      ...attributes,
    });
  }

  // ---- which layers are frozen, trained, cut away ----
  function drawStrip() {
    const frozen = data.ways[state.way].frozen;
    const width = Math.min(ui.width(), 900),
      boxes = [...data.layers, "head"],
      wide = width / boxes.length;
    const kind = (index) =>
      index === L || (!frozen && index < data.whole)
        ? "trained"
        : frozen && index <= state.layer
          ? "frozen"
          : "cut away";
    const picture = drawing(width, STRIP, boxes.map((name, index) => `${name}: ${kind(index)}`).join(", "));
    boxes.forEach((name, index) => {
      const what = kind(index),
        x = index * wide + 2;
      const look = {
        trained: { fill: ink(state.way), stroke: ink(state.way) },
        frozen: { fill: "var(--panel)", stroke: "var(--edge)" },
        "cut away": { fill: "none", stroke: "var(--edge)", "stroke-dasharray": "4 3" },
      }[what];
      picture.append(
        svg("rect", { x, y: 4, width: wide - 4, height: 30, rx: 4, "stroke-width": 1.4, ...look }),
      );
      const small = { "font-size": Math.min(13, (1.55 * (wide - 6)) / name.length) };
      picture.append(
        words(x + wide / 2 - 2, 19, name, {
          ...small,
          fill:
            what === "trained" ? inkOn(ink(state.way)) : what === "frozen" ? "var(--ink)" : "var(--muted)",
        }),
      );
    });
    strip.replaceChildren(picture);
    // neighbors with the same fate in one phrase
    const phrases = [];
    boxes.forEach((name, index) => {
      const last = phrases.at(-1);
      if (last && last.what === kind(index)) last.to = name;
      else phrases.push({ what: kind(index), from: name, to: name });
    });
    kept.textContent = phrases
      .map(({ what, from, to }) => `${from === to ? from : `${from} to ${to}`}: ${what}`)
      .join(" · ");
  }

  // ---- a chart of accuracies over places: values(way, place) -> stats ----
  // shown(way, place): whether there is a mark
  function chart(target, places, here, values, xlabel, label, shown = () => true) {
    const columns = ui.width() > 700 ? 2 : 1;
    const width = Math.min((ui.width() - 18 * (columns - 1)) / columns, 620),
      left = 50,
      right = width - 16,
      high = 12,
      low = HEIGHT - 46;
    const all = range(data.ways.length).map((index) =>
      range(places.length).map((place) => values(index, place)),
    );
    const reach = all.flat().flatMap(({ mean, sd }) => [mean - (sd || 0), mean + (sd || 0)]);
    const bottom = Math.max(0, Math.floor(10 * Math.min(...reach)) / 10),
      top = Math.min(1, Math.ceil(10 * Math.max(...reach) + 1e-9) / 10);
    const x = (place, shift = 0) => left + ((place + 0.5) / places.length) * (right - left) + shift,
      y = (value) => low - ((clamp(value, bottom, top) - bottom) / (top - bottom || 1)) * (low - high);
    const picture = drawing(width, HEIGHT, label);
    for (const value of range(Math.round(10 * (top - bottom)) + 1).map((i) => bottom + i / 10))
      picture.append(
        svg("line", {
          x1: left,
          x2: right,
          y1: y(value),
          y2: y(value),
          stroke: "var(--line)",
          "shape-rendering": "crispEdges",
        }),
        words(left - 7, y(value), format(100 * value, 0), {
          "font-size": 12,
          fill: "var(--muted)",
          "text-anchor": "end",
        }),
      );
    places.forEach((name, place) =>
      picture.append(
        words(x(place), low + 15, name, {
          "font-size": Math.min(
            12,
            (1.6 * (right - left)) / places.length / Math.max(4, String(name).length),
          ),
          fill: "var(--muted)",
        }),
      ),
    );
    picture.append(
      svg("line", { x1: x(here), x2: x(here), y1: high, y2: low, stroke: "var(--ink)", "stroke-width": 1.2 }),
      words((left + right) / 2, HEIGHT - 9, xlabel, { "font-size": 12.5, fill: "var(--muted)" }),
      svg(
        "text",
        {
          transform: `translate(12 ${(high + low) / 2}) rotate(-90)`,
          "text-anchor": "middle",
          "font-size": 12.5,
          fill: "var(--muted)",
        },
        "accuracy (%)",
      ),
    );
    all.forEach((row, index) => {
      const chosen = index === state.way,
        shift = (index - (data.ways.length - 1) / 2) * 6,
        { dash, mark: kind } = LOOKS[index];
      const path = row
        .map(({ mean }, place) => `${place ? "L" : "M"}${x(place, shift).toFixed(1)} ${y(mean).toFixed(1)}`)
        .join("");
      picture.append(
        svg("path", {
          d: path,
          fill: "none",
          stroke: ink(index),
          "stroke-width": chosen ? 3 : 1.5,
          "stroke-dasharray": dash,
        }),
      );
      row.forEach(({ mean, sd }, place) => {
        if (!shown(index, place)) return;
        const at_ = x(place, shift);
        if (sd !== null)
          picture.append(
            svg("line", {
              x1: at_,
              x2: at_,
              y1: y(mean - sd),
              y2: y(mean + sd),
              stroke: ink(index),
              "stroke-width": chosen ? 2.2 : 1.2,
            }),
          );
        picture.append(
          mark(kind, at_, y(mean), chosen ? 5 : 3.6, {
            fill: chosen ? ink(index) : "var(--ground)",
            stroke: ink(index),
            "stroke-width": 1.6,
          }),
        );
      });
    });
    target.replaceChildren(html("p", { class: "caption" }, label), picture);
  }

  function write() {
    const name = data.tasks[state.task].label,
      { label, frozen } = data.ways[state.way];
    const where = frozen ? `, cut behind ${data.layers[state.layer]}` : "";
    said.textContent = `${name}, ${data.sizes[state.size]} labeled images, ${label}${where}: ${reading(at(state.way))}.`;
    const head = ["accuracy", "trained weights", "multiply-adds"].map((text) =>
      html("th", { scope: "col" }, text),
    );
    const rows = data.ways.map((entry, index) =>
      html(
        "tr",
        { class: index === state.way ? "chosen" : null },
        html("th", { scope: "row" }, entry.label),
        html(
          "td",
          {},
          reading(at(index))
            .split(/ (?=\()/)
            .flatMap((part) => [html("span", {}, part), " "]),
        ),
        html("td", {}, large(cost(index).trained)),
        html("td", {}, large(cost(index).macs)),
      ),
    );
    readings.replaceChildren(
      html(
        "caption",
        { class: "small", style: "text-align:left" },
        "Multiply-adds are for one image in one training step.",
      ),
      html("thead", {}, html("tr", {}, html("td", {}), head)),
      html("tbody", {}, rows),
    );
    const sample = (index) => {
      const picture = svg("svg", { width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true" });
      picture.append(
        svg("line", {
          x1: 0,
          x2: 34,
          y1: 7,
          y2: 7,
          stroke: ink(index),
          "stroke-width": 2,
          "stroke-dasharray": LOOKS[index].dash,
        }),
      );
      picture.append(
        mark(LOOKS[index].mark, 17, 7, 4, { fill: "var(--ground)", stroke: ink(index), "stroke-width": 1.6 }),
      );
      return picture;
    };
    legend.replaceChildren(...names.map((text, index) => html("li", {}, sample(index), text)));
  }

  ui.draw = () => {
    const frozen = data.ways[state.way].frozen;
    size.set(state.size, N - 1, `${data.sizes[state.size]} images`);
    layer.set(state.layer, L - 1, data.layers[state.layer]);
    const chosen = at(state.way),
      { trained, macs } = cost(state.way);
    ui.publish({
      task: data.tasks[state.task].label,
      way: names[state.way],
      size: data.sizes[state.size],
      layer: data.layers[state.layer],
      mean: chosen.mean,
      sd: chosen.sd,
      seeds: chosen.n,
      trained,
      macs,
      frozen,
    });
    drawStrip();
    const cut = data.layers[state.layer];
    chart(
      bySize,
      data.sizes,
      state.size,
      (index, place) => at(index, place),
      "labeled images",
      `Over labeled images, frozen networks cut behind ${cut}`,
    );
    chart(
      byLayer,
      data.layers,
      state.layer,
      (index, place) => at(index, state.size, place),
      "cut behind layer",
      `Over the cut, with ${data.sizes[state.size]} labeled images`,
      (index, place) => data.ways[index].frozen || place === data.whole - 1,
    );
    write();
  };
}
