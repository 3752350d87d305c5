// Which pictures to keep of what a camera sees: the same state machine as flipdetect/pipeline/live.py, where the
// parameters are explained. Both pass the sequences of tests/pipeline/live_sequences.json.

import { quantile } from "./events.js";

const median = (values) => quantile(values, 0.5);

/** Sharpness, less where hands cover the pages: none is left at half of them. */
const quality = (frame) => frame.sharpness * Math.max(0, 1 - 2 * frame.hands);

/** Turns the numbers of each frame `{time, probability, sharpness, motion, hands, paper}` into events. */
export class LiveCapture {
  #spread = 1;
  #best = 0;
  #kept = null;
  #earlier = [];
  #recent = [];
  #last = -Infinity;
  #restingSince = Infinity;
  #problem = null;
  #problemSince = 0;

  constructor(detector, threshold, parameters) {
    this.detector = detector;
    this.threshold = threshold;
    this.parameters = parameters;
  }

  /** Whether a picture of the spread in view has been kept. */
  get isCaptured() {
    return this.#kept !== null;
  }

  /** Takes in a frame; returns what follows from it: `{time, kind, spread}`. */
  push(frame) {
    const kinds = [];
    for (const turn of this.detector.push(frame.time, frame.probability)) {
      this.#nextSpread(turn.end_s);
      kinds.push("turn");
    }
    const isLost = frame.paper !== null && frame.paper < this.#leastPaper();
    const isResting = this.#isStill(frame) && !isLost;
    if (!isResting || frame.time - this.#last > Math.max(this.parameters.gap_s, 2 * this.#interval())) this.#restingSince = Infinity;
    this.#last = frame.time;
    if (isResting) {
      this.#restingSince = Math.min(this.#restingSince, frame.time);
      this.#best = Math.max(this.#best, quality(frame));
      kinds.push(...this.#keep(frame));
    }
    kinds.push(...this.#warn(frame, isLost ? "lost" : isResting ? this.#fault(frame) : null));
    return kinds.map((kind) => ({ time: frame.time, kind, spread: this.#spread }));
  }

  /** Median seconds between the recent frames, up to the one before this. */
  #interval() {
    const times = this.#recent.map((each) => each.time).slice(0, -1);
    return times.length > 1 ? median(times.slice(1).map((time, place) => time - times[place])) : 0;
  }

  #nextSpread(end) {
    this.#spread += 1;
    this.#restingSince = Math.max(this.#restingSince, end);
    if (this.#kept && this.#kept.time <= end) {
      this.#earlier.push(this.#kept);
      this.#kept = null;
    }
    this.#best = 0;
  }

  #keep(frame) {
    const { settled_s, better, still_s, patience_s, least_sharpness } = this.parameters;
    const rested = frame.time - this.#restingSince;
    if (this.#kept) {
      if (rested < settled_s || quality(frame) < better * quality(this.#kept)) return [];
      this.#kept = frame;
      return ["replace"];
    }
    const wait = this.#handsAway(frame) ? still_s : patience_s;
    if (rested < wait || quality(frame) < least_sharpness * this.#best) return [];
    this.#kept = frame;
    return ["capture"];
  }

  #fault(frame) {
    if (!this.#handsAway(this.#kept ?? frame)) return "hands";
    const usual = this.#earlier.length ? median(this.#earlier.map(quality)) : 0;
    return this.#best < this.parameters.blurred * usual ? "blurred" : null;
  }

  #warn(frame, problem) {
    if (problem === null || problem !== this.#problem) {
      this.#problem = problem;
      this.#problemSince = frame.time;
    } else if (frame.time - this.#problemSince >= this.parameters.warn_s) {
      this.#problemSince = frame.time;
      return [problem];
    }
    return [];
  }

  #isStill(frame) {
    const { window_s, most_motion, usual_motion } = this.parameters;
    while (this.#recent.length && this.#recent[0].time < frame.time - window_s) this.#recent.shift();
    if (frame.motion === null) return false;
    this.#recent.push(frame);
    const motion = median(this.#recent.map((each) => each.motion));
    const probability = median(this.#recent.map((each) => each.probability));
    return (
      !this.detector.turning &&
      frame.probability <= Math.max(this.threshold, probability) &&
      frame.motion <= Math.max(most_motion, usual_motion * motion)
    );
  }

  #handsAway(frame) {
    const { most_hands, usual_hands } = this.parameters;
    const usual = this.#earlier.length ? median(this.#earlier.map((each) => each.hands)) : 0;
    return frame.hands <= Math.max(most_hands, usual_hands * usual);
  }

  #leastPaper() {
    const papers = this.#earlier.map((each) => each.paper).filter((paper) => paper !== null);
    return papers.length ? this.parameters.lost * median(papers) : this.parameters.least_paper;
  }
}
