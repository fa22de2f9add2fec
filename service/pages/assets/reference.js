// The reference of the API, made of /openapi.json. Every text becomes text, never markup.

function make(tag, parent, text = "", name = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  // Code stands between backquotes.
  text.split("`").forEach((part, at) => {
    if (at % 2) { const code = document.createElement("code"); code.textContent = part; element.append(code); } else element.append(part);
  });
  parent.append(element);
  return element;
}

function table(parent, heads, rows) {
  const box = make("div", parent, "", "scroll");
  box.tabIndex = 0;
  const made = make("table", box);
  const head = make("tr", make("thead", made));
  for (const text of heads) make("th", head, text).scope = "col";
  const body = make("tbody", made);
  for (const row of rows) { const line = make("tr", body); for (const text of row) make("td", line, text); }
}

function bounds({ minimum, maximum, minLength, maxLength, enum: choices, default: value, type }) {
  const parts = [choices ? choices.map((one) => `\`${one}\``).join(", ") : type ?? ""];
  if (minimum !== undefined && maximum !== undefined) parts.push(`${minimum.toLocaleString()} to ${maximum.toLocaleString()}`);
  if (maxLength !== undefined) parts.push(`${minLength ?? 0} to ${maxLength} characters`);
  if (value !== undefined) parts.push(`default ${value}`);
  return parts.filter(Boolean).join("; ");
}

function example(content) {
  for (const one of Object.values(content ?? {})) {
    if (one.example !== undefined) return typeof one.example === "string" ? one.example : JSON.stringify(one.example, null, 2);
  }
  return null;
}

function show(path, method, operation, main) {
  const section = make("section", main);
  section.id = operation.operationId;
  const title = make("h2", section);
  make("span", title, method.toUpperCase(), "method");
  title.append(" ");
  make("code", title, path);
  make("p", section, operation.summary);
  const scopes = operation.security?.flatMap((one) => Object.values(one).flat()) ?? [];
  make("p", section, scopes.length ? `Needs the scope \`${scopes.join("`, `")}\`.` : "Needs no credential.");
  if (operation.parameters?.length) {
    make("h3", section, "Parameters");
    table(section, ["name", "in", "value", "meaning"], operation.parameters.map((one) => [
      `\`${one.name}\`${one.required ? "" : " (optional)"}`, one.in, bounds(one.schema), one.description ?? "",
    ]));
  }
  const body = example(operation.requestBody?.content);
  if (body) { make("h3", section, "Body"); make("pre", section).textContent = body; }
  make("h3", section, "Answers");
  table(section, ["status", "meaning"], Object.entries(operation.responses).map(([status, one]) => [status, one.description]));
  const answer = Object.entries(operation.responses).filter(([status]) => status < 400).map(([, one]) => example(one.content)).find(Boolean);
  if (answer) { make("h3", section, "For example"); make("pre", section).textContent = answer; }
}

try {
  const answer = await fetch("openapi.json", { credentials: "omit" });
  const api = await answer.json();
  document.getElementById("about").textContent = `${api.info.title} ${api.info.version}`;
  const main = document.getElementById("operations"), contents = document.getElementById("contents");
  for (const tag of api.tags) {
    make("h2", contents, tag.name);
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] !== tag.name) continue;
        make("a", contents, operation.operationId).href = `#${operation.operationId}`;
        show(path, method, operation, main);
      }
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch {
  document.getElementById("about").textContent = "The document cannot be read; is the server away?";
}
