// Bands between the lowest and the highest of several runs, over training steps, and a cursor that reads them.

function build(ui, data) {
  const LOOKS = [
    { color: PALETTE.blue, dash: null },
    { color: PALETTE.vermillion, dash: "7 3" },
    { color: PALETTE.green, dash: "2 3" },
  ];
  const HEIGHT = 330;
  const T = data.steps.length;
  const everything = data.bands.flatMap((band) => [...band.lower, ...band.upper]);
  const smallest = Math.min(...everything),
    largest = Math.max(...everything);
  const state = { at: Math.floor((T - 1) / 3), log: false, runs: false };
  const unique = Math.random().toString(36).slice(2);

  // ---- controls ----
  const move = (at) => {
    state.at = clamp(at, 0, T - 1);
    ui.draw();
  };
  const tenth = Math.max(1, Math.round(T / 10));
  const bar = slider("Training step", state.at, move, () => tenth);
  const scale = choice("Scale", ["linear", "log"], "linear", (value) => {
    state.log = value === "log";
    ui.draw();
  });
  const runs = toggle("Show the runs", state.runs, (value) => {
    state.runs = value;
    ui.draw();
  });

  // ---- the page ----
  const sheet = html(
    "style",
    {},
    `.readings { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .95em; }
    .readings th, .readings td { padding: 4px 6px; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; }
    .readings th:first-child { text-align: left; }
    .readings thead th { color: var(--muted); font-size: .9em; vertical-align: bottom; }
    .readings td.width { font-weight: 700; }
    .stage svg { display: block; cursor: col-resize; touch-action: pan-y; }
    @container (max-width: 480px) { .readings th, .readings td { padding: 4px 3px; } .readings { font-size: .88em; } }`,
  );
  const stage = html("div", { class: "stage" });
  const legend = html("ul", { class: "legend" });
  const where = html("p", { class: "total", "aria-live": "polite" });
  const table = html("table", { class: "readings" });
  const note = html("p", { class: "small" });
  ui.body.append(
    sheet,
    html(
      "div",
      { class: "controls" },
      scale.node,
      data.bands.some((band) => band.runs.length > 1) ? runs.node : null,
    ),
    stage,
    html("div", { class: "controls", style: "margin:6px 0 0" }, bar.node),
    legend,
    html("div", { class: "result" }, where, table, note),
  );
  if (smallest <= 0) scale.node.hidden = true;

  // ---- ticks ----
  function ticks(low, high, count) {
    const raw = (high - low) / count,
      power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor_) => raw <= factor_ * power * 1.0001);
    const first = Math.ceil(low / step - 1e-9);
    return range(Math.floor(high / step + 1e-9) - first + 1).map((i) =>
      Number(((first + i) * step).toPrecision(12)),
    );
  }
  function logTicks(low, high) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const digit of [1, 2, 5]) {
        const value = Number((digit * 10 ** power).toPrecision(6));
        if (value >= low && value <= high) found.push(value);
      }
    if (found.length < 3) return ticks(low, high, 4); // about a power of ten or less
    const keep = Math.ceil(found.length / 9);
    return found.filter((_, index) => index % keep === 0);
  }
  const digits = (value) => String(Number(value.toPrecision(3))).replace("-", MINUS);

  // ---- the picture ----
  let place; // how the drawing lies: step index -> x, and back
  function look(event) {
    const edge = stage.getBoundingClientRect();
    const at = Math.round(place.index(event.clientX - edge.left));
    if (clamp(at, 0, T - 1) !== state.at) move(at);
  }
  stage.addEventListener("pointerdown", look);
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" || event.buttons) look(event);
  });

  function draw() {
    const width = Math.min(stage.clientWidth || ui.width(), 900),
      left = 52,
      right = width - 12,
      top = 10,
      bottom = HEIGHT - 44;
    const pad = 0.04 * (largest - smallest || 1);
    const low = state.log ? smallest / 1.08 : smallest >= 0 ? Math.max(0, smallest - pad) : smallest - pad,
      high = state.log ? largest * 1.08 : largest + pad;
    const f = state.log ? Math.log : (value) => value;
    const x = (index) => left + (T > 1 ? (index / (T - 1)) * (right - left) : 0);
    const y = (value) => bottom - ((f(value) - f(low)) / (f(high) - f(low))) * (bottom - top);
    place = { index: (pixel) => ((pixel - left) / (right - left)) * (T - 1) };

    const picture = drawing(width, HEIGHT, describe());
    const axis = (attributes) =>
      svg("line", { stroke: "var(--line)", "shape-rendering": "crispEdges", ...attributes });
    for (const value of state.log ? logTicks(low, high) : ticks(low, high, 5))
      picture.append(
        axis({ x1: left, x2: right, y1: y(value), y2: y(value) }),
        svg(
          "text",
          {
            x: left - 7,
            y: y(value),
            dy: "0.35em",
            "text-anchor": "end",
            "font-size": 12,
            fill: "var(--muted)",
          },
          digits(value),
        ),
      );
    const [from, to] = [data.steps[0], data.steps.at(-1)];
    for (const value of to > from ? ticks(from, to, width < 480 ? 3 : 6) : [from]) {
      const at = to > from ? left + ((value - from) / (to - from)) * (right - left) : left;
      picture.append(
        axis({ x1: at, x2: at, y1: bottom, y2: bottom + 5, stroke: "var(--edge)" }),
        words(at, bottom + 16, digits(value), { "font-size": 12, fill: "var(--muted)" }),
      );
    }
    picture.append(
      axis({ x1: left, x2: right, y1: bottom, y2: bottom, stroke: "var(--edge)" }),
      words((left + right) / 2, HEIGHT - 9, "training step", { "font-size": 12.5, fill: "var(--muted)" }),
      svg(
        "text",
        {
          transform: `translate(12 ${(top + bottom) / 2}) rotate(-90)`,
          "text-anchor": "middle",
          "font-size": 12.5,
          fill: "var(--muted)",
        },
        data.quantity,
      ),
    );

    // stripes in different directions, because bands overlap and color is not all that everyone sees
    const defs = svg("defs", {});
    picture.append(defs);
    const line = (values) =>
      values
        .map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)
        .join("");
    data.bands.forEach((band, number_) => {
      const { dash } = LOOKS[number_],
        ink = inkOf(number_),
        id = `stripes-${unique}-${number_}`;
      defs.append(
        svg(
          "pattern",
          {
            id,
            width: 8,
            height: 8,
            patternUnits: "userSpaceOnUse",
            patternTransform: `rotate(${[45, -45, 90][number_]})`,
          },
          svg("rect", { width: 8, height: 8, fill: ink, "fill-opacity": 0.16 }),
          svg("rect", { width: 2, height: 8, fill: ink, "fill-opacity": 0.4 }),
        ),
      );
      const back = band.lower
        .map((value, index) => `L${x(index).toFixed(1)} ${y(value).toFixed(1)}`)
        .reverse()
        .join("");
      picture.append(svg("path", { d: `${line(band.upper)}${back}Z`, fill: `url(#${id})` }));
      for (const edge of [band.lower, band.upper])
        picture.append(
          svg("path", {
            d: line(edge),
            fill: "none",
            stroke: ink,
            "stroke-width": 1.6,
            "stroke-dasharray": dash,
          }),
        );
      if (state.runs)
        for (const run of band.runs)
          picture.append(
            svg("path", { d: line(run.values), fill: "none", stroke: ink, "stroke-width": 0.8 }),
          );
    });

    // the cursor, and what it reads
    const at = x(state.at);
    picture.append(
      svg("line", { x1: at, x2: at, y1: top, y2: bottom, stroke: "var(--ink)", "stroke-width": 1.2 }),
    );
    data.bands.forEach((band, number_) => {
      const ink = inkOf(number_);
      const shift = (number_ - (data.bands.length - 1) / 2) * 7;
      const [lower, upper] = [band.lower[state.at], band.upper[state.at]];
      picture.append(
        svg("line", {
          x1: at + shift,
          x2: at + shift,
          y1: y(lower),
          y2: y(upper),
          stroke: ink,
          "stroke-width": 4,
          "stroke-linecap": "round",
        }),
      );
      if (state.runs)
        for (const run of band.runs)
          picture.append(
            svg("circle", {
              cx: at + shift,
              cy: y(run.values[state.at]),
              r: 3.6,
              fill: "var(--ground)",
              stroke: ink,
              "stroke-width": 2,
            }),
          );
    });
    stage.replaceChildren(picture);
  }
  const inkOf = (number_) => (ui.dark() ? mix(LOOKS[number_].color, "#ffffff", 0.45) : LOOKS[number_].color);

  // ---- words ----
  const stepText = () => {
    const first = data.steps[state.at];
    if (data.window === 1) return `step ${first}`;
    const last = state.at + 1 < T ? data.steps[state.at + 1] - 1 : data.last;
    return last > first ? `steps ${first} to ${last}` : `step ${first}`;
  };
  const describe = () =>
    `Bands of the ${data.quantity} over training steps; at ${stepText()}: ` +
    data.bands
      .map((band) => `${band.label} from ${digits(band.lower[state.at])} to ${digits(band.upper[state.at])}`)
      .join("; ");

  function write(readings) {
    where.textContent = `At ${stepText()}:`;
    const head = ["", "lowest", "highest", "width", "mean width"].map((text, index) =>
      index ? html("th", { scope: "col" }, text) : html("td", {}),
    );
    const rows = data.bands.map((band, number_) => {
      const { lower, upper, width } = readings[number_];
      return html(
        "tr",
        {},
        html("th", { scope: "row" }, band.label),
        html("td", {}, digits(lower)),
        html("td", {}, digits(upper)),
        html("td", { class: "width" }, digits(width)),
        html("td", {}, digits(band.mean)),
      );
    });
    table.replaceChildren(html("thead", {}, html("tr", {}, head)), html("tbody", {}, rows));
    const lines = data.bands.map((band) => {
      const order = band.runs.map((run) => [run.values[state.at], run.label]).sort((a, b) => a[0] - b[0]);
      return `${band.label}: lowest ${order[0][1]}, highest ${order.at(-1)[1]}.`;
    });
    const how = data.window > 1 ? ` Each point is the mean over ${data.window} steps.` : "";
    note.textContent = `${lines.join(" ")} The mean width is over all steps.${how}`;
    const patch = (number_) =>
      html("i", {
        style: `display:inline-block;width:20px;height:12px;border:2px ${["solid", "dashed", "dotted"][number_]} ${inkOf(number_)}`,
        "aria-hidden": "true",
      });
    legend.replaceChildren(
      ...data.bands.map((band, number_) =>
        html("li", {}, patch(number_), `${band.label} (${band.runs.length} runs)`),
      ),
    );
  }

  ui.draw = () => {
    const readings = data.bands.map((band) => {
      const lower = band.lower[state.at],
        upper = band.upper[state.at];
      return { lower, upper, width: Number((upper - lower).toPrecision(4)) };
    });
    bar.set(state.at, T - 1, stepText());
    ui.publish({
      at: state.at,
      step: data.steps[state.at],
      readings,
      scale: state.log ? "log" : "linear",
      runs: state.runs,
    });
    draw();
    write(readings);
  };
}
