// Embeddings on the unit circle under the contrastive loss: dragged by hand, or moved by gradient descent.

function build(ui, data) {
  const COLORS = [PALETTE.blue, PALETTE.orange, PALETTE.purple, PALETTE.sky]; // of the classes
  const PULL = PALETTE.green,
    PUSH = PALETTE.vermillion;
  const MANY = 50; // steps of the second button
  const state = {
    example: 0,
    selected: 0,
    by: "same class",
    form: "outside",
    temperature: data.temperature,
    rate: 0.5,
    steps: 0,
    pressed: 0, // steps of the last press, and how many of them raised the loss
    rose: 0,
  };
  let points = []; // { angle in degrees, image, view, label }

  function load(index) {
    const { angles, labels } = data.examples[index];
    points = angles.flatMap((views, image) =>
      views.map((angle, view) => ({ angle, image, view, label: labels[image] })),
    );
    Object.assign(state, { example: index, selected: 0, steps: 0, rose: 0 });
  }
  load(0);
  const nameOf = ({ image, view }) => String.fromCharCode(97 + image) + "\u2032".repeat(view);

  // ---- arithmetic ----
  const tau = () => data.temperatures[state.temperature];
  const radians = (degrees) => (degrees * Math.PI) / 180;
  const wrap = (degrees) => ((degrees % 360) + 360) % 360;
  const isPositive = (i, j) =>
    i !== j &&
    (state.by === "same class" ? points[i].label === points[j].label : points[i].image === points[j].image);

  // loss of each anchor, G[i][j] = its derivative by the similarity (over the temperature) to j, gradient by the angles in radians
  function compute() {
    const n = points.length,
      theta = points.map(({ angle }) => radians(angle));
    const G = [],
      each = [];
    for (let i = 0; i < n; i++) {
      const s = theta.map((other, j) => (j === i ? -Infinity : Math.cos(theta[i] - other) / tau()));
      const top = Math.max(...s),
        total = s.reduce((sum, value) => sum + Math.exp(value - top), 0);
      const logShare = s.map((value) => value - top - Math.log(total)),
        share = logShare.map(Math.exp);
      const others = range(n).filter((j) => isPositive(i, j));
      const together = others.reduce((sum, j) => sum + share[j], 0);
      each.push(
        state.form === "outside"
          ? -others.reduce((sum, j) => sum + logShare[j], 0) / others.length
          : -Math.log(together / others.length),
      );
      G.push(
        share.map((p, j) =>
          !isPositive(i, j) ? p : state.form === "outside" ? p - 1 / others.length : p - p / together,
        ),
      );
    }
    const weight = G.map((row, i) => row.map((value, j) => (i === j ? 0 : (value + G[j][i]) / n)));
    const gradient = theta.map((own, k) =>
      theta.reduce((sum, other, j) => sum - (weight[k][j] * Math.sin(own - other)) / tau(), 0),
    );
    return {
      each,
      weight,
      gradient,
      loss: each.reduce((sum, value) => sum + value, 0) / n,
      ...spread(theta),
    };
  }
  function spread(theta) {
    let near = 0,
      pairs = 0,
      kernel = 0,
      all = 0;
    for (let i = 0; i < theta.length; i++)
      for (let j = 0; j < i; j++) {
        const square = 2 - 2 * Math.cos(theta[i] - theta[j]);
        kernel += Math.exp(-2 * square);
        all++;
        if (isPositive(i, j)) {
          near += square;
          pairs++;
        }
      }
    return { alignment: near / pairs, uniformity: Math.log(kernel / all) };
  }
  function descend(times) {
    let now = compute();
    state.rose = 0;
    for (let i = 0; i < times; i++) {
      const { gradient, loss } = now;
      points.forEach((point, k) => {
        point.angle = wrap(point.angle - (state.rate * gradient[k] * 180) / Math.PI);
      });
      now = compute();
      state.rose += now.loss > loss + 1e-9;
    }
    state.steps += times;
    state.pressed = times;
    ui.draw();
  }

  // ---- controls ----
  const redraw = (change) => (value) => {
    change(value);
    state.rose = 0;
    ui.draw();
  };
  const example = select(
    "Example",
    data.examples.map(({ name }) => name),
    0,
    redraw(load),
  );
  const by = choice(
    "Positives",
    ["same class", "same image"],
    state.by,
    redraw((value) => (state.by = value)),
  );
  const form = choice(
    "Sum over them",
    ["outside", "inside"],
    state.form,
    redraw((value) => (state.form = value)),
    ["outside the log", "inside"],
  );
  const temperature = slider(
    "Temperature \u03c4",
    state.temperature,
    redraw((value) => (state.temperature = value)),
  );
  const which = slider(
    "Point",
    0,
    redraw((value) => (state.selected = value)),
  );
  const angle = slider(
    "Its angle",
    0,
    redraw((value) => (points[state.selected].angle = value)),
    () => 15,
  );
  const rate = number("step size", state.rate, (value) => (state.rate = value), {
    min: data.rates[0],
    max: data.rates[1],
    name: "step size of gradient descent",
  });
  const step = button("Step", "One step of gradient descent", () => descend(1), { class: "primary" });
  const many = button(`${MANY} steps`, `${MANY} steps of gradient descent`, () => descend(MANY));
  const again = button("Reset", "Reset the points to the example", () => {
    load(state.example);
    ui.draw();
  });
  const stage = html("div", { class: "picture" });
  const readout = html("p", { class: "total", "aria-live": "polite" }),
    own = html("p", {}),
    spreadLine = html("p", {}),
    note = html("p", { class: "small" });
  const key = (dash, color) =>
    svg(
      "svg",
      { width: 26, height: 10, "aria-hidden": "true" },
      svg("line", {
        x1: 0,
        x2: 26,
        y1: 5,
        y2: 5,
        stroke: color,
        "stroke-width": 3,
        "stroke-dasharray": dash,
      }),
    );
  ui.body.append(
    html("div", { class: "controls" }, example.node, by.node, form.node, temperature.node),
    html("div", { class: "controls" }, which.node, angle.node),
    html("div", { class: "controls" }, rate.node, step, many, again),
    stage,
    html(
      "ul",
      { class: "legend" },
      html("li", {}, key(null, PULL), "pulls the chosen point"),
      html("li", {}, key("6 4", PUSH), "pushes it"),
      html("li", {}, key(null, "var(--ink)"), "arrow: where gradient descent moves a point"),
      html("li", {}, "a and a\u2032: two views of one image; color and shape: class"),
    ),
    html("div", { class: "result" }, readout, own, spreadLine, note),
  );

  // ---- the picture ----
  const ARROW = 44, // pixels of the longest arrow
    LEAST = 1e-5, // gradients below this are drawn as none
    RADIUS = 12;
  let middle = 0,
    circle = 0;
  const place = (degrees, radius = circle) => [
    middle + radius * Math.cos(radians(degrees)),
    middle - radius * Math.sin(radians(degrees)),
  ];

  function mark(x, y, label, chosen) {
    const color = COLORS[label],
      look = {
        fill: color,
        stroke: chosen ? "var(--ink)" : "var(--ground)",
        "stroke-width": chosen ? 3 : 1.5,
      };
    const polygon = (corners, radius, turn) =>
      svg("polygon", {
        points: range(corners)
          .map((k) => (2 * Math.PI * k) / corners + turn)
          .map((at) => `${x + radius * Math.cos(at)},${y + radius * Math.sin(at)}`)
          .join(" "),
        ...look,
      });
    if (label === 0) return svg("circle", { cx: x, cy: y, r: RADIUS, ...look });
    if (label === 1) return polygon(4, RADIUS * 1.3, Math.PI / 4);
    if (label === 2) return polygon(3, RADIUS * 1.6, -Math.PI / 2);
    return polygon(4, RADIUS * 1.4, 0);
  }
  function arrow([x, y], [dx, dy]) {
    const length = Math.hypot(dx, dy),
      [ux, uy] = [dx / length, dy / length],
      head = Math.min(9, length);
    const [tipX, tipY] = [x + dx, y + dy],
      [backX, backY] = [tipX - head * ux, tipY - head * uy];
    return [
      svg("line", { x1: x, y1: y, x2: backX, y2: backY, stroke: "var(--ink)", "stroke-width": 2.5 }),
      svg("polygon", {
        points: `${tipX},${tipY} ${backX - 0.5 * head * uy},${backY + 0.5 * head * ux} ${backX + 0.5 * head * uy},${backY - 0.5 * head * ux}`,
        fill: "var(--ink)",
      }),
    ];
  }
  function draw({ weight, gradient, loss }) {
    const side = Math.min(ui.width(), 440);
    middle = side / 2;
    circle = middle - ARROW - RADIUS;
    const picture = drawing(side, side, describe(loss), { style: "cursor:grab" });
    picture.append(svg("circle", { cx: middle, cy: middle, r: circle, fill: "none", stroke: "var(--edge)" }));
    const row = weight[state.selected],
      strongest = Math.max(...row.map(Math.abs));
    const [x, y] = place(points[state.selected].angle);
    row.forEach((value, j) => {
      if (j === state.selected || Math.abs(value) < 0.01 * strongest) return;
      const [x2, y2] = place(points[j].angle);
      picture.append(
        svg("line", {
          x1: x,
          y1: y,
          x2,
          y2,
          stroke: value < 0 ? PULL : PUSH,
          "stroke-width": 0.8 + (4.5 * Math.abs(value)) / strongest,
          "stroke-dasharray": value < 0 ? null : "6 4",
        }),
      );
    });
    const largest = Math.max(...gradient.map(Math.abs));
    points.forEach((point, k) => {
      if (largest < LEAST || Math.abs(gradient[k]) < 0.02 * largest) return;
      const long = (-gradient[k] / largest) * (ARROW - 2),
        at = radians(point.angle);
      // beyond the mark, on the outside, so that it is not hidden; a growing angle goes against the clock
      picture.append(
        ...arrow(place(point.angle, circle + RADIUS + 6), [-Math.sin(at) * long, -Math.cos(at) * long]),
      );
    });
    const order = range(points.length).filter((k) => k !== state.selected);
    for (const k of [...order, state.selected]) {
      const [px, py] = place(points[k].angle);
      picture.append(
        mark(px, py, points[k].label, k === state.selected),
        words(px, py, nameOf(points[k]), {
          fill: inkOn(COLORS[points[k].label]),
          "font-size": 12.5,
          "font-weight": 700,
        }),
      );
    }
    stage.replaceChildren(picture);
  }
  const describe = (loss) =>
    `Points on a circle, loss ${format(loss, 3)}: ${points.map((point) => `${nameOf(point)} of class ${point.label + 1} at ${format(point.angle, 0)} degrees`).join(", ")}`;

  // ---- dragging ----
  let held = false;
  const pointer = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  stage.addEventListener("pointerdown", (event) => {
    const [x, y] = pointer(event);
    const far = points.map(({ angle: at }) => Math.hypot(place(at)[0] - x, place(at)[1] - y));
    const nearest = far.indexOf(Math.min(...far));
    if (far[nearest] > 2 * RADIUS) return;
    event.preventDefault();
    held = true;
    state.selected = nearest;
    stage.setPointerCapture(event.pointerId);
    ui.draw();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [x, y] = pointer(event);
    points[state.selected].angle =
      Math.round(wrap((Math.atan2(middle - y, x - middle) * 180) / Math.PI)) % 360;
    state.rose = 0;
    ui.draw();
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (held = false));
  // a finger on a point moves the point; anywhere else it scrolls the page
  stage.addEventListener("touchmove", (event) => held && event.preventDefault(), { passive: false });

  // ---- words ----
  ui.draw = () => {
    const now = compute(),
      n = points.length,
      chosen = points[state.selected],
      row = now.weight[state.selected];
    example.set(state.example);
    temperature.set(state.temperature, data.temperatures.length - 1, String(tau()));
    which.set(state.selected, n - 1, `${nameOf(chosen)}, class ${chosen.label + 1}`);
    angle.set(Math.round(chosen.angle) % 360, 359, `${format(chosen.angle, 0)} degrees`);
    readout.textContent = `Loss ${format(now.loss, 3)} at \u03c4 = ${tau()}; with all points in one place it would be ln ${n - 1} = ${format(Math.log(n - 1), 3)}.`;
    const extreme = (best) => row.indexOf(best(...row));
    const [pull, push] = [extreme(Math.min), extreme(Math.max)];
    const share = (j) => format(Math.abs(row[j]), 4);
    own.textContent =
      `Point ${nameOf(chosen)} at ${format(chosen.angle, 0)}\u00b0: its own loss ${format(now.each[state.selected], 3)}; ` +
      (row[pull] < 0 ? `pulled most by ${nameOf(points[pull])} (${share(pull)})` : "nothing pulls it") +
      (row[push] > 0 ? `, pushed most by ${nameOf(points[push])} (${share(push)}).` : ", nothing pushes it.");
    spreadLine.textContent = `Mean squared distance of positives ${format(now.alignment, 3)}, uniformity ${format(now.uniformity, 3)}, ${state.steps} step${state.steps === 1 ? "" : "s"}.`;
    const largest = Math.max(...now.gradient.map(Math.abs));
    note.textContent =
      (state.rose
        ? `${state.pressed === 1 ? "The last step" : `${state.rose} of the last ${state.pressed} steps`} raised the loss: too long for this temperature. `
        : "") +
      (largest < LEAST
        ? "No point is moved: the gradient is 0. "
        : `The longest arrow stands for ${largest.toPrecision(2)} per radian. `) +
      "Drag a point, or choose one and use the slider of its angle.";
    draw(now);
    ui.publish({
      angles: points.map((point) => point.angle),
      selected: state.selected,
      by: state.by,
      form: state.form,
      temperature: tau(),
      loss: now.loss,
      each: now.each,
      gradient: now.gradient,
      weights: row,
      alignment: now.alignment,
      uniformity: now.uniformity,
      steps: state.steps,
    });
  };
}
