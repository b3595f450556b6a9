// The pages of webhooks, and of the deliveries of one.
import {call} from "./api.js";
import {announce, attempt, button, confirmed, element, field} from "./dom.js";
import {date} from "./format.js";
import {say} from "./words.js";

const PAGE = 50;
const hooks = (path, options) => call(path, {collection: "webhooks", ...options});

export async function showWebhooks(page, {signal}) {
  const list = element("div"), secret = element("div");
  page.append(element("h2", {}, say("webhooks")), adding(shown), secret, list);

  async function shown(created) {
    if (created) secret.replaceChildren(told(created.webhook.url, created.secret));
    const {webhooks} = await hooks(`?page_size=${PAGE}`, {signal});
    list.replaceChildren(webhooks.length ? table("hooks", webhooks.map(row), ["url", "types", "state", "created"]) : element("p", {}, say("hooks.none")));
  }

  await shown();
}

function adding(added) {
  const url = element("input", {type: "url", name: "url", required: true, size: 40}), types = element("input", {name: "types", size: 30});
  const send = async event => {
    event.preventDefault();
    const body = {url: url.value, types: types.value.split(/[\s,]+/).filter(Boolean)}, form = event.target;
    const created = await hooks("", {method: "POST", body});
    form.reset();
    await added(created);
  };
  return element("form", {onsubmit: attempt(send)}, field(say("hooks.url"), url), field(say("hooks.types"), types), element("button", {}, say("hooks.add")));
}

function told(url, secret) {
  return element("p", {class: "box", role: "alert"}, say("hooks.secret", {url, secret}));
}

function table(name, rows, columns) {
  const head = element("tr", {}, columns.map(column => element("th", {scope: "col"}, say(`${name}.col.${column}`))));
  const whole = element("table", {}, element("thead", {}, head), element("tbody", {}, rows));
  return element("div", {class: "table", tabindex: 0, role: "group", "aria-label": say(name === "hooks" ? "webhooks" : "deliveries.title")}, whole);
}

function row(hook) {
  const state = hook.disabled ? say("hooks.off", {reason: hook.disabled_reason}) : say("hooks.on");
  const cells = [hook.types.join(", ") || say("hooks.all"), state, date(hook.create_time)].map(text => element("td", {}, text));
  return element("tr", {}, element("th", {scope: "row"}, element("a", {href: `#/webhook/${hook.id}`}, hook.url)), cells);
}

export async function showWebhook(page, {signal, argument: id}) {
  const hook = await hooks(`/${encodeURIComponent(id)}`, {signal}), path = `/${hook.id}`, list = element("div"), secret = element("div");
  page.append(element("p", {}, element("a", {href: "#/webhooks"}, say("hooks.back"))), element("h2", {}, hook.url), secret, actions(), element("h3", {}, say("deliveries.title")), list);

  function actions() {
    const test = async () => { await hooks(`${path}/test`, {method: "POST", body: {}}); announce(say("hooks.tested")); await shown(); };
    const rotate = async () => {
      if (!await confirmed(say("hooks.rotate.sure"), say("yes"), say("no"))) return;
      secret.replaceChildren(told(hook.url, (await hooks(`${path}/rotate`, {method: "POST", body: {}})).secret));
    };
    const enable = async () => { await hooks(path, {method: "PATCH", body: {disabled: false}}); announce(say("act.done")); };
    const remove = async () => {
      if (!await confirmed(say("hooks.remove.sure", {url: hook.url}), say("yes"), say("no"))) return;
      await hooks(path, {method: "DELETE"});
      location.hash = "#/webhooks";
    };
    return element("div", {class: "row"}, button(say("hooks.test"), test), button(say("hooks.rotate"), rotate),
      hook.disabled && button(say("hooks.enable"), enable), button(say("hooks.remove"), remove));
  }

  async function shown(token = "") {
    const {deliveries, next_page_token: next} = await hooks(`${path}/deliveries?page_size=${PAGE}&page_token=${encodeURIComponent(token)}`, {signal});
    const columns = ["type", "state", "attempt", "answer", "created", "next", "again"];
    list.replaceChildren(deliveries.length ? table("deliveries", deliveries.map(delivery), columns) : element("p", {}, say("deliveries.none")),
      element("p", {class: "row"}, button(say("again"), () => shown()), next && button(say("next"), () => shown(next))));
  }

  function delivery(each) {
    const again = async () => {
      const {count} = await hooks(`${path}/redeliver`, {method: "POST", body: {delivery_id: each.id}});
      announce(say("hooks.count", {count}));
      await shown();
    };
    const answer = [each.http_status || "", each.error].filter(Boolean).join(" ");
    const cells = [each.type, say(each.state), String(each.attempt), answer, date(each.create_time), date(each.next_time)].map(text => element("td", {}, text));
    const repeat = each.state !== "STATE_PENDING" && button(say("hooks.again"), again, {"aria-label": say("hooks.again.name", {type: each.type})});
    return element("tr", {}, cells, element("td", {}, repeat));
  }

  await shown();
}
