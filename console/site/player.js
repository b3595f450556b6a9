// The player: the browser's own controls, hls.js, and choices of sound and captions.
import {element, field} from "./dom.js";
import {language} from "./format.js";
import {say} from "./words.js";

const WORKER = new URL("vendor/hls.worker.js", import.meta.url).href;

// Puts a player into `place` and returns its <video>. `signal` ends it.
export async function play(place, {url, poster, signal}) {
  const {default: Hls} = await import("./vendor/hls.min.mjs");
  const video = element("video", {controls: true, playsinline: true, crossorigin: "anonymous", preload: "metadata", poster});
  const choices = element("div", {class: "row"}), wrong = element("p", {class: "bad", role: "alert"});
  place.replaceChildren(video, choices, wrong);
  if (!Hls.isSupported()) { // Safari of phones plays HLS by itself
    video.src = url;
    return video;
  }
  const hls = new Hls({workerPath: WORKER, cmcd: {contentId: "console"}, maxBufferLength: 20});
  signal.addEventListener("abort", () => hls.destroy());
  hls.on(Hls.Events.ERROR, (_, {fatal, details}) => { if (fatal) wrong.textContent = say("play.failed", {details}); });
  const choose = new Choices(hls, choices);
  hls.on(Hls.Events.MANIFEST_PARSED, () => choose.show());
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, () => choose.soundChanged());
  hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () => choose.show());
  hls.loadSource(url);
  hls.attachMedia(video);
  return video;
}

// Forced captions are for everybody who hears this sound: they are shown while a person has chosen no others.
class Choices {
  #hls; #place; #off = true;

  constructor(hls, place) {
    this.#hls = hls;
    this.#place = place;
  }

  show() {
    const sounds = this.#hls.audioTracks.map((track, at) => [at, named(track, at)]);
    const texts = this.#hls.subtitleTracks.map((track, at) => [at, named(track, at)]).filter(([at]) => !this.#hls.subtitleTracks[at].forced);
    const fields = [];
    if (sounds.length > 1) fields.push(this.#select("sound", sounds, this.#hls.audioTrack, at => { this.#hls.audioTrack = at; }));
    if (texts.length) fields.push(this.#select("captions", [[-1, say("play.captions.off")], ...texts], this.#off ? -1 : this.#hls.subtitleTrack, at => this.#caption(at)));
    this.#place.replaceChildren(...fields);
    this.soundChanged();
  }

  soundChanged() {
    const sound = this.#hls.audioTracks[this.#hls.audioTrack]?.lang;
    if (this.#off) this.#display(this.#hls.subtitleTracks.findIndex(track => track.forced && (!sound || !track.lang || track.lang === sound)));
  }

  #caption(at) {
    this.#off = at < 0;
    if (this.#off) this.soundChanged();
    else this.#display(at);
  }

  #display(at) {
    if (this.#hls.subtitleTrack !== at) this.#hls.subtitleTrack = at;
    this.#hls.subtitleDisplay = true;
  }

  #select(name, options, chosen, change) {
    const made = options.map(([value, text]) => element("option", {value, selected: value === chosen}, text));
    return field(say(`play.${name}`), element("select", {name, onchange: event => change(Number(event.target.value))}, made));
  }
}

function named(track, at) {
  const name = track.name || language(track.lang) || say("play.unnamed", {number: at + 1});
  return track.forced ? say("play.forced", {name}) : name;
}
