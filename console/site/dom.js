// Makes elements. Text is always text: nothing that a server sends becomes markup.

// Properties that begin with "on" are listeners; `null`, `undefined` and `false` leave an attribute or a child out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(text, onclick, attributes = {}) {
  return element("button", {type: "button", onclick: attempt(onclick), ...attributes}, text);
}

// Returns a listener that says why it failed.
export function attempt(listener) {
  return async event => {
    try {
      await listener(event);
    } catch (error) {
      if (error.name !== "AbortError") announce(error.reason ? `${error.message} (${error.reason})` : error.message);
    }
  };
}

export function field(text, input) {
  return element("label", {}, text, input);
}

// The facts whose value is not empty.
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value);
  return element("dl", {}, shown.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

// Says a sentence to everybody, also to screen readers.
export function announce(text) {
  document.getElementById("said").textContent = text;
}

// Asks in a dialog. Returns whether the person agreed.
export function confirmed(question, yes, no) {
  const {promise, resolve} = Promise.withResolvers();
  const dialog = element("dialog", {"aria-labelledby": "question", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); }},
    element("p", {id: "question"}, question),
    element("form", {method: "dialog"}, element("button", {value: "no", autofocus: true}, no), element("button", {value: "yes"}, yes)));
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}
