/** The player with its timeline and feedback: everything about the shown moment. */

import { announce, find, make, setIcon } from "./dom.js";
import { Feedback } from "./feedback.js";
import { formatSpan, formatTime } from "./format.js";
import { MomentPlayer } from "./moment_player.js";
import { SpanEditor } from "./span_editor.js";
import { Timeline } from "./timeline.js";

const MAX_NEIGHBOURS = 4;
const SAME_IOU = 0.5; // candidates that overlap more are the same moment to a viewer
const SOUND = "cuepoint-sound";

/** Fires `choose` with a neighbouring moment, `only` with the id of the only video to search, `delete` with the id of the video to delete. */
export class Panel extends EventTarget {
  #player = new MomentPlayer(find("video"));
  #timeline = new Timeline();
  #editor = new SpanEditor(this.#timeline);
  #feedback = new Feedback();
  #moment = null;
  #video = null;

  constructor() {
    super();
    this.#listenToButtons();
    this.#listenToParts();
    this.#player.isMuted = readSound() !== "on";
  }

  /** Show a moment of an answer. `video` is `{video_id, title, duration_s}`. */
  show(video, moment, { query, answerId, play, offersOnly, isGuess }) {
    this.#video = video;
    this.#moment = moment;
    find("panel").inert = false;
    find("panel-title").textContent = find("panel-title").title = video.title;
    find("only-this").hidden = !offersOnly;
    find("stage-badge").hidden = !isGuess;
    this.#block("");
    this.#timeline.setScores(null);
    this.#timeline.show(video.duration_s ?? 0, moment);
    this.#editor.edit(moment);
    this.#feedback.ask(moment, { query, answerId });
    find("neighbours").replaceChildren();
    find("replay").disabled = find("loop").disabled = moment === null;
    find("clock-end").textContent = `/ ${formatTime(moment ? moment.end_s : (video.duration_s ?? 0))}`;
    this.#showZoom();
    this.#player.show(moment ?? { video_id: video.video_id, start_s: 0, end_s: null }, { play });
  }

  /** Show the score over time, or the `problem` that prevents it. */
  setTimeline(timeline, problem = "") {
    if (!this.#moment) return;
    const others = (timeline?.candidates ?? []).filter((one) => !this.#resembles(one)).slice(0, MAX_NEIGHBOURS);
    this.#timeline.setScores(timeline && { ...timeline, candidates: [this.#moment, ...others] });
    const place = find("neighbours");
    place.replaceChildren(...others.map((one) => this.#makeNeighbour(one)));
    if (others.length || problem) place.prepend(make("span", { text: problem || "Also here" }));
  }

  /** Stop, and show nothing. The panel is inert until it shows a video again. */
  clear() {
    this.#video = this.#moment = null;
    find("panel").inert = true;
    this.#player.clear();
  }

  toggle() {
    if (this.#video) this.#player.toggle();
  }

  /** Undo a correction, or else pause; return whether either was possible. */
  stepBack() {
    if (this.#feedback.hasCorrection) this.#reset();
    else if (this.#player.isPlaying) this.#player.pause();
    else return false;
    return true;
  }

  #listenToButtons() {
    const player = this.#player;
    for (const id of ["play", "stage-play", "video"]) find(id).addEventListener("click", () => player.toggle());
    find("replay").addEventListener("click", () => player.replay());
    find("loop").addEventListener("click", () => { player.isLooped = !player.isLooped; });
    find("sound").addEventListener("click", () => {
      player.isMuted = !player.isMuted;
      keepSound(player.isMuted ? "off" : "on");
    });
    find("only-this").addEventListener("click", () => this.#fire("only", this.#video.video_id));
    find("delete-this").addEventListener("click", () => this.#fire("delete", this.#video.video_id));
    find("copy-link").addEventListener("click", () => copyLink());
    find("zoom").addEventListener("click", () => {
      this.#timeline.zoom(!this.#timeline.isWhole);
      this.#timeline.setPlayhead(player.timeS);
      this.#showZoom();
    });
  }

  #listenToParts() {
    this.#player.addEventListener("time", () => this.#showTime());
    this.#player.addEventListener("state", () => this.#showState());
    this.#player.addEventListener("problem", ({ detail }) => this.#block(detail.reason, detail.retries));
    this.#editor.addEventListener("seek", ({ detail }) => this.#player.seek(detail.timeS));
    this.#editor.addEventListener("change", ({ detail }) => this.#refine(detail));
    this.#feedback.addEventListener("reset", () => this.#reset());
  }

  #refine({ startS, endS, edgeS }) {
    this.#player.pause();
    this.#player.bound(startS, endS);
    this.#player.seek(edgeS);
    find("clock-end").textContent = `/ ${formatTime(endS)}`;
    this.#feedback.correct(this.#isOwnSpan(startS, endS) ? null : { startS, endS });
  }

  #reset() {
    const { start_s: startS, end_s: endS } = this.#moment;
    this.#editor.edit(this.#moment);
    this.#timeline.setSpan(startS, endS);
    this.#refine({ startS, endS, edgeS: startS });
  }

  #isOwnSpan(startS, endS) {
    return Math.abs(startS - this.#moment.start_s) < 1e-6 && Math.abs(endS - this.#moment.end_s) < 1e-6;
  }

  /** Tell whether a candidate is (nearly) the shown moment. */
  #resembles({ start_s: startS, end_s: endS }) {
    const shared = Math.min(endS, this.#moment.end_s) - Math.max(startS, this.#moment.start_s);
    const whole = Math.max(endS, this.#moment.end_s) - Math.min(startS, this.#moment.start_s);
    return shared / whole >= SAME_IOU;
  }

  #makeNeighbour(moment) {
    const text = formatSpan(moment.start_s, moment.end_s);
    return make("button", { type: "button", class: "quiet small", text, click: () => this.#fire("choose", moment) });
  }

  #showTime() {
    find("clock-now").textContent = formatTime(this.#player.timeS);
    this.#timeline.setPlayhead(this.#player.timeS);
  }

  #showState() {
    const { isPlaying, isMuted, isLooped } = this.#player;
    find("stage").dataset.playing = String(isPlaying);
    find("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    setIcon(find("play"), isPlaying ? "pause" : "play");
    find("sound").setAttribute("aria-pressed", String(!isMuted));
    setIcon(find("sound"), isMuted ? "muted" : "sound");
    find("loop").setAttribute("aria-pressed", String(isLooped));
  }

  /** Cover the video with the reason why it cannot be played, or not yet. */
  #block(reason, isPassing = false) {
    find("stage").dataset.blocked = String(reason !== "");
    find("stage-note").textContent = isPassing ? `${reason} It starts when it is ready.` : reason;
  }

  #showZoom() {
    const zoom = find("zoom");
    zoom.hidden = !this.#timeline.isZoomable;
    zoom.setAttribute("aria-pressed", String(this.#timeline.isWhole));
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    announce("The link is copied.");
    setIcon(find("copy-link"), "right");
    setTimeout(() => setIcon(find("copy-link"), "link"), 1500);
  } catch {
    announce("The browser does not allow copying. Copy the address of this page instead.");
  }
}

function readSound() {
  try {
    return localStorage.getItem(SOUND);
  } catch {
    return null; // the browser may forbid storage
  }
}

function keepSound(value) {
  try {
    localStorage.setItem(SOUND, value);
  } catch {
    // the browser may forbid storage; the choice then ends with the page
  }
}
