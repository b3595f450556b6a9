// Sounds, captions and chapters of a video; captions can be added and removed.
import {call, pause} from "./api.js";
import {announce, attempt, button, confirmed, element, field} from "./dom.js";
import {language} from "./format.js";
import {say} from "./words.js";

const COLUMNS = ["kind", "language", "name", "marks", "state", "actions"], POLL = 1000;

// `changed` is called when the tracks of the video have changed.
export function tracks(video, {signal, changed}) {
  const place = element("div"), form = video.delete_time ? null : adding(video, () => list());
  const list = async () => {
    for (let told = false; ;) {
      const {tracks: found} = await call(`/${video.id}/tracks`, {signal});
      place.replaceChildren(found.length ? table(video, found, list) : element("p", {class: "quiet"}, say("tracks.none")));
      const added = found.filter(track => !track.is_embedded), busy = added.some(track => track.state === "STATE_PREPARING");
      if (!busy && told && video.status === "STATUS_READY") return changed();
      if (!busy || video.status !== "STATUS_READY") return;
      told = true;
      await pause(POLL, signal);
    }
  };
  if (!video.delete_time) list().catch(error => { if (!signal.aborted) place.replaceChildren(element("p", {class: "bad"}, error.message)); });
  return element("section", {"aria-labelledby": "tracks"}, element("h3", {id: "tracks"}, say("tracks.title")), place, form);
}

function table(video, found, list) {
  const head = element("tr", {}, COLUMNS.map(name => element("th", {scope: "col"}, say(`tracks.${name}`))));
  const shown = element("table", {}, element("thead", {}, head), element("tbody", {}, found.map(track => row(video, track, list))));
  return element("div", {class: "table", tabindex: 0, role: "group", "aria-label": say("tracks.title")}, shown);
}

function row(video, track, list) {
  const marks = {is_default: "default", is_forced: "forced", is_sdh: "sdh"};
  const marked = Object.entries(marks).filter(([key]) => track[key]).map(([, mark]) => say(`mark.${mark}`));
  if (!track.is_embedded) marked.push(say("mark.added"));
  const cells = [say(track.kind), language(track.language), track.name, marked.join(", "), [say(track.state), track.error_code].filter(Boolean).join(": ")];
  return element("tr", {}, cells.map(text => element("td", {}, text)), element("td", {}, !track.is_embedded && remover(video, track, list)));
}

function remover(video, track, list) {
  const name = track.name || language(track.language);
  return button(say("tracks.remove"), async () => {
    if (!await confirmed(say("tracks.remove.sure", {name}), say("yes"), say("no"))) return;
    await call(`/${video.id}/tracks/${track.id}`, {method: "DELETE"});
    await list();
  }, {"aria-label": say("tracks.remove.name", {name})});
}

function adding(video, list) {
  const file = element("input", {type: "file", name: "captions", accept: ".srt,.vtt,.ass,.ssa", required: true});
  const tag = element("input", {name: "language", required: true, maxlength: 35, size: 8, autocomplete: "off"}), name = element("input", {name: "name", maxlength: 100});
  const marks = ["default", "forced", "sdh"].map(mark => [mark, element("input", {type: "checkbox", name: mark})]);
  const send = async event => {
    event.preventDefault();
    const [chosen] = file.files, form = event.target;
    const body = {kind: "KIND_SUBTITLES", language: tag.value.trim(), name: name.value.trim(), size_bytes: String(chosen.size), request_id: crypto.randomUUID()};
    for (const [mark, box] of marks) body[`is_${mark}`] = box.checked;
    await added(video.id, body, chosen);
    announce(say("tracks.sent"));
    form.reset();
    await list();
  };
  const boxes = marks.map(([mark, box]) => element("label", {class: "check"}, box, say(`mark.${mark}`)));
  return element("form", {"aria-label": say("tracks.add"), onsubmit: attempt(send)}, field(say("tracks.file"), file), field(say("tracks.tag"), tag), field(say("tracks.name"), name),
    boxes, element("button", {}, say("tracks.add")));
}

async function added(id, body, file) {
  const {track, upload} = await call(`/${id}/tracks`, {method: "POST", body});
  const reply = await fetch(upload.url, {method: upload.method || "PUT", headers: upload.headers, body: file});
  if (!reply.ok) throw new Error(say("tracks.store", {status: reply.status}));
  await call(`/${id}/tracks/${track.id}:prepare`, {method: "POST", body: {}});
}
