// A stack of convolutions and poolings, and what one of its units sees of a picture: the recursion of size, jump and start,
// and, for the pixels that dilation or a stride leaves out, the set of pixels on which the unit depends along each axis.

function build(ui, data) {
  const LABELS = { k: "Kernel", s: "Stride", p: "Padding", d: "Dilation" };
  const state = { n: 0, layers: [], at: 0, spot: [0, 0] }; // spot: where in the input we look, as (row, column)
  let now; // one entry for the input and one for each layer

  const source = document.createElement("canvas");
  const { side, rgb } = data.picture;
  source.width = source.height = side;
  const bytes = Uint8Array.from(atob(rgb), (letter) => letter.charCodeAt(0));
  const pixels = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    pixels.data.set(bytes.subarray(3 * i, 3 * i + 3), 4 * i);
    pixels.data[4 * i + 3] = 255;
  }
  source.getContext("2d").putImageData(pixels, 0, 0);

  // ---- arithmetic: all maps are square, so one axis stands for both ----
  function compute() {
    now = [{ map: state.n, size: 1, jump: 1, start: 0 }];
    for (const { k, s, p, d } of state.layers) {
      const { map, size, jump, start } = now.at(-1),
        span = d * (k - 1) + 1;
      if (map + 2 * p < span) break; // this layer and those after it have no output
      now.push({
        map: Math.floor((map + 2 * p - span) / s) + 1,
        size: size + (span - 1) * jump,
        jump: jump * s,
        start: start + ((span - 1) / 2 - p) * jump,
      });
    }
  }

  const unitAt = (level, spot) => {
    const { map, jump, start } = now[level];
    return clamp(Math.round((spot - start) / jump), 0, map - 1);
  };
  const interval = (level, unit) => {
    const { size, jump, start } = now[level],
      low = start + unit * jump - (size - 1) / 2;
    return [low, low + size - 1];
  };
  // the pixels on which a unit depends along one axis, from the layer back to the input; padding depends on nothing
  function seenBy(level, unit) {
    let places = [unit];
    for (let layer = level; layer > 0; layer--) {
      const { k, s, p, d } = state.layers[layer - 1],
        below = new Set();
      for (const place of places)
        for (let tap = 0; tap < k; tap++) {
          const at = place * s - p + tap * d;
          if (at >= 0 && at < now[layer - 1].map) below.add(at);
        }
      places = [...below];
    }
    return places.sort((a, b) => a - b);
  }
  // neighboring numbers as pairs (first, last)
  const runs = (numbers) => {
    const found = [];
    for (const number of numbers) {
      if (found.length && found.at(-1)[1] === number - 1) found.at(-1)[1] = number;
      else found.push([number, number]);
    }
    return found;
  };

  // ---- controls ----
  const first = data.presets.findIndex((preset) => preset.name === data.preset);
  const presets = select("Stack", [...data.presets.map(({ name }) => name), "your own"], first, (index) => {
    if (index < data.presets.length) load(data.presets[index]);
  });
  const own = () => presets.set(data.presets.length);
  const [nLow, nHigh] = data.limits.n;
  const input = number(
    "Input side",
    0,
    (value) => {
      state.n = value;
      lookAtMiddle();
      own();
      ui.draw();
    },
    { min: nLow, max: nHigh, whole: true },
  );
  const current = () => state.layers[state.at - 1];
  const edit = (name) => (value) => {
    current()[name] = value;
    own();
    ui.draw();
  };
  const kind = choice("Kind", ["conv", "pool"], "conv", edit("kind"));
  const fields = Object.fromEntries(
    Object.keys(LABELS).map((name) => {
      const [min, max] = data.limits[name];
      return [name, number(LABELS[name], 1, edit(name), { min, max, whole: true })];
    }),
  );
  const add = button("+ Add a layer", "Add a layer after the chosen one", () => {
    state.layers.splice(state.at, 0, { kind: "conv", k: 3, s: 1, p: 1, d: 1 });
    state.at += 1;
    own();
    listLayers();
    ui.draw();
  });
  const remove = button("− Remove it", "Remove the chosen layer", () => {
    state.layers.splice(state.at - 1, 1);
    state.at = Math.min(Math.max(1, state.at), state.layers.length);
    own();
    listLayers();
    ui.draw();
  });
  const bar = slider(
    "Unit of the chosen layer",
    0,
    (value) => {
      const { map, jump, start } = now[state.at];
      state.spot = [Math.floor(value / map), value % map].map((unit) => start + unit * jump);
      ui.draw();
    },
    () => now[state.at].map,
  );

  function lookAtMiddle() {
    state.spot = [(state.n - 1) / 2, (state.n - 1) / 2];
  }

  function load(preset) {
    state.n = preset.n;
    state.layers = preset.layers.map(([kindOf, k, s, p, d]) => ({ kind: kindOf, k, s, p, d }));
    state.at = state.layers.length;
    input.set(state.n);
    lookAtMiddle();
    listLayers();
    ui.draw();
  }

  // ---- the table: a row for the input and one for each layer; the radio buttons choose ----
  const sheet = html(
    "style",
    {},
    `.layers { border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; width: 100%; }
    .layers th, .layers td { padding: 0 5px; text-align: right; border-bottom: 1px solid var(--line); }
    .layers thead th { font-weight: 500; color: var(--muted); padding-bottom: 4px; }
    .layers tbody th { font-weight: 400; text-align: left; padding: 0; }
    .layers thead th:first-child { text-align: left; }
    .layers label { position: relative; display: block; font-size: 1em; color: var(--ink); cursor: pointer; }
    .layers input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
    .layers span { display: block; padding: 3px 6px 3px 8px; min-height: 26px; border-left: 5px solid transparent; }
    .layers .conv span { border-left-color: ${PALETTE.blue}; }
    .layers .pool span { border-left-color: ${PALETTE.green}; }
    .layers tr.chosen { background: var(--panel); }
    .layers tr.chosen th span, .layers tr.chosen td { font-weight: 700; }
    .layers tr.dead td, .layers tr.dead span { color: var(--muted); }
    .layers input:focus-visible + span { outline: 3px solid var(--accent); outline-offset: -3px; }
    .builder { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 14px 24px; align-items: start; }
    .stack { position: relative; }
    .stack canvas, .stack svg { position: absolute; left: 0; top: 0; max-width: none; }
    @container (max-width: 640px) { .builder { grid-template-columns: minmax(0, 1fr); } }
    @container (max-width: 480px) { .layers th, .layers td { padding: 0 3px; } .layers span { padding: 3px 2px 3px 5px; } }`,
  );
  const body = html("tbody", {});
  const head = ["Layer", "Map", "Size", "Jump", "Start"].map((text) => html("th", { scope: "col" }, text));
  const table = html(
    "fieldset",
    {},
    html("legend", {}, "Layers from the input up: choose one (/ stride, + padding, d dilation)"),
    html("table", { class: "layers" }, html("thead", {}, html("tr", {}, head)), body),
  );
  const group = `layer-${Math.random().toString(36).slice(2)}`;
  let lines = [];
  function listLayers() {
    lines = range(state.layers.length + 1).map((level) => {
      const radio = html("input", {
        type: "radio",
        name: group,
        value: String(level),
        onchange: () => {
          state.at = level;
          ui.draw();
        },
      });
      const name = html("span", {}),
        numbers = range(4).map(() => html("td", {}));
      return {
        radio,
        name,
        numbers,
        row: html("tr", {}, html("th", { scope: "row" }, html("label", {}, radio, name)), numbers),
      };
    });
    body.replaceChildren(...lines.map(({ row }) => row));
  }
  const title = (level) => {
    if (level === 0) return "input";
    const { kind: kindOf, k, s, p, d } = state.layers[level - 1];
    const rest = [s > 1 ? `/${s}` : "", p ? `+${p}` : "", d > 1 ? `d${d}` : ""].filter(Boolean).join(" ");
    return `${level} ${kindOf} ${k}×${k} ${rest}`.trim();
  };
  function writeTable() {
    lines.forEach(({ radio, name, numbers, row }, level) => {
      const found = now[level];
      name.textContent = title(level);
      radio.checked = level === state.at;
      row.className = [
        level ? state.layers[level - 1].kind : "",
        level === state.at ? "chosen" : "",
        found ? "" : "dead",
      ].join(" ");
      const values = found ? [found.map, found.size, found.jump, format(found.start)] : ["–", "–", "–", "–"];
      numbers.forEach((cell, index) => {
        cell.textContent = values[index];
      });
    });
  }

  // ---- the page ----
  const stage = html("div", { class: "stack touch" });
  const legend = html("ul", { class: "legend" });
  const readout = html("p", { class: "total", "aria-live": "polite" });
  const note = html("p", { class: "small" });
  const editor = html(
    "div",
    { class: "controls" },
    kind.node,
    Object.values(fields).map(({ node }) => node),
  );
  ui.body.append(
    sheet,
    html("div", { class: "controls" }, presets.node, input.node),
    html(
      "div",
      { class: "builder" },
      html("div", {}, stage, legend, html("div", { class: "controls", style: "margin:8px 0 0" }, bar.node)),
      html("div", {}, table),
    ),
    html("div", { style: "height:12px" }),
    editor,
    html("div", { class: "controls tight", style: "margin:0" }, add, remove),
    html("div", { class: "result" }, readout, note),
  );

  ui.draw = () => {
    compute();
    writeTable();
    const layer = current(),
      live = state.at < now.length;
    editor.hidden = !layer;
    remove.disabled = !layer;
    add.disabled = state.layers.length >= data.most;
    if (layer) {
      kind.set(layer.kind);
      for (const [name, field] of Object.entries(fields)) field.set(layer[name]);
    }
    bar.bar.disabled = !live;
    stage.hidden = legend.hidden = !live;
    readout.className = live ? "total" : "problem";
    const shared = { side: state.n, layers: state.layers, rows: now, at: state.at };
    if (!live) {
      const { k, p, d } = state.layers[now.length - 1];
      readout.textContent = `Layer ${now.length} has no output: its window spans ${d * (k - 1) + 1} units, the padded map has only ${now.at(-1).map + 2 * p}.`;
      note.textContent = "Give it padding, a smaller kernel, or a larger input.";
      ui.publish({ ...shared, problem: readout.textContent, unit: [], region: [], seen: [], share: "" });
      return;
    }
    const unit = state.spot.map((spot) => unitAt(state.at, spot));
    const region = unit.map((place) => interval(state.at, place));
    const seen = unit.map((place) => seenBy(state.at, place));
    const share = (seen[0].length * seen[1].length) / state.n ** 2;
    ui.publish({ ...shared, problem: "", unit, region, seen, share });
    const { map } = now[state.at];
    bar.set(unit[0] * map + unit[1], map * map - 1, `row ${unit[0]}, column ${unit[1]} of ${map} by ${map}`);
    drawPicture(region, seen);
    write(unit, region, seen, share);
  };

  // ---- the picture ----
  let view; // how the drawing lies over the input
  function look(event) {
    const edge = stage.getBoundingClientRect(),
      before = state.spot.map((spot) => unitAt(state.at, spot));
    state.spot = [event.clientY - edge.top, event.clientX - edge.left].map((at) =>
      clamp(Math.floor(at / view.scale) - view.margin, 0, state.n - 1),
    );
    if (state.spot.some((spot, axis) => unitAt(state.at, spot) !== before[axis])) ui.draw();
  }
  stage.addEventListener("pointerdown", look);
  stage.addEventListener("pointermove", look);

  function drawPicture(region, seen) {
    const { n } = state,
      last = n - 1;
    // room for the fields of all units of the layer, so that the picture stays where it is while one moves over it
    const beyond = Math.max(
      0,
      -interval(state.at, 0)[0],
      interval(state.at, now[state.at].map - 1)[1] - last,
    );
    const margin = Math.min(beyond, Math.ceil(0.4 * n)); // a field may be many times the picture
    const width = Math.min(stage.parentElement.clientWidth || 320, 430),
      scale = width / (n + 2 * margin);
    const place = (pixel) => (pixel + margin) * scale;
    stage.style.width = stage.style.height = `${width}px`;

    const small = html("canvas", { width: n, height: n, "aria-hidden": "true" });
    const brush = small.getContext("2d");
    brush.imageSmoothingQuality = "high";
    brush.drawImage(source, 0, 0, n, n);
    Object.assign(small.style, {
      left: `${place(0)}px`,
      top: `${place(0)}px`,
      width: `${n * scale}px`,
      height: `${n * scale}px`,
      imageRendering: n <= 64 ? "pixelated" : "auto",
    });

    const picture = drawing(width, width, describe(region, seen), { style: "overflow:hidden" });
    picture.append(
      svg("rect", {
        x: place(0),
        y: place(0),
        width: n * scale,
        height: n * scale,
        fill: "none",
        stroke: "var(--edge)",
      }),
    );
    // all that is not seen lies under a veil; the seen pixels are holes in it
    const box = (low, high, first_, last_) =>
      `M${place(first_)} ${place(low)}H${place(last_ + 1)}V${place(high + 1)}H${place(first_)}Z`;
    const [rows, columns] = seen.map(runs);
    const holes = rows
      .flatMap(([low, high]) => columns.map(([left, right]) => box(low, high, left, right)))
      .join("");
    picture.append(
      svg("path", {
        d: box(0, last, 0, last) + holes,
        "fill-rule": "evenodd",
        fill: "var(--ground)",
        "fill-opacity": 0.72,
      }),
    );
    // fields of the layers below, each of the unit nearest to the same place
    for (let level = 1; level < state.at; level++) {
      const around = state.spot.map((spot) => interval(level, unitAt(level, spot)));
      frame(around, [
        ["#ffffff", 2.2],
        [PALETTE.blue, 1.2],
      ]);
    }
    frame(region, [
      ["#000000", 5],
      ["#ffffff", 3.8],
      [PALETTE.vermillion, 2.6],
    ]);
    function frame([[top, bottom], [left, right]], strokes) {
      for (const [stroke, thickness] of strokes)
        picture.append(
          svg("rect", {
            x: place(left),
            y: place(top),
            width: (right - left + 1) * scale,
            height: (bottom - top + 1) * scale,
            fill: "none",
            stroke,
            "stroke-width": thickness,
          }),
        );
    }
    view = { scale, margin };
    stage.replaceChildren(small, picture);

    const patch = (style) =>
      html("i", { style: `display:inline-block;width:16px;height:12px;${style}`, "aria-hidden": "true" });
    legend.replaceChildren(
      html("li", {}, patch(`border:2.6px solid ${PALETTE.vermillion}`), "field of the unit"),
      state.at > 1
        ? html("li", {}, patch(`border:1.6px solid ${PALETTE.blue}`), "fields of the layers below")
        : "",
      html("li", {}, patch("border:1px solid var(--edge);background:var(--panel)"), "veiled: not seen"),
    );
  }

  // ---- words ----
  const count = (number_, word) => `${number_} ${word}${number_ === 1 ? "" : "s"}`;
  const span = ([low, high]) => `${format(low)} to ${format(high)}`;
  function write(unit, region, seen, share) {
    const { size, map } = now[state.at],
      { n } = state;
    const where = state.at ? `layer ${state.at}, a map of ${map}×${map}` : "the input";
    readout.textContent = `Unit (${unit.join(", ")}) of ${where}: its field is ${size}×${size} pixels, rows ${span(region[0])}, columns ${span(region[1])}.`;
    const [rows, columns] = seen;
    const extent = (places) => (places.length ? places.at(-1) - places[0] + 1 : 0);
    const missed = extent(rows) * extent(columns) - rows.length * columns.length;
    const outside = region.some(([low, high]) => low < 0 || high > n - 1);
    const parts = [
      outside
        ? `Inside the picture lie ${extent(rows)}×${extent(columns)} of them.`
        : "All of it lies inside the picture.",
      missed ? `The unit skips ${count(missed, "pixel")} of these: the stack has holes.` : "",
      `It sees ${format(100 * share, 1)} % of the picture.`,
      size >= n ? `The field is at least as large as the input (${n}).` : "",
      2 * view.margin + n < size ? "It is larger than the drawing." : "",
    ];
    note.textContent = parts.filter(Boolean).join(" ");
  }
  const describe = (region, seen) =>
    `The picture with the field of the unit: rows ${span(region[0])}, columns ${span(region[1])}; ` +
    `${count(seen[0].length * seen[1].length, "pixel")} seen`;

  load(data.presets[first]);
}
