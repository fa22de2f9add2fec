// Fair play: whether a player is banned or hidden, and the way there and back.

import { api, badge, card, el, field, form, input, name, tell, when } from "./admin-kit.js";

/** The state of a player; null: the key that signed in may not see it. */
export async function moderationOf(path) {
  try {
    return (await api("GET", `${path}/moderation`)).data;
  } catch (error) {
    if (error.code !== "scope-missing") throw error;
    return null;
  }
}

function reasonField(id, isRequired) {
  return input({ dir: "auto", maxlength: 512, required: isRequired, id });
}

/** A change: its consequence in words, beside the fields and the button. */
const change = (title, consequence, button, act, fields, danger = false) => el("section", { class: "hazard" },
  el("div", {}, el("h3", {}, title), el("p", {}, consequence)), form(button, act, fields, { danger }));

function ban(ask) {
  const why = reasonField("ban-reason", true);
  const seasons = el("textarea", { rows: 2, dir: "auto", spellcheck: "false", id: "ban-seasons" });
  const until = input({ type: "datetime-local", id: "ban-until" });
  return change("Ban", "Submissions of the player are refused, and no board shows the player, of this period or a past one. All others move up. Nothing is deleted: unbanning brings back exactly what was.", "Ban the player", () => {
    const named = seasons.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return ask("ban", "The player is banned.", {
      reason: why.value, ...(named.length ? { seasons: named } : {}), ...(until.value ? { until: new Date(until.value).toISOString() } : {}),
    });
  }, [
    field("Reason of the ban", why, "The audit keeps it."), field("Seasons", seasons, "One a line. Empty: every season, those to come as well."),
    field("Until", until, "Empty: for good."),
  ], true);
}

const undo = (verb, title, consequence, button, done, ask) => {
  const why = reasonField(`${verb}-reason`, false);
  return change(title, consequence, button, () => ask(verb, done, why.value ? { reason: why.value } : undefined), [field(`Reason to ${verb}`, why)]);
};

const tellBan = ({ at, until, seasons, reason }) => el("p", { id: "ban-state" }, badge("banned", "bad"), " since ", when(at), until ? [" until ", when(until)] : " for good", seasons
  ? [" in ", seasons.flatMap((season, nth) => [nth ? ", " : "", name(season)])] : " in every season", ". Reason: ", name(reason));

const tellHidden = ({ at, reason }) => el("p", { id: "hidden-state" }, badge("hidden", "warn"), " since ", when(at), ".", reason ? [" Reason: ", name(reason)] : null);

/** The card; `again` is called after a change. */
export function fairPlay(state, path, again) {
  if (state === null) return card("Fair play", el("p", { class: "hint" }, "To see whether the player is banned or hidden, and to change it, sign in with a key that also has the scope moderate."));
  const ask = async (verb, done, body) => {
    await api("POST", `${path}/${verb}`, body);
    tell(done);
    again();
  };
  return card("Fair play",
    state.ban || state.hidden ? null : el("p", { id: "free-state" }, "Neither banned nor hidden."),
    state.ban ? tellBan(state.ban) : null, state.hidden ? tellHidden(state.hidden) : null,
    el("div", { class: "stack", id: "fair-play" },
      state.ban ? undo("unban", "Unban", "Submissions are accepted again, and boards show the player as before the ban.", "Unban the player", "The player is not banned any more.", ask) : ban(ask),
      state.hidden ? undo("show", "Show", "Boards show the player again, with all that was submitted meanwhile.", "Show the player", "Boards show the player again.", ask)
        : undo("hide", "Hide", "Submissions of the player go on and count, and no board shows the player, not even to the player. All others move up.", "Hide the player", "No board shows the player.", ask)));
}
