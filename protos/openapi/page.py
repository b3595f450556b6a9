"""The reference page: the OpenAPI document as one HTML file, without scripts and without requests."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

_STYLE = Path(__file__).with_name("page.css").read_text()
_PAGE = Path(__file__).with_name("page.html").read_text()
#: Keywords shown next to the type, in this order.
_LIMITS = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern", "default")


def page(document: Schema) -> str:
    """Returns the page. All text of the document is escaped."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    contents, body = [], []
    for tag in document["tags"]:
        body.append(f"<h2>{escape(tag['name'])}</h2>\n{_prose(tag['description'])}")
        for path, verb, operation in _operations(document):
            if tag["name"] in operation["tags"]:
                name, title = operation["operationId"], f"{_verb(verb)}{_code(path)}"
                contents.append(f'<li><a href="#{name}">{_code(name.partition("_")[2])}</a></li>')
                body.append(f'<h3 id="{name}">{title}</h3>\n{_operation(operation)}')
    components = document["components"]
    body.append(f"<h2>Errors</h2>\n{_table(('Status', 'Meaning'), _errors(components['responses']))}")
    body.append("<h2>Schemas</h2>")
    body += [_schema(name, schema) for name, schema in components["schemas"].items()]
    info = document["info"]
    return _PAGE.format(
        digest=f"sha256-{digest}",
        style=_STYLE,
        title=escape(info["title"]),
        about=_prose(info["description"]),
        contents="\n".join(contents),
        body="\n".join(body),
    )


def _operations(document: Schema) -> Iterable[tuple[str, str, Schema]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield path, verb, operation


def _operation(operation: Schema) -> str:
    rows = [
        (
            _code(each["name"]),
            each["in"],
            *_described(each["schema"], each["required"], each.get("description", "")),
        )
        for each in operation.get("parameters", ())
    ]
    parts = [_prose(operation["description"])]
    if rows:
        parts.append(_table(("Parameter", "In", "Type", "Description"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_type(body['content']['application/json']['schema'])}</p>")
    reply = operation["responses"]["200"]
    schema = reply["content"]["application/json"]["schema"]
    parts.append(f"<p>Reply: {_type(schema)}. {escape(reply['description'])}</p>")
    return "\n".join(parts)


def _schema(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (_code(field), *_described(each, field in required, each.get("description", "")))
        for field, each in schema.get("properties", {}).items()
    ]
    table = _table(("Field", "Type", "Description"), rows) if rows else ""
    return f'<h3 id="schema-{name}">{_code(name)}</h3>\n{_prose(schema.get("description", ""))}\n{table}'


def _errors(responses: Schema) -> Iterable[tuple[str, str]]:
    return ((_code(status), _prose(each["description"])) for status, each in responses.items())


def _described(schema: Schema, required: bool, description: str) -> tuple[str, str]:
    limits = [f"{name} {_code(str(schema[name]))}" for name in _LIMITS if name in schema]
    kind = ", ".join([_type(schema), *(["required"] if required else []), *limits])
    return kind, _prose(description)


def _type(schema: Schema) -> str:
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#schema-{name}">{_code(name)}</a>'
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    kind = f"map to {_type(values)}" if values else escape(str(schema.get("type", "any")))
    return f"{kind} ({escape(schema['format'])})" if "format" in schema else kind


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    lines = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table>\n<tr>{head}</tr>\n{lines}\n</table></div>'


def _prose(text: str) -> str:
    """Returns HTML for the Markdown that the document uses: each line is a paragraph or an item of a list."""
    found = []
    for is_list, lines in groupby(filter(None, text.split("\n")), lambda line: line.startswith("- ")):
        shown = [re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line)) for line in lines]
        if is_list:
            found.append(f"<ul>{''.join(f'<li>{each[2:]}</li>' for each in shown)}</ul>")
        else:
            found += [f"<p>{each}</p>" for each in shown]
    return "\n".join(found)


def _verb(verb: str) -> str:
    return f'<span class="verb">{escape(verb.upper())}</span>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
