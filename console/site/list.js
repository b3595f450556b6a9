// The page of all videos: filters, pages, and the states of those in work.
import {actions} from "./actions.js";
import {call, pause} from "./api.js";
import {attempt, button, element, field} from "./dom.js";
import {clock, date, percent} from "./format.js";
import {say} from "./words.js";

const STATES = ["STATUS_PENDING_UPLOAD", "STATUS_PROCESSING", "STATUS_READY", "STATUS_FAILED", "STATUS_CANCELLED"];
const PAGE = 25, REFRESH = 3000;
// Kept while the page is open, so that a return from a video shows the same list.
const wanted = {status: "", title: "", deleted: false, page_token: ""};

export async function showList(page, {signal}) {
  const body = element("tbody"), more = element("p", {class: "row"});
  const columns = ["title", "status", "length", "created"].map(name => element("th", {scope: "col"}, say(`col.${name}`)));
  const table = element("table", {}, element("thead", {}, element("tr", {}, columns)), body);
  page.append(element("h2", {}, say("videos")), filters(load), element("div", {class: "table", tabindex: 0, role: "group", "aria-label": say("videos")}, table), more);

  async function load() {
    const query = new URLSearchParams({page_size: PAGE, page_token: wanted.page_token, title: wanted.title, show_deleted: wanted.deleted});
    if (wanted.status) query.set("status", wanted.status);
    const {videos, next_page_token: next} = await call(`?${query}`, {signal});
    body.replaceChildren(...videos.map(video => row(video, load)));
    if (!videos.length) body.append(element("tr", {}, element("td", {colspan: 4}, say("none"))));
    turn(more, next, load);
    return videos;
  }

  let videos = await load();
  follow();

  async function follow() {
    while (!signal.aborted) {
      await pause(REFRESH, signal).catch(() => {});
      if (signal.aborted || document.hidden || !videos.some(inWork)) continue;
      videos = await load().catch(() => videos);
    }
  }
}

function inWork(video) {
  return video.status === "STATUS_PROCESSING" || video.status === "STATUS_PENDING_UPLOAD";
}

function filters(load) {
  const option = value => element("option", {value, selected: value === wanted.status}, say(value || "filter.any"));
  const status = element("select", {name: "status"}, ["", ...STATES].map(option));
  const title = element("input", {name: "title", type: "search", value: wanted.title, maxlength: 100});
  const deleted = element("input", {name: "deleted", type: "checkbox", checked: wanted.deleted});
  const apply = event => {
    event.preventDefault();
    Object.assign(wanted, {status: status.value, title: title.value.trim(), deleted: deleted.checked, page_token: ""});
    return load();
  };
  return element("form", {role: "search", onsubmit: attempt(apply)}, field(say("filter.status"), status), field(say("filter.title"), title),
    element("label", {class: "check"}, deleted, say("filter.deleted")), element("button", {}, say("filter.apply")));
}

function turn(place, next, load) {
  const go = page_token => () => { wanted.page_token = page_token; return load(); };
  place.replaceChildren(...wanted.page_token ? [button(say("first"), go(""))] : [], ...next ? [button(say("next"), go(next))] : []);
}

function row(video, load) {
  const name = video.title || video.id;
  const title = element("th", {scope: "row"}, video.delete_time ? [name, " ", actions(video, load)] : element("a", {href: `#/video/${video.id}`}, name));
  return element("tr", {}, title, element("td", {}, ...state(video)), element("td", {}, clock(video.duration)), element("td", {}, date(video.create_time)));
}

function state(video) {
  if (video.delete_time) return [say("deleted", {date: date(video.delete_time)})];
  const shown = {STATUS_READY: "good", STATUS_FAILED: "bad"}[video.status];
  const words = [element("span", {class: shown}, say(video.status))];
  if (video.status === "STATUS_PROCESSING" && video.processing) words.push(` ${percent(video.processing.percent / 100)}`);
  if (video.error) words.push(element("span", {class: "quiet"}, ` ${video.error.code}`));
  return words;
}
