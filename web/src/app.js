// The page: three views (start, scan, gallery) around the camera and the worker that watches it.

import facts from "../generated/models.json" with { type: "json" };
import { Feedback } from "./feedback.js";
import { makePdf } from "./pdf.js";
import { allSpreads, deleteAllSpreads, deleteSpread, saveSpread } from "./store.js";

const TITLE = "Scanned book";
const WARNING_SHOWN_S = 2.5;
const CURVE_S = 12;
const CAMERA = { facingMode: "environment", width: { ideal: 2560 }, height: { ideal: 1440 }, frameRate: { ideal: 30 } };

/** Headline, advice, and the outline of the sign for each state. */
const STATES = {
  wait: ["Hold still", "Hands off the pages", "M7 11V6a1.5 1.5 0 0 1 3 0v5-7a1.5 1.5 0 0 1 3 0v7-5a1.5 1.5 0 0 1 3 0v8c0 4-2 7-6 7s-6-3-7-6l-1-3c0-2 2-2 3-1z"],
  captured: ["Turn the page", "This spread is captured", "m4 12.5 5.5 5.5L20 7"],
  turning: ["Turning …", "", "M4 12a8 8 0 0 1 14-5l2 2m0-5v5h-5M20 12a8 8 0 0 1-14 5l-2-2m0 5v-5h5"],
  retake: ["Find the spread", "Then press Take picture", "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7"],
  hands: ["Hands on the page", "Move them away", "M12 3 2 21h20zM12 10v5m0 3v.1"],
  blurred: ["Blurred", "Hold still, or move back a little", "M12 3 2 21h20zM12 10v5m0 3v.1"],
  lost: ["No book in the picture", "Move the book or the camera", "M12 3 2 21h20zM12 10v5m0 3v.1"],
};
const WARNINGS = ["hands", "blurred", "lost"];

const element = (id) => document.getElementById(id);
const plural = (count) => `${count} ${count === 1 ? "spread" : "spreads"}`;

const feedback = new Feedback();
const scan = { running: false, frames: 0, turns: 0, rate: 0 };
let spreads = [];
let stream = null;
let wakeLock = null;
let retaken = null; // the spread that the next picture replaces
let keepNext = false; // the button was pressed
let byHand = false; // the spread in view was captured by the button
let isCaptured = false;
let warning = { kind: "", until: 0 };
let turnCue = 0;
let curve = [];

// The worker answers each request.

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let requests = 0;

function ask(task, values = {}, transfer = []) {
  requests += 1;
  worker.postMessage({ id: requests, task, ...values }, transfer);
  return new Promise((resolve, reject) => waiting.set(requests, { resolve, reject }));
}

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = (event) => fail(`the program could not be loaded (${event.message}); reload the page`);

// Views

function show(view) {
  for (const each of document.querySelectorAll(".view")) each.hidden = each.id !== view;
  element(view).querySelector("h1").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function fail(message) {
  stop();
  show("start");
  element("error").textContent = message[0].toUpperCase() + message.slice(1);
  if (feedback.speaks) feedback.say(message);
}

/** Words for the ear: spoken, or, with speech off, read by a screen reader. */
function tell(signal, words) {
  feedback.give(signal, words);
  if (!feedback.speaks) element("said").textContent = words;
}

function showState(name) {
  const state = element("state");
  if (state.dataset.name === name) return;
  const [headline, advice, sign] = STATES[name];
  state.dataset.name = name;
  state.dataset.state = WARNINGS.includes(name) ? "warning" : name === "retake" ? "wait" : name;
  element("headline").textContent = headline;
  element("advice").textContent = advice;
  element("sign").setAttribute("d", sign);
}

// Scanning

async function begin(spread = null) {
  feedback.unlock();
  element("error").textContent = "";
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: CAMERA, audio: false });
  } catch (error) {
    return fail(cameraProblem(error));
  }
  const video = element("video");
  video.srcObject = stream;
  stream.getVideoTracks()[0].onended = () => fail("the camera stopped; start again");
  await video.play();
  await ask("start");
  Object.assign(scan, { running: true, frames: 0, turns: 0, rate: 0 });
  [retaken, keepNext, byHand, isCaptured, curve] = [spread, false, false, false, []];
  show("scan");
  showState(spread ? "retake" : "wait");
  showCount();
  const place = spreads.indexOf(spread) + 1;
  tell("turn", spread ? `Open spread ${place}, then press Take picture.` : "Scanning. Hold still.");
  keepAwake();
  navigator.storage?.persist?.();
  watch(video);
}

function cameraProblem(error) {
  if (!navigator.mediaDevices) return "the camera needs a secure page; open it by https, or on localhost";
  const reasons = {
    NotAllowedError: "the camera may not be used; allow it in the settings of this site, and start again",
    NotFoundError: "no camera was found; connect one, and start again",
    NotReadableError: "another program uses the camera; close it, and start again",
  };
  return reasons[error.name] ?? `the camera could not be started (${error.message}); start again`;
}

async function keepAwake() {
  wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
}

function stop() {
  scan.running = false;
  clearTimeout(turnCue);
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  wakeLock?.release();
  wakeLock = null;
}

/** One frame after the other, as fast as they are scored. */
async function watch(video) {
  const next = () => new Promise((resolve) => (video.requestVideoFrameCallback ?? requestAnimationFrame).call(video.requestVideoFrameCallback ? video : self, resolve));
  const started = performance.now();
  try {
    while (scan.running) {
      await next();
      const time = performance.now() / 1000;
      const bitmap = await createImageBitmap(video);
      const keep = keepNext;
      keepNext = false;
      const seen = await ask("frame", { time, bitmap, keep }, [bitmap]);
      if (!scan.running) return;
      scan.frames += 1;
      scan.rate = (1000 * scan.frames) / (performance.now() - started);
      await take(seen, time, keep);
    }
  } catch (error) {
    fail(error.message);
  }
}

async function take(seen, time, keep) {
  const replaces = isCaptured || byHand;
  isCaptured = seen.isCaptured;
  if (retaken) {
    if (keep) await retake(seen.picture);
    return;
  }
  for (const { kind } of seen.events) {
    if (kind === "turn") turned();
    else if (kind === "capture") await captured(seen.picture, byHand);
    else if (kind === "replace") await captured(seen.picture, true);
    else warn(kind, time);
  }
  if (keep) {
    await captured(seen.picture, replaces);
    byHand = true;
  }
  if (seen.isTurning) clearTimeout(turnCue);
  const state = seen.isTurning ? "turning" : isCaptured || byHand ? "captured" : "wait";
  showState(time < warning.until ? warning.kind : state);
  element("numbers").textContent = `${scan.turns} turned · ${scan.rate.toFixed(0)} frames a second`;
  curve.push([time, seen.frame.probability]);
  drawCurve(time);
}

function turned() {
  scan.turns += 1;
  byHand = false;
  clearTimeout(turnCue);
}

/** Keeps a picture, in the place of the last one if that shows the same spread. */
async function captured(picture, replaces) {
  if (replaces && spreads.length) {
    const last = Object.assign(spreads.at(-1), picture);
    await saveSpread(last);
    return showCount();
  }
  const spread = { ...picture };
  spread.id = await saveSpread(spread);
  spreads.push(spread);
  showCount();
  flash();
  tell("captured", `Spread ${spreads.length}.`);
  clearTimeout(turnCue);
  // By then a better picture would have come.
  turnCue = setTimeout(() => tell("turn", "Turn the page."), 1000 * facts.capture.settled_s);
}

async function retake(picture) {
  await saveSpread(Object.assign(retaken, picture));
  const place = spreads.indexOf(retaken) + 1;
  flash();
  tell("captured", `Spread ${place} taken again.`);
  stop();
  showGallery();
}

function warn(kind, time) {
  warning = { kind, until: time + WARNING_SHOWN_S };
  clearTimeout(turnCue);
  const [headline, advice] = STATES[kind];
  tell("warning", `${headline}. ${advice}.`);
}

function flash() {
  const { classList } = element("flash");
  classList.remove("on");
  void element("flash").offsetWidth; // starts the animation again
  classList.add("on");
}

function showCount() {
  element("count").textContent = spreads.length;
  element("last").setAttribute("aria-label", `${plural(spreads.length)}; stop and show them`);
  const picture = element("last-picture");
  picture.hidden = !spreads.length;
  if (spreads.length) setPicture(picture, spreads.at(-1).blob);
}

function setPicture(image, blob) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
}

/** Probabilities of a turn over the last seconds. */
function drawCurve(now) {
  const canvas = element("curve");
  const context = canvas.getContext("2d");
  curve = curve.filter(([time]) => time > now - CURVE_S);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.beginPath();
  for (const [time, probability] of curve) {
    context.lineTo(canvas.width * (1 - (now - time) / CURVE_S), (canvas.height - 4) * (1 - probability) + 2);
  }
  context.strokeStyle = "#ffc24b";
  context.lineWidth = 2.5;
  context.lineJoin = "round";
  context.stroke();
}

// Gallery

function showGallery() {
  stop();
  show("gallery");
  listSpreads();
}

function listSpreads() {
  element("title").textContent = plural(spreads.length);
  element("empty").hidden = spreads.length > 0;
  for (const id of ["save", "share", "clear"]) element(id).hidden = !spreads.length;
  element("share").hidden ||= !navigator.canShare?.({ files: [new File([], "book.pdf", { type: "application/pdf" })] });
  for (const image of element("spreads").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  element("spreads").replaceChildren(...spreads.map(card));
}

function card(spread, place) {
  const item = document.createElement("li");
  const image = document.createElement("img");
  image.alt = `Spread ${place + 1}`;
  [image.width, image.height] = [spread.width, spread.height];
  setPicture(image, spread.blob);
  const heading = document.createElement("h2");
  heading.textContent = `Spread ${place + 1}`;
  const row = document.createElement("div");
  row.className = "row";
  for (const [label, action] of [["Retake", () => begin(spread)], ["Delete", () => remove(spread)]]) {
    const button = document.createElement("button");
    button.textContent = label;
    button.setAttribute("aria-label", `${label} spread ${place + 1}`);
    button.onclick = action;
    row.append(button);
  }
  item.append(image, heading, row);
  return item;
}

let removed = null;

async function remove(spread) {
  const place = spreads.indexOf(spread);
  await deleteSpread(spread.id);
  spreads.splice(place, 1);
  removed = { spread, place };
  listSpreads();
  element("undo-text").textContent = element("said").textContent = `Spread ${place + 1} deleted`;
  element("undo").hidden = false;
  const buttons = element("spreads").querySelectorAll("button");
  (buttons[Math.min(2 * place + 1, buttons.length - 1)] ?? element("undo-button")).focus();
}

async function undo() {
  await saveSpread(removed.spread);
  spreads.splice(removed.place, 0, removed.spread);
  element("undo").hidden = true;
  element("said").textContent = `Spread ${removed.place + 1} is back`;
  listSpreads();
  element("title").focus();
}

async function clear() {
  await deleteAllSpreads();
  spreads = [];
  element("undo").hidden = true;
  showStart();
}

const pdfFile = () => new File([makePdf(spreads, TITLE)], "book.pdf", { type: "application/pdf" });

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(pdfFile());
  link.download = "book.pdf";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  element("said").textContent = `PDF of ${plural(spreads.length)} saved`;
}

// Start

function showStart() {
  const gallery = element("open-gallery");
  gallery.hidden = !spreads.length;
  gallery.textContent = `Show ${plural(spreads.length)}`;
  show("start");
}

async function load() {
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {});
  spreads = await allSpreads().catch(() => []);
  showStart();
  const found = await ask("load", { name: new URLSearchParams(location.search).get("model") });
  Object.assign(scan, found);
  element("begin").disabled = false;
  element("begin").textContent = "Start scanning";
}

element("begin").onclick = () => begin();
element("more").onclick = () => begin();
element("open-gallery").onclick = showGallery;
element("finish").onclick = showGallery;
element("last").onclick = showGallery;
element("take").onclick = () => (keepNext = true);
element("save").onclick = save;
element("share").onclick = () => navigator.share({ files: [pdfFile()] }).catch(() => {});
element("clear").onclick = () => element("confirm").showModal();
element("confirm").onclose = () => element("confirm").returnValue === "yes" && clear();
element("undo-button").onclick = undo;
element("speech").onchange = () => {
  feedback.speaks = element("speech").checked;
  localStorage.setItem("speech", feedback.speaks);
};
feedback.speaks = element("speech").checked = localStorage.getItem("speech") !== "false";
document.addEventListener("keydown", (event) => event.key === "Escape" && scan.running && showGallery());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && scan.running && keepAwake());

/** For tests: scores a picture; what was seen so far. */
self.flipdetect = { scan, score: (picture) => ask("score", { picture }) };

load().catch((error) => fail(error.message));
