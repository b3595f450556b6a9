// The page of uploads. They go on while other pages are shown; after a reload they continue by the id of the video.
import {upload, UploadError} from "./client/gostream-upload.js";
import {call, config, headers} from "./api.js";
import {button, confirmed, element, field} from "./dom.js";
import {bytes, percent} from "./format.js";
import {refused} from "./session.js";
import {say} from "./words.js";

const STORED = "gostream.uploads";
const jobs = [], rows = element("ul"), unfinished = element("div");
let working = false;

// Unfinished uploads by the id of their video: {name, size, modified} of the file.
function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function store(change) {
  const all = stored();
  change(all);
  localStorage.setItem(STORED, JSON.stringify(all));
}

export function showUploads(page) {
  const files = element("input", {type: "file", name: "files", multiple: true, required: true, accept: "video/*,audio/*,.mkv,.ts"});
  const send = event => { event.preventDefault(); for (const file of files.files) add(file, matching(file)); event.target.reset(); };
  page.append(element("h2", {}, say("upload")), element("form", {onsubmit: send}, field(say("up.files"), files), element("button", {}, say("up.start"))), rows, unfinished);
  showUnfinished();
}

// The id of the video to which a part of this file was sent.
function matching(file) {
  const same = each => each.name === file.name && each.size === file.size && each.modified === file.lastModified;
  return Object.entries(stored()).find(([id, each]) => same(each) && !jobs.some(job => job.id === id && job.stop))?.[0];
}

function add(file, id) {
  const job = {file, id, row: element("li"), said: element("span"), actions: element("span", {class: "row"})};
  job.bar = element("progress", {max: 1, value: 0, "aria-label": say("up.progress", {name: file.name})});
  job.row.append(element("strong", {}, file.name), " ", job.said, job.bar, job.actions);
  job.said.textContent = say("up.waiting");
  jobs.push(job);
  rows.append(job.row);
  showUnfinished();
  work();
}

async function work() {
  if (working) return;
  working = true;
  for (let job; (job = jobs.find(each => !each.stop));) await sendOne(job);
  working = false;
}

async function sendOne(job) {
  const {file} = job;
  job.stop = new AbortController();
  job.actions.replaceChildren(button(say("up.stop"), () => job.stop.abort(new DOMException(say("up.stopped"), "AbortError"))));
  const onVideo = id => { job.id = id; store(all => { all[id] = {name: file.name, size: file.size, modified: file.lastModified}; }); };
  const onProgress = (sent, size) => { job.bar.value = size ? sent / size : 0; job.said.textContent = say("up.sending", {percent: percent(job.bar.value), size: bytes(size)}); };
  try {
    const video = await upload(file, {api: config.api, videoId: job.id, headers, onVideo, onProgress, signal: job.stop.signal});
    forget(video.id);
    job.said.textContent = say("up.encoding");
    job.bar.value = 1;
    job.actions.replaceChildren(element("a", {href: `#/video/${video.id}`}, say("up.open", {name: file.name})));
  } catch (error) {
    if (error instanceof UploadError && error.status === 401) refused();
    job.said.textContent = job.stop.signal.aborted ? say("up.stopped") : say("up.failed", {message: error.message});
    job.actions.replaceChildren(button(say("up.continue"), () => { job.stop = null; work(); }));
  }
}

function forget(id) {
  store(all => { delete all[id]; });
  showUnfinished();
}

function showUnfinished() {
  const others = Object.entries(stored()).filter(([id]) => !jobs.some(job => job.id === id));
  if (!others.length) return unfinished.replaceChildren();
  const list = element("ul", {}, others.map(([id, each]) => waiting(id, each)));
  return unfinished.replaceChildren(element("h3", {}, say("up.unfinished")), element("p", {class: "quiet"}, say("up.unfinished.hint")), list);
}

function waiting(id, each) {
  const wrong = element("span", {class: "bad", role: "alert"});
  const choose = event => {
    const [file] = event.target.files;
    if (file.size === each.size) return add(file, id);
    wrong.textContent = say("up.other", {name: each.name, size: bytes(each.size)});
  };
  const discard = async () => {
    if (!await confirmed(say("up.discard.sure", {name: each.name}), say("yes"), say("no"))) return;
    await call(`/${id}`, {method: "DELETE"}).catch(error => { if (error.status !== 404) throw error; });
    forget(id);
  };
  return element("li", {}, field(say("up.choose", {name: each.name}), element("input", {type: "file", onchange: choose})), wrong, button(say("up.discard"), discard));
}

addEventListener("beforeunload", event => { if (working) event.preventDefault(); });
