// The page at /: a gallery, a way between two latents, one latent, a reconstruction. No library, no build step.
"use strict";

// ---- Latents: philox4x64-10/box-muller/float32, as the server makes them ---------------------------------------
// Philox4x64-10 (Salmon et al. 2011, section 3.3) keyed by [seed, 0], at the counter [block, index, 0, 0], least
// significant word first; 53-bit uniforms; Box and Muller (1958) in float64; rounded to float32. The words are exact.
// Math.log1p, cos and sin may differ in the last bit from another machine's, so that a component may be the next
// float32.

const WORD = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

function philox(counter, key) {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round += 1) {
    const a = MULTIPLIERS[0] * x0;
    const b = MULTIPLIERS[1] * x2;
    [x0, x1, x2, x3] = [(b >> 64n) ^ x1 ^ k0, b & WORD, (a >> 64n) ^ x3 ^ k1, a & WORD];
    k0 = (k0 + WEYL[0]) & WORD;
    k1 = (k1 + WEYL[1]) & WORD;
  }
  return [x0, x1, x2, x3];
}

function words(seed, index, count) {
  const found = [];
  for (let block = 0n; found.length < count; block += 1n) {
    found.push(...philox([block, BigInt(index), 0n, 0n], [BigInt(seed), 0n]));
  }
  return found.slice(0, count);
}

function latent(seed, index, size) {
  const uniform = words(seed, index, 2 * Math.ceil(size / 2)).map((word) => Number(word >> 11n) * 2 ** -53);
  const values = [];
  for (let i = 0; i < uniform.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log1p(-uniform[i]));
    const angle = 2 * Math.PI * uniform[i + 1];
    values.push(Math.fround(radius * Math.cos(angle)), Math.fround(radius * Math.sin(angle)));
  }
  return values.slice(0, size);
}

globalThis.ganvas = Object.freeze({ words, latent });

// ---- Small things --------------------------------------------------------------------------------------------

const LARGEST_SEED = WORD;
const FRAMES = 25;
const GALLERY = 16;
const POINTS = 256;
const NEIGHBOURS = 12;
const LATENCIES = 15;
const VERDICTS = {
  passed: ["good", "✓ passed the gate"],
  failed: ["bad", "✗ failed the gate"],
  missing: ["warn", "! not judged"],
};

// Where a canary answers a share of the requests, one visit sees one side of it.
const VISIT = { "ganvas-sticky": String(Math.random()).slice(2) };

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const randomSeed = () => BigInt(Math.floor(Math.random() * 1000));

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The array of an .npy file, little-endian float32 or uint8, in C order: { shape, values }.
function readNpy(buffer) {
  const view = new DataView(buffer);
  const long = view.getUint8(6) >= 2;
  const start = long ? 12 : 10;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const head = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
  const shape = head.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((part) => part.trim()).map(Number);
  const content = buffer.slice(start + length);
  return { shape, values: head.includes("f4") ? new Float32Array(content) : new Uint8Array(content) };
}

// A grid of pictures as the server lays it out, near square: draws number `index` on a canvas.
function drawCell(canvas, grid, index, width, height) {
  const columns = Math.round(grid.width / width);
  canvas.width = width;
  canvas.height = height;
  const [x, y] = [(index % columns) * width, Math.floor(index / columns) * height];
  canvas.getContext("2d").drawImage(grid, x, y, width, height, 0, 0, width, height);
}

// ---- A model -------------------------------------------------------------------------------------------------

class Model {
  constructor(section) {
    this.section = section;
    this.facts = JSON.parse(section.dataset.model);
    this.pictures = this.facts.kind === "image";
    [this.height, this.width] = this.pictures ? this.facts.shape.slice(1) : [0, 0];
    this.versionText = this.part("version").textContent;
    this.seed = 0n;
    this.times = [];
    this.running = new Map();
    this.ends = [{ seed: 0n, index: 0 }, { seed: 1n, index: 0 }];
    this.strip = null;
    this.chosen = null;
    this.listen();
    this.showGallery();
    this.showWalk();
  }

  part(name) {
    return this.section.querySelector(`[data-part="${name}"]`);
  }

  on(name, event, action) {
    this.part(name)?.addEventListener(event, action);
  }

  listen() {
    this.on("another", "click", () => this.setSeed(randomSeed()));
    this.on("previous", "click", () => this.moveSeed(-1n));
    this.on("next", "click", () => this.moveSeed(1n));
    this.on("slider", "input", (event) => this.setSeed(BigInt(event.target.value)));
    this.on("seed", "input", (event) => {
      const text = event.target.value.trim();
      const sound = /^[0-9]{1,20}$/.test(text) && BigInt(text) <= LARGEST_SEED;
      event.target.setAttribute("aria-invalid", String(!sound));
      if (sound) this.setSeed(BigInt(text), false);
    });
    this.on("truncation", "input", () => {
      this.part("psi").value = this.truncation.toFixed(2);
      this.showGallery();
    });
    this.on("classes", "change", () => {
      this.showGallery();
      this.showWalk();
      if (this.chosen) this.showNeighbours();
      if (this.file) this.reconstruct(this.file);
    });
    this.on("position", "input", () => this.showFrame());
    this.on("path", "change", () => this.showWalk());
    this.on("ends", "click", () => {
      this.ends = [{ seed: randomSeed(), index: 0 }, { seed: randomSeed(), index: 1 }];
      this.showWalk();
    });
    this.on("play", "click", () => this.play());
    this.on("as-start", "click", () => this.setEnd(0, this.chosen.latent));
    this.on("as-end", "click", () => this.setEnd(1, this.chosen.latent));
    this.on("encoded-start", "click", () => this.setEnd(0, this.encoded));
    this.on("encoded-end", "click", () => this.setEnd(1, this.encoded));
    this.on("radius", "input", () => {
      this.part("radius-shown").value = Number(this.part("radius").value).toFixed(2);
      this.showNeighbours();
    });
    this.on("file", "change", (event) => event.target.files[0] && this.reconstruct(event.target.files[0]));
    const drop = this.part("drop");
    for (const name of ["dragover", "dragenter"]) {
      drop?.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    drop?.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop?.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files[0]) this.reconstruct(event.dataTransfer.files[0]);
    });
  }

  get truncation() {
    return Number(this.part("truncation").value);
  }

  // The class by its name, which wins over a number; empty for all of them in turn.
  get label() {
    const number = this.section.querySelector('[data-part="classes"] input:checked')?.value ?? "";
    return number === "" ? "" : this.facts.classes[Number(number)];
  }

  moveSeed(step) {
    this.setSeed((this.seed + step + LARGEST_SEED + 1n) & LARGEST_SEED);
  }

  setSeed(seed, write = true) {
    this.seed = seed;
    if (write) {
      this.part("seed").value = seed;
      this.part("seed").setAttribute("aria-invalid", "false");
    }
    this.part("slider").value = seed <= 999n ? Number(seed) : 999;
    this.showGallery();
  }

  // Asks, and gives up what it asked for the same purpose before, also what is being read of it: the last one wins.
  // Null if it was given up itself.
  async ask(purpose, path, parameters, options = {}, read = (content) => content) {
    this.running.get(purpose)?.abort();
    const control = new AbortController();
    this.running.set(purpose, control);
    const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
    const started = performance.now();
    try {
      const headers = { ...VISIT, ...options.headers };
      const address = `${this.facts.url}/${path}?${query}`;
      const answer = await fetch(address, { ...options, headers, signal: control.signal });
      if (!answer.ok) throw new Error((await answer.json()).error);
      const content = await answer.arrayBuffer();
      const milliseconds = performance.now() - started;
      const found = await read(content);
      if (control.signal.aborted) return null;
      this.measure(milliseconds);
      this.nameVersion(answer.headers);
      return found;
    } catch (error) {
      if (control.signal.aborted) return null;
      throw error;
    }
  }

  post(document) {
    return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(document) };
  }

  say(name, text, wrong = false) {
    const place = this.part(name);
    place.textContent = text;
    place.classList.toggle("wrong", wrong);
  }

  measure(milliseconds) {
    this.times = [...this.times, milliseconds].slice(-LATENCIES);
    const answers = this.times.length === 1 ? "answer" : "answers";
    const shown = median(this.times);
    const text = `${shown.toFixed(shown < 10 ? 1 : 0)} ms, median of ${this.times.length} ${answers}`;
    this.part("latency").textContent = text;
  }

  nameVersion(headers) {
    const version = headers.get("ganvas-model-version");
    const other = version === this.facts.version ? "" : `, now version ${version}`;
    this.part("version").textContent = this.versionText + other;
    const [kind, text] = VERDICTS[headers.get("ganvas-model-verdict")] ?? VERDICTS.missing;
    Object.assign(this.part("verdict"), { className: `mark ${kind}`, textContent: text });
  }

  picture(content) {
    return createImageBitmap(new Blob([content], { type: "image/png" }));
  }

  samples(content) {
    return this.pictures ? this.picture(content) : readNpy(content);
  }

  // -- Gallery

  async showGallery() {
    const count = Math.min(this.facts.maxImages, this.pictures ? GALLERY : POINTS);
    const { seed, truncation } = this;
    const parameters = { n: count, seed, label: this.label };
    if (truncation < 1) parameters.truncation = truncation;
    const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
    this.part("array").href = `${this.facts.url}/images?${query}&format=npy`;
    this.part("picture").href = `${this.facts.url}/images?${query}${this.pictures ? "" : "&format=npy"}`;
    this.part("picture").hidden = !this.pictures;
    const cells = this.part("cells");
    cells.classList.add("busy");
    try {
      const named = { ...parameters, format: this.pictures ? "png" : "npy" };
      const samples = await this.ask("gallery", "images", named, {}, (content) => this.samples(content));
      if (samples === null) return;
      if (this.pictures) this.drawGallery({ grid: samples, seed, truncation }, count);
      else this.drawScatter(samples);
      const more = this.pictures ? "" : " The line is the way between the two latents.";
      this.say("status", `Seed ${seed}${this.className()}, numbers 0 to ${count - 1}.${more}`);
      this.section.dataset.shown = query;
    } catch (error) {
      this.say("status", error.message, true);
    }
    cells.classList.remove("busy");
  }

  className() {
    return this.label === "" ? "" : `, class ${this.label}`;
  }

  drawGallery(shown, count) {
    const cells = this.part("cells");
    if (cells.querySelectorAll("button").length !== count) {
      cells.replaceChildren(
        ...Array.from({ length: count }, (_, index) => {
          const button = element("button", { type: "button" }, [element("canvas")]);
          button.setAttribute("aria-pressed", "false");
          button.setAttribute("aria-label", `Sample ${index}: show its latent`);
          button.addEventListener("click", () => this.choose(index));
          return button;
        }),
      );
    }
    cells.querySelectorAll("canvas").forEach((canvas, index) => {
      drawCell(canvas, shown.grid, index, this.width, this.height);
    });
    this.shown = shown;
    cells.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", "false"));
  }

  drawScatter(points) {
    this.points = points ?? this.points;
    if (!this.points) return;
    const cells = this.part("cells");
    let canvas = cells.querySelector("canvas");
    if (!canvas) {
      canvas = element("canvas", { className: "scatter", width: 1000, height: 800 });
      canvas.setAttribute("role", "img");
      cells.replaceChildren(canvas);
    }
    const { shape: [count, dimensions], values } = this.points;
    canvas.setAttribute("aria-label", `${count} samples: dimension ${dimensions > 1 ? "1 over dimension 0" : "0"}`);
    const place = (row, axis, array = values) => (axis < dimensions ? array[row * dimensions + axis] : 0);
    let extent = 0.5;
    for (let row = 0; row < count; row += 1) extent = Math.max(extent, Math.abs(place(row, 0)), Math.abs(place(row, 1)));
    extent = Math.ceil(extent * 2) / 2;
    const [middleX, middleY, unit] = [canvas.width / 2, canvas.height / 2, (canvas.height / 2 - 36) / extent];
    const at = (x, y) => [middleX + x * unit, middleY - y * unit];
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = colour("--line");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(0, middleY);
    pen.lineTo(canvas.width, middleY);
    pen.moveTo(middleX, 0);
    pen.lineTo(middleX, canvas.height);
    pen.stroke();
    pen.fillStyle = colour("--soft");
    const size = (13 * canvas.width) / (canvas.clientWidth || canvas.width); // 13 pixels as shown
    pen.font = `${size}px sans-serif`;
    for (const tick of [-extent, extent]) {
      pen.fillText(String(tick), at(tick, 0)[0] - size / 2, middleY + 1.3 * size);
      pen.fillText(String(tick), middleX + size / 2, at(0, tick)[1] + size / 3);
    }
    pen.fillStyle = colour("--accent");
    pen.globalAlpha = 0.65;
    for (let row = 0; row < count; row += 1) {
      pen.beginPath();
      pen.arc(...at(place(row, 0), place(row, 1)), 6, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (!this.track) return;
    pen.strokeStyle = pen.fillStyle = colour("--bad");
    pen.lineWidth = 4;
    pen.beginPath();
    for (let row = 0; row < this.track.shape[0]; row += 1) {
      pen.lineTo(...at(place(row, 0, this.track.values), place(row, 1, this.track.values)));
    }
    pen.stroke();
    const row = Number(this.part("position").value);
    pen.beginPath();
    pen.arc(...at(place(row, 0, this.track.values), place(row, 1, this.track.values)), 13, 0, 2 * Math.PI);
    pen.fill();
  }

  // -- Between two latents

  get frames() {
    return Math.min(FRAMES, this.facts.maxImages);
  }

  latentOf(end) {
    return end.latent ?? latent(end.seed, end.index, this.facts.latentSize);
  }

  setEnd(which, latent) {
    this.ends[which] = { latent };
    this.showWalk();
  }

  async showWalk() {
    const [from, to] = this.ends;
    const parameters = { steps: this.frames, path: this.part("path").value, label: this.label };
    parameters.format = this.pictures ? "png" : "npy";
    const bySeed = !from.latent && !to.latent;
    const named = bySeed
      ? { from: from.seed, to: to.seed, from_index: from.index, to_index: to.index, ...parameters }
      : parameters;
    const options = bySeed ? {} : this.post({ from: this.latentOf(from), to: this.latentOf(to) });
    try {
      const walk = await this.ask("walk", "interpolate", named, options, (content) => this.samples(content));
      if (walk === null) return;
      const position = this.part("position");
      if (Number(position.max) !== this.frames - 1) {
        position.max = this.frames - 1;
        position.value = Math.floor(this.frames / 2);
      }
      if (this.pictures) this.drawStrip(walk);
      else this.track = walk;
      this.showFrame();
      const name = (end) => (end.latent ? "a chosen latent" : `number ${end.index} of seed ${end.seed}`);
      this.say("walk-status", `From ${name(from)} to ${name(to)}${this.className()}. Drag, or use the arrow keys.`);
    } catch (error) {
      this.say("walk-status", error.message, true);
    }
  }

  drawStrip(grid) {
    this.strip = grid;
    const shown = Array.from({ length: this.frames }, (_, index) => {
      const canvas = element("canvas");
      drawCell(canvas, grid, index, this.width, this.height);
      return canvas;
    });
    this.part("strip").replaceChildren(...shown);
    drawCell(this.part("start"), grid, 0, this.width, this.height);
    drawCell(this.part("end"), grid, this.frames - 1, this.width, this.height);
  }

  showFrame() {
    const index = Number(this.part("position").value);
    this.part("position").setAttribute("aria-valuetext", `frame ${index + 1} of ${this.frames}`);
    if (!this.pictures) {
      this.drawScatter();
      return;
    }
    if (!this.strip) return;
    drawCell(this.part("frame"), this.strip, index, this.width, this.height);
    this.part("strip").querySelectorAll("canvas").forEach((canvas, number) => {
      canvas.classList.toggle("here", number === index);
    });
  }

  play() {
    const button = this.part("play");
    const playing = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!playing));
    button.textContent = playing ? "Play" : "Stop";
    clearInterval(this.clock);
    if (playing) return;
    let step = 1;
    this.clock = setInterval(() => {
      const position = this.part("position");
      if (Number(position.value) + step < 0 || Number(position.value) + step > this.frames - 1) step = -step;
      position.value = Number(position.value) + step;
      this.showFrame();
    }, 90);
  }

  // -- One latent

  // Of the pictures that are shown: others may be on their way.
  choose(index) {
    const { grid, seed, truncation } = this.shown;
    this.part("cells").querySelectorAll("button").forEach((button, number) => {
      button.setAttribute("aria-pressed", String(number === index));
    });
    const values = latent(seed, index, this.facts.latentSize).map((value) => Math.fround(value * truncation));
    const classes = this.facts.classes.length;
    this.chosen = { index, seed, latent: values, label: classes ? this.facts.classes[index % classes] : "" };
    this.part("chosen-body").hidden = false;
    drawCell(this.part("chosen-picture"), grid, index, this.width, this.height);
    const norm = Math.hypot(...values);
    const expected = Math.sqrt(values.length);
    this.say(
      "chosen-status",
      `Number ${index} of seed ${seed}: norm ${norm.toFixed(2)}; the prior's is near ${expected.toFixed(2)}.`,
    );
    this.part("numbers").textContent = values.map((value) => value.toFixed(4)).join("  ");
    this.drawBars();
    this.showNeighbours();
  }

  drawBars() {
    const canvas = this.part("bars");
    const { latent: values } = this.chosen;
    const pen = canvas.getContext("2d");
    const middle = canvas.height / 2;
    const step = canvas.width / values.length;
    const extent = Math.max(3, ...values.map(Math.abs));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = colour("--line");
    pen.fillRect(0, middle - 0.5, canvas.width, 1);
    pen.fillStyle = colour("--accent");
    values.forEach((value, index) => {
      const height = (value / extent) * (middle - 6);
      pen.fillRect(index * step + step * 0.12, Math.min(middle, middle - height), step * 0.76, Math.abs(height));
    });
  }

  async showNeighbours() {
    const near = this.part("near");
    const { seed, index, latent: values, label } = this.chosen;
    const count = Math.min(NEIGHBOURS, this.facts.maxImages);
    const parameters = { n: count, radius: Number(this.part("radius").value), label: this.label || label };
    // A seed beyond 2^53 is no JavaScript number: the digits are put into the JSON as they are.
    const body = `{"latent":${JSON.stringify(values)},"seed":${seed},"index":${index}}`;
    try {
      const options = { ...this.post({}), body };
      const grid = await this.ask("near", "neighbours", parameters, options, (content) => this.picture(content));
      if (grid === null) return;
      near.replaceChildren(
        ...Array.from({ length: count }, (_, number) => {
          const canvas = element("canvas");
          drawCell(canvas, grid, number, this.width, this.height);
          return canvas;
        }),
      );
    } catch (error) {
      this.say("chosen-status", error.message, true);
    }
  }

  // -- A picture of one's own

  async reconstruct(file) {
    this.file = file;
    this.running.get("encode")?.abort(); // of the picture before
    const options = { method: "POST", headers: { "content-type": "application/octet-stream" }, body: file };
    this.say("reconstruct-status", `${file.name} …`);
    try {
      const named = { layout: "pair", label: this.label };
      const pair = await this.ask("reconstruct", "reconstruct", named, options, (content) => this.picture(content));
      if (pair === null) return;
      drawCell(this.part("original"), pair, 0, this.width, this.height);
      drawCell(this.part("reconstruction"), pair, 1, this.width, this.height);
      this.part("pair").hidden = false;
      const encoded = await this.ask("encode", "encode", {}, options);
      if (encoded === null) return;
      this.encoded = JSON.parse(new TextDecoder().decode(encoded)).mean;
      this.part("encoded-row").hidden = false;
      this.say("reconstruct-status", `${file.name}, kept in ${this.encoded.length} numbers.`);
    } catch (error) {
      this.say("reconstruct-status", error.message, true);
    }
  }

  recolour() {
    if (!this.pictures) this.drawScatter();
    if (this.chosen) this.drawBars();
  }
}

// ---- The page ------------------------------------------------------------------------------------------------

document.documentElement.classList.add("live");
const models = [...document.querySelectorAll("[data-model]")].map((section) => new Model(section));
let active = models[0];
for (const model of models) {
  for (const event of ["focusin", "pointerdown"]) model.section.addEventListener(event, () => { active = model; });
}
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1n, ArrowRight: 1n }[event.key];
  const typing = event.target.closest("input, select, textarea, pre, summary");
  if (!active || step === undefined || typing || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  active.moveSeed(step);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => models.forEach((model) => model.recolour()));
