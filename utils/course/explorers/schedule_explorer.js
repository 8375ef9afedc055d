// A schedule drawn batch by batch, as it was meant and as it comes out when the scheduler is stepped in the wrong place; the area under it.

function build(ui, data) {
  const state = { ...data.start, log: false, first: false };
  const HEIGHT = 300,
    DECADES = 8, // of a logarithmic axis, below its top
    FIRST = 100, // batches of the close view
    SAMPLES = 100, // places of the training that are read out
    SPENT = 0.99; // of the area

  // ---- arithmetic: factors on the base rate; t and all lengths in one unit, the scheduler's own steps ----
  const cosine = (progress, floor) =>
    floor + ((1 - floor) * (1 + Math.cos(Math.PI * clamp(progress, 0, 1)))) / 2;
  const rise = (t, p) => (t < p.warmup ? (t + 1) / (p.warmup + 1) : null);
  const FACTORS = {
    constant: () => 1,
    step: (t, p) => data.gamma ** Math.floor(t / p.period),
    cosine: (t, p) => cosine(t / p.total, p.floor),
    cosine_restarts: (t, p) => cosine((t % p.period) / p.period, p.floor),
    warmup_cosine: (t, p) => rise(t, p) ?? cosine((t - p.warmup) / (p.total - p.warmup), p.floor),
    warmup_hold_cosine: (t, p) =>
      rise(t, p) ?? cosine((t - p.warmup - p.hold) / (p.total - p.warmup - p.hold), p.floor),
    triangular2: (t, p) => {
      const cycle = Math.floor(t / (2 * p.period)),
        height = 1 - Math.abs((t - 2 * cycle * p.period) / p.period - 1);
      return p.floor + ((1 - p.floor) * height) / 2 ** cycle;
    },
  };
  const USES = {
    constant: [],
    step: ["period"],
    cosine: ["floor"],
    cosine_restarts: ["period", "floor"],
    warmup_cosine: ["warmup", "floor"],
    warmup_hold_cosine: ["warmup", "hold", "floor"],
    triangular2: ["period", "floor"],
  };
  const kind = () => data.kinds[state.kind].name;
  const base = () => data.rates[state.rate];

  // the lengths in epochs, as far as the training has room for them
  function lengths() {
    const warmup = Math.min(state.warmup, state.epochs - 1),
      hold = kind() === "warmup_hold_cosine" ? Math.min(state.hold, state.epochs - 1 - warmup) : 0;
    return { warmup, hold, period: state.period, total: state.epochs };
  }
  function curve(counting) {
    const unit = counting === "batch" ? state.batches : 1,
      own = Object.fromEntries(Object.entries(lengths()).map(([name, value]) => [name, value * unit]));
    own.floor = state.floor / 100;
    const each = counting === "epoch" ? state.batches : 1;
    return range(state.epochs * state.batches).map((t) => FACTORS[kind()](Math.floor(t / each), own));
  }

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const kinds = select(
    "Schedule",
    data.kinds.map(({ label }) => label),
    state.kind,
    change("kind"),
  );
  const counting = select(
    "The scheduler steps",
    data.countings.map(({ label }) => label),
    state.counting,
    change("counting"),
  );
  const epochs = number("Epochs", state.epochs, change("epochs"), {
    min: 2,
    max: data.most.epochs,
    whole: true,
  });
  const batches = number("Batches per epoch", state.batches, change("batches"), {
    min: 1,
    max: data.most.batches,
    whole: true,
  });
  const rate = slider("Base learning rate", state.rate, change("rate"), () => 5);
  const sliders = {
    warmup: slider("Warm-up, epochs", state.warmup, change("warmup"), () => 5),
    hold: slider("Hold, epochs", state.hold, change("hold"), () => 5),
    period: slider(
      "Period, epochs",
      state.period - 1,
      (place) => change("period")(place + 1),
      () => 5,
    ),
    floor: slider("Lowest rate, % of the base", state.floor, change("floor"), () => 5),
  };
  const log = toggle("Logarithmic axis", state.log, change("log"));
  const first = toggle(`Only the first ${FIRST} batches`, state.first, change("first"));

  // ---- the page ----
  const stage = html("div", {}),
    legend = html("ul", { class: "legend" }),
    said = html("p", { class: "total", "aria-live": "polite" }),
    more = html("p", {}),
    warning = html("p", { class: "problem" });
  ui.body.append(
    html("div", { class: "controls" }, kinds.node, counting.node),
    html("div", { class: "controls" }, epochs.node, batches.node, log.node, first.node),
    html(
      "div",
      { class: "controls" },
      rate.node,
      Object.values(sliders).map(({ node }) => node),
    ),
    stage,
    legend,
    html("div", { class: "result" }, said, more, warning),
  );

  const brief3 = (value) =>
    value === 0
      ? "0"
      : Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5
        ? power(value)
        : String(Number(value.toPrecision(3)));
  function power(value) {
    const [digits, exponent] = value.toExponential(1).split("e");
    const raised = String(Math.abs(Number(exponent))).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
    return `${digits.replace(/\.0$/, "")}·10${Number(exponent) < 0 ? "⁻" : ""}${raised}`;
  }
  const grouped = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const ink = (color) => (ui.dark() ? mix(color, "#ffffff", 0.45) : color);

  ui.draw = () => {
    const how = data.countings[state.counting].name,
      factors = curve(how),
      meant = how === "slip" ? curve("batch") : null,
      steps = factors.length;
    const total = factors.reduce((sum, value) => sum + value, 0);
    let sum = 0,
      spent = 0;
    while (spent < steps && sum < SPENT * total) sum += factors[spent++];
    const own = lengths();
    rate.set(state.rate, data.rates.length - 1, brief3(base()));
    sliders.warmup.set(state.warmup, data.most.length, `${state.warmup} epochs`);
    sliders.hold.set(state.hold, data.most.length, `${state.hold} epochs`);
    sliders.period.set(state.period - 1, data.most.length - 1, `${state.period} epochs`);
    sliders.floor.set(state.floor, data.most.floor, `${state.floor} %`);
    for (const [name, control] of Object.entries(sliders)) control.node.hidden = !USES[kind()].includes(name);
    const places = range(SAMPLES + 1).map((i) => Math.round((i * (steps - 1)) / SAMPLES));
    ui.publish({
      kind: kind(),
      counting: how,
      steps,
      base: base(),
      lengths: own,
      floor: state.floor / 100,
      total: total * base(),
      share: total / steps,
      spent,
      places,
      rates: places.map((t) => factors[t] * base()),
    });
    draw(factors, meant);
    write(factors, total, spent, meant);
  };

  function write(factors, total, spent, meant) {
    const steps = factors.length;
    said.textContent =
      `Total learning rate ${brief3(total * base())}: as much as ${brief3(total)} of the ${grouped(steps)} batches ` +
      `at the base rate (${brief3((100 * total) / steps)} %).`;
    const own = lengths(),
      inEpochs = (name) =>
        `${name === "warmup" ? "warm-up" : name} ${own[name]} epoch${own[name] === 1 ? "" : "s"}`,
      chosen = USES[kind()].map((name) =>
        name === "floor" ? `lowest rate ${state.floor} %` : inEpochs(name),
      );
    more.textContent =
      `Base rate ${[brief3(base()), ...chosen].join(", ")}. ${100 * SPENT} % of the total is spent after ${grouped(spent)} batches; ` +
      `the last batch has the rate ${brief3(factors[steps - 1] * base())}.`;
    const intended = meant ? meant.reduce((sum, value) => sum + value, 0) : 0;
    warning.hidden = !meant;
    warning.textContent = meant
      ? `Meant was a total of ${brief3(intended * base())}: ${brief3(intended / total)} times as much.`
      : "";
  }

  // ---- the picture ----
  function draw(factors, meant) {
    const width = Math.min(ui.width(), 900),
      left = 74,
      right = width - 14,
      high = 14,
      low = HEIGHT - 46,
      shown = state.first ? Math.min(FIRST, factors.length) : factors.length;
    const x = (t) => left + (t / shown) * (right - left);
    const top = base(),
      y = (value) => {
        if (!state.log) return low - (value / top) * (low - high);
        const decades = value > 0 ? clamp(Math.log10(value / top) + DECADES, 0, DECADES) : 0;
        return low - (decades / DECADES) * (low - high);
      };
    const ends = `from ${brief3(factors[0] * top)} to ${brief3(factors[shown - 1] * top)}`,
      picture = drawing(
        width,
        HEIGHT,
        `Learning rate over ${shown} batches, ${data.kinds[state.kind].label}, ${ends}`,
      );
    const text = (at, height, value, attributes = {}) =>
      picture.append(words(at, height, value, { "font-size": 12, fill: "var(--muted)", ...attributes }));
    const marks = state.log
      ? range(DECADES / 2 + 1).map((i) => top * 10 ** (-2 * i))
      : [0, 0.5, 1].map((share) => share * top);
    for (const value of marks) {
      picture.append(
        svg("line", {
          x1: left,
          x2: right,
          y1: y(value),
          y2: y(value),
          stroke: "var(--line)",
          "shape-rendering": "crispEdges",
        }),
      );
      text(left - 6, y(value), brief3(value), { "text-anchor": "end" });
    }
    // each column of pixels: first, lowest, highest and last value of its batches
    const outline = (values) => {
      const points = [];
      const columns = Math.min(shown, Math.ceil(right - left));
      for (let column = 0; column < columns; column++) {
        const from = Math.floor((column * shown) / columns),
          to = Math.max(from + 1, Math.floor(((column + 1) * shown) / columns));
        const part = values.slice(from, to).map((value) => value * top);
        const corners =
          part.length > 3 ? [part[0], Math.min(...part), Math.max(...part), part[part.length - 1]] : part;
        for (const value of corners) points.push([x(from), y(value)]);
        points.push([x(to), y(part[part.length - 1])]);
      }
      return points
        .map(([px, py], index) => `${index ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`)
        .join("");
    };
    if (meant)
      picture.append(
        svg("path", {
          d: outline(meant),
          fill: "none",
          stroke: ink(PALETTE.orange),
          "stroke-width": 1.8,
          "stroke-dasharray": "6 3",
        }),
      );
    const line = outline(factors);
    if (!state.log)
      picture.append(
        svg("path", {
          d: `${line}L${right} ${low}L${left} ${low}Z`,
          fill: ink(PALETTE.blue),
          "fill-opacity": 0.2,
        }),
      );
    picture.append(
      svg("path", {
        d: line,
        fill: "none",
        stroke: ink(PALETTE.blue),
        "stroke-width": 2.2,
        "stroke-linejoin": "round",
      }),
      svg("line", { x1: left, x2: right, y1: low, y2: low, stroke: "var(--edge)" }),
    );
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const t = share * shown;
      text(
        x(t),
        low + 15,
        state.first ? brief3(t) : brief3(t / state.batches),
        share === 1 ? { "text-anchor": "end" } : {},
      );
    }
    text((left + right) / 2, HEIGHT - 10, state.first ? "batch" : "epoch", { "font-size": 12.5 });
    picture.append(
      svg(
        "text",
        {
          transform: `translate(11 ${(high + low) / 2}) rotate(-90)`,
          "text-anchor": "middle",
          "font-size": 12.5,
          fill: "var(--muted)",
        },
        "learning rate",
      ),
    );
    stage.replaceChildren(picture);
    const patch = (color, dash) =>
      html("i", {
        style: `display:inline-block;width:22px;border-top:3px ${dash ? "dashed" : "solid"} ${ink(color)}`,
        "aria-hidden": "true",
      });
    legend.replaceChildren(
      html(
        "li",
        {},
        patch(PALETTE.blue, false),
        state.log ? "learning rate" : "learning rate; the area is the total",
      ),
    );
    if (meant) legend.append(html("li", {}, patch(PALETTE.orange, true), "as it was meant"));
  }
}
