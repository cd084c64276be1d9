/** The whole page: it shows the state in the address, and changes the address to change the state. */

import { Navigator, isSameMoment, readAddress } from "./address.js";
import { ask, loadTimeline } from "./answers.js";
import { confirmDeletion, describeDeletion } from "./dialogs.js";
import { announce, find, make } from "./dom.js";
import { fillExamples, loadExamples } from "./examples.js";
import { makeProblem } from "./notices.js";
import { showVersions } from "./versions.js";
import { checkVideo, deleteVideo, describeVideo } from "./videos.js";

const NUM_EXAMPLES = 8;
const NUM_PROMPTS = 4;

/** Connects search box, results, player and library. */
export class App {
  #parts;
  #navigator = new Navigator((address, { isReturn }) => this.#show(address, { plays: !isReturn }));
  #address = readAddress();
  #answer = null;
  #shown = null;
  #examples = loadExamples(NUM_EXAMPLES);
  #searching = new AbortController();
  #looking = new AbortController();

  /** `parts` are searchBox, results, panel, library and uploads. */
  constructor(parts) {
    this.#parts = parts;
    const { searchBox, results, panel, library, uploads } = parts;
    searchBox.addEventListener("search", ({ detail }) => this.#go({ query: detail, scope: this.#address.scope }));
    searchBox.addEventListener("widen", () => this.#go({ query: this.#address.query }));
    results.addEventListener("choose", ({ detail }) => this.#choose(detail));
    panel.addEventListener("choose", ({ detail }) => this.#choose(detail));
    panel.addEventListener("delete", ({ detail }) => this.#delete(detail));
    panel.addEventListener("only", ({ detail }) => this.#go({ query: this.#address.query, scope: detail }));
    library.addEventListener("open", ({ detail }) => this.#go({ scope: detail }));
    library.addEventListener("add", () => uploads.choose());
    library.addEventListener("list", ({ detail }) => uploads.resume(detail));
    uploads.addEventListener("open", ({ detail }) => this.#go({ scope: detail }));
    uploads.addEventListener("change", () => find("home").hidden || library.reload());
    document.querySelector("[data-home]").addEventListener("click", (event) => this.#goHome(event));
  }

  /** Show the state in the address of the page. */
  start() {
    this.#examples.then((sentences) => fillExamples(find("examples"), sentences, (query) => this.#go({ query })));
    return this.#show(this.#address, { plays: !prefersStillness() });
  }

  #go({ query = "", scope = null, moment = null }) {
    this.#navigator.go({ query, scope, moment });
  }

  #goHome(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.#go({});
  }

  #choose(moment) {
    if (this.#shown && isSameMoment(this.#shown, moment)) this.#parts.panel.toggle();
    else this.#go({ ...this.#address, moment });
  }

  /** Delete the shown video, and search again without it. */
  async #delete(videoId) {
    try {
      const video = await checkVideo(videoId);
      if (!(await confirmDeletion(video))) return;
      await deleteVideo(videoId);
      announce(describeDeletion(video));
    } catch (error) {
      find("panel-problem").replaceChildren(makeProblem(error, () => this.#delete(videoId), { isCompact: true }));
      return;
    }
    this.#answer = null;
    this.#go({ query: this.#address.query, scope: this.#address.scope === videoId ? null : this.#address.scope });
    find("answer-heading").focus();
  }

  async #show(address, { plays }) {
    this.#address = address;
    this.#searching.abort();
    this.#searching = new AbortController();
    const { query, scope, moment } = address;
    const isHome = !query && !scope && !moment;
    find("home").hidden = !isHome;
    find("answer").hidden = isHome;
    document.title = query ? `${query} – Cuepoint` : "Cuepoint";
    this.#parts.searchBox.show(query);
    if (isHome) return this.#showHome();
    return this.#showAnswer(address, { plays, signal: this.#searching.signal });
  }

  #showHome() {
    this.#forget();
    this.#parts.searchBox.showScope(null);
    this.#parts.searchBox.focus();
    this.#parts.library.reload();
  }

  async #showAnswer(address, { plays, signal }) {
    try {
      const scope = address.scope === null ? null : await describeVideo(address.scope, signal);
      this.#parts.searchBox.showScope(scope?.title ?? null);
      if (!address.query) await this.#showVideo(address, { scope, plays, signal });
      else {
        await this.#search(address, { scope, signal });
        await this.#showMoment(address, { plays, signal });
      }
    } catch (error) {
      if (error.name !== "AbortError") this.#showProblem(address, error);
    }
  }

  /** Search, unless the answer is loaded already and only the shown moment changes. */
  async #search({ query, scope: videoId }, { scope, signal }) {
    if (this.#answer?.asked === JSON.stringify([query, videoId])) return;
    this.#parts.results.showLoading(query);
    const answer = await ask({ query, scope: videoId }, signal);
    this.#answer = { ...answer, query, asked: JSON.stringify([query, videoId]) };
    this.#parts.results.showAnswer(this.#answer, scope?.title ?? null);
    showVersions(answer.versions);
  }

  /** Show the moment of the address, or the best one if the address names none. */
  async #showMoment({ query, scope, moment: linked }, { plays, signal }) {
    const { found, moments, best_guess: guess } = this.#answer;
    const best = moments[0] ?? guess;
    if (!best && !linked) return this.#parts.panel.clear();
    const known = [...moments, guess].find((one) => one && linked && isSameMoment(one, linked));
    const moment = known ?? (linked ? await completeMoment(linked, signal) : best);
    if (!linked) this.#navigator.amend({ query, scope, moment });
    const isAsked = linked !== null || found;
    const isGuess = !found && [...moments, guess].includes(moment);
    const play = plays && isAsked && (linked !== null || !prefersStillness());
    this.#present(moment, moment, { answerId: this.#answer.answer_id, play, offersOnly: scope === null, isGuess });
    return this.#showTimeline(query, moment.video_id);
  }

  /** Show a video without a query. */
  async #showVideo({ moment, scope: videoId }, { scope, plays, signal }) {
    this.#answer = null;
    const video = scope ?? (await describeVideo(moment.video_id, signal));
    const examples = await this.#examples;
    const search = (query) => this.#go({ query, scope: video.video_id });
    this.#parts.results.showPrompt(video.title, () => {
      const list = make("ul", { class: "examples", "aria-label": "Sentences to try" });
      fillExamples(list, examples.slice(0, NUM_PROMPTS), search);
      return list;
    });
    this.#present(video, moment, { answerId: null, play: plays && moment !== null, offersOnly: videoId === null, isGuess: false });
    if (videoId !== null && !moment) this.#parts.searchBox.focus();
  }

  #present(video, moment, context) {
    this.#shown = moment;
    find("panel-problem").replaceChildren();
    if (moment) this.#parts.results.mark(moment);
    this.#parts.panel.show(video, moment, { query: this.#address.query, ...context });
    const isBelow = find("panel").getBoundingClientRect().top < 0;
    if (isBelow) find("panel").scrollIntoView({ block: "start", behavior: prefersStillness() ? "auto" : "smooth" });
  }

  async #showTimeline(query, videoId) {
    this.#looking.abort();
    this.#looking = new AbortController();
    try {
      this.#parts.panel.setTimeline(await loadTimeline(query, videoId, this.#looking.signal));
    } catch (error) {
      if (error.name !== "AbortError") this.#parts.panel.setTimeline(null, "The score over time could not be loaded.");
    }
  }

  #showProblem({ query, scope }, error) {
    this.#forget();
    const widen = { label: "Search in all videos", run: () => this.#go({ query }) };
    if (error.kind === "missing") this.#parts.results.showMissing(query, error.message, scope && query ? widen : null);
    else this.#parts.results.showProblem(query, error, () => this.#show(this.#address, { plays: true }));
  }

  #forget() {
    this.#answer = this.#shown = null;
    this.#looking.abort();
    this.#parts.panel.clear();
  }
}

/** Return a moment of an address with the facts of its video. */
async function completeMoment(moment, signal) {
  const { title, duration_s, num_thumbnails } = await describeVideo(moment.video_id, signal);
  return { ...moment, title, duration_s, num_thumbnails };
}

function prefersStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
