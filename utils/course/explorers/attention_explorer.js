// Attention maps from queries and keys: softmax(q · Kᵀ / √d) for the query that the reader chooses, or the weights of a 3×3 convolution.

function build(ui, data) {
  const S = data.side,
    PLACES = S * S;
  const WAYS = ["attention", "convolution"];
  const state = {
    example: 0,
    layer: 0,
    head: 0,
    way: "attention",
    asks: "patch",
    query: data.query,
  };
  let parts; // the pieces of the drawing

  const example = () => data.examples[state.example];
  const layer = () => example().layers[state.layer];
  const row = (place) => Math.floor(place / S);
  const column = (place) => place % S;
  const spoken = (place) => `row ${row(place) + 1}, column ${column(place) + 1}`;
  const percent = (share) => `${format(100 * share, 1)} %`;

  // ---- arithmetic ----
  // weights of all tokens for the token of the query: row `query` of softmax(Q Kᵀ / √d), the largest taken out before the exponential
  function attention() {
    const { q, k, classToken } = layer();
    const asking = q[state.head][state.asks === "class" ? 0 : state.query + (classToken ? 1 : 0)];
    const keys = k[state.head];
    const scores = keys.map(
      (key) => key.reduce((sum, value, i) => sum + value * asking[i], 0) / Math.sqrt(asking.length),
    );
    const largest = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - largest));
    const total = powers.reduce((sum, value) => sum + value, 0);
    return powers.map((value) => value / total);
  }
  // the kernel laid around the query; what reaches beyond the image falls on zeros
  function convolution() {
    const weights = Array(PLACES).fill(0);
    let inside = 0;
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++) {
        const [r, c] = [row(state.query) + i - 1, column(state.query) + j - 1];
        if (r < 0 || r >= S || c < 0 || c >= S) continue;
        weights[r * S + c] = data.kernel[i][j];
        inside++;
      }
    return { weights, inside };
  }

  // ---- controls ----
  const set = (name) => (value) => {
    state[name] = value;
    refit();
    if (name === "example") ui.draw();
    else update();
  };
  const images = select(
    "Image",
    data.examples.map(({ name }) => name),
    0,
    set("example"),
  );
  const ways = choice("Weights of", WAYS, "attention", set("way"), ["attention", "3×3 convolution"]);
  const layers = html("div", {});
  const heads = html("div", {});
  const asks = choice("Query of", ["patch", "class"], "patch", set("asks"), ["a patch", "class token"]);
  const place = slider(
    "Patch of the query",
    state.query,
    (value) => ask(value),
    () => S,
  );
  let built = ""; // for which choice of layers and heads the controls were built

  function ask(query) {
    state.query = query;
    state.asks = "patch";
    asks.set("patch");
    update();
  }
  // layers differ in their heads and in whether they have a class token: rebuild what depends on it, and only then
  function refit() {
    state.layer = Math.min(state.layer, example().layers.length - 1);
    const count = layer().q.length;
    state.head = Math.min(state.head, count - 1);
    const wanted = `${state.example} ${state.layer} ${count}`;
    if (wanted !== built) {
      const focused = layers.contains(layers.getRootNode().activeElement);
      const picked = select(
        "Layer",
        example().layers.map(({ name }) => name),
        state.layer,
        set("layer"),
      );
      layers.replaceChildren(picked.node);
      if (focused) picked.node.querySelector("select").focus();
      const names = range(count).map((index) => index + 1);
      heads.replaceChildren(choice("Head", range(count), state.head, set("head"), names).node);
      built = wanted;
    }
    if (!layer().classToken || state.way === "convolution") {
      state.asks = "patch";
      asks.set("patch");
    }
    const fixed = state.way === "convolution";
    layers.querySelector("select").disabled = fixed;
    heads.querySelector("fieldset").disabled = fixed;
    asks.node.disabled = fixed || !layer().classToken;
  }

  // ---- the page ----
  const views = html("div", { class: "row" });
  const readout = html("p", { class: "total", "aria-live": "polite" });
  const detail = html("p", {});
  const note = html("p", { class: "small" });
  ui.body.append(
    html(
      "style",
      {},
      "fieldset:disabled, select:disabled { opacity: .5; } fieldset:disabled input { cursor: default; }",
    ),
    html(
      "div",
      { class: "controls" },
      data.examples.length > 1 ? images.node : null,
      ways.node,
      layers,
      heads,
      data.examples.some(({ layers }) => layers.some(({ classToken }) => classToken)) ? asks.node : null,
    ),
    html("div", { class: "controls" }, place.node),
    views,
    html("div", { class: "result" }, readout, detail, note),
  );

  ui.draw = () => {
    const gap = 22,
      width = ui.width();
    const beside = width >= 520;
    const cell = clamp(Math.floor((beside ? (width - gap) / 2 : width) / S), 12, 42);
    const side = cell * S;
    const { pixels } = example();
    const [across, down] = [side / pixels[0].length, side / pixels.length];
    const picture = drawing(side, side, `${example().name}, ${S} by ${S} patches`, { class: "touch" });
    pixels.forEach((line, r) =>
      line.forEach((color, c) =>
        picture.append(
          // a little wider than a pixel, so that no ground shines through between two
          svg("rect", {
            x: c * across,
            y: r * down,
            width: across + 0.4,
            height: down + 0.4,
            fill: `#${color}`,
          }),
        ),
      ),
    );
    range(S - 1).forEach((index) => {
      const at = (index + 1) * cell;
      const look = { stroke: "#ffffff", "stroke-opacity": 0.45, "stroke-width": 1 };
      picture.append(
        svg("line", { x1: at, y1: 0, x2: at, y2: side, ...look }),
        svg("line", { x1: 0, y1: at, x2: side, y2: at, ...look }),
      );
    });
    const map = drawing(side, side, "", { class: "touch" });
    const table = cells(
      map,
      S,
      S,
      cell,
      () => ({ fill: "var(--panel)", stroke: "var(--line)", text: cell >= 30 ? "0" : undefined }),
      {
        font: cell * 0.34,
      },
    );
    const marks = [picture, map].map((view) => {
      const group = svg("g", {});
      view.append(group);
      const jump = (event) => {
        const box = view.getBoundingClientRect();
        const c = Math.floor(((event.clientX - box.left) / box.width) * S);
        const r = Math.floor(((event.clientY - box.top) / box.height) * S);
        if (r >= 0 && c >= 0 && r < S && c < S) ask(r * S + c);
      };
      view.addEventListener("pointerdown", jump);
      view.addEventListener("pointermove", (event) => {
        if (event.buttons) jump(event);
      });
      return group;
    });
    const scale = html("div", { class: "scale", "aria-hidden": "true" });
    const figure = (name, rest, view, below = null) =>
      html(
        "div",
        { class: "picture", style: `width:${side}px` },
        html("p", { class: "caption" }, html("strong", {}, name), rest),
        view,
        below,
      );
    views.replaceChildren(
      figure("The image", `, ${S} × ${S} patches`, picture),
      figure("Weight of each patch", ", in %", map, scale),
    );
    parts = { cell, map, table, marks, scale };
    update();
  };

  function outline(group, where) {
    const { cell } = parts;
    const box = { x: column(where) * cell, y: row(where) * cell, width: cell, height: cell, fill: "none" };
    for (const [stroke, thickness] of [
      ["#000000", 5],
      ["#ffffff", 3.4],
      [PALETTE.green, 2.2],
    ])
      group.append(svg("rect", { ...box, stroke, "stroke-width": thickness }));
  }

  function update() {
    const fixed = state.way === "convolution";
    const { weights: around, inside } = convolution();
    const tokens = fixed ? around : attention();
    const own = tokens.length - PLACES; // 1 where a class token comes first
    const weights = tokens.slice(own);
    const largest = Math.max(1e-12, ...weights.map(Math.abs));
    const { cell, map, table, marks, scale } = parts;

    range(PLACES).forEach((at) => {
      const color = signed(weights[at], largest, ui.dark());
      const { box, label } = table[row(at)][column(at)];
      box.setAttribute("fill", color);
      if (label) {
        label.textContent = format(100 * weights[at], weights[at] >= 0.0995 ? 0 : 1);
        label.setAttribute("fill", inkOn(color));
        label.setAttribute("font-size", cell * 0.3);
      }
    });
    marks.forEach((group) => {
      group.replaceChildren();
      if (state.asks === "patch") outline(group, state.query);
    });
    const negative = weights.some((value) => value < 0);
    const ground = signed(0, 1, ui.dark());
    scale.replaceChildren(
      negative ? percent(-largest) : "0",
      html("i", {
        style: `background:linear-gradient(90deg,${negative ? `${PALETTE.blue},` : ""}${ground},${PALETTE.vermillion})`,
      }),
      percent(largest),
    );

    const asking = state.asks === "class" ? "The class token" : `The patch in ${spoken(state.query)}`;
    const most = weights.indexOf(Math.max(...weights));
    const onPatches = weights.reduce((sum, value) => sum + value, 0);
    const away = (at) => Math.hypot(row(at) - row(state.query), column(at) - column(state.query));
    const distance =
      state.asks === "patch" && !fixed
        ? weights.reduce((sum, value, at) => sum + value * away(at), 0) / onPatches
        : null;
    if (fixed) {
      readout.textContent = `${asking} is computed from itself and its neighbors: ${inside} of the 9 weights fall on the image.`;
      detail.textContent = inside < 9 ? `The other ${9 - inside} fall on the padding, on zeros.` : "";
      note.textContent =
        "These weights are the same for every patch and every image. Training sets them once.";
    } else {
      const descending = [...weights].sort((a, b) => b - a);
      let held = 0,
        needed = 0;
      while (held < onPatches / 2) held += descending[needed++];
      readout.textContent = `${asking} attends most to ${spoken(most)}: ${percent(weights[most])}.`;
      detail.textContent =
        `Half of what goes to patches goes to ${needed} of ${PLACES}; ` +
        `if all were alike, each would get ${percent(1 / tokens.length)}.` +
        (own ? ` The class token gets ${percent(tokens[0])}.` : "") +
        (distance === null ? "" : ` Mean distance: ${format(distance, 1)} patches.`);
      note.textContent =
        "These weights are computed, by softmax, from the query of this token and the keys of all.";
    }
    map.setAttribute(
      "aria-label",
      fixed
        ? `Weights of a 3 by 3 convolution around ${spoken(state.query)}`
        : `Attention, ${layer().name}, head ${state.head + 1}. ${readout.textContent}`,
    );
    place.set(state.query, PLACES - 1, spoken(state.query));
    ui.publish({
      weights: tokens,
      query: state.asks === "class" ? -1 : state.query,
      picture: String(state.example),
      layer: String(state.layer),
      head: String(state.head),
      way: state.way,
      distance: distance === null ? "" : distance,
    });
  }

  refit();
}
