// A kernel moves over a picture: the window, the products, the sum, and the output that fills in.

function build(ui, data) {
  const image = data.image,
    H = image.length,
    W = image[0].length;
  const state = {
    kernel: 0,
    stride: data.stride,
    padding: data.padding,
    dilation: data.dilation,
    flip: data.flip,
    position: 0,
    filled: 0,
    timer: null,
  };
  const low = Math.min(0, ...image.flat()),
    high = Math.max(1, ...image.flat());
  let now, parts; // the numbers of the current setting, and the pieces of its drawing

  // ---- arithmetic: exactly F.conv2d, or the same with the kernel turned by 180 degrees ----
  function compute() {
    const { stride: s, padding: p, dilation: d } = state;
    const given = data.kernels[state.kernel].weights;
    const weights = state.flip ? given.map((row) => [...row].reverse()).reverse() : given;
    const kh = weights.length,
      kw = weights[0].length;
    const rows = Math.max(0, Math.floor((H + 2 * p - d * (kh - 1) - 1) / s) + 1);
    const columns = Math.max(0, Math.floor((W + 2 * p - d * (kw - 1) - 1) / s) + 1);
    const empty = rows === 0 || columns === 0;
    // the value of the padded picture under tap (i, j) of the window of output (r, c); null on the padding
    const pixel = (r, c, i, j) => {
      const y = r * s + i * d - p,
        x = c * s + j * d - p;
      return y >= 0 && y < H && x >= 0 && x < W ? image[y][x] : null;
    };
    const output = empty
      ? []
      : range(rows).map((r) =>
          range(columns).map((c) => {
            let sum = 0;
            for (let i = 0; i < kh; i++)
              for (let j = 0; j < kw; j++) sum += weights[i][j] * (pixel(r, c, i, j) ?? 0);
            return sum;
          }),
        );
    const values = output.flat();
    now = {
      weights,
      kh,
      kw,
      rows: empty ? 0 : rows,
      columns: empty ? 0 : columns,
      output,
      pixel,
      total: values.length,
      largest: Math.max(1e-9, ...values.map(Math.abs)),
      negative: values.some((value) => value < 0),
    };
  }

  // ---- controls ----
  // a new setting keeps the row and the column where it can
  const setting = (name) => (value) => {
    stop();
    const [r, c] = [
      Math.floor(state.position / Math.max(1, now.columns)),
      state.position % Math.max(1, now.columns),
    ];
    state[name] = value;
    compute();
    goTo(Math.min(r, now.rows - 1) * now.columns + Math.min(c, now.columns - 1), true);
    ui.draw();
  };
  const kernels = select(
    "Kernel",
    data.kernels.map((kernel) => kernel.name),
    0,
    setting("kernel"),
  );
  const flip = toggle("Flip the kernel (true convolution)", state.flip, setting("flip"));
  const back = button("◀\uFE0E Back", "One step back", () => {
    stop();
    goTo(state.position - 1, true);
    update();
  });
  const play = button("▶\uFE0E Play", null, () => (state.timer ? stop() : run()), { class: "primary" });
  const next = button("Step ▶\uFE0E", "One step forward", () => {
    stop();
    goTo(state.position + 1, true);
    update();
  });
  const bar = slider(
    "Position of the kernel",
    0,
    (value) => {
      stop();
      goTo(value, true);
      update();
    },
    () => now.columns,
  );

  function goTo(position, refill) {
    state.position = clamp(position, 0, Math.max(0, now.total - 1));
    state.filled = refill ? state.position : Math.max(state.filled, state.position);
  }

  function stop() {
    if (state.timer === null) return;
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = "▶\uFE0E Play";
    readout.setAttribute("aria-live", "polite");
    update();
  }

  function run() {
    if (!now.total) return;
    if (state.position >= now.total - 1) goTo(0, true);
    play.textContent = "❚❚ Pause";
    readout.setAttribute("aria-live", "off");
    // the whole picture in about 15 s; for those who asked for less motion a row at a time, once a second
    const [pause, jump] = ui.calm() ? [1000, now.columns] : [clamp(15000 / now.total, 40, 600), 1];
    state.timer = setInterval(() => {
      goTo(state.position + jump, true);
      if (state.position >= now.total - 1) stop();
      else update();
    }, pause);
  }

  // ---- the page ----
  const pictures = html("div", { class: "row" });
  const window_ = html("div", { class: "row middle", style: "margin-top:14px;gap:8px" });
  const readout = html("p", { "aria-live": "polite", class: "total" });
  const equation = html("p", {});
  const note = html("p", { class: "small" });
  ui.body.append(
    html(
      "div",
      { class: "controls" },
      kernels.node,
      choice("Stride", [1, 2, 3], state.stride, setting("stride")).node,
      choice("Padding", [0, 1, 2], state.padding, setting("padding")).node,
      choice("Dilation", [1, 2], state.dilation, setting("dilation")).node,
      flip.node,
    ),
    html("div", { class: "controls tight" }, back, play, next, bar.node),
    pictures,
    window_,
    html("div", { class: "result" }, readout, equation, note),
  );

  // ---- drawing: draw() lays out a setting, update() shows one position ----
  ui.draw = () => {
    const width = ui.width(),
      gap = 22,
      p = state.padding;
    const [rows, columns] = [H + 2 * p, W + 2 * p];
    // side by side, or one above the other where a pixel would be too small to hit with a finger
    let size = Math.floor((width - gap) / 2 / columns);
    if (size < 9) size = Math.floor(width / columns);
    size = clamp(size, 3, 34);
    const paint = (fillColor, text) => ({ fill: fillColor, ink: inkOn(fillColor), text });
    const numbers = size >= 22;

    const input = drawing(
      columns * size,
      rows * size,
      `Input, ${H} by ${W} pixels${p ? `, with ${p} rings of zero padding` : ""}`,
    );
    cells(input, rows, columns, size, (r, c) => {
      const inside = r >= p && r < H + p && c >= p && c < W + p;
      if (!inside)
        return {
          fill: "var(--panel)",
          stroke: "var(--line)",
          dash: "2 2",
          text: numbers ? "0" : undefined,
          ink: "var(--muted)",
        };
      const value = image[r - p][c - p];
      return paint(gray(value, low, high), numbers ? brief(value) : undefined);
    });
    const taps = svg("g", {});
    input.append(taps);

    const output = drawing(
      Math.max(1, now.columns) * size,
      Math.max(1, now.rows) * size,
      `Output, ${now.rows} by ${now.columns} values`,
      { class: "touch waiting" },
    );
    const out = cells(output, now.rows, now.columns, size, (r, c) => ({
      ...paint(color(now.output[r][c])),
      text: numbers ? brief(now.output[r][c]) : undefined,
      ink: inkOn(color(now.output[r][c])),
    }));
    const mark = svg("g", {});
    output.append(mark);
    const jump = (event) => {
      const box = output.getBoundingClientRect();
      const c = Math.floor(((event.clientX - box.left) / box.width) * now.columns);
      const r = Math.floor(((event.clientY - box.top) / box.height) * now.rows);
      if (r < 0 || c < 0 || r >= now.rows || c >= now.columns) return;
      goTo(r * now.columns + c, false);
      update();
    };
    output.addEventListener("pointerdown", (event) => {
      stop();
      jump(event);
    });
    output.addEventListener("pointermove", (event) => {
      if (state.timer === null) jump(event);
    });

    const scale = now.negative
      ? [
          format(-now.largest),
          `linear-gradient(90deg,${PALETTE.blue},${signed(0, 1, ui.dark())},${PALETTE.vermillion})`,
        ]
      : ["0", "linear-gradient(90deg,#000,#fff)"];
    pictures.replaceChildren(
      figure(`Input ${H} × ${W}`, p ? ` with padding ${p}` : "", input),
      figure(
        `Output ${now.rows} × ${now.columns}`,
        "",
        output,
        now.total
          ? html(
              "div",
              { class: "scale", "aria-hidden": "true" },
              scale[0],
              html("i", { style: `background:${scale[1]}` }),
              format(now.largest),
            )
          : null,
      ),
    );
    parts = { size, taps, out, mark };
    update();
  };

  // a caption may be wider than a small picture, but breaks where it would push the other picture away
  const figure = (name, rest, picture, below = null) =>
    html(
      "div",
      { class: "picture", style: `width:${Math.max(picture.width.baseVal.value, 130)}px` },
      html("p", { class: "caption" }, html("strong", {}, name), rest),
      picture,
      below,
    );
  const color = (value) =>
    now.negative ? signed(value, now.largest, ui.dark()) : gray(value, 0, now.largest);

  function outline(group, x, y, width, height) {
    for (const [stroke, thickness] of [
      ["#000000", 5],
      ["#ffffff", 3.6],
      [PALETTE.vermillion, 2.4],
    ]) {
      group.append(svg("rect", { x, y, width, height, fill: "none", stroke, "stroke-width": thickness }));
    }
  }

  function update() {
    const { size, taps, out, mark } = parts,
      { stride: s, dilation: d } = state;
    const { kh, kw, weights } = now;
    ui.publish({
      output: now.output,
      position: state.position,
      filled: state.filled,
      playing: state.timer !== null,
    });
    taps.replaceChildren();
    mark.replaceChildren();
    for (const control of [back, play, next, bar.bar]) control.disabled = now.total === 0;
    if (now.total === 0) {
      window_.replaceChildren();
      equation.replaceChildren();
      note.textContent = "";
      ui.publish({ value: "" });
      readout.className = "problem";
      readout.textContent =
        "With this dilation the kernel is larger than the padded picture: there is no output. Add padding.";
      return;
    }
    readout.className = "total";
    const r = Math.floor(state.position / now.columns),
      c = state.position % now.columns;
    const value = now.output[r][c];
    back.disabled = state.position === 0;
    next.disabled = state.position === now.total - 1;

    for (let row = 0; row < now.rows; row++)
      for (let column = 0; column < now.columns; column++) {
        const shown = row * now.columns + column <= state.filled ? "visible" : "hidden";
        const cell = out[row][column];
        cell.box.setAttribute("visibility", shown);
        if (cell.label) cell.label.setAttribute("visibility", shown);
      }
    outline(mark, c * size - 1, r * size - 1, size + 2, size + 2);
    if (d > 1)
      for (let i = 0; i < kh; i++)
        for (let j = 0; j < kw; j++) {
          taps.append(
            svg("rect", {
              x: (c * s + j * d) * size + 1,
              y: (r * s + i * d) * size + 1,
              width: size - 2,
              height: size - 2,
              fill: PALETTE.orange,
              "fill-opacity": 0.45,
              stroke: PALETTE.orange,
              "stroke-width": 2,
            }),
          );
        }
    outline(taps, c * s * size, r * s * size, (d * (kw - 1) + 1) * size, (d * (kh - 1) + 1) * size);

    drawWindow(r, c, value);
    writeSum(r, c, value);
    const text = `row ${r + 1} of ${now.rows}, column ${c + 1} of ${now.columns}`;
    bar.set(state.position, now.total - 1, `${text}, value ${format(value)}`);
    readout.textContent = `Output ${text}: ${format(value)}`;
    note.textContent = state.flip
      ? "The kernel is turned by 180° before it moves: this is the convolution of the mathematicians."
      : "The kernel is used as it stands: cross-correlation, which torch and most books on deep learning call convolution.";
    ui.publish({ value });
  }

  // the window, the kernel and their products as three small tables
  function drawWindow(r, c, value) {
    const { kh, kw, weights } = now;
    const room = (ui.width() - (ui.width() < 480 ? 70 : 210)) / 3; // beside the signs, and where it fits the sum
    const size = Math.floor(clamp(room / kw, 12, 46));
    const font = size * 0.34,
      show = size >= 19;
    const heaviest = Math.max(1e-9, ...weights.flat().map(Math.abs));
    const product = (i, j) => weights[i][j] * (now.pixel(r, c, i, j) ?? 0);
    const largest = Math.max(
      1e-9,
      ...range(kh).flatMap((i) => range(kw).map((j) => Math.abs(product(i, j)))),
    );
    const table = (name, paint) => {
      const spoken = range(kh)
        .map((i) =>
          range(kw)
            .map((j) => format(paint(i, j)[1]))
            .join(" "),
        )
        .join("; ");
      const picture = drawing(kw * size, kh * size, `${name}: ${spoken}`);
      cells(
        picture,
        kh,
        kw,
        size,
        (i, j) => {
          const [back_, number_] = paint(i, j);
          return {
            fill: back_,
            text: show ? brief(number_) : undefined,
            ink: back_.startsWith("#") ? inkOn(back_) : "var(--muted)",
            stroke: "var(--line)",
          };
        },
        { font },
      );
      return html("div", { class: "picture" }, html("p", { class: "caption" }, name), picture);
    };
    const symbol = (text) => html("span", { class: "symbol", "aria-hidden": "true" }, text);
    window_.replaceChildren(
      table("Window", (i, j) => {
        const pixel = now.pixel(r, c, i, j);
        return pixel === null ? ["var(--panel)", 0] : [gray(pixel, low, high), pixel];
      }),
      symbol("×"),
      table(state.flip ? "Kernel, flipped" : "Kernel", (i, j) => [
        signed(weights[i][j], heaviest, ui.dark()),
        weights[i][j],
      ]),
      symbol("="),
      table("Products", (i, j) => [signed(product(i, j), largest, ui.dark()), product(i, j)]),
      ui.width() < 480
        ? ""
        : html("span", { class: "symbol", style: "color:var(--ink)" }, `Sum ${format(value)}`),
    );
  }

  function writeSum(r, c, value) {
    const { kh, kw, weights } = now,
      terms = [];
    let skipped = 0,
      exact = isExact(value);
    for (let i = 0; i < kh; i++)
      for (let j = 0; j < kw; j++) {
        const weight = weights[i][j],
          pixel = now.pixel(r, c, i, j);
        if (weight === 0) {
          skipped++;
          continue;
        }
        exact = exact && isExact(weight, 3);
        const term = html(
          "span",
          { class: pixel === null ? "term zero" : "term" },
          `${format(pixel ?? 0)}·${factor(weight, 3)}`,
        );
        terms.push(terms.length ? " + " : "", term);
      }
    if (!terms.length) terms.push("0");
    const rest = skipped
      ? html("span", { class: "zero" }, ` (and ${skipped} pixel${skipped > 1 ? "s" : ""} times 0)`)
      : "";
    equation.replaceChildren(
      ...terms,
      exact ? " = " : " ≈ ",
      html("span", { class: "total" }, format(value)),
      rest,
    );
  }

  compute();
  goTo(Math.floor(now.rows * 0.55) * now.columns + Math.floor(now.columns * 0.4), true);
}
