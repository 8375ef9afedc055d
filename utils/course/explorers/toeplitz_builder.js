// The matrix of a convolution: for a signal (1-D, entries named) and for a small picture (2-D, with block lines).

function build(ui, data) {
  const COLORS = [PALETTE.orange, PALETTE.sky, PALETTE.green, PALETTE.purple, PALETTE.yellow];
  const names = "abcdefghi";
  const state = {
    mode: data.mode,
    n: data.n,
    size: [...data.size],
    transposed: false,
    row: { "1d": 1, "2d": 5 },
    kernel: [...data.kernel, ...[1, 2, -1, -2, 1].slice(data.kernel.length)],
    k: data.kernel.length,
    kernel2d: data.kernel2d.flat(),
    "1d": { ...data.settings["1d"] },
    "2d": { ...data.settings["2d"] },
  };
  let now;

  // In 2-D a row of the kernel has a hue and a column a lightness: a block of the matrix then has one hue.
  const colorOf = (index) =>
    state.mode === "1d"
      ? COLORS[index]
      : mix(COLORS[Math.floor(index / 3)], "#ffffff", [0, 0.36, 0.66][index % 3]);
  const coefficient = (index) => (state.mode === "1d" ? state.kernel : state.kernel2d)[index];
  const outputLength = (n, k) => {
    const { padding: p, stride: s, dilation: d } = state[state.mode];
    return Math.max(0, Math.floor((n + 2 * p - d * (k - 1) - 1) / s) + 1);
  };

  // ---- which coefficient stands where: taps[row][column] is its index, or -1 ----
  function compute() {
    const { padding: p, stride: s, dilation: d } = state[state.mode];
    if (state.mode === "1d") {
      const m = outputLength(state.n, state.k),
        wide = state.n + 2 * p;
      const taps = range(m).map((i) =>
        range(wide).map((j) => {
          const tap = (j - i * s) / d;
          return Number.isInteger(tap) && tap >= 0 && tap < state.k ? tap : -1;
        }),
      );
      now = {
        m,
        n: state.n,
        p,
        full: taps,
        taps: taps.map((row) => row.slice(p, p + state.n)),
        x: data.signal.slice(0, state.n),
      };
    } else {
      const [H, W] = state.size,
        [oh, ow] = [outputLength(H, 3), outputLength(W, 3)];
      const m = oh * ow;
      const taps = range(m).map((i) =>
        range(H * W).map((j) => {
          const v = (Math.floor(j / W) + p - Math.floor(i / ow) * s) / d,
            u = ((j % W) + p - (i % ow) * s) / d;
          const inside = (t) => Number.isInteger(t) && t >= 0 && t < 3;
          return inside(v) && inside(u) ? v * 3 + u : -1;
        }),
      );
      now = { m, n: H * W, p, H, W, oh, ow, taps, x: range(H).flatMap((r) => data.picture[r].slice(0, W)) };
    }
    const value = (tap) => (tap < 0 ? 0 : coefficient(tap));
    const matrix = now.taps.map((row) => row.map(value));
    now.y = matrix.map((row) => row.reduce((sum, weight, j) => sum + weight * now.x[j], 0));
    if (state.transposed) {
      now.matrix = range(now.n).map((j) => range(now.m).map((i) => matrix[i][j]));
      now.input = now.y;
      now.output = now.matrix.map((row) => row.reduce((sum, weight, i) => sum + weight * now.y[i], 0));
    } else {
      now.matrix = matrix;
      now.input = now.x;
      now.output = now.y;
    }
    now.rows = state.transposed ? now.n : now.m;
    now.columns = state.transposed ? now.m : now.n;
    now.tap = (r, c) => (state.transposed ? now.taps[c][r] : now.taps[r][c]);
    state.row[state.mode] = clamp(state.row[state.mode], 0, Math.max(0, now.rows - 1));
  }

  // ---- controls ----
  const set = (change) => (value) => {
    change(value);
    ui.draw();
  };
  const settings = html("div", { class: "controls" }),
    coefficients = html("div", { class: "controls" });
  const mode = choice(
    "Input",
    ["1d", "2d"],
    state.mode,
    set((value) => {
      state.mode = value;
      controls();
    }),
    ["signal (1-D)", "picture (2-D)"],
  );
  const transposed = toggle(
    "Transpose",
    state.transposed,
    set((value) => {
      state.transposed = value;
    }),
  );
  const downIsTheNextRow = () => 1;
  const bar = slider(
    "Row of the matrix",
    0,
    (value) => {
      state.row[state.mode] = value;
      ui.draw();
    },
    downIsTheNextRow,
  );

  function controls() {
    const own = state[state.mode],
      two = state.mode === "2d";
    const setting = (name) =>
      set((value) => {
        own[name] = value;
      });
    settings.replaceChildren(
      mode.node,
      ...(two
        ? [
            choice(
              "Height",
              [3, 4, 5, 6],
              state.size[0],
              set((value) => {
                state.size[0] = value;
              }),
            ).node,
            choice(
              "Width",
              [3, 4, 5, 6],
              state.size[1],
              set((value) => {
                state.size[1] = value;
              }),
            ).node,
          ]
        : [
            number(
              "Length n",
              state.n,
              set((value) => {
                state.n = value;
              }),
              { min: 4, max: 10, whole: true },
            ).node,
            choice("Kernel size", [1, 2, 3, 4, 5], state.k, (value) => {
              state.k = value;
              controls();
              ui.draw();
            }).node,
          ]),
      choice("Padding", [0, 1, 2], own.padding, setting("padding")).node,
      choice("Stride", [1, 2, 3], own.stride, setting("stride")).node,
      choice("Dilation", [1, 2, 3], own.dilation, setting("dilation")).node,
      transposed.node,
    );
    const weights = two ? state.kernel2d : state.kernel;
    const fields = range(two ? 9 : state.k).map((index) => {
      const field = number(
        names[index],
        weights[index],
        set((value) => {
          weights[index] = value;
        }),
        { name: `Coefficient ${names[index]}` },
      );
      field.node.className = "";
      field.node.style.background = colorOf(index);
      return field.node;
    });
    coefficients.replaceChildren(
      html(
        "fieldset",
        {},
        html("legend", {}, "Kernel"),
        html("div", { class: two ? "coefficients square" : "coefficients" }, fields),
      ),
    );
  }

  // ---- the page ----
  const stage = html("div", { class: "row" });
  const readout = html("p", { "aria-live": "polite", class: "total" });
  const equation = html("p", {}),
    facts = html("p", { class: "small" }),
    meaning = html("p", { class: "small" });
  const problem = html("p", { class: "problem", role: "status" });
  const result = html("div", { class: "result" }, readout, equation, facts, meaning);
  const rowControl = html("div", { class: "controls" }, bar.node);
  ui.body.append(settings, coefficients, stage, problem, rowControl, result);

  ui.draw = () => {
    compute();
    const row = state.row[state.mode];
    ui.publish({
      mode: state.mode,
      matrix: now.matrix,
      input: now.input,
      output: now.output,
      row,
      transposed: state.transposed,
    });
    const empty = now.m === 0;
    problem.textContent = empty
      ? "With this dilation the kernel is longer than the padded input: the matrix has no row."
      : "";
    for (const part of [stage, rowControl, result]) part.hidden = empty;
    if (empty) return;
    stage.replaceChildren(...(state.mode === "1d" ? drawSignal(row) : drawPicture(row)));
    bar.set(row, now.rows - 1, `row ${row}, value ${format(now.output[row])}`);
    write(row);
  };

  // A row of the drawing under the pointer becomes the active one.
  function follow(picture, top, size) {
    const look = (event) => {
      const row = Math.floor((event.clientY - picture.getBoundingClientRect().top - top) / size);
      if (row < 0 || row >= now.rows || row === state.row[state.mode]) return;
      state.row[state.mode] = row;
      ui.draw();
    };
    picture.addEventListener("pointerdown", look);
    picture.addEventListener("pointermove", look);
    picture.classList.add("touch");
  }

  // ---- 1-D: the vector along the top, the matrix under it, the result to the right ----
  function drawSignal(active) {
    const p = now.p,
      turned = state.transposed;
    // padding stands as dashed cells: columns of W whose input is 0, rows of the transpose that are cut off
    const ghostColumns = turned ? 0 : p,
      ghostRows = turned ? p : 0;
    const [rows, columns] = [now.rows + 2 * ghostRows, now.columns + 2 * ghostColumns];
    const [inName, outName] = turned ? ["y", "z"] : ["x", "y"];
    const left = 42,
      right = turned ? 118 : 62,
      top = 62;
    const size = clamp(Math.floor((ui.width() - left - right) / columns), 13, 44);
    const font = Math.min(17, size * 0.48);
    const picture = drawing(
      left + columns * size + right,
      top + rows * size + 6,
      `Matrix of ${now.rows} rows and ${now.columns} columns. Row ${active}: ${describe(active)}`,
    );
    const real = (r, c) => [r - ghostRows, c - ghostColumns];
    const isReal = (r, c) => r >= 0 && r < now.rows && c >= 0 && c < now.columns;
    const tapOf = (r, c) => (turned ? now.full[c][r] : now.full[r][c]);

    cells(
      picture,
      1,
      columns,
      size,
      (_, column) => {
        const [, c] = real(0, column);
        if (c < 0 || c >= now.columns)
          return { text: "0", ink: "var(--muted)", stroke: "var(--edge)", dash: "3 2" };
        const tap = now.tap(active, c);
        const tint = tap < 0 ? "var(--panel)" : colorOf(tap);
        return {
          fill: tint,
          text: brief(now.input[c], 1),
          ink: tap < 0 ? "var(--ink)" : "#000",
          stroke: "var(--edge)",
        };
      },
      { x: left, y: 22, font: Math.min(font, size * 0.4) },
    );
    range(now.columns).forEach((c) =>
      picture.append(
        words(left + (c + ghostColumns + 0.5) * size, 11, inName + subscript(c), {
          fill: "var(--muted)",
          "font-size": Math.min(13, size * 0.6),
        }),
      ),
    );

    // cells of the smallest size still have to hold the header above the matrix
    const y0 = 22 + size + 8;
    picture.setAttribute("height", y0 + rows * size + 6);
    picture.setAttribute("viewBox", `0 0 ${left + columns * size + right} ${y0 + rows * size + 6}`);
    cells(
      picture,
      rows,
      columns,
      size,
      (r, c) => {
        const tap = tapOf(r, c),
          here = isReal(...real(r, c));
        if (!here)
          return tap < 0
            ? { stroke: "var(--line)", dash: "3 2" }
            : {
                fill: "var(--panel)",
                text: names[tap],
                ink: "var(--muted)",
                stroke: "var(--edge)",
                dash: "3 2",
              };
        return tap < 0
          ? { fill: "var(--ground)", stroke: "var(--line)" }
          : { fill: colorOf(tap), text: names[tap], ink: "#000" };
      },
      { x: left, y: y0, font },
    );

    range(rows).forEach((row) => {
      const [r] = real(row, 0),
        y = y0 + (row + 0.5) * size;
      if (r < 0 || r >= now.rows) return;
      const ink = r === active ? "var(--ink)" : "var(--muted)",
        weight = r === active ? 700 : 400;
      picture.append(
        words(left - 8, y, `${outName}${subscript(r)} =`, {
          fill: ink,
          "font-weight": weight,
          "text-anchor": "end",
          "font-size": Math.min(14, size * 0.7),
        }),
      );
      picture.append(
        words(left + columns * size + 10, y, `= ${format(now.output[r])}`, {
          fill: ink,
          "font-weight": weight,
          "text-anchor": "start",
          "font-size": Math.min(15, size * 0.72),
        }),
      );
      if (turned)
        picture.append(
          words(left + columns * size + right - 4, y, `x${subscript(r)} = ${format(now.x[r])}`, {
            fill: "var(--muted)",
            "text-anchor": "end",
            "font-size": Math.min(13, size * 0.66),
          }),
        );
    });
    picture.append(
      svg("rect", {
        x: left - 1,
        y: y0 + (active + ghostRows) * size - 0.5,
        width: columns * size + 2,
        height: size + 1,
        fill: "none",
        stroke: "var(--ink)",
        "stroke-width": 2.4,
        rx: 2,
      }),
    );
    follow(picture, y0 + ghostRows * size, size);
    return [picture];
  }

  // ---- 2-D: the matrix as a picture with block lines, and beside it the two pictures it maps between ----
  function drawPicture(active) {
    const { H, W, oh, ow, p } = now,
      turned = state.transposed;
    const [blockRows, blockColumns] = turned ? [W, ow] : [ow, W];
    const side = ui.width() >= 560 ? ui.width() - 216 : ui.width();
    const size = clamp(Math.floor(Math.min(side, 470) / Math.max(now.columns, now.rows * 0.8)), 7, 30);
    const [width, height] = [now.columns * size, now.rows * size];
    const picture = drawing(
      width + 2,
      height + 2,
      `Matrix of ${now.rows} rows and ${now.columns} columns in blocks of ${blockRows} by ${blockColumns}. Row ${active}: ${describe(active)}`,
    );
    cells(
      picture,
      now.rows,
      now.columns,
      size,
      (r, c) => {
        const tap = now.tap(r, c);
        return tap < 0
          ? { fill: "var(--panel)" }
          : { fill: colorOf(tap), text: size >= 15 ? names[tap] : undefined, ink: "#000" };
      },
      { x: 1, y: 1, font: size * 0.6 },
    );
    const line = (x1, y1, x2, y2) =>
      picture.append(
        svg("line", { x1, y1, x2, y2, stroke: "var(--ink)", "stroke-width": 1.3, "stroke-opacity": 0.75 }),
      );
    range(now.rows / blockRows + 1).forEach((block) =>
      line(1, 1 + block * blockRows * size, width + 1, 1 + block * blockRows * size),
    );
    range(now.columns / blockColumns + 1).forEach((block) =>
      line(1 + block * blockColumns * size, 1, 1 + block * blockColumns * size, height + 1),
    );
    picture.append(
      svg("rect", {
        x: 1,
        y: 1 + active * size,
        width,
        height: size,
        fill: "none",
        stroke: "var(--ink)",
        "stroke-width": 3,
      }),
    );
    follow(picture, 1, size);

    // the image of W is read with a ring of padding, the one of its transpose without
    const ring = turned ? 0 : p;
    const [inRows, inColumns] = turned ? [oh, ow] : [H, W];
    const [outRows, outColumns] = turned ? [H, W] : [oh, ow];
    const cell = Math.min(27, Math.floor(184 / Math.max(inColumns + 2 * ring, outColumns)));
    const input = drawing(
      (inColumns + 2 * ring) * cell,
      (inRows + 2 * ring) * cell,
      `Input, ${inRows} by ${inColumns}`,
    );
    cells(
      input,
      inRows + 2 * ring,
      inColumns + 2 * ring,
      cell,
      (row, column) => {
        const [r, c] = [row - ring, column - ring];
        if (r < 0 || c < 0 || r >= inRows || c >= inColumns)
          return { stroke: "var(--edge)", dash: "3 2", text: "0", ink: "var(--muted)" };
        const tap = now.tap(active, r * inColumns + c);
        return {
          fill: tap < 0 ? "var(--panel)" : colorOf(tap),
          text: brief(now.input[r * inColumns + c], 1),
          ink: tap < 0 ? "var(--ink)" : "#000",
          stroke: "var(--line)",
        };
      },
      { font: Math.min(13, cell * 0.5) },
    );
    const output = drawing(outColumns * cell + 4, outRows * cell + 4, `Output, ${outRows} by ${outColumns}`);
    cells(
      output,
      outRows,
      outColumns,
      cell,
      (r, c) => ({
        fill: "var(--panel)",
        stroke: "var(--line)",
        text: brief(now.output[r * outColumns + c], 1),
        ink: "var(--ink)",
      }),
      { x: 2, y: 2, font: Math.min(13, cell * 0.46) },
    );
    output.append(
      svg("rect", {
        x: 2 + (active % outColumns) * cell,
        y: 2 + Math.floor(active / outColumns) * cell,
        width: cell,
        height: cell,
        fill: "none",
        stroke: "var(--ink)",
        "stroke-width": 3,
      }),
    );
    const titled = (name, drawn) =>
      html("div", { class: "picture" }, html("p", { class: "caption" }, html("strong", {}, name)), drawn);
    const [inName, outName] = turned ? ["y", "z = Wᵀ y"] : ["x", "y = W x"];
    return [
      titled(`${turned ? "Wᵀ" : "W"}: ${now.rows} × ${now.columns}`, picture),
      html(
        "div",
        { class: "row", style: ui.width() >= 560 ? "flex-direction:column;width:190px" : "" },
        titled(`${inName}, ${inRows} × ${inColumns}`, input),
        titled(`${outName}, ${outRows} × ${outColumns}`, output),
      ),
    ];
  }

  // ---- the words under the picture ----
  const active = (row) => range(now.columns).filter((c) => now.tap(row, c) >= 0);
  const describe = (row) =>
    active(row)
      .map((c) => `${names[now.tap(row, c)]} at ${c}`)
      .join(", ") || "all zero";

  function write(row) {
    const [inName, outName] = state.transposed ? ["y", "z"] : ["x", "y"];
    const here = active(row),
      symbols = [],
      numbers = [];
    here.forEach((c, index) => {
      const tap = now.tap(row, c);
      if (index) {
        symbols.push(" + ");
        numbers.push(" + ");
      }
      symbols.push(
        html(
          "span",
          { class: "term" },
          html("span", { class: "chip", style: `background:${colorOf(tap)}` }, names[tap]),
          `·${inName}${subscript(c)}`,
        ),
      );
      numbers.push(html("span", { class: "term" }, `${factor(coefficient(tap))}·${factor(now.input[c])}`));
    });
    readout.textContent = `Row ${row}: ${outName}${subscript(row)} = ${format(now.output[row])}`;
    equation.replaceChildren(
      ...(here.length ? [...symbols, " = ", ...numbers] : ["no coefficient stands in this row"]),
      " = ",
      html("span", { class: "total" }, format(now.output[row])),
    );

    const filled = now.taps.flat().filter((tap) => tap >= 0).length,
      free = state.mode === "1d" ? state.k : 9;
    const kind =
      state.mode === "2d"
        ? `Every block holds one row of the kernel (one hue)${state[state.mode].stride === 1 ? ", and is itself a Toeplitz matrix" : ""}.`
        : state[state.mode].stride === 1
          ? "Each diagonal holds one coefficient: a Toeplitz matrix."
          : `Each ${state.transposed ? "column" : "row"} is the one before, moved by ${state[state.mode].stride}.`;
    facts.textContent =
      `${now.rows} × ${now.columns} = ${now.rows * now.columns} entries; ${filled} are not structural zeros, ` +
      `and only ${free} number${free > 1 ? "s" : ""} can be learned (a full connection has ${now.rows * now.columns}). ${kind}`;
    const padding = now.p
      ? `Coefficients that meet the padding (dashed${state.mode === "2d" ? " in x" : ""}) drop out of the matrix.`
      : "Without padding every row holds the whole kernel.";
    meaning.textContent = state.transposed
      ? `Wᵀ takes ${now.m} values back to ${now.n}: the backward pass of the convolution, and the forward pass of a transposed ` +
        "convolution. It has the size of x, not its values: it is not an inverse."
      : `W takes ${now.n} values to ${now.m}. ${padding}`;
  }

  controls();
}
