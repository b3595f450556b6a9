// The page of one video: its stream, progress, failure, facts and actions. It follows the video until the page is left.
import {call, watch} from "./api.js";
import {actions} from "./actions.js";
import {commands} from "./commands.js";
import {element, facts} from "./dom.js";
import {bytes, clock, date, percent, remaining} from "./format.js";
import {play} from "./player.js";
import {strip} from "./storyboard.js";
import {tracks} from "./tracks.js";
import {say} from "./words.js";

export async function showVideo(page, {signal, argument: id}) {
  const video = await call(`/${encodeURIComponent(id)}`, {signal});
  const places = Object.fromEntries(["state", "player", "strip", "actions", "facts", "tracks"].map(name => [name, element("div")]));
  page.append(element("p", {}, element("a", {href: "#/"}, say("video.back"))), element("h2", {}, video.title || video.id), ...Object.values(places), commands(video));
  new Shown(places, signal).changed(video);
}

class Shown {
  #places; #signal; #url = ""; #version = ""; #following = new AbortController();

  constructor(places, signal) {
    this.#places = places;
    this.#signal = signal;
  }

  // Shows a state, and those that come after it.
  async changed(video) {
    this.#following.abort(new DOMException("followed anew", "AbortError"));
    this.#following = new AbortController();
    const signal = AbortSignal.any([this.#signal, this.#following.signal]);
    this.#show(video);
    if (video.delete_time) return;
    try {
      for await (const state of watch(video.id, signal)) this.#show(state);
    } catch (error) {
      if (!signal.aborted) this.#places.state.append(element("p", {class: "bad", role: "alert"}, error.message));
    }
  }

  #show(video) {
    this.#places.state.replaceChildren(...state(video));
    const version = `${video.version} ${video.delete_time ?? ""}`;
    if (this.#version === version) return; // only the progress has changed
    this.#version = version;
    this.#places.actions.replaceChildren(actions(video, next => { this.changed(next); }));
    this.#places.facts.replaceChildren(described(video));
    this.#places.tracks.replaceChildren(tracks(video, {signal: this.#signal, changed: () => this.#again(video.id)}));
    this.#stream(video);
  }

  async #again(id) {
    this.changed(await call(`/${id}`, {signal: this.#signal}));
  }

  async #stream(video) {
    const {player, strip: pictures} = this.#places;
    try {
      const urls = await playable(video, this.#signal);
      if (urls.playback_url === this.#url) return;
      this.#url = urls.playback_url;
      if (!this.#url) return void player.replaceChildren(...(urls.why ? [element("p", {}, urls.why)] : []));
      const media = await play(player, {url: this.#url, poster: urls.poster_url, signal: this.#signal});
      const made = urls.storyboard_url && await strip(urls.storyboard_url, media, this.#signal);
      pictures.replaceChildren(...(made ? [made] : []));
    } catch (error) {
      if (!this.#signal.aborted) player.replaceChildren(element("p", {class: "bad", role: "alert"}, error.message));
    }
  }
}

// The URLs of a public video are in it; those of others are signed for this page.
async function playable(video, signal) {
  const early = video.processing?.playable_url;
  if (video.delete_time || (video.status !== "STATUS_READY" && !early && !video.playback_url)) return {playback_url: ""};
  if (video.playback_policy === "PLAYBACK_POLICY_OFF") return {playback_url: "", why: say("play.off")};
  if (video.playback_policy === "PLAYBACK_POLICY_SIGNED") {
    const signed = await call(`/${video.id}/playback`, {signal});
    return {...signed, playback_url: signed.playback_url || signed.playable_url};
  }
  return {...video, playback_url: video.playback_url || early};
}

function state(video) {
  if (video.delete_time) return [element("p", {class: "bad"}, say("deleted", {date: date(video.delete_time)}))];
  if (video.status === "STATUS_FAILED") return [failure(video)];
  const good = video.status === "STATUS_READY" ? "good" : null;
  const parts = [element("p", {class: good}, say(video.status))];
  if (video.status === "STATUS_PENDING_UPLOAD") parts.push(element("p", {}, say("video.waiting")));
  if (video.status === "STATUS_PROCESSING") parts.push(...progress(video.processing ?? {percent: 0, stage: ""}));
  return parts;
}

function progress(processing) {
  const share = processing.percent / 100;
  const words = [say("video.stage", {stage: processing.stage, percent: percent(share)})];
  if (processing.eta) words.push(say("video.eta", {eta: remaining(processing.eta)}));
  if (processing.attempt > 1) words.push(say("video.attempt", {number: processing.attempt}));
  return [element("progress", {max: 1, value: share, "aria-label": say("video.progress")}), element("p", {class: "quiet"}, words.join(", "))];
}

function failure({error}) {
  const named = facts([[say("failed.code"), error?.code], [say("failed.stage"), error?.stage]]);
  return element("section", {class: "box", "aria-labelledby": "why"}, element("h3", {id: "why"}, say("failed.title")), element("p", {}, error?.message ?? ""),
    named, element("p", {}, say(error?.retryable ? "failed.retry" : "failed.final")));
}

function described(video) {
  const {source, loudness} = video;
  const labels = Object.entries(video.labels ?? {}).map(pair => pair.join("=")).join(", ");
  const codecs = source && [source.container, source.codecs?.join(", "), source.size_bytes && bytes(source.size_bytes)].filter(Boolean).join(", ");
  return facts([
    [say("fact.id"), video.id], [say("fact.length"), clock(video.duration)], [say("fact.size"), video.width ? `${video.width} × ${video.height}` : ""],
    [say("fact.source"), codecs], [say("fact.renditions"), video.renditions?.map(each => each.name).join(", ")],
    [say("fact.loudness"), loudness && say("lufs", {lufs: loudness.integrated_lufs.toFixed(1), peak: loudness.true_peak_dbtp.toFixed(1)})],
    [say("fact.policy"), say(video.playback_policy ?? "")], [say("fact.owner"), video.user_id], [say("fact.created"), date(video.create_time)],
    [say("fact.expires"), date(video.expire_time)], [say("fact.labels"), labels], [say("fact.external"), video.external_id],
  ]);
}
