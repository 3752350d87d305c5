// The same sequences as in tests/pipeline/test_live.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { DataError, HmmDetector } from "../src/events.js";
import { LiveCapture } from "../src/live.js";

const facts = JSON.parse(readFileSync(new URL("../generated/models.json", import.meta.url)));
const table = JSON.parse(readFileSync(new URL("../../tests/pipeline/live_sequences.json", import.meta.url)));
const PEAK_SHARE = 0.5;

const threshold = (name) => table.settings[name].threshold ?? 0.5;
const detectorOf = (name) => new HmmDetector(table.settings[name].hmm, PEAK_SHARE * threshold(name));

for (const { name, settings, frames, expected } of table.turns) {
  test(`turns: ${name}`, () => {
    const detector = detectorOf(settings);
    const found = [];
    const add = (events, time) => events.forEach((one) => found.push([time, one.start_s, one.peak_s, one.end_s]));
    for (const [time, probability] of frames) add(detector.push(time, probability), time);
    add(detector.finish(), frames.at(-1)[0]);
    assert.deepEqual(found, expected);
  });
}

for (const { name, settings, parameters, frames, expected } of table.captures) {
  test(`captures: ${name}`, () => {
    const capture = new LiveCapture(detectorOf(settings), threshold(settings), { ...facts.capture, ...parameters });
    const events = frames.flatMap(([time, probability, sharpness, motion, hands = 0, paper = null]) =>
      capture.push({ time, probability, sharpness, motion, hands, paper }),
    );
    assert.deepEqual(
      events.map(({ time, kind, spread }) => [time, kind, spread]),
      expected,
    );
  });
}

test("times do not go back, and probabilities lie in [0, 1]", () => {
  const detector = detectorOf("ensemble");
  detector.push(1, 0.5);
  assert.throws(() => detector.push(0.5, 0.5), DataError);
  assert.throws(() => detector.push(NaN, 0.5), DataError);
  assert.throws(() => detector.push(2, 1.5), RangeError);
});
