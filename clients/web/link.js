// The connection to the chat, and the lines that were typed.
//
// A line leaves the outbox when its own echo has come back: waiting -> sent -> gone. When the connection breaks, what was
// sent is `checking`: the replay after ?since= shows whether it arrived; if not, it is sent again. Where nobody can know
// (the history has a gap, the server was started anew, or a guest's private line) it is `unsure`, and the reader decides.
const link = {
  session: null, // {user, token}, {guest: true}
  socket: null,
  stopped: true, // nothing is tried
  opened: false, // by the server
  welcomed: false, // the replay is over
  last: null, // the newest event seen: where to go on from
  gap: false, // something is missing in the replay
  name: "",
  former: "", // our name on the connection before, and whether that has left
  formerLeft: false,
  wanted: "", // the name that /nick gave us
  tries: 0,
  timer: 0,
  heard: 0, // ms
  probed: 0, // ms
  most: 1024, // bytes of a message
  outbox: [],
};
const kinds = ["message", "action", "join", "leave", "rename", "private"];
const SILENCE = 15000; // ms that a line may be on its way without a sign of life

/// Coming and going ///

function protocols() {
  const token = link.session.token;
  return token && /^[\w.~+-]+$/.test(token) ? ["pipit.v1.json", `pipit.token.${token}`] : ["pipit.v1.json"];
}

function address() {
  const url = new URL(`/ws?since=${link.last ?? 0}`, location.href.replace(/^http/, "ws"));
  if (link.session.token && protocols().length === 1) url.searchParams.set("token", link.session.token);
  return url;
}

function connect() {
  clearTimeout(link.timer);
  if (link.stopped || link.socket) return;
  if (document.hidden && link.tries > 0) {
    report("paused");
    return;
  }
  if (link.tries === 0) report("connecting");
  Object.assign(link, { opened: false, welcomed: false, gap: false, heard: Date.now(), probed: 0 });
  const socket = link.socket = new WebSocket(address(), protocols());
  socket.onopen = () => link.opened = true;
  socket.onmessage = (message) => take(JSON.parse(message.data));
  socket.onclose = (event) => lost(event.code, event.reason);
  link.timer = setTimeout(() => link.welcomed || drop(), 20000);
}

// A dead one may take minutes to notice that it is closed; we do not wait for it.
function drop() {
  const socket = link.socket;
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  socket.close();
  lost(1006, "");
}

function lost(code, reason) {
  clearTimeout(link.timer);
  link.socket = null;
  if (link.name) link.former = link.name;
  link.formerLeft = false;
  link.outbox.forEach((line) => line.state === "sent" && mark(line, "checking"));
  if (link.stopped) return;
  if (code === 1009) link.outbox.some((line) => line.state === "checking" && mark(line, "tooLong"));
  if (!link.opened) diagnose();
  else closed(code, reason);
}

function closed(code, reason) {
  if (code === 4001) stop("elsewhere");
  else if (code === 1000) stop("quit");
  else if (code === 4002) endSession(/password/.test(reason) ? "passwordChanged" : "expired");
  else if ([1002, 1003, 1007, 1008].includes(code)) stop("closed", reason || code);
  else retry(code === 1013 ? "behind" : "lost");
}

// A script is not told why a WebSocket was refused; a plain request for the same is answered with the status.
async function diagnose() {
  const headers = link.session.token ? { Authorization: `Bearer ${link.session.token}` } : {};
  let status = 0;
  try {
    status = (await fetch("/ws", { headers, signal: AbortSignal.timeout(20000) })).status;
  } catch { }
  if (link.stopped || link.socket) return;
  if (status === 401) endSession(link.session.token ? "expired" : "noGuests");
  else retry(status === 503 ? "full" : "lost");
}

function retry(why) {
  const away = !navigator.onLine;
  const most = away ? 30000 : Math.min(30000, 500 * 2 ** link.tries++);
  report(document.hidden ? "paused" : away ? "offline" : why);
  link.timer = setTimeout(connect, most * (.5 + Math.random() / 2));
}

function stop(why, ...values) {
  link.stopped = true;
  report(why, ...values);
}

// A page that wakes up: whether the connection is still alive, an answer tells.
function wake() {
  if (link.stopped || document.hidden) return;
  if (!link.socket) {
    link.tries = 0;
    connect();
  } else if (link.welcomed) {
    link.probed = Date.now();
    askWho();
  }
}

setInterval(() => {
  const now = Date.now();
  const waits = link.outbox.some((line) => line.state === "sent" && now - line.at > SILENCE);
  const mute = link.probed > link.heard && now - link.probed > 8000;
  if (link.welcomed && link.socket && (mute || (waits && now - link.heard > SILENCE))) drop();
}, 2000);

/// Events ///

// What came before a restart of the server has other numbers.
function startOver() {
  link.last = 0;
  link.gap = true;
  showNote("restarted");
}

function take(event) {
  link.heard = Date.now();
  const kept = kinds.includes(event.kind);
  if (link.last !== null && !link.welcomed && kept && event.id <= link.last) startOver();
  if (event.kind === "welcome") welcome(event);
  if (kept && link.last !== null && event.id <= link.last) return;
  if (event.kind === "skipped") link.gap = true;
  const mine = isMine(event);
  const answered = mine && answer(event);
  showEvent(event, mine, answered);
  link.last = Math.max(link.last ?? 0, event.id);
  follow(event);
}

const isMine = (event) => event.from !== undefined && (event.from === link.name || (!link.welcomed && event.from === link.former));

function follow(event) {
  if (event.kind === "rename" && event.from === link.name) {
    link.name = event.to;
    link.wanted = /^guest-/i.test(event.to) ? "" : event.to;
    report("connected", link.name);
  }
  if (event.kind === "leave" && event.from === link.former) {
    link.formerLeft = true;
    if (link.welcomed) settle();
  }
  if (event.kind === "notice") answerByNotice(event.text);
}

function welcome(event) {
  if (link.last !== null && event.newest < link.last) startOver();
  link.name = event.name;
  link.welcomed = true;
  link.tries = 0;
  clearTimeout(link.timer);
  report("connected", link.name);
  askWho();
  if (link.wanted && link.wanted !== link.name) link.socket.send(`/nick ${link.wanted}`);
  settle();
}

/// The outbox ///

const trimmed = (text) => text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
const isPrivate = (line) => line.text.startsWith("/msg ");
const hasEcho = (text) => !text.startsWith("/") || /^\/(me|msg) +[^ ]/.test(text);

function mark(line, state) {
  line.state = state;
  showLine(line);
  return true;
}

function queue(text) {
  const line = { text, state: "waiting", at: 0 };
  link.outbox.push(line);
  showLine(line);
  flush();
}

function remove(line) {
  link.outbox = link.outbox.filter((each) => each !== line);
  showLine(line, true);
}

function flush() {
  if (!link.welcomed || !link.socket || link.socket.readyState !== WebSocket.OPEN) return;
  for (const line of link.outbox.filter((each) => each.state === "waiting")) {
    link.socket.send(line.text);
    line.at = Date.now();
    if (hasEcho(line.text)) mark(line, "sent");
    else remove(line);
  }
}

// The replay is over. A line of a guest may still be on its way on the old connection, until that has left.
function settle() {
  const known = link.session.token || link.formerLeft;
  for (const line of link.outbox.filter((each) => each.state === "checking")) {
    if (link.gap || (isPrivate(line) && !link.session.token)) mark(line, "unsure");
    else if (known) mark(line, "waiting");
  }
  flush();
}

function isEcho(line, event) {
  if (event.kind === "message") return line.text === event.text;
  if (event.kind === "action") return line.text.startsWith("/me ") && trimmed(line.text.slice(4)) === event.text;
  return event.kind === "private" && isPrivate(line) && line.text.endsWith(event.text);
}

function answer(event) {
  const line = link.outbox.find((each) => each.state !== "waiting" && isEcho(each, event));
  if (line) remove(line);
  return Boolean(line);
}

function answerByNotice(text) {
  const first = (test) => link.outbox.find((line) => line.state === "sent" && test(line));
  const unsaid = text.startsWith("that was not said") && first(() => true);
  const alone = text.startsWith("nobody of that name") && first(isPrivate);
  if (unsaid) mark(unsaid, "tooLong");
  if (alone) remove(alone);
}

function askWho() {
  roster.silent = true;
  roster.fresh = true;
  if (link.socket?.readyState === WebSocket.OPEN) link.socket.send("/who");
}
