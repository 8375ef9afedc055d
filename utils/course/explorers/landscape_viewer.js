// The loss over a plane as a surface in space, turned by dragging or with two sliders, and read out point by point.

function build(ui, data) {
  // a color scale ordered in lightness from dark blue to yellow (nine colors of viridis), for every kind of color vision
  const SCALE = [
    "#440154",
    "#472d7b",
    "#3b528b",
    "#2c728e",
    "#21918c",
    "#28ae80",
    "#5ec962",
    "#addc30",
    "#fde725",
  ];
  const colorAt = (share) => {
    const at = clamp(share, 0, 1) * (SCALE.length - 1),
      below = Math.min(Math.floor(at), SCALE.length - 2);
    return mix(SCALE[below], SCALE[below + 1], at - below);
  };
  const FLOOR = -0.62,
    TALL = 1.15, // where the box begins and how tall it is; the plane reaches from -1 to 1
    MARGIN = 18; // pixels above and below, for the numbers
  const state = { which: 0, turn: 30, tilt: 30, log: data.log, common: data.surfaces.length > 1, point: 0 };

  const surface = () => data.surfaces[state.which];
  const center = ({ alphas, betas }) => {
    const nearest = (values) =>
      values.reduce((best, value, index) => (Math.abs(value) < Math.abs(values[best]) ? index : best), 0);
    return nearest(betas) * alphas.length + nearest(alphas);
  };
  state.point = center(surface());

  // ---- heights: [0, 1] between the lowest and the highest loss that is drawn ----
  const finite = (one) => one.loss.flat().filter((value) => value !== null);
  function limits() {
    const seen = state.common ? data.surfaces.flatMap(finite) : finite(surface());
    const low = Math.min(...seen),
      high = Math.min(data.cap, Math.max(...seen));
    return high > low ? [low, high] : [low, low + 1];
  }
  function heightOf(value, [low, high]) {
    if (value === null) return 1;
    const f = state.log ? Math.log : (x) => x;
    return clamp((f(clamp(value, low, high)) - f(low)) / (f(high) - f(low)), 0, 1);
  }
  const along = (values, value) => (2 * (value - values[0])) / (values.at(-1) - values[0]) - 1;

  // ---- controls ----
  const redraw = (change) => (value) => {
    change(value);
    ui.draw();
  };
  const which = choice(
    "Surface",
    range(data.surfaces.length),
    0,
    redraw((value) => {
      state.which = value;
      state.point = center(surface());
    }),
    data.surfaces.map(({ label }) => label),
  );
  const height = choice(
    "Height",
    ["loss", "log loss"],
    state.log ? "log loss" : "loss",
    redraw((value) => {
      state.log = value === "log loss";
    }),
  );
  const common = toggle(
    "One height scale for all",
    state.common,
    redraw((value) => {
      state.common = value;
    }),
  );
  const turn = slider(
    "Turn",
    0,
    redraw((value) => {
      state.turn = value - 180;
    }),
    () => 15,
  );
  const tilt = slider(
    "Tilt",
    0,
    redraw((value) => {
      state.tilt = value;
    }),
    () => 10,
  );
  const point = slider(
    "Point that is read",
    0,
    redraw((value) => {
      state.point = value;
    }),
    () => surface().alphas.length,
  );
  const several = data.surfaces.length > 1;
  const canvas = html("canvas", { role: "img", style: "display:block;cursor:grab;touch-action:pan-y" });
  const stage = html("div", {}, canvas);
  const legend = html("ul", { class: "legend" });
  const readout = html("p", { class: "total", "aria-live": "polite" });
  const note = html("p", { class: "small" });
  ui.body.append(
    html(
      "div",
      { class: "controls" },
      several ? which.node : null,
      data.positive ? height.node : null,
      several ? common.node : null,
    ),
    stage,
    html("div", { class: "controls", style: "margin:6px 0 0" }, turn.node, tilt.node, point.node),
    legend,
    html("div", { class: "result" }, readout, note),
  );

  // ---- turning by hand ----
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    grip = { x: event.clientX, y: event.clientY, turn: state.turn, tilt: state.tilt };
    canvas.setPointerCapture(event.pointerId);
    canvas.style.cursor = "grabbing";
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const turned = grip.turn - 0.5 * (event.clientX - grip.x);
    state.turn = Math.round(((((turned + 180) % 360) + 360) % 360) - 180);
    state.tilt = Math.round(clamp(grip.tilt + 0.4 * (event.clientY - grip.y), 0, 90));
    ui.draw();
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, () => {
      grip = null;
      canvas.style.cursor = "grab";
    });

  // ---- from space to the page: turned about the upright axis, then seen from above at the angle of the tilt ----
  function project([x, y, z]) {
    const [a, e] = [state.turn, state.tilt].map((angle) => (angle * Math.PI) / 180);
    const across = x * Math.cos(a) - y * Math.sin(a),
      away = x * Math.sin(a) + y * Math.cos(a);
    return { x: across, y: z * Math.cos(e) + away * Math.sin(e), away: away * Math.cos(e) - z * Math.sin(e) };
  }
  const tall = (share) => FLOOR + TALL * share;

  function draw() {
    const width = Math.min(stage.clientWidth || ui.width(), 640),
      tallness = Math.round(Math.min(0.78 * width, 440)),
      dots = Math.min(window.devicePixelRatio || 1, 2);
    Object.assign(canvas.style, { width: `${width}px`, height: `${tallness}px` });
    canvas.width = width * dots;
    canvas.height = tallness * dots;
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    // as large as the corner that lies nearest or furthest allows at this tilt, however the plane is turned
    const lean = (state.tilt * Math.PI) / 180,
      reach = Math.abs(FLOOR) * Math.cos(lean) + Math.SQRT2 * Math.sin(lean);
    const size = Math.min(width / 3.15, (tallness / 2 - MARGIN) / reach);
    const page = (place) => {
      const { x, y } = project(place);
      return [width / 2 + x * size, tallness / 2 - y * size];
    };
    const style = getComputedStyle(ui.body);
    const [ink, muted, edge] = ["--ink", "--muted", "--edge"].map((name) =>
      style.getPropertyValue(name).trim(),
    );
    const { alphas, betas, loss, path: walk } = surface();
    const shown = limits();
    const xs = alphas.map((value) => along(alphas, value)),
      ys = betas.map((value) => along(betas, value));
    const heights = loss.map((row) => row.map((value) => heightOf(value, shown)));

    const stroke = (places, color, thickness = 1) => {
      pen.beginPath();
      places.forEach((place, index) => (index ? pen.lineTo(...page(place)) : pen.moveTo(...page(place))));
      pen.strokeStyle = color;
      pen.lineWidth = thickness;
      pen.stroke();
    };
    pen.font = "12px system-ui, sans-serif";
    const wide = (text) => pen.measureText(text).width;
    const write = (text, [x, y], color = muted, align = "center") => {
      pen.textAlign = align;
      pen.textBaseline = "middle";
      pen.fillStyle = color;
      pen.fillText(text, x, y);
    };

    // the floor, and numbers along the two edges that are nearest
    const corners = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ];
    stroke(
      [...corners, corners[0]].map(([x, y]) => [x, y, FLOOR]),
      edge,
    );
    const near = (side) => project(side).away < 0;
    const frontY = near([0, -1, 0]) ? -1 : 1,
      frontX = near([-1, 0, 0]) ? -1 : 1;
    // the text beside an edge of the floor, as far out as its width needs, so that two edges can share a corner
    const beside = (text, [x, y], [outX, outY], color) => {
      const [left, top] = page([x, y, FLOOR]),
        [nextLeft, nextTop] = page([x + outX, y + outY, FLOOR]);
      const far = Math.hypot(nextLeft - left, nextTop - top) || 1,
        [across, down] = [(nextLeft - left) / far, (nextTop - top) / far];
      const by = 11 + (Math.abs(across) * wide(text)) / 2;
      write(text, [left + across * by, top + down * by], color);
    };
    if (state.tilt > 2) {
      for (const [at, value] of [
        [-0.9, alphas[0]],
        [0.9, alphas.at(-1)],
      ])
        beside(format(value), [at, frontY], [0, frontY]);
      for (const [at, value] of [
        [-0.9, betas[0]],
        [0.9, betas.at(-1)],
      ])
        beside(format(value), [frontX, at], [frontX, 0]);
      beside(data.labels[0], [0, frontY], [0, frontY], ink);
      beside(data.labels[1], [frontX, 0], [frontX, 0], ink);
    }
    // the upright axis at the corner that is furthest left
    if (state.tilt < 80) {
      const post = corners.reduce((best, corner) =>
        project([...corner, 0]).x < project([...best, 0]).x ? corner : best,
      );
      stroke(
        [
          [...post, FLOOR],
          [...post, tall(1)],
        ],
        edge,
      );
      for (const share of [0, 0.5, 1]) {
        const [x, y] = page([...post, tall(share)]);
        pen.fillStyle = edge;
        pen.fillRect(x - 4, y - 0.5, 4, 1);
        const text = brieflySaid(valueAt(share, shown));
        // the lowest number stands a little higher, the floor's own numbers begin there
        write(text, [Math.max(x - 7, wide(text) + 2), share ? y : y - 8], muted, "right");
      }
    }

    // the patches of the surface, the furthest first
    const patches = [];
    for (let row = 0; row + 1 < betas.length; row++)
      for (let column = 0; column + 1 < alphas.length; column++) {
        const places = [
          [row, column],
          [row, column + 1],
          [row + 1, column + 1],
          [row + 1, column],
        ].map(([r, c]) => [xs[c], ys[r], tall(heights[r][c])]);
        const mean =
          (heights[row][column] +
            heights[row][column + 1] +
            heights[row + 1][column + 1] +
            heights[row + 1][column]) /
          4;
        const [middleX, middleY] = [(places[0][0] + places[2][0]) / 2, (places[0][1] + places[2][1]) / 2];
        patches.push({ places, mean, away: project([middleX, middleY, tall(mean)]).away });
      }
    patches.sort((a, b) => b.away - a.away);
    pen.lineJoin = "round";
    pen.lineWidth = 0.6;
    for (const { places, mean } of patches) {
      pen.beginPath();
      places.forEach((place, index) => (index ? pen.lineTo(...page(place)) : pen.moveTo(...page(place))));
      pen.closePath();
      const color = colorAt(mean);
      pen.fillStyle = color;
      pen.fill();
      pen.strokeStyle = mix(color, "#ffffff", 0.28);
      pen.stroke();
    }

    // the path and the point lie on top, also where the surface hides them, so that they can be followed
    const on = (a, b) => [along(alphas, a), along(betas, b), tall(between(heights, alphas, betas, a, b))];
    if (walk) {
      const places = walk.filter(([a, b]) => inside(alphas, a) && inside(betas, b)).map(([a, b]) => on(a, b));
      stroke(places, "#000000", 4.4);
      stroke(places, PALETTE.orange, 2.4);
      if (places.length) ball(page(places[0]), 4.5, PALETTE.orange);
    }
    const row = Math.floor(state.point / alphas.length),
      column = state.point % alphas.length;
    ball(page([xs[column], ys[row], tall(heights[row][column])]), 6, PALETTE.vermillion);
    function ball([x, y], radius, color) {
      for (const [r, fill_] of [
        [radius, "#000000"],
        [radius - 1, "#ffffff"],
        [radius - 2.2, color],
      ]) {
        pen.beginPath();
        pen.arc(x, y, r, 0, 2 * Math.PI);
        pen.fillStyle = fill_;
        pen.fill();
      }
    }
    return shown;
  }
  const inside = (values, value) => value >= values[0] && value <= values.at(-1);
  // height between the points of the grid, linear in each direction
  function between(heights, alphas, betas, a, b) {
    const cell = (values, value) => {
      const index = clamp(values.findIndex((one) => one > value) - 1, 0, values.length - 2);
      const low = value >= values.at(-1) ? values.length - 2 : index;
      return [low, (value - values[low]) / (values[low + 1] - values[low])];
    };
    const [c, u] = cell(alphas, a),
      [r, v] = cell(betas, b);
    const edge = (one) => heights[one][c] * (1 - u) + heights[one][c + 1] * u;
    return edge(r) * (1 - v) + edge(r + 1) * v;
  }

  // ---- words ----
  const valueAt = (share, [low, high]) =>
    state.log ? low * (high / low) ** share : low + share * (high - low);
  const brieflySaid = (value) => String(Number(value.toPrecision(3))).replace("-", MINUS);
  const describeView = () => `turned by ${format(state.turn)} degrees, seen from ${state.tilt} degrees above`;

  ui.draw = () => {
    const { label, alphas, betas, loss, accuracy, path: walk } = surface();
    const row = Math.floor(state.point / alphas.length),
      column = state.point % alphas.length;
    const value = loss[row][column];
    turn.set(state.turn + 180, 359, `${format(state.turn)} degrees`);
    tilt.set(state.tilt, 90, `${state.tilt} degrees above the plane`);
    const where = `${data.labels[0]} = ${format(alphas[column], 3)}, ${data.labels[1]} = ${format(betas[row], 3)}`;
    point.set(state.point, alphas.length * betas.length - 1, where);
    const shown = draw();
    canvas.setAttribute(
      "aria-label",
      `${label ? label + ": " : ""}the loss over the plane, from ${brieflySaid(Math.min(...finite(surface())))} to ` +
        `${brieflySaid(Math.max(...finite(surface())))}, ${describeView()}`,
    );
    const hits = accuracy ? `, accuracy ${format(100 * accuracy[row][column], 1)} %` : "";
    readout.textContent = `${label ? label + ", " : ""}${where}: loss ${value === null ? "not finite" : brieflySaid(value)}${hits}`;
    const parts = [
      `Heights from ${brieflySaid(shown[0])} to ${brieflySaid(shown[1])}${state.log ? " on a log scale" : ""}.`,
    ];
    const cut = loss.flat().filter((one) => one === null || one > shown[1]).length;
    if (cut) parts.push(`${cut} of ${loss.flat().length} points lie higher and are cut off.`);
    if (walk) {
      const lost = walk.filter(([a, b]) => !inside(alphas, a) || !inside(betas, b)).length;
      if (lost)
        parts.push(`${lost} of ${walk.length} states of the path lie outside the plane that is drawn.`);
    }
    parts.push("Drag the picture, or use the sliders: arrow keys up and down take larger steps.");
    note.textContent = parts.join(" ");
    const dot = (color) =>
      html("i", {
        style: `display:inline-block;width:13px;height:13px;border-radius:50%;border:2px solid var(--ink);background:${color}`,
        "aria-hidden": "true",
      });
    const bar = html("i", {
      style: `display:inline-block;width:90px;height:11px;border:1px solid var(--edge);background:linear-gradient(90deg,${SCALE.join(",")})`,
      "aria-hidden": "true",
    });
    legend.replaceChildren(
      html("li", {}, brieflySaid(shown[0]), bar, brieflySaid(shown[1])),
      html("li", {}, dot(PALETTE.vermillion), "point that is read"),
      ...(walk ? [html("li", {}, dot(PALETTE.orange), "start of the path of the training")] : []),
    );
    ui.publish({
      which: state.which,
      turn: state.turn,
      tilt: state.tilt,
      log: state.log,
      limits: shown,
      point: [row, column],
      value: value === null ? "" : value,
      corners: [
        [-1, -1],
        [1, -1],
        [1, 1],
        [-1, 1],
      ].map(([x, y]) => {
        const seen = project([x, y, 0]);
        return [round(seen.x, 6), round(seen.y, 6)];
      }),
    });
  };
}
