// The next ends of a schedule, in words, before a season has it.

import { api, el, lasts, reason } from "./admin-kit.js";
import { plain } from "./show.js";

const PAUSE_MS = 350;
const wall = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short", timeZone: "UTC" });

/** An end as clocks of its zone show it. The server has done the reckoning: browsers may know other zones. */
function inWords({ at, local }, zone) {
  const offset = /(?:Z|[+-]\d\d:\d\d)$/.exec(local)[0];
  return el("li", {},
    el("time", { datetime: at, title: at }, wall.format(new Date(`${local.slice(0, 19)}Z`))),
    el("span", { class: "hint" }, `${zone ? `${plain(zone)}, ` : ""}UTC${offset === "Z" ? "" : offset}, in ${lasts((Date.parse(at) - Date.now()) / 1_000)}`));
}

/** A place that shows the next ends of what `read` gives: {schedule, opensAt}; null: there is no schedule. `look` asks anew. */
export function preview(read) {
  const place = el("div", { class: "preview", id: "d-preview", role: "status", hidden: true });
  let timer = 0, turn = 0;
  const ask = async () => {
    const wanted = read();
    const mine = ++turn;
    place.hidden = !wanted;
    if (!wanted) return;
    const missing = Object.values(wanted.schedule).some((one) => !one);
    let shown;
    if (missing) shown = [el("p", { class: "hint" }, "Its next ends are shown here as soon as both parts are there.")];
    else {
      try {
        const { data } = await api("POST", "schedules/preview", wanted);
        const only = "endsAt" in wanted.schedule;
        shown = [el("p", { class: "hint" }, only ? "It ends" : "Its next periods end"), el("ol", {}, data.ends.map((one) => inWords(one, wanted.schedule.timeZone)))];
      } catch (error) {
        const said = error.code?.startsWith("invalid-") ? error.message : `Its next ends are not known: ${reason(error)}`;
        shown = [el("p", { class: "wrong" }, plain(said))];
      }
    }
    if (mine !== turn) return;
    place.replaceChildren(...shown);
    place.dataset.turn = mine;
  };
  const look = () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE_MS); };
  ask();
  return { place, look };
}
