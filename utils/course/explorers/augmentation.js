// One picture, augmented by hand with sliders or at random, and the label that the result would be given in training.

function build(ui, data) {
  const SIDE = data.side,
    WHITE = 255,
    LUMA = [0.2989, 0.587, 0.114], // as in utils.data.augment
    THUMBNAILS = 8;
  const pictures = data.pictures.map(({ name, pixels }) => ({
    name,
    pixels: Float64Array.from(atob(pixels), (letter) => letter.charCodeAt(0)),
  }));

  // ---- arithmetic: a picture is [row, column, channel] in gray levels, each function makes a new one ----
  const at = (row, column) => 3 * (row * SIDE + column);
  const reflected = (place) => SIDE - 1 - Math.abs(SIDE - 1 - Math.abs(place));
  const inside = (place) => place >= 0 && place < SIDE;

  // each pixel from the place that source(row, column) names, black where it names none
  function moved(pixels, source) {
    const result = new Float64Array(pixels.length);
    for (let row = 0; row < SIDE; row++)
      for (let column = 0; column < SIDE; column++) {
        const [r, c] = source(row, column);
        if (inside(r) && inside(c))
          for (const channel of [0, 1, 2]) result[at(row, column) + channel] = pixels[at(r, c) + channel];
      }
    return result;
  }
  const flipped = (pixels) => moved(pixels, (row, column) => [row, SIDE - 1 - column]);
  function shifted(pixels, down, right, border) {
    const place = border === "reflect" ? reflected : (value) => value;
    return moved(pixels, (row, column) => [place(row - down), place(column - right)]);
  }
  // counter-clockwise about the center: where does each pixel come from?
  function rotated(pixels, degrees) {
    const angle = (degrees * Math.PI) / 180,
      [cos, sin] = [Math.cos(angle), Math.sin(angle)],
      middle = (SIDE - 1) / 2;
    return moved(pixels, (row, column) => {
      const [x, y] = [column - middle, row - middle];
      return [Math.round(sin * x + cos * y + middle), Math.round(cos * x - sin * y + middle)];
    });
  }
  const level = (value) => Math.floor(clamp(value, 0, WHITE));
  function eachPixel(pixels, change) {
    const result = new Float64Array(pixels.length);
    for (let start = 0; start < pixels.length; start += 3)
      result.set(change(pixels.subarray(start, start + 3)).map(level), start);
    return result;
  }
  const luma = (rgb) => Math.floor(rgb[0] * LUMA[0] + rgb[1] * LUMA[1] + rgb[2] * LUMA[2]);
  const brightened = (pixels, factor) => eachPixel(pixels, (rgb) => rgb.map((value) => value * factor));
  function contrasted(pixels, factor) {
    let sum = 0;
    for (let start = 0; start < pixels.length; start += 3) sum += luma(pixels.subarray(start, start + 3));
    const mean = sum / (SIDE * SIDE);
    return eachPixel(pixels, (rgb) => rgb.map((value) => mean + factor * (value - mean)));
  }
  const saturated = (pixels, factor) =>
    eachPixel(pixels, (rgb) => {
      const gray = luma(rgb);
      return rgb.map((value) => gray + factor * (value - gray));
    });
  function hueTurned(pixels, turn) {
    return eachPixel(pixels, (rgb) => {
      const [red, green, blue] = rgb,
        value = Math.max(red, green, blue),
        chroma = value - Math.min(red, green, blue),
        part = Math.max(chroma, 1);
      const sixths =
        value === red
          ? (green - blue) / part
          : value === green
            ? (blue - red) / part + 2
            : (red - green) / part + 4;
      // a channel loses the whole chroma at the far side of the circle of colors, none within one sixth of its own color
      return [5, 3, 1].map((own) => {
        const distance = own + sixths + 6 * turn,
          on = distance - 6 * Math.floor(distance / 6);
        return ((value - chroma * clamp(Math.min(on, 4 - on), 0, 1)) * (256 - 1e-3)) / WHITE;
      });
    });
  }
  function covered(pixels, { size, row, column, fill }) {
    const color = fill === "black" ? [0, 0, 0] : data.mean,
      result = pixels.slice(),
      [top, left] = [row, column].map((center) => center - Math.floor(size / 2));
    for (let r = Math.max(0, top); r < Math.min(SIDE, top + size); r++)
      for (let c = Math.max(0, left); c < Math.min(SIDE, left + size); c++) result.set(color, at(r, c));
    return result;
  }
  const blended = (pixels, other, share) =>
    pixels.map((value, index) => Math.round(share * value + (1 - share) * other[index]));

  function augmented(picture, partner, chosen) {
    let pixels = pictures[picture].pixels;
    if (chosen.flip) pixels = flipped(pixels);
    if (chosen.down || chosen.right) pixels = shifted(pixels, chosen.down, chosen.right, chosen.border);
    if (chosen.degrees) pixels = rotated(pixels, chosen.degrees);
    if (chosen.brightness !== 1) pixels = brightened(pixels, chosen.brightness);
    if (chosen.contrast !== 1) pixels = contrasted(pixels, chosen.contrast);
    if (chosen.saturation !== 1) pixels = saturated(pixels, chosen.saturation);
    if (chosen.hue) pixels = hueTurned(pixels, chosen.hue);
    if (chosen.size) pixels = covered(pixels, chosen);
    if (chosen.share < 1) pixels = blended(pixels, pictures[partner].pixels, chosen.share);
    return pixels;
  }
  // name of the class -> its share of the label
  function labelOf(picture, partner, share) {
    const label = { [pictures[picture].name]: share };
    if (share < 1) label[pictures[partner].name] = (label[pictures[partner].name] || 0) + 1 - share;
    return label;
  }

  // ---- state ----
  const NEUTRAL = {
    flip: false,
    down: 0,
    right: 0,
    border: "reflect",
    degrees: 0,
    brightness: 1,
    contrast: 1,
    saturation: 1,
    hue: 0,
    size: 0,
    row: Math.floor(SIDE / 2),
    column: Math.floor(SIDE / 2),
    fill: "black",
    share: 1,
  };
  const state = { picture: 0, partner: 1, recipe: 0, chosen: { ...NEUTRAL }, samples: [], kept: 0, lost: 0 };

  // ---- random draws, on the steps of the sliders ----
  const uniform = (low, high) => low + (high - low) * Math.random();
  const whole = (count) => Math.floor(Math.random() * count);
  const onStep = (key, value) => {
    const { from, to, step } = SLIDERS.find((one) => one.key === key);
    return clamp(from + step * Math.round((value - from) / step), from, to);
  };
  function drawn(recipe) {
    const symmetric = (reach) => whole(2 * reach + 1) - reach;
    const factor = (key) => round(onStep(key, uniform(Math.max(0, 1 - recipe[key]), 1 + recipe[key])));
    const reach = Math.min(recipe.shift, data.shift);
    return {
      ...NEUTRAL,
      flip: Math.random() < recipe.flip,
      down: symmetric(reach),
      right: symmetric(reach),
      border: recipe.border,
      degrees: round(onStep("degrees", uniform(-recipe.degrees, recipe.degrees))),
      brightness: factor("brightness"),
      contrast: factor("contrast"),
      saturation: factor("saturation"),
      hue: round(onStep("hue", uniform(-recipe.hue, recipe.hue))),
      size: Math.min(recipe.size, SIDE),
      row: whole(SIDE),
      column: whole(SIDE),
      fill: recipe.fill,
      share: recipe.mixup ? round(onStep("share", Math.random())) : 1,
    };
  }
  function draw() {
    const recipe = data.recipes[state.recipe];
    state.samples = range(THUMBNAILS).map(() => drawn(recipe));
    state.chosen = { ...state.samples[0] };
    ui.draw();
  }

  // ---- controls ----
  const pixelsSaid = (value, forward, back) =>
    value === 0 ? "0" : `${Math.abs(value)} ${value > 0 ? forward : back}`;
  const SLIDERS = [
    {
      key: "down",
      label: "Shift, rows",
      from: -data.shift,
      to: data.shift,
      step: 1,
      say: (v) => pixelsSaid(v, "down", "up"),
    },
    {
      key: "right",
      label: "Shift, columns",
      from: -data.shift,
      to: data.shift,
      step: 1,
      say: (v) => pixelsSaid(v, "right", "left"),
    },
    { key: "degrees", label: "Rotation", from: -180, to: 180, step: 5, say: (v) => `${format(v)}°` },
    { key: "brightness", label: "Brightness", from: 0, to: 2, step: 0.1, say: (v) => `× ${format(v)}` },
    { key: "contrast", label: "Contrast", from: 0, to: 2, step: 0.1, say: (v) => `× ${format(v)}` },
    { key: "saturation", label: "Saturation", from: 0, to: 2, step: 0.1, say: (v) => `× ${format(v)}` },
    { key: "hue", label: "Hue, part of the circle", from: -0.5, to: 0.5, step: 0.05, say: (v) => format(v) },
    { key: "size", label: "Cutout, side", from: 0, to: SIDE, step: 1, say: (v) => `${v} pixels` },
    { key: "row", label: "Cutout, row", from: 0, to: SIDE - 1, step: 1, say: String },
    { key: "column", label: "Cutout, column", from: 0, to: SIDE - 1, step: 1, say: String },
    {
      key: "share",
      label: "Mixup, share of the first picture",
      from: 0,
      to: 1,
      step: 0.05,
      say: (v) => format(v),
    },
  ];
  const change = (key) => (value) => {
    state.chosen[key] = value;
    ui.draw();
  };
  const bars = Object.fromEntries(
    SLIDERS.map(({ key, label, from, step }) => {
      const control = slider(label, 0, (place) => change(key)(round(from + step * place)));
      control.bar.setAttribute("aria-label", label);
      return [key, control];
    }),
  );
  const names = pictures.map(({ name }, index) => `${index + 1}: ${name}`);
  const first = select("Picture", names, state.picture, (index) => {
    state.picture = index;
    ui.draw();
  });
  const second = select("Second picture, for mixup", names, state.partner, (index) => {
    state.partner = index;
    ui.draw();
  });
  const recipe = select(
    "What is drawn at random",
    data.recipes.map(({ name }) => name),
    state.recipe,
    (index) => {
      state.recipe = index;
      draw();
    },
  );
  const flip = toggle("Flip left and right", false, change("flip"));
  const border = choice("What comes in", ["reflect", "black"], NEUTRAL.border, change("border"));
  const fill = choice("Cutout with", ["black", "mean color"], NEUTRAL.fill, change("fill"));
  const again = button("Draw at random", "Draw at random", draw, { class: "primary" });
  const reset = button("Reset", "Reset to the picture as it is", () => {
    state.chosen = { ...NEUTRAL };
    state.samples = [];
    ui.draw();
  });
  const judge = (verdict) => () => {
    state[verdict] += 1;
    draw();
  };
  const kept = button("Label kept", "My answer: the label is kept", judge("kept"));
  const lost = button("Label lost", "My answer: the label is lost", judge("lost"));

  // ---- the page ----
  const sheet = html(
    "style",
    {},
    `.screen { display: block; image-rendering: pixelated; border: 1px solid var(--edge); }
    .sliders { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 2px 18px; margin: 10px 0; }
    .sliders .field { gap: 0; }
    .thumbnails { display: flex; flex-wrap: wrap; gap: 6px; }`,
  );
  const screen = () => html("canvas", { role: "img", class: "screen", width: SIDE, height: SIDE });
  const [before, after, other] = range(3).map(screen);
  const figure = (canvas, text) => {
    const caption = html("p", { class: "caption" }, text);
    return { node: html("div", { class: "picture" }, caption, canvas), caption };
  };
  const views = [figure(before, "as it is"), figure(after, "augmented"), figure(other, "mixed in")];
  const thumbnails = range(THUMBNAILS).map(screen);
  const strip = html(
    "div",
    {},
    html("p", { class: "caption", style: "margin-top:10px" }, "Eight fresh draws; the first is shown above"),
    html("div", { class: "thumbnails" }, thumbnails),
  );
  const label = html("p", { class: "total", "aria-live": "polite" });
  const question = html("p", {});
  const tally = html("p", { class: "small" });
  const group = (...keys) => keys.map((key) => bars[key].node);
  ui.body.append(
    sheet,
    html(
      "div",
      { class: "controls" },
      first.node,
      recipe.node,
      html("div", { class: "controls tight", style: "margin:0" }, again, reset),
    ),
    html(
      "div",
      { class: "row" },
      views.map(({ node }) => node),
    ),
    html(
      "div",
      { class: "result" },
      label,
      question,
      html("div", { class: "controls tight", style: "margin:8px 0 4px" }, kept, lost),
      tally,
    ),
    strip,
    html(
      "div",
      { class: "controls", style: "margin:12px 0 0" },
      flip.node,
      border.node,
      fill.node,
      second.node,
    ),
    html("div", { class: "sliders" }, group(...SLIDERS.map(({ key }) => key))),
  );

  function paint(canvas, pixels, size, text) {
    Object.assign(canvas.style, { width: `${size}px`, height: `${size}px` });
    const image = new ImageData(SIDE, SIDE);
    for (let place = 0; place < SIDE * SIDE; place++)
      image.data.set([pixels[3 * place], pixels[3 * place + 1], pixels[3 * place + 2], WHITE], 4 * place);
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", text);
  }
  const parts = (label_) =>
    Object.entries(label_)
      .map(([name, share]) => (share === 1 ? name : `${format(share)} ${name}`))
      .join(" + ");
  function told(chosen) {
    const said = [chosen.flip ? "flipped" : ""];
    for (const { key, label: name, say } of SLIDERS) {
      const without = (key === "row" || key === "column") && !chosen.size;
      if (chosen[key] !== NEUTRAL[key] && !without) said.push(`${name.toLowerCase()} ${say(chosen[key])}`);
    }
    return said.filter(Boolean).join("; ") || "as it is";
  }

  ui.draw = () => {
    const { chosen, picture, partner } = state,
      pixels = augmented(picture, partner, chosen),
      mixed = chosen.share < 1,
      soft = labelOf(picture, partner, chosen.share);
    first.set(picture);
    second.set(partner);
    flip.set(chosen.flip);
    border.set(chosen.border);
    fill.set(chosen.fill);
    for (const { key, label: name, from, to, step, say } of SLIDERS) {
      const text = say(chosen[key]);
      bars[key].set(Math.round((chosen[key] - from) / step), Math.round((to - from) / step), text);
      bars[key].node.firstChild.textContent = `${name}: ${text}`;
    }
    const big =
      clamp(Math.floor((ui.width() - 44) / (mixed ? 3 : 2) / SIDE), 1, Math.max(1, Math.floor(192 / SIDE))) *
      SIDE;
    paint(before, pictures[picture].pixels, big, `The picture as it is: ${pictures[picture].name}`);
    paint(after, pixels, big, `The augmented picture: ${told(chosen)}`);
    paint(other, pictures[partner].pixels, big, `The picture that is mixed in: ${pictures[partner].name}`);
    views[2].node.hidden = !mixed;
    strip.hidden = !state.samples.length;
    state.samples.forEach((sample, index) =>
      paint(
        thumbnails[index],
        augmented(picture, partner, sample),
        SIDE * Math.max(1, Math.floor(64 / SIDE)),
        `Draw ${index + 1}: ${told(sample)}`,
      ),
    );
    label.textContent = `Label in training: ${parts(soft)}`;
    question.textContent = mixed
      ? `Label kept? Can you see ${Object.keys(soft).join(" and ")} in it?`
      : `Label kept? Would you still say "${pictures[picture].name}", knowing nothing else? And for every picture of the class?`;
    const answers = state.kept + state.lost;
    tally.textContent = answers
      ? `Your answers so far: ${state.kept} of ${answers} kept. Each answer draws anew.`
      : "The page does not know the answer: it is a question about the data. Each answer draws anew.";
    ui.publish({
      chosen,
      picture,
      partner,
      label: soft,
      pixels: Array.from(pixels),
      answers: { kept: state.kept, lost: state.lost },
      samples: state.samples.length,
    });
  };
}
