// Plays a rollout back: what the policy saw, step by step, and how far each rule was satisfied. Nothing moves unasked.
"use strict";

const SATISFIED = "satisfied: ";
const STEPS_A_SECOND = 50;
const GOAL = 0.3, HAZARD = 0.2, VASE = 0.1, ROBOT = 0.1; // m

/** A drawing in the units of a world: y upwards, as large as fits. */
class Scene {
  constructor(canvas, left, right, bottom, top) {
    this.pen = canvas.getContext("2d");
    this.style = getComputedStyle(document.documentElement);
    const { width, height } = canvas;
    this.scale = Math.min(width / (right - left), height / (top - bottom)) * 0.94;
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.clearRect(0, 0, width, height);
    this.pen.setTransform(this.scale, 0, 0, -this.scale,
      width / 2 - (this.scale * (left + right)) / 2, height / 2 + (this.scale * (top + bottom)) / 2);
    this.pen.lineCap = this.pen.lineJoin = "round";
  }

  colour(name) {
    return this.style.getPropertyValue(`--${name}`).trim();
  }

  line(points, colour, pixels = 2) {
    this.pen.beginPath();
    points.forEach(([x, y], at) => (at ? this.pen.lineTo(x, y) : this.pen.moveTo(x, y)));
    this.pen.strokeStyle = this.colour(colour);
    this.pen.lineWidth = pixels / this.scale;
    this.pen.stroke();
  }

  disc(x, y, radius, colour, alpha = 1) {
    if (x === null || y === null || x === undefined) return;
    this.pen.globalAlpha = alpha;
    this.pen.beginPath();
    this.pen.arc(x, y, radius, 0, 2 * Math.PI);
    this.pen.fillStyle = this.colour(colour);
    this.pen.fill();
    this.pen.globalAlpha = 1;
  }

  box(x, y, width, height, colour) {
    this.pen.fillStyle = this.colour(colour);
    this.pen.fillRect(x - width / 2, y - height / 2, width, height);
  }
}

function cartPole(canvas, { position, angle }, at) {
  const scene = new Scene(canvas, -2.8, 2.8, -0.4, 1.4);
  const [x, lean] = [position[at], angle[at]];
  scene.line([[-2.8, -0.1], [2.8, -0.1]], "strong-line");
  for (const end of [-2.4, 2.4]) scene.line([[end, -0.2], [end, 0.1]], "bad", 3);
  for (const edge of [-0.2095, 0.2095]) scene.line([[x, 0], [x + 1.15 * Math.sin(edge), 1.15 * Math.cos(edge)]], "line", 1.5);
  scene.box(x, 0, 0.5, 0.2, "accent");
  scene.line([[x, 0], [x + Math.sin(lean), Math.cos(lean)]], "series-2", 7);
}

function mountainCar(canvas, { position }, at) {
  const scene = new Scene(canvas, -1.3, 0.7, -0.1, 1.2);
  const height = (x) => 0.45 * Math.sin(3 * x) + 0.55;
  const slope = Array.from({ length: 121 }, (_, n) => -1.2 + (1.8 * n) / 120);
  scene.line(slope.map((x) => [x, height(x)]), "strong-line");
  scene.line([[0.5, height(0.5)], [0.5, height(0.5) + 0.15]], "good", 3);
  scene.disc(position[at], height(position[at]) + 0.04, 0.04, "series-1");
}

function pendulum(canvas, lines, at) {
  const scene = new Scene(canvas, -1.3, 1.3, -1.3, 1.3);
  scene.line([[0, 0], [-lines.aside[at], lines.up[at]]], "series-2", 9);
  scene.disc(0, 0, 0.05, "ink");
}

function acrobot(canvas, lines, at) {
  const scene = new Scene(canvas, -2.2, 2.2, -2.2, 2.2);
  const first = Math.atan2(lines.aside[at], lines.up[at]);
  const second = first + Math.atan2(lines["bent aside"][at], lines["bent up"][at]);
  const elbow = [Math.sin(first), -Math.cos(first)];
  scene.line([[-2.2, 1], [2.2, 1]], "good", 1.5);
  scene.line([[0, 0], elbow, [elbow[0] + Math.sin(second), elbow[1] - Math.cos(second)]], "series-2", 7);
}

function navigation(canvas, lines, at) {
  const known = (name) => lines[name].filter((value) => value !== null);
  const xs = ["x", "goal x", "hazard x", "vase x"].flatMap(known), ys = ["y", "goal y", "hazard y", "vase y"].flatMap(known);
  const scene = new Scene(canvas, Math.min(...xs) - 0.5, Math.max(...xs) + 0.5, Math.min(...ys) - 0.5, Math.max(...ys) + 0.5);
  for (let step = 0; step <= at; step += 5) scene.disc(lines["hazard x"][step], lines["hazard y"][step], HAZARD, "series-2", 0.02);
  scene.disc(lines["goal x"][at], lines["goal y"][at], GOAL, "series-3", 0.5);
  scene.disc(lines["hazard x"][at], lines["hazard y"][at], HAZARD, "series-2", 0.7);
  scene.disc(lines["vase x"][at], lines["vase y"][at], VASE, "series-1", 0.7);
  for (let step = 1; step <= at; step += 1) {
    const costs = lines.cost[step] > lines.cost[step - 1];
    scene.line([[lines.x[step - 1], lines.y[step - 1]], [lines.x[step], lines.y[step]]], costs ? "bad" : "ink", costs ? 4 : 1.5);
  }
  const [x, y, heading] = [lines.x[at], lines.y[at], lines.heading[at]];
  scene.disc(x, y, ROBOT, "ink");
  scene.line([[x, y], [x + 0.25 * Math.cos(heading), y + 0.25 * Math.sin(heading)]], "ink", 3);
}

/** Which drawing a rollout has, by its lines. */
function drawingOf(lines) {
  if (lines.heading) return navigation;
  if (lines.position) return lines.angle ? cartPole : mountainCar;
  if (lines["bent up"]) return acrobot;
  return lines.up ? pendulum : null;
}

function play(box) {
  const { steps, lines } = JSON.parse(box.dataset.rollout);
  const [canvas, button, slider, told, list] =
    ["canvas", "[data-play]", "[data-step]", "[data-told]", "[data-rules]"].map((name) => box.querySelector(name));
  const draw = drawingOf(lines);
  if (!draw) canvas.hidden = true;
  const rules = Object.keys(lines).filter((name) => name.startsWith(SATISFIED)).map((name) => {
    const item = document.createElement("li"), meter = document.createElement("meter"), word = document.createElement("span");
    meter.max = 1;
    meter.setAttribute("aria-label", name.slice(SATISFIED.length));
    item.append(meter, name.slice(SATISFIED.length), word);
    list.append(item);
    return { values: lines[name], meter, word };
  });
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const stride = steps.length > 1 ? steps[1] - steps[0] : 1;
  let at = 0, since = null;

  function show(next) {
    at = Math.min(next, steps.length - 1);
    slider.value = at;
    slider.setAttribute("aria-valuetext", `step ${steps[at]}`);
    told.textContent = `step ${steps[at]} of ${steps[steps.length - 1]}, return ${lines.reward[at]}, cost ${lines.cost[at]}`;
    for (const { values, meter, word } of rules) {
      meter.value = values[at] ?? 0;
      const broken = values[at] !== null && values[at] <= 0;
      word.textContent = values[at] === null ? "not measured" : broken ? "broken" : `satisfied ${Math.round(values[at] * 100)} %`;
      word.className = broken ? "broken" : "quiet";
    }
    if (draw) draw(canvas, lines, at);
  }

  function label() {
    const playing = since !== null;
    button.textContent = still.matches ? "Next step" : playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(playing));
  }

  function frame(now) {
    if (since === null) return;
    const due = since.step + Math.floor(((now - since.time) / 1000) * (STEPS_A_SECOND / stride));
    if (due !== at) show(due);
    if (at >= steps.length - 1) since = null;
    else requestAnimationFrame(frame);
    if (since === null) label();
  }

  button.addEventListener("click", () => {
    if (still.matches) return show(at >= steps.length - 1 ? 0 : at + 1);
    since = since === null ? { step: at >= steps.length - 1 ? 0 : at, time: performance.now() } : null;
    label();
    return since && requestAnimationFrame(frame);
  });
  slider.addEventListener("input", () => {
    since = null;
    label();
    show(Number(slider.value));
  });
  still.addEventListener("change", () => {
    since = null;
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(at));
  slider.max = steps.length - 1;
  label();
  show(0);
}

document.querySelectorAll("[data-rollout]").forEach(play);
