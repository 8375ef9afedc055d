// The values of one channel in a batch, what batch normalization makes of them, and the running statistics beside it.

function build(ui, data) {
  const state = {
    x: [...data.values],
    gamma: data.gamma,
    beta: data.beta,
    momentum: data.momentum,
    mode: "training",
    running: { mean: 0, variance: 1 },
    passes: 0,
  };
  const [low, high] = data.limits.value;
  const NEW = 0; // a value that is added

  // ---- arithmetic ----
  function statistics() {
    const n = state.x.length,
      mean = state.x.reduce((sum, value) => sum + value, 0) / n,
      squares = state.x.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, variance: squares / n, unbiased: n > 1 ? squares / (n - 1) : null };
  }
  const refused = () => state.mode === "training" && state.x.length === 1;
  function compute() {
    const batch = statistics(),
      used = state.mode === "training" ? batch : state.running;
    if (refused()) return { batch, used: null, hat: [], y: [] };
    const hat = state.x.map((value) => (value - used.mean) / Math.sqrt(used.variance + data.eps));
    return { batch, used, hat, y: hat.map((value) => state.gamma * value + state.beta) };
  }
  function pass(times) {
    if (state.mode === "evaluation" || refused()) return;
    const { mean, unbiased } = statistics(),
      { running, momentum } = state;
    for (let i = 0; i < times; i++) {
      running.mean = (1 - momentum) * running.mean + momentum * mean;
      running.variance = (1 - momentum) * running.variance + momentum * unbiased;
    }
    state.passes += times;
    ui.draw();
  }

  // ---- controls ----
  const mode = choice("Mode", ["training", "evaluation"], state.mode, (value) => {
    state.mode = value;
    ui.draw();
  });
  const once = button("Pass once", "Pass the batch through once", () => pass(1));
  const often = button("Pass 10 times", "Pass the batch through 10 times", () => pass(10));
  const reset = button("New layer", "Reset the running statistics to those of a new layer", () => {
    state.running = { mean: 0, variance: 1 };
    state.passes = 0;
    ui.draw();
  });
  const field = (name, label, text) =>
    number(
      label,
      state[name],
      (value) => {
        state[name] = value;
        ui.draw();
      },
      { min: data.limits[name][0], max: data.limits[name][1], name: text },
    );
  const parameters = [
    field("gamma", "γ", "gamma, the scale"),
    field("beta", "β", "beta, the shift"),
    field("momentum", "momentum", "momentum of the running statistics"),
  ];
  const add = button("+ Value", "Add a value", () => {
    state.x.push(NEW);
    listValues();
    ui.draw();
  });
  const remove = button("− Value", "Remove the last value", () => {
    state.x.pop();
    listValues();
    ui.draw();
  });

  // ---- the table: a row for each value ----
  const sheet = html(
    "style",
    {},
    `.values { border-collapse: collapse; font-size: .92em; font-variant-numeric: tabular-nums; }
    .values th, .values td { padding: 2px 10px 2px 0; text-align: right; font-weight: 400; }
    .values thead th { color: var(--muted); font-weight: 500; }
    .values th:first-child { text-align: left; }
    .values input[type="number"] { min-height: 30px; }
    .norm { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 14px 26px; align-items: start; }
    @container (max-width: 640px) { .norm { grid-template-columns: minmax(0, 1fr); } }`,
  );
  const body = html("tbody", {});
  const head = ["example", "x", "normalized", "output y"].map((text) => html("th", { scope: "col" }, text));
  const table = html("table", { class: "values" }, html("thead", {}, html("tr", {}, head)), body);
  let lines = [];
  function listValues() {
    lines = state.x.map((value, index) => {
      const entry = number(
        "",
        value,
        (typed) => {
          state.x[index] = typed;
          ui.draw();
        },
        { min: low, max: high, name: `x of example ${index + 1}` },
      );
      const hat = html("td", {}),
        y = html("td", {});
      const row = html("tr", {}, html("th", { scope: "row" }, index + 1), html("td", {}, entry.box), hat, y);
      return { entry, hat, y, row };
    });
    body.replaceChildren(...lines.map(({ row }) => row));
  }

  // ---- the page ----
  const stage = html("div", { class: "touch" });
  const legend = html("ul", { class: "legend" });
  const batchLine = html("p", {}),
    runningLine = html("p", {}),
    readout = html("p", { class: "total", "aria-live": "polite" });
  ui.body.append(
    sheet,
    html(
      "div",
      { class: "controls" },
      mode.node,
      parameters.map(({ node }) => node),
    ),
    html("div", { class: "controls tight" }, add, remove, once, often, reset),
    html("div", { class: "norm" }, table, html("div", { class: "picture" }, stage, legend)),
    html("div", { class: "result" }, readout, batchLine, runningLine),
  );
  listValues();

  ui.draw = () => {
    const now = compute();
    lines.forEach(({ hat, y }, index) => {
      hat.textContent = now.used ? format(now.hat[index]) : "–";
      y.textContent = now.used ? format(now.y[index]) : "–";
    });
    add.disabled = state.x.length >= data.most;
    remove.disabled = state.x.length <= 1;
    once.disabled = often.disabled = state.mode === "evaluation" || refused();
    ui.publish({
      mode: state.mode,
      x: state.x,
      batch: now.batch,
      running: state.running,
      passes: state.passes,
      hat: now.hat,
      y: now.y,
      problem: refused() ? "one value" : "",
    });
    write(now);
    draw(now);
  };

  // ---- words ----
  function write({ batch, used, y }) {
    readout.className = used ? "total" : "problem";
    if (used) {
      const n = y.length,
        mean = y.reduce((sum, value) => sum + value, 0) / n,
        deviation = Math.sqrt(y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
      readout.textContent =
        `${state.mode === "training" ? "Training: the batch's own statistics." : "Evaluation: the running statistics."} ` +
        `Output: mean ${format(mean)}, standard deviation ${format(deviation)}.`;
    } else {
      readout.textContent =
        "A single value is its own mean and has no variance: in training mode torch stops with an error. Add a value, or evaluate.";
    }
    const unbiased = batch.unbiased === null ? "" : ` (dividing by n − 1: ${format(batch.unbiased)})`;
    batchLine.textContent = `This batch: mean ${format(batch.mean)}, variance ${format(batch.variance)}${unbiased}.`;
    const { mean, variance } = state.running;
    const passes = `${state.passes} pass${state.passes === 1 ? "" : "es"}`;
    runningLine.textContent = `Running statistics after ${passes}: mean ${format(mean)}, variance ${format(variance)}.`;
  }

  // ---- the picture: inputs on the upper line, outputs on the lower ----
  const TOP = 46,
    BOTTOM = 176,
    HEIGHT = 206,
    MARGIN = 16,
    RADIUS = 9;
  let toValue = () => 0,
    held = null;

  function draw({ batch, used, y }) {
    const width = ui.width() < 640 ? ui.width() : Math.max(240, ui.width() - table.offsetWidth - 26),
      span = width - 2 * MARGIN;
    const reach = Math.max(4, Math.ceil(Math.max(0, ...y.map(Math.abs))));
    const atX = (value) => MARGIN + ((clamp(value, low, high) - low) / (high - low)) * span,
      atY = (value) => MARGIN + ((value + reach) / (2 * reach)) * span;
    toValue = (pixel) => clamp(round(low + ((pixel - MARGIN) / span) * (high - low), 1), low, high);
    const picture = drawing(width, HEIGHT, describe(y));
    const text = (x, at, words_, attributes = {}) =>
      picture.append(words(x, at, words_, { fill: "var(--muted)", "font-size": 11.5, ...attributes }));

    const band = ({ mean, variance }, color, dash) => {
      const deviation = Math.sqrt(variance),
        left = atX(mean - deviation),
        right = atX(mean + deviation);
      const look = dash ? { fill: "none", "stroke-dasharray": "4 3" } : { fill: color, "fill-opacity": 0.35 };
      picture.append(
        svg("rect", {
          x: left,
          y: TOP - 21,
          width: Math.max(1, right - left),
          height: 42,
          stroke: color,
          "stroke-width": 1.5,
          ...look,
        }),
        svg("line", {
          x1: atX(mean),
          x2: atX(mean),
          y1: TOP - 21,
          y2: TOP + 21,
          stroke: color,
          "stroke-width": 2.5,
          "stroke-dasharray": dash ? "4 3" : null,
        }),
      );
    };
    const training = state.mode === "training";
    band(state.running, PALETTE.green, training);
    band(batch, PALETTE.sky, !training);

    for (const [at, place, ticks, name] of [
      [TOP, atX, [low, low / 2, 0, high / 2, high], "input x"],
      [BOTTOM, atY, [-reach, -reach / 2, 0, reach / 2, reach], "output y"],
    ]) {
      picture.append(svg("line", { x1: MARGIN, x2: width - MARGIN, y1: at, y2: at, stroke: "var(--edge)" }));
      for (const tick of ticks) {
        picture.append(
          svg("line", { x1: place(tick), x2: place(tick), y1: at, y2: at + 5, stroke: "var(--edge)" }),
        );
        text(place(tick), at === TOP ? 10 : at + 18, format(tick));
      }
      text(MARGIN, at === TOP ? TOP + 32 : BOTTOM - 22, name, { "text-anchor": "start" });
    }
    y.forEach((value, index) =>
      picture.append(
        svg("line", {
          x1: atX(state.x[index]),
          x2: atY(value),
          y1: TOP + RADIUS,
          y2: BOTTOM - RADIUS,
          stroke: "var(--muted)",
          "stroke-opacity": 0.6,
        }),
      ),
    );
    const dot = (x, at, index, color) => {
      picture.append(
        svg("circle", {
          cx: x,
          cy: at,
          r: RADIUS,
          fill: color,
          stroke: "var(--ground)",
          "stroke-width": 1.5,
        }),
      );
      picture.append(words(x, at, index + 1, { fill: inkOn(color), "font-size": 11.5, "font-weight": 700 }));
    };
    y.forEach((value, index) => dot(atY(value), BOTTOM, index, PALETTE.orange));
    state.x.forEach((value, index) => dot(atX(value), TOP, index, PALETTE.blue));
    stage.replaceChildren(picture);

    const patch = (style) =>
      html("i", { style: `display:inline-block;width:18px;height:12px;${style}`, "aria-hidden": "true" });
    const line = (color, solid) => patch(solid ? `background:${color}` : `border:1.5px dashed ${color}`);
    const entry = (color, solid, name) =>
      html("li", {}, line(color, solid), `${name}: mean ± standard deviation${solid ? ", in use" : ""}`);
    legend.replaceChildren(entry(PALETTE.sky, training, "batch"), entry(PALETTE.green, !training, "running"));
  }

  const describe = (y) =>
    `Inputs ${state.x.map((value) => format(value)).join(", ")} on one line` +
    (y.length ? `, outputs ${y.map((value) => format(value)).join(", ")} on another` : ", no outputs");

  // ---- dragging ----
  const pixelOf = (event) => event.clientX - stage.getBoundingClientRect().left;
  stage.addEventListener("pointerdown", (event) => {
    const at = toValue(pixelOf(event)),
      top = stage.getBoundingClientRect().top;
    if (event.clientY - top > (TOP + BOTTOM) / 2) return; // outputs follow, they cannot be moved
    const distances = state.x.map((value) => Math.abs(value - at));
    held = distances.indexOf(Math.min(...distances));
    stage.setPointerCapture(event.pointerId);
    move(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (held !== null) move(event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, () => {
      held = null;
    });
  }
  function move(event) {
    state.x[held] = toValue(pixelOf(event));
    lines[held].entry.set(state.x[held]);
    ui.draw();
  }
}
