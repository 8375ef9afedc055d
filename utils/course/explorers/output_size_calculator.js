// How long an output is, for convolution, pooling and transposed convolution: the formula, and the windows along the line.

function build(ui, data) {
  const LIMITS = { n: [1, 1024], k: [1, 16], p: [0, 20], s: [1, 16], d: [1, 4], op: [0, 15] };
  const LABELS = {
    n: "Input n",
    k: "Kernel k",
    p: "Padding p",
    s: "Stride s",
    d: "Dilation d",
    op: "Output padding",
  };
  const first = data.presets.findIndex((preset) => preset.name === data.preset);
  const state = { preset: first, mode: "conv", op: 0, ...data.presets[first] };
  delete state.name;

  // ---- arithmetic ----
  function compute() {
    const { mode, n, k, p, s, d, op } = state,
      span = d * (k - 1) + 1;
    if (mode === "conv") {
      const room = n + 2 * p - span,
        size = Math.floor(room / s) + 1;
      if (room < 0)
        return {
          problem: `The window spans ${span} cells, the padded line has only ${n + 2 * p}: there is no output.`,
        };
      return {
        span,
        size,
        exact: room / s + 1,
        leftover: room % s,
        line: n + 2 * p,
        count: size,
        from: p,
        to: p + n,
      };
    }
    const size = (n - 1) * s - 2 * p + span + op;
    if (op >= Math.max(s, d))
      return {
        problem: `Output padding ${op} must be smaller than the stride or the dilation (here ${Math.max(s, d)}): torch refuses it.`,
      };
    if (size < 1)
      return { problem: `The padding cuts off everything: the output would have length ${size}.` };
    // output padding keeps cells at the end that the padding would have cut, and adds new ones only beyond the last stamp
    return {
      span,
      size,
      exact: size,
      leftover: 0,
      line: Math.max((n - 1) * s + span, p + size),
      count: n,
      from: p,
      to: p + size,
    };
  }

  // which cells of the line lie under a tap of at least one window
  function touched(now) {
    const seen = new Uint8Array(now.line);
    for (let window = 0; window < now.count; window++) {
      for (let tap = 0; tap < state.k; tap++) seen[window * state.s + tap * state.d] = 1;
    }
    return seen;
  }

  // ---- controls ----
  const presets = select(
    "Example",
    [...data.presets.map((preset) => preset.name), "your own numbers"],
    first,
    (index) => {
      if (index < data.presets.length) {
        const { name, ...numbers } = data.presets[index];
        Object.assign(state, { op: 0 }, numbers);
        showControls();
      }
      ui.draw();
    },
  );
  const own = () => presets.set(data.presets.length);
  const mode = choice(
    "Layer",
    ["conv", "transposed"],
    state.mode,
    (value) => {
      state.mode = value;
      own();
      showControls();
      ui.draw();
    },
    ["convolution, pooling", "transposed"],
  );
  const fields = Object.fromEntries(
    Object.keys(LIMITS).map((key) => [
      key,
      number(
        LABELS[key],
        state[key],
        (value) => {
          state[key] = value;
          own();
          ui.draw();
        },
        { min: LIMITS[key][0], max: LIMITS[key][1], whole: true },
      ),
    ]),
  );
  function showControls() {
    mode.set(state.mode);
    for (const [key, field] of Object.entries(fields)) field.set(state[key]);
    fields.op.node.hidden = state.mode === "conv";
  }

  // ---- the page ----
  const formula = html("div", { class: "formula" });
  const readout = html("p", { class: "total big", "aria-live": "polite" });
  const notes = html("div", { class: "small" });
  const stage = html("div", {}),
    legend = html("ul", { class: "legend" });
  ui.body.append(
    html("div", { class: "controls" }, presets.node, mode.node),
    html(
      "div",
      { class: "controls" },
      Object.values(fields).map((field) => field.node),
    ),
    html("div", { class: "result", style: "margin:0 0 14px" }, formula, readout, notes),
    stage,
    legend,
  );
  showControls();

  ui.draw = () => {
    const now = compute();
    ui.publish({
      mode: state.mode,
      size: now.problem ? "" : now.size,
      exact: now.problem ? "" : now.exact,
      problem: now.problem || "",
    });
    readout.className = now.problem ? "problem" : "total big";
    formula.hidden = stage.hidden = legend.hidden = Boolean(now.problem);
    if (now.problem) {
      readout.textContent = now.problem;
      notes.replaceChildren();
      ui.publish({ leftover: "", missed: "" });
      return;
    }
    const seen = touched(now);
    const missed = range(now.to - now.from).filter((index) => !seen[now.from + index]);
    ui.publish({ leftover: now.leftover, missed });
    writeFormula(now);
    writeNotes(now, missed);
    drawLine(now, seen);
  };

  // ---- words ----
  const fraction = (above, below) =>
    html("span", { class: "fraction" }, html("span", {}, above), html("span", {}, below));
  function writeFormula(now) {
    const { mode, n, k, p, s, d, op } = state,
      room = n + 2 * p - now.span;
    const line = (...parts) =>
      html(
        "div",
        {},
        parts.map((part) => html("span", {}, part)),
      );
    const floor = (inner) => [
      html("span", { class: "floor" }, "⌊"),
      inner,
      html("span", { class: "floor" }, "⌋"),
      " + 1",
    ];
    formula.replaceChildren(
      ...(mode === "conv"
        ? [
            line(["output = ", floor(fraction("n + 2p − d·(k − 1) − 1", "s"))].flat()),
            line(
              ["= ", floor(fraction(`${n} + 2·${p} − ${d}·(${k} − 1) − 1`, s))].flat(),
              [" = ", floor(fraction(room, s))].flat(),
              ` = ${now.leftover ? `⌊${format(room / s)}⌋` : room / s} + 1`,
              [" = ", html("strong", {}, now.size)],
            ),
          ]
        : [
            line("output = (n − 1)·s ", "− 2p + d·(k − 1) ", "+ output padding + 1"),
            line(`= (${n} − 1)·${s} `, `− 2·${p} + ${d}·(${k} − 1) `, `+ ${op} + 1`, [
              " = ",
              html("strong", {}, now.size),
            ]),
          ]),
    );
  }

  function writeNotes(now, missed) {
    const { mode, n, s } = state,
      cell = (count) => `${count} cell${count > 1 ? "s" : ""}`;
    const paragraph = (...text) => html("p", {}, ...text);
    if (mode === "transposed") {
      readout.textContent = `${n} → ${now.size}`;
      const least = now.size - state.op;
      notes.replaceChildren(
        paragraph(
          s > 1
            ? `A convolution with the same numbers takes every length from ${least} to ${least + s - 1} to ${n}; an output padding below the stride chooses among them.`
            : `A convolution with the same numbers takes ${now.size} back to ${n}.`,
        ),
        missed.length
          ? paragraph(
              `${missed.length} of the ${now.size} outputs ${missed.length > 1 ? "get" : "gets"} no stamp and hold${missed.length > 1 ? "" : "s"} only the bias.`,
            )
          : "",
      );
      return;
    }
    readout.textContent = now.leftover
      ? `${n} → ${now.size}, rounded down from ${format(now.exact)}`
      : `${n} → ${now.size}, with nothing rounded`;
    const padded = Math.min(now.leftover, state.p) === now.leftover;
    const lost = missed.length
      ? `${missed.length} of the ${n} pixels ${missed.length > 1 ? "are" : "is"} under no window: ${list(missed)}.`
      : "Every pixel is under at least one window.";
    notes.replaceChildren(
      paragraph(
        now.leftover
          ? `After the last window ${cell(now.leftover)} of the line ${now.leftover > 1 ? "are" : "is"} left over; ` +
              `one more step would need ${s}.${padded ? " It is padding, so nothing of the input is lost there." : ""}`
          : "The last window ends exactly where the line ends.",
      ),
      paragraph(lost),
    );
  }
  const list = (indices) =>
    indices.length > 6
      ? `number ${indices.slice(0, 5).join(", ")}, … ${indices.at(-1)}`
      : `number ${indices.join(", ")}`;

  // ---- the line, whole or as its two ends, with the windows below it ----
  function drawLine(now, seen) {
    const { mode, s, k, d } = state,
      width = ui.width();
    const next = now.leftover && now.leftover < s ? now.count * s + now.span - now.line : 0; // cells that one more window lacks
    const extra = Math.min(next, 8),
      total = now.line + extra,
      least = width < 480 ? 12 : 15;
    const size = clamp(Math.floor(width / total), least, 26),
      whole = size * total <= width;
    const breakWidth = 34,
      fit = Math.floor((width - breakWidth) / size);
    const tail = Math.ceil(fit * 0.56);
    const pieces = whole
      ? [[0, total, 0]]
      : [
          [0, fit - tail, 0],
          [total - tail, total, (fit - tail) * size + breakWidth],
        ];

    // windows share a level where they do not overlap; chains of dilated taps need a gap between them too
    const levels = Math.min(now.count + (next ? 1 : 0), Math.ceil((now.span + (d > 1 ? 1 : 0)) / s));
    const thick = clamp(Math.floor(190 / levels), 4, 17),
      top = 20;
    const y0 = top + size + 8,
      height = y0 + levels * (thick + 3) + 2;
    const picture = drawing(whole ? total * size : width, height, summary(now));

    for (const [from, to, x0] of pieces) {
      const place = (cell) => x0 + (cell - from) * size;
      for (let cell = from; cell < Math.min(to, now.line); cell++) {
        const inside = cell >= now.from && cell < now.to,
          added = mode === "transposed" && inside && cell >= now.to - state.op;
        const look = !inside
          ? { fill: "none", stroke: "var(--edge)", dash: "3 2" }
          : !seen[cell]
            ? { fill: PALETTE.vermillion, stroke: "var(--ink)" }
            : { fill: added ? PALETTE.purple : "var(--panel)", stroke: "var(--edge)" };
        picture.append(
          svg("rect", {
            x: place(cell) + 0.5,
            y: top + 0.5,
            width: size - 1,
            height: size - 1,
            fill: look.fill,
            stroke: look.stroke,
            "stroke-dasharray": look.dash,
          }),
        );
        const text = !inside ? (mode === "conv" ? "0" : "✂\uFE0E") : seen[cell] ? "" : "×";
        if (text)
          picture.append(
            words(place(cell) + size / 2, top + size / 2, text, {
              fill: inside ? "#000" : "var(--muted)",
              "font-size": size * 0.62,
              "font-weight": inside ? 700 : 400,
            }),
          );
        const index = cell - now.from,
          last = now.to - now.from - 1;
        // every fifth number, and the last one where it has room
        if (inside && (index === last || (index % 5 === 0 && last - index > 2))) {
          picture.append(words(place(cell) + size / 2, 10, index, { fill: "var(--muted)", "font-size": 11 }));
        }
      }
      for (let window = 0; window <= now.count; window++) {
        const begin = window * s,
          end = begin + now.span,
          left = Math.max(begin, from),
          right = Math.min(end, to);
        const lacking = window === now.count;
        if (left >= right || (lacking && !next)) continue;
        const y = y0 + (window % levels) * (thick + 3),
          isLast = window === now.count - 1;
        const tint = isLast ? PALETTE.orange : PALETTE.sky;
        const frame = { x: place(left) + 1.5, width: (right - left) * size - 3, rx: Math.min(4, thick / 3) };
        if (lacking)
          picture.append(
            svg("rect", {
              ...frame,
              y: y + 1,
              height: thick - 2,
              fill: "none",
              stroke: "var(--warn)",
              "stroke-width": 1.6,
              "stroke-dasharray": "4 3",
            }),
          );
        else if (d === 1)
          picture.append(
            svg("rect", {
              ...frame,
              y,
              height: thick,
              fill: tint,
              stroke: "var(--edge)",
              "stroke-width": 0.7,
            }),
          );
        else {
          picture.append(
            svg("line", {
              x1: frame.x,
              x2: frame.x + frame.width,
              y1: y + thick / 2,
              y2: y + thick / 2,
              stroke: tint,
              "stroke-width": 2,
            }),
          );
          range(k)
            .map((tap) => begin + tap * d)
            .filter((cell) => cell >= from && cell < to)
            .forEach((cell) =>
              picture.append(
                svg("rect", {
                  x: place(cell) + 1.5,
                  y,
                  width: size - 3,
                  height: thick,
                  fill: tint,
                  stroke: "var(--edge)",
                  "stroke-width": 0.7,
                  rx: frame.rx,
                }),
              ),
            );
        }
        const label = lacking ? "" : d > 1 && begin >= from ? String(window) : d === 1 ? String(window) : "";
        const middle = d > 1 ? place(begin) + size / 2 : frame.x + frame.width / 2;
        const room = d > 1 ? size : frame.width;
        if (label && thick >= 10 && room >= 7 * label.length)
          picture.append(
            words(middle, y + thick / 2, label, { fill: "#000", "font-size": Math.min(12, thick * 0.75) }),
          );
      }
    }
    if (!whole)
      picture.append(
        words((fit - tail) * size + breakWidth / 2, top + size / 2, "⋯", {
          fill: "var(--muted)",
          "font-size": 20,
        }),
      );
    stage.replaceChildren(picture);
    writeLegend(now, seen, next);
  }

  function writeLegend(now, seen, next) {
    const transposed = state.mode === "transposed";
    const patch = (style) =>
      html("i", {
        style: `display:inline-block;width:16px;height:12px;border-radius:2px;${style}`,
        "aria-hidden": "true",
      });
    const missed = range(now.to - now.from).some((index) => !seen[now.from + index]);
    const entries = [
      ["border:1px solid var(--edge);background:var(--panel)", transposed ? "output" : "input pixel"],
      state.p
        ? ["border:1px dashed var(--edge)", transposed ? "cut off by the padding" : "padding, 0"]
        : null,
      [`background:${PALETTE.sky}`, transposed ? "stamp of input number …" : "window of output number …"],
      [`background:${PALETTE.orange}`, transposed ? "the last stamp" : "the last window"],
      missed
        ? [
            `background:${PALETTE.vermillion};border:1px solid var(--ink)`,
            transposed ? "× under no stamp" : "× under no window",
          ]
        : null,
      transposed && state.op ? [`background:${PALETTE.purple}`, "kept by the output padding"] : null,
      next ? ["border:1.6px dashed var(--warn)", "the next window does not fit"] : null,
    ];
    legend.replaceChildren(
      ...entries.filter(Boolean).map(([style, text]) => html("li", {}, patch(style), text)),
    );
  }

  const summary = (now) =>
    state.mode === "conv"
      ? `${now.count} windows of ${now.span} cells, ${state.s} apart, along a line of ${now.line} cells; ${now.leftover} cells are left over at the end`
      : `${now.count} stamps of ${now.span} cells, ${state.s} apart, on a line of ${now.line} cells of which ${now.size} are kept`;
}
