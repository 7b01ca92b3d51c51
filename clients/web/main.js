// Who is here: a session is kept for this tab, or on this device.
const KEPT = "pipit.session";

function enter(session, stay = false) {
  const text = JSON.stringify(session);
  tab.set(KEPT, stay ? null : text);
  device.set(KEPT, stay ? text : null);
  begin(session);
}

// Lines that could not be sent wait for the next login of whoever wrote them.
function begin(session) {
  const outbox = session.user && session.user === link.name ? link.outbox : [];
  Object.assign(link, { session, stopped: false, tries: 0, last: null, name: session.user ?? "", former: "", wanted: "", outbox });
  Object.assign(shown, { from: "", day: "", quiet: true });
  roster.names.clear();
  ["log", "waiting", "roster"].forEach((id) => $(id).replaceChildren());
  outbox.forEach((line) => mark(line, line.state === "waiting" ? "waiting" : "unsure"));
  $("entry").hidden = true;
  $("chat").hidden = false;
  tell($("leave"), session.token ? "logout" : "leave");
  tell($("people"), "people", 0);
  stays = true;
  connect();
  $("text").focus();
}

// Back to the way in, and why.
function endSession(word) {
  link.stopped = true;
  drop();
  link.session = null;
  tab.set(KEPT, null);
  device.set(KEPT, null);
  read();
  $("chat").hidden = true;
  openEntry(word);
}

async function openEntry(word) {
  $("entry").hidden = false;
  showView("login", word && [word]);
  $("login-user").focus();
  const status = await fetchStatus();
  $("guests").hidden = status.guests === false;
  link.most = status.message_bytes ?? link.most;
}

$("leave").onclick = async () => {
  const token = link.session.token;
  endSession(token ? "loggedOut" : null);
  if (token) await call("/logout", {}, token);
};
$("guest").onclick = () => enter({ guest: true });
all(".language").forEach((each) => each.onclick = () => {
  language = language === "zh" ? "en" : "zh";
  device.set("pipit.language", language);
  speak();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) read();
  wake();
});
addEventListener("online", wake);
addEventListener("beforeunload", (event) => link.outbox.length > 0 && event.preventDefault());
addEventListener("keydown", (event) => event.key === "Escape" && openNames(false));

function start() {
  const kept = tab.get(KEPT) ?? device.get(KEPT);
  tell($("send"), "sendCode");
  showView("login");
  speak();
  if (!kept) {
    openEntry(null);
    return;
  }
  begin(JSON.parse(kept));
  fetchStatus().then((status) => link.most = status.message_bytes ?? link.most);
}

start();
