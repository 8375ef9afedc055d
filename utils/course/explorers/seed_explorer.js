// Two configurations, a true difference and a spread over seeds: draw some seeds of each and see what the comparison says.

function build(ui, data) {
  const state = { difference: data.difference, sd: data.sd, seeds: data.seeds };
  const MIDDLE = 90, // percent: the true accuracy of A
    HEIGHT = 268,
    REPEATS = 1000;
  let tally = null;

  // ---- chance: xorshift (Marsaglia 2003) and the polar method, so that a page begins with the same draw everywhere ----
  let word = (data.seed * 2654435761) >>> 0 || 1;
  function uniform() {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    word >>>= 0;
    return word / 2 ** 32;
  }
  function normal() {
    for (;;) {
      const u = 2 * uniform() - 1,
        v = 2 * uniform() - 1,
        square = u * u + v * v;
      if (square > 0 && square < 1) return u * Math.sqrt((-2 * Math.log(square)) / square);
    }
  }
  const shake = () => range(2).map(() => range(data.most.seeds).map(normal));
  let chance = shake();

  // ---- Welch's interval ----
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  function variance(values) {
    const middle = mean(values);
    return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
  }
  // the table holds the 97.5 % points of Student's t at 1/freedom = 0, 1/100, …, 1; their logarithms are interpolated
  function critical(freedom) {
    const last = data.critical.length - 1,
      place = clamp(last / freedom, 0, last),
      from = Math.min(Math.floor(place), last - 1);
    return Math.exp(
      Math.log(data.critical[from]) * (from + 1 - place) + Math.log(data.critical[from + 1]) * (place - from),
    );
  }
  function compare(a, b) {
    const difference = mean(b) - mean(a);
    if (a.length < 2) return { difference, low: null, high: null, verdict: "none" };
    const va = variance(a) / a.length,
      vb = variance(b) / b.length;
    const freedom = va + vb > 0 ? (va + vb) ** 2 / (va ** 2 / (a.length - 1) + vb ** 2 / (b.length - 1)) : 1;
    const reach = va + vb > 0 ? critical(freedom) * Math.sqrt(va + vb) : 0;
    const low = difference - reach,
      high = difference + reach;
    return { difference, low, high, verdict: low > 0 ? "better" : high < 0 ? "worse" : "undecided" };
  }
  const sample = (normals) =>
    [0, 1].map((group) =>
      normals[group].slice(0, state.seeds).map((z) => MIDDLE + group * state.difference + state.sd * z),
    );

  function repeat() {
    tally = { draws: REPEATS, better: 0, worse: 0, undecided: 0, none: 0, higher: 0 };
    for (let i = 0; i < REPEATS; i++) {
      const [a, b] = sample(shake()),
        found = compare(a, b);
      tally[found.verdict]++;
      tally.higher += found.difference > 0;
    }
    ui.draw();
  }

  // ---- controls ----
  const setting = (name, unit) => (place) => {
    state[name] = round(place * unit, 1);
    tally = null;
    ui.draw();
  };
  const sliders = {
    difference: slider("True difference, B − A, points", 0, setting("difference", data.unit), () => 10),
    sd: slider("Standard deviation over seeds, points", 0, setting("sd", data.unit), () => 10),
    seeds: slider(
      "Seeds of each configuration",
      0,
      (place) => setting("seeds", 1)(place + 1),
      () => 5,
    ),
  };
  const again = button(
    "Draw seeds",
    "Draw new seeds",
    () => {
      chance = shake();
      ui.draw();
    },
    { class: "primary" },
  );
  const often = button(`Draw ${REPEATS} times`, `Draw ${REPEATS} times and count the verdicts`, repeat);

  // ---- the page ----
  const stage = html("div", {}),
    said = html("p", { class: "total", "aria-live": "polite" }),
    more = html("p", {}),
    counted = html("p", { "aria-live": "polite" });
  ui.body.append(
    html(
      "div",
      { class: "controls" },
      Object.values(sliders).map(({ node }) => node),
    ),
    html("div", { class: "controls tight" }, again, often),
    stage,
    html("div", { class: "result" }, said, more, counted),
  );

  const points = (value) => (value < 0 ? MINUS : value > 0 ? "+" : "") + Math.abs(value).toFixed(2);
  const ink = (color) => (ui.dark() ? mix(color, "#ffffff", 0.45) : color);
  const SAID = {
    better: "Verdict: B is better than A. The interval lies above 0.",
    worse: "Verdict: B is worse than A. The interval lies below 0.",
    undecided: "Verdict: undecided. The interval holds 0.",
    none: "One run of each: there is no interval, and no verdict.",
  };

  ui.draw = () => {
    const [a, b] = sample(chance),
      found = compare(a, b);
    sliders.difference.set(
      Math.round(state.difference / data.unit),
      Math.round(data.most.difference / data.unit),
      `${format(state.difference, 1)} points`,
    );
    sliders.sd.set(
      Math.round(state.sd / data.unit),
      Math.round(data.most.sd / data.unit),
      `${format(state.sd, 1)} points`,
    );
    sliders.seeds.set(state.seeds - 1, data.most.seeds - 1, `${state.seeds} seeds`);
    ui.publish({ ...state, a, b, found, tally });
    draw(a, b, found);
    said.textContent = SAID[found.verdict];
    const interval =
      found.low === null ? "" : `, 95 % interval ${points(found.low)} to ${points(found.high)}`;
    more.textContent =
      `n = ${state.seeds} seed${state.seeds > 1 ? "s" : ""} each, true difference ${format(state.difference, 1)}, standard deviation ${format(state.sd, 1)}. ` +
      `Measured difference ${points(found.difference)} points${interval}.`;
    counted.hidden = !tally;
    if (!tally) return;
    const share = (count) => `${format((100 * count) / tally.draws, 1)} %`;
    const verdicts = tally.none
      ? ""
      : `B better ${share(tally.better)}, undecided ${share(tally.undecided)}, B worse ${share(tally.worse)}. `;
    counted.textContent = `Of ${tally.draws} draws: ${verdicts}In ${share(tally.draws - tally.higher)} the mean of B was not above that of A.`;
  };

  // ---- the picture: the runs above, the difference below ----
  function draw(a, b, found) {
    const width = Math.min(ui.width(), 900),
      left = 20,
      right = width - 20,
      rows = [34, 84],
      ground = 118,
      at = 186,
      foot = 216;
    const reach = state.difference / 2 + 3.4 * state.sd + 0.5,
      center = MIDDLE + state.difference / 2;
    const x = (value) => left + ((value - center + reach) / (2 * reach)) * (right - left);
    const span = state.difference + 4 * state.sd + 1,
      d = (value) => left + ((clamp(value, -span, span) + span) / (2 * span)) * (right - left);
    const picture = drawing(
      width,
      HEIGHT,
      `${state.seeds} runs of A with mean ${format(mean(a))}, as many of B with mean ${format(mean(b))}; below, the difference ${points(found.difference)}` +
        (found.low === null ? "" : ` with its interval from ${points(found.low)} to ${points(found.high)}`),
    );
    const line = (attributes) => picture.append(svg("line", { stroke: "var(--edge)", ...attributes }));
    const text = (px, py, value, attributes = {}) =>
      picture.append(words(px, py, value, { "font-size": 12, fill: "var(--muted)", ...attributes }));
    [
      [a, "A", PALETTE.blue],
      [b, "B", PALETTE.vermillion],
    ].forEach(([values, name, color], row) => {
      line({ x1: left, x2: right, y1: rows[row], y2: rows[row], stroke: "var(--line)" });
      text(left - 12, rows[row], name, { "font-weight": 700, fill: "var(--ink)" });
      for (const value of values) {
        const look = { fill: ink(color), "fill-opacity": 0.55, stroke: ink(color) };
        picture.append(
          row
            ? svg("rect", { x: x(value) - 5, y: rows[row] - 5, width: 10, height: 10, ...look })
            : svg("circle", { cx: x(value), cy: rows[row], r: 5.5, ...look }),
        );
      }
      line({
        x1: x(mean(values)),
        x2: x(mean(values)),
        y1: rows[row] - 17,
        y2: rows[row] + 17,
        stroke: "var(--ink)",
        "stroke-width": 2.5,
      });
      text(x(mean(values)), rows[row] - 24, format(mean(values), 2), { fill: "var(--ink)" });
    });
    const ticks = (place, low, high, height, zero) => {
      line({ x1: left, x2: right, y1: height, y2: height });
      const rough = (high - low) / (width < 480 ? 4 : 8),
        unit = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((value) => value >= rough) || 50;
      for (let value = Math.ceil(low / unit) * unit; value <= high + 1e-9; value += unit) {
        line({ x1: place(value), x2: place(value), y1: height, y2: height + 5 });
        text(
          clamp(place(value), left + 8, right - 8),
          height + 15,
          zero && value > 1e-9 ? `+${format(value, 1)}` : format(value, 1),
        );
      }
    };
    ticks(x, center - reach, center + reach, ground, false);
    text(
      (left + right) / 2,
      ground + 32,
      `accuracy (%), a mark for each run${width < 360 ? "" : ", a bar for the mean"}`,
    );
    ticks(d, -span, span, foot, true);
    text(
      (left + right) / 2,
      foot + 34,
      width < 360
        ? "B − A (points): interval, true value ▽"
        : "difference B − A (points): mean, 95 % interval, true value ▽",
    );
    line({ x1: d(0), x2: d(0), y1: at - 20, y2: foot, stroke: "var(--ink)", "stroke-dasharray": "4 3" });
    const truth = d(state.difference);
    picture.append(
      svg("path", {
        d: `M${truth - 6} ${at - 24}h12l-6 10z`,
        fill: "none",
        stroke: "var(--ink)",
        "stroke-width": 1.4,
      }),
    );
    const color = ink(
      found.verdict === "better"
        ? PALETTE.green
        : found.verdict === "worse"
          ? PALETTE.purple
          : PALETTE.orange,
    );
    if (found.low !== null) {
      line({ x1: d(found.low), x2: d(found.high), y1: at, y2: at, stroke: color, "stroke-width": 5 });
      for (const [end, sign] of [
        [found.low, -1],
        [found.high, 1],
      ]) {
        const px = d(end);
        if (Math.abs(end) <= span)
          line({ x1: px, x2: px, y1: at - 8, y2: at + 8, stroke: color, "stroke-width": 3 });
        else picture.append(svg("path", { d: `M${px + 9 * sign} ${at}l${-11 * sign} -8v16z`, fill: color }));
      }
    }
    picture.append(
      svg("circle", {
        cx: d(found.difference),
        cy: at,
        r: 6,
        fill: "var(--ground)",
        stroke: "var(--ink)",
        "stroke-width": 2.4,
      }),
    );
    stage.replaceChildren(picture);
  }
}
