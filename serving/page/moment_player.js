/** Player of one moment: it starts and stops a video element at the ends of the moment. */

import { findMediaProblem, findMediaUrl } from "./api.js";

const NEARLY_S = 0.05; // this close to the end counts as the end
const LAST_FRAME_S = 0.001; // before the end: the moment's last frame is shown there

/** Fires `time` while it plays or seeks, `state` when it starts, stops or loads a video, `problem` with a reason. */
export class MomentPlayer extends EventTarget {
  #video;
  #videoId = null;
  #startS = 0;
  #endS = Infinity;
  #wantsPlay = false;
  #retry = null;
  #isLooped = false;
  #stopsAtEnd = true; // false after a seek past the end

  constructor(video) {
    super();
    this.#video = video;
    video.addEventListener("loadedmetadata", () => this.#begin());
    video.addEventListener("timeupdate", () => this.#tick());
    video.addEventListener("seeked", () => this.#tell("time"));
    video.addEventListener("play", () => this.#follow());
    for (const name of ["play", "pause", "volumechange"]) video.addEventListener(name, () => this.#tell("state"));
    video.addEventListener("error", () => this.#explain());
  }

  get timeS() { return this.#video.currentTime; }
  get durationS() { return Number.isFinite(this.#video.duration) ? this.#video.duration : null; }
  get isPlaying() { return !this.#video.paused; }
  get isMuted() { return this.#video.muted; }
  get isLooped() { return this.#isLooped; }

  set isMuted(value) { this.#video.muted = value; }
  set isLooped(value) {
    this.#isLooped = value;
    this.#tell("state");
  }

  /** Show a moment, `end_s` null for a whole video, and play it if asked to. */
  show({ video_id, start_s, end_s }, { play }) {
    this.#video.pause();
    this.#startS = start_s;
    this.#endS = end_s ?? Infinity;
    this.#wantsPlay = play;
    if (video_id === this.#videoId && this.#video.readyState > 0) return this.#begin();
    return this.#load(video_id);
  }

  /** Stop and forget the video. */
  clear() {
    clearTimeout(this.#retry);
    this.#videoId = null;
    this.#wantsPlay = false;
    this.#video.pause();
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  /** Change the ends of the moment. */
  bound(startS, endS) {
    this.#startS = startS;
    this.#endS = endS;
    this.#stopsAtEnd = this.timeS < endS;
  }

  /** Seek without starting or stopping the playback. */
  seek(timeS) {
    this.#video.currentTime = timeS;
    this.#stopsAtEnd = timeS < this.#endS;
  }

  /** Play from the current time, or from the start of the moment if it has reached the end. */
  async play() {
    const timeS = this.timeS;
    const isAtEnd = Math.abs(timeS - this.#endS) < NEARLY_S || this.#video.ended;
    if (isAtEnd) this.seek(this.#startS);
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" && error.name !== "AbortError") this.#tell("state");
    }
  }

  /** Play the moment from its start. */
  replay() {
    this.seek(this.#startS);
    return this.play();
  }

  pause() {
    this.#video.pause();
  }

  toggle() {
    return this.isPlaying ? this.pause() : this.play();
  }

  #load(videoId) {
    clearTimeout(this.#retry);
    this.#videoId = videoId;
    this.#video.src = findMediaUrl(videoId);
    this.#tell("state");
  }

  #begin() {
    this.seek(Math.min(this.#startS, this.#video.duration || this.#startS));
    this.#tell("state");
    if (this.#wantsPlay) this.play();
    this.#wantsPlay = false;
  }

  /** Check the time at every frame while playing: timeupdate fires four times a second, so it is up to 0.25 s late. */
  #follow() {
    this.#tick();
    if (this.isPlaying) requestAnimationFrame(() => this.#follow());
  }

  #tick() {
    if (this.isPlaying && this.#stopsAtEnd && this.timeS >= this.#endS) this.#stopAtEnd();
    this.#tell("time");
  }

  #stopAtEnd() {
    if (this.#isLooped) return this.seek(this.#startS);
    this.#video.pause();
    return this.seek(Math.max(this.#startS, this.#endS - LAST_FRAME_S));
  }

  async #explain() {
    const videoId = this.#videoId;
    if (videoId === null) return;
    const problem = await findMediaProblem(videoId).catch((error) => error);
    if (videoId !== this.#videoId) return;
    const retries = problem?.kind === "loading";
    if (retries) this.#retry = setTimeout(() => this.#load(videoId), 1000 * problem.retryAfterS);
    const reason = problem?.message ?? "This browser cannot play the file of this video.";
    this.dispatchEvent(new CustomEvent("problem", { detail: { reason, retries } }));
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}
