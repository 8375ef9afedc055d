// An image, the factors of its squeeze-and-excitation layers, and the answer when they come from another image.

function build(ui, data) {
  const N = data.names.length,
    L = data.means.length,
    C = data.means[0].length,
    K = data.answers[0][0][0].length;
  const BARS = 96,
    ANSWERS = 150;
  const state = { image: data.first, source: data.first, where: 0 };

  // ---- numbers ----
  const own = () => data.factors[state.image];
  const given = () => (state.source === N ? data.means : data.factors[state.source]);
  const replaced = (layer) => state.where === 0 || state.where === layer + 1;
  const used = () => range(L).map((layer) => (replaced(layer) ? given()[layer] : own()[layer]));
  const answers = () => data.answers[state.image][state.source][state.where];
  const best = (values) => values.indexOf(Math.max(...values));

  // ---- controls ----
  const change = (name) => (value) => {
    state[name] = value;
    ui.draw();
  };
  const image = select("Image", data.names, state.image, (value) => {
    // its own factors stay its own when another image is chosen
    if (state.source === state.image) source.set((state.source = value));
    change("image")(value);
  });
  const source = select(
    "Factors of",
    [...data.names, "mean over the training images"],
    state.source,
    change("source"),
  );
  const where = choice(
    "Put into",
    range(L + 1),
    0,
    change("where"),
    range(L + 1).map((layer) => (layer ? `layer ${layer} alone` : L > 1 ? "all layers" : "its layer")),
  );

  // ---- the page ----
  const images = html("div", { class: "row" }),
    bars = html("div", { class: "row", style: "margin-top:12px" }),
    chart = html("div", { style: "margin-top:12px" }),
    legend = html("ul", { class: "legend" }),
    said = html("p", { class: "total", "aria-live": "polite" }),
    note = html("p", { class: "small" });
  ui.body.append(
    html("div", { class: "controls" }, image.node, source.node, L > 1 ? where.node : null),
    images,
    bars,
    legend,
    chart,
    html("div", { class: "result" }, said, note),
  );

  const ink = (color) => (ui.dark() ? mix(color, "#ffffff", 0.4) : color);
  const percent = (value) => `${(100 * value).toFixed(0)} %`;

  function pictureOf(index, caption, width) {
    const rows = data.pixels[index].length,
      columns = data.pixels[index][0].length;
    const size = Math.max(2, Math.floor(Math.min(width / columns, 10)));
    const label = `${caption}: ${data.names[index]}`;
    const picture = drawing(size * columns, size * rows, label);
    cells(picture, rows, columns, size, (row, column) => {
      const shade = gray(data.pixels[index][row][column], -1, 1);
      return { fill: shade, stroke: shade };
    });
    return html("div", { class: "picture" }, html("p", { class: "caption" }, label), picture);
  }

  function barsOf(layer, width) {
    const factors = used()[layer],
      mine = own()[layer],
      left = 30,
      low = BARS + 8,
      wide = (width - left - 4) / C;
    const text = `layer ${layer + 1}: ${replaced(layer) && state.source !== state.image ? "replaced" : "its own factors"}`;
    const picture = drawing(width, BARS + 42, `Factors of ${text}`);
    for (const value of [0, 0.5, 1])
      picture.append(
        svg("line", {
          x1: left,
          x2: width - 4,
          y1: low - BARS * value,
          y2: low - BARS * value,
          stroke: "var(--line)",
          "shape-rendering": "crispEdges",
        }),
        words(left - 5, low - BARS * value, format(value, 1), {
          "font-size": 12,
          fill: "var(--muted)",
          "text-anchor": "end",
        }),
      );
    factors.forEach((value, channel) => {
      const x = left + channel * wide;
      picture.append(
        svg("rect", {
          x: x + 0.15 * wide,
          y: low - BARS * value,
          width: 0.7 * wide,
          height: BARS * value,
          fill: ink(PALETTE.sky),
        }),
        svg("line", {
          x1: x + 0.05 * wide,
          x2: x + 0.95 * wide,
          y1: low - BARS * mine[channel],
          y2: low - BARS * mine[channel],
          stroke: "var(--ink)",
          "stroke-width": 2,
        }),
      );
    });
    picture.append(
      words((left + width) / 2, BARS + 28, `channel 1 to ${C}`, { "font-size": 12.5, fill: "var(--muted)" }),
    );
    return html("div", { class: "picture" }, html("p", { class: "caption" }, `Factors, ${text}`), picture);
  }

  function drawAnswers(width) {
    const values = answers(),
      right = data.labels[state.image],
      left = 38,
      low = ANSWERS + 8,
      wide = (width - left - 4) / K;
    const label = `Probability of each class in %: highest ${best(values)}, right ${right}`;
    const picture = drawing(width, ANSWERS + 46, label);
    for (const value of [0, 0.5, 1])
      picture.append(
        svg("line", {
          x1: left,
          x2: width - 4,
          y1: low - ANSWERS * value,
          y2: low - ANSWERS * value,
          stroke: "var(--line)",
          "shape-rendering": "crispEdges",
        }),
        words(left - 5, low - ANSWERS * value, format(100 * value, 0), {
          "font-size": 12,
          fill: "var(--muted)",
          "text-anchor": "end",
        }),
      );
    values.forEach((value, digit) => {
      const x = left + digit * wide,
        color = ink(digit === right ? PALETTE.green : PALETTE.orange);
      picture.append(
        svg("rect", {
          x: x + 0.15 * wide,
          y: low - ANSWERS * value,
          width: 0.7 * wide,
          height: ANSWERS * value,
          fill: color,
        }),
        words(x + wide / 2, low + 13, digit, {
          "font-size": 13,
          fill: "var(--ink)",
          "font-weight": digit === right ? 700 : 400,
        }),
      );
    });
    picture.append(
      words((left + width) / 2, ANSWERS + 37, "class (bold: the right one)", {
        "font-size": 12.5,
        fill: "var(--muted)",
      }),
    );
    chart.replaceChildren(html("p", { class: "caption" }, label), picture);
  }

  ui.draw = () => {
    const wide = ui.width() > 640,
      half = wide ? Math.floor((ui.width() - 22) / 2) : ui.width() - 2;
    const other = state.source !== state.image && state.source !== N;
    images.replaceChildren(
      pictureOf(state.image, "Image", half),
      ...(other ? [pictureOf(state.source, "Factors of", half)] : []),
    );
    const each = wide && L > 1 ? Math.floor((ui.width() - 22 * (L - 1)) / L) : ui.width() - 2;
    bars.replaceChildren(...range(L).map((layer) => barsOf(layer, Math.min(each, 420))));
    const sample = (shape) => {
      const picture = svg("svg", { width: 22, height: 14, viewBox: "0 0 22 14", "aria-hidden": "true" });
      picture.append(shape);
      return picture;
    };
    const bar = svg("rect", { x: 4, y: 1, width: 14, height: 12, fill: ink(PALETTE.sky) });
    const tick = svg("line", { x1: 0, x2: 22, y1: 7, y2: 7, stroke: "var(--ink)", "stroke-width": 2 });
    legend.replaceChildren(
      html("li", {}, sample(bar), "factors that are used"),
      html("li", {}, sample(tick), "the image's own"),
    );
    drawAnswers(Math.min(ui.width() - 2, 620));
    const values = answers(),
      mine = data.answers[state.image][state.image][0],
      right = data.labels[state.image];
    const whose =
      state.source === state.image
        ? "its own factors"
        : `${state.source === N ? "the mean factors" : `the factors of “${data.names[state.source]}”`}${
            state.where ? ` in layer ${state.where} alone` : ""
          }`;
    said.textContent = `With ${whose} the network answers ${best(values)} with ${percent(values[best(values)])}, ${best(values) === right ? "which is right" : `and right is ${right}`}.`;
    note.textContent =
      state.source === state.image
        ? "Choose the factors of another image."
        : `With its own factors the answer is ${best(mine)} with ${percent(mine[best(mine)])}.`;
    ui.publish({
      image: state.image,
      source: state.source,
      where: state.where,
      used: used(),
      answers: values,
      answer: best(values),
    });
  };
}
