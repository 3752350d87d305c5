// What is heard and felt: tones, speech, vibration. What is seen is in app.js.

/** Notes [hertz, start in seconds, seconds] and vibration (milliseconds on, off, on ...) of each signal. */
const SIGNALS = {
  captured: { notes: [[880, 0, 0.12], [1319, 0.12, 0.22]], pattern: [120] },
  turn: { notes: [[523, 0, 0.18]], pattern: [40, 60, 40] },
  warning: { notes: [[196, 0, 0.18], [196, 0.26, 0.18]], pattern: [250, 100, 250] },
};
const LOUDNESS = 0.25;

export class Feedback {
  #audio = null;
  speaks = true;

  /** Browsers let pages sound only after a tap: to be called from one. */
  unlock() {
    this.#audio ??= new AudioContext();
    this.#audio.resume();
  }

  /** A signal, and words if speech is on; they replace words that are still being said. */
  give(signal, words) {
    const { notes, pattern } = SIGNALS[signal];
    for (const [hertz, start, seconds] of notes) this.#note(hertz, start, seconds);
    navigator.vibrate?.(pattern);
    if (words) this.say(words);
  }

  say(words) {
    if (!this.speaks || !self.speechSynthesis) return;
    speechSynthesis.cancel();
    const speech = new SpeechSynthesisUtterance(words);
    speech.lang = "en";
    speech.rate = 1.1;
    speechSynthesis.speak(speech);
  }

  #note(hertz, start, seconds) {
    if (this.#audio?.state !== "running") return;
    const begin = this.#audio.currentTime + start;
    const tone = new OscillatorNode(this.#audio, { type: "triangle", frequency: hertz });
    const loudness = new GainNode(this.#audio, { gain: 0 });
    loudness.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.01);
    loudness.gain.setValueAtTime(LOUDNESS, begin + seconds - 0.03);
    loudness.gain.linearRampToValueAtTime(0, begin + seconds);
    tone.connect(loudness).connect(this.#audio.destination);
    tone.start(begin);
    tone.stop(begin + seconds);
  }
}
