// The pages by the fragment of the address, and what surrounds them.
import {config, ApiError} from "./api.js";
import {announce, button, element} from "./dom.js";
import {showList} from "./list.js";
import {askForToken, finishLogin, showToken} from "./login.js";
import {listen} from "./session.js";
import {showUploads} from "./uploads.js";
import {showVideo} from "./video.js";
import {showWebhook, showWebhooks} from "./webhooks.js";
import {DIRECTION, LANGUAGE, say} from "./words.js";

const PAGES = {"": showList, upload: showUploads, token: showToken, video: showVideo, webhooks: showWebhooks, webhook: showWebhook};
const main = document.getElementById("main");
let left = new AbortController();

async function route() {
  left.abort(new DOMException("left", "AbortError"));
  left = new AbortController();
  const {signal} = left, [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const page = element("div"), show = PAGES[name] ?? showList;
  main.replaceChildren(page);
  announce("");
  navigation(name);
  try {
    await show(page, {signal, argument: decodeURIComponent(rest.join("/"))});
  } catch (error) {
    if (!signal.aborted) page.append(...explained(error));
  }
  const heading = page.querySelector("h2");
  if (signal.aborted || !heading) return;
  document.title = `${heading.textContent} – ${say("title")}`;
  heading.tabIndex = -1;
  if (document.activeElement === document.body) heading.focus({preventScroll: true});
}

function explained(error) {
  const known = error instanceof ApiError, values = {message: error.message, reason: error.reason || error.status};
  const text = known ? say("error.api", values) : error instanceof TypeError ? say("error.unreachable", {api: config.api, page: location.origin}) : error.message;
  return [element("p", {class: "box", role: "alert"}, text), button(say("again"), route)];
}

function navigation(name) {
  const link = (place, text) => element("a", {href: `#/${place}`, "aria-current": place === name && "page"}, text);
  document.getElementById("nav").replaceChildren(link("", say("videos")), link("upload", say("upload")), link("webhooks", say("webhooks")), link("token", say("token")));
}

document.documentElement.lang = LANGUAGE;
document.documentElement.dir = DIRECTION;
addEventListener("hashchange", route);
listen(event => event === "changed" ? route() : askForToken());
await finishLogin(config);
await route();
