// Snapshots of embeddings on the unit circle, one circle for each training, moved along the epochs by a slider.

function build(ui, data) {
  const COLORS = [PALETTE.blue, PALETTE.orange, PALETTE.purple, PALETTE.sky]; // of the classes
  const RING = 13, // pixels between the rings of two classes
    DOT = 4,
    MARGIN = 10;
  const state = { at: data.epochs.length - 1, shown: -1 };

  const redraw = (change) => (value) => {
    change(value);
    ui.draw();
  };
  const epoch = slider(
    "Epoch",
    state.at,
    redraw((value) => (state.at = value)),
  );
  const shown = select(
    "Classes shown",
    ["all", ...data.classes],
    0,
    redraw((index) => (state.shown = index - 1)),
  );
  const stage = html("div", { class: "row" });
  const legend = html("ul", { class: "legend" });
  const readout = html("p", { class: "total", "aria-live": "polite" }),
    note = html(
      "p",
      { class: "small" },
      "Only the angle is the network's: each class has a ring of its own so that no point hides another.",
    );
  ui.body.append(
    html("div", { class: "controls" }, epoch.node, shown.node),
    stage,
    legend,
    html("div", { class: "result" }, readout, note),
  );

  function mark(x, y, label) {
    const look = { fill: COLORS[label], "fill-opacity": 0.75 };
    if (label === 0) return svg("circle", { cx: x, cy: y, r: DOT, ...look });
    if (label === 1)
      return svg("rect", {
        x: x - DOT * 0.9,
        y: y - DOT * 0.9,
        width: 1.8 * DOT,
        height: 1.8 * DOT,
        ...look,
      });
    const corners =
      label === 2
        ? [
            [0, -1.25],
            [1.1, 0.8],
            [-1.1, 0.8],
          ]
        : [
            [0, -1.3],
            [1.3, 0],
            [0, 1.3],
            [-1.3, 0],
          ];
    return svg("polygon", {
      points: corners.map(([a, b]) => `${x + a * DOT},${y + b * DOT}`).join(" "),
      ...look,
    });
  }
  function circle({ name, angles, agreement }, side) {
    const middle = side / 2,
      outer = middle - MARGIN;
    const at = data.epochs[state.at],
      same = `${format(100 * agreement[state.at], 0)} % have a nearest neighbor of their class`;
    const picture = drawing(
      side,
      side,
      `${name}, epoch ${at}: ${data.labels.length} points on a circle; ${same}`,
    );
    data.classes.forEach((_, k) =>
      picture.append(
        svg("circle", { cx: middle, cy: middle, r: outer - k * RING, fill: "none", stroke: "var(--line)" }),
      ),
    );
    angles[state.at].forEach((degrees, i) => {
      const label = data.labels[i];
      if (state.shown >= 0 && label !== state.shown) return;
      const radius = outer - label * RING,
        turn = (degrees * Math.PI) / 180;
      picture.append(mark(middle + radius * Math.cos(turn), middle - radius * Math.sin(turn), label));
    });
    return html(
      "div",
      { class: "picture" },
      html("p", { class: "caption" }, html("strong", {}, name)),
      picture,
    );
  }

  ui.draw = () => {
    const at = data.epochs[state.at];
    epoch.set(state.at, data.epochs.length - 1, `epoch ${at}`);
    const across = Math.max(1, Math.min(data.trainings.length, Math.floor(ui.width() / 230)));
    const side = Math.min(300, Math.floor((ui.width() - 22 * (across - 1)) / across));
    stage.replaceChildren(...data.trainings.map((training) => circle(training, side)));
    legend.replaceChildren(
      ...data.classes.map((name, k) =>
        html("li", {}, svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, mark(6, 6, k)), name),
      ),
    );
    readout.textContent =
      `Epoch ${at}. Nearest neighbor of the same class: ` +
      data.trainings
        .map(({ name, agreement }) => `${name} ${format(100 * agreement[state.at], 0)} %`)
        .join(", ") +
      ".";
    ui.publish({
      epoch: at,
      shown: state.shown,
      angles: data.trainings.map(({ angles }) => angles[state.at]),
      agreement: data.trainings.map(({ agreement }) => agreement[state.at]),
    });
  };
}
