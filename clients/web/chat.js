// What the chat shows: the conversation, who is there, and the line that is being written.
const LINES = 1500; // kept in the page
const roster = { names: new Set(), seen: 0, silent: false, fresh: false };
const shown = { from: "", at: 0, day: "", unread: 0, newer: 0, quiet: true };

/// The status line ///

function report(key, ...values) {
  const line = tell($("line"), key, ...values);
  line.classList.toggle("bad", !["connecting", "connected"].includes(key));
  if (link.stopped && key !== "connecting") line.append(" ", button("", "comeBack", comeBack));
}

function comeBack() {
  link.stopped = false;
  link.tries = 0;
  connect();
  $("text").focus();
}

/// Scrolling: it stays where the reader is ///

const atEnd = () => $("scroll").scrollHeight - $("scroll").scrollTop - $("scroll").clientHeight < 60;
let stays = true; // at the end

function toEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  stays = true;
  shown.newer = 0;
  $("newer").hidden = true;
}

function keepPlace(counts) {
  if (stays) toEnd();
  else if (counts) {
    tell($("newer"), "newOnes", ++shown.newer);
    $("newer").hidden = false;
  }
}

let size = "";
const sizeNow = () => `${$("scroll").clientWidth} ${$("scroll").clientHeight}`;
$("scroll").onscroll = () => {
  if (size !== sizeNow()) return; // not the reader has moved it, but the window's new size
  stays = atEnd();
  if (stays) toEnd();
};
$("newer").onclick = () => {
  toEnd();
  $("text").focus();
};
new ResizeObserver(() => {
  size = sizeNow();
  if (stays) toEnd();
}).observe($("scroll"));

/// Unread ///

function countUnread() {
  if (!document.hidden) return;
  if (shown.unread++ === 0) {
    all(".mark").forEach((mark) => mark.remove());
    $("log").append(tell(make("li", "mark"), "unread"));
    shown.from = "";
  }
  document.title = `(${shown.unread}) Pipit`;
}

function read() {
  shown.unread = 0;
  document.title = "Pipit";
}

/// Text that others wrote ///

const visible = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");

function appendText(element, text) {
  let at = 0;
  for (const found of text.matchAll(/\bhttps?:\/\/[^\s<>"\u3000-\u303f\uff00-\uffef]+/gi)) {
    const address = found[0].replace(/[.,;:!?')\]]+$/, "");
    if (!URL.canParse(address)) continue;
    const link = make("a", "", visible(address));
    Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer" });
    element.append(visible(text.slice(at, found.index)), link);
    at = found.index + address.length;
  }
  element.append(visible(text.slice(at)));
}

const isolated = (text) => make("bdi", "", visible(text));

function timeOf(at) {
  const moment = new Date(at || Date.now());
  const time = make("time", "", moment.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = moment.toISOString();
  return time;
}

/// Lines of the conversation ///

function append(item, counts = false) {
  $("log").append(item);
  if (stays) while ($("log").childElementCount > LINES) $("log").firstElementChild.remove();
  keepPlace(counts && !document.hidden);
}

function newDay(at) {
  const day = new Date(at || Date.now()).toLocaleDateString(language);
  if (shown.day && shown.day !== day) {
    append(make("li", "event", day));
    shown.from = "";
  }
  shown.day = day;
}

function showNote(key, ...values) {
  append(tell(make("li", "event"), key, ...values));
  shown.from = "";
}

function head(event, mine) {
  const who = make("div", "who");
  who.append(mine ? tell(make("span", "unseen"), "you") : isolated(event.from));
  if (event.kind === "private") who.append(" ", mine ? tell(make("small"), "to", visible(event.to)) : tell(make("small"), "toYou"));
  return who;
}

function bubble(event) {
  const element = make("div", "bubble");
  element.dir = "auto";
  if (event.kind === "action") element.append(isolated(event.from), " ");
  appendText(element, event.text);
  element.append(timeOf(event.at));
  return element;
}

function showMessage(event, mine, answered) {
  newDay(event.at);
  if (!mine) countUnread();
  const item = make("li", `${event.kind}${mine ? " own" : ""}`);
  const goesOn = shown.from === event.from && event.kind === "message" && event.at - shown.at < 180000;
  if (!goesOn) {
    item.classList.add("new");
    if (event.kind !== "action") item.append(head(event, mine));
  }
  item.append(bubble(event));
  shown.from = event.kind === "message" ? event.from : "";
  shown.at = event.at;
  if (answered) stays = true;
  append(item, !mine);
}

const showers = {
  message: showMessage,
  action: showMessage,
  private: showMessage,
  join: (event) => shown.quiet || (event.from !== link.name && showNote("joined", visible(event.from))),
  leave: (event) => shown.quiet || showNote("left", visible(event.from)),
  rename: (event) => shown.quiet || showNote("renamed", visible(event.from), visible(event.to)),
  skipped: (event) => showNote("skipped", event.count),
  notice: (event) => showNotice(event.text),
  roster: showRoster,
  welcome: () => shown.quiet = false, // who came and went before us is nobody's news
};

function showNotice(text) {
  append(make("li", "event notice", visible(text)));
  shown.from = "";
}

function showEvent(event, mine, answered) {
  showers[event.kind]?.(event, mine, answered);
  if (link.welcomed) keepRoster(event);
}

// A line of the outbox, below the conversation until its echo is there.
function showLine(line, gone = false) {
  line.element?.remove();
  if (gone) return;
  const item = line.element ?? make("li", "own");
  const element = make("div", "bubble");
  element.dir = "auto";
  appendText(element, line.text);
  const state = tell(make("small"), { waiting: "waiting", sent: "onItsWay" }[line.state] ?? line.state);
  if (["unsure", "tooLong"].includes(line.state)) state.append(" ", ...choices(line));
  item.replaceChildren(element, state);
  line.element = item;
  const behind = link.outbox.slice(link.outbox.indexOf(line) + 1).find((each) => each.element?.isConnected);
  $("waiting").insertBefore(item, behind?.element ?? null);
  keepPlace(false);
}

function choices(line) {
  const again = button("", "sendOnce", () => {
    mark(line, "waiting");
    flush();
  });
  const discard = button("", "forget", () => remove(line));
  return line.state === "unsure" ? [again, " ", discard] : [discard];
}

/// Who is there ///

function keepRoster(event) {
  const { names } = roster;
  if (event.kind === "join") names.add(event.from);
  if (event.kind === "leave") names.delete(event.from);
  if (event.kind === "rename" && names.delete(event.from)) names.add(event.to);
  if (["join", "leave", "rename", "welcome"].includes(event.kind)) listNames();
}

// A long roster comes in several events.
function showRoster(event) {
  if (roster.fresh) {
    roster.names.clear();
    roster.seen = 0;
    roster.fresh = false;
  }
  event.names.forEach((name) => roster.names.add(name));
  roster.seen += event.names.length;
  listNames();
  if (roster.seen < event.total) return;
  if (!roster.silent) showNote("roster", roster.names.size, visible([...roster.names].join(", ")));
  roster.silent = false;
}

function listNames() {
  const names = [...roster.names].sort((a, b) => (b === link.name) - (a === link.name) || a.localeCompare(b, language));
  $("roster").replaceChildren(...names.map(nameItem));
  tell($("people"), "people", names.length);
}

function nameItem(name) {
  const item = make("li");
  if (name === link.name) {
    item.className = "me";
    item.append(isolated(name), " (", tell(make("span"), "you"), ")");
    return item;
  }
  const write = make("button");
  write.type = "button";
  write.append(isolated(name));
  write.onclick = () => {
    openNames(false);
    $("text").value = `/msg ${name} `;
    typed();
    $("text").focus();
  };
  item.append(write);
  return item;
}

function openNames(open) {
  $("names").classList.toggle("open", open);
  $("people").setAttribute("aria-expanded", open);
}

$("people").onclick = () => openNames(!$("names").classList.contains("open"));

/// Writing ///

const commands = { "/help": "cHelp", "/me": "cMe", "/msg": "cMsg", "/nick": "cNick", "/who": "cWho", "/quit": "cQuit" };
let offered = [], chosen = 0;

function offersFor(text) {
  if (/^\/\w*$/.test(text)) return Object.keys(commands).filter((each) => each.startsWith(text)).map((each) => [`${each} `, each, commands[each]]);
  const start = text.match(/^\/msg (.*)$/)?.[1].toLowerCase();
  const names = start === undefined ? [] : [...roster.names].filter((name) => name !== link.name && name.toLowerCase().startsWith(start));
  return names.slice(0, 8).map((name) => [`/msg ${name} `, name]);
}

function offer(list) {
  offered = list;
  chosen = 0;
  $("offers").hidden = list.length === 0;
  $("offers").replaceChildren(...list.map(([, word, key], i) => {
    const item = make("li");
    item.id = `offer-${i}`;
    item.setAttribute("role", "option");
    item.append(isolated(word));
    if (key) item.append(tell(make("span"), key));
    item.onmousedown = (event) => {
      event.preventDefault();
      complete(i);
    };
    return item;
  }));
  choose(0);
}

function choose(i) {
  chosen = (i + offered.length) % (offered.length || 1);
  [...$("offers").children].forEach((item, n) => {
    item.setAttribute("aria-selected", n === chosen);
    if (n === chosen) item.scrollIntoView({ block: "nearest" });
  });
  if (offered.length) $("text").setAttribute("aria-activedescendant", `offer-${chosen}`);
  else $("text").removeAttribute("aria-activedescendant");
}

function complete(i) {
  $("text").value = offered[i][0];
  typed();
}

function typed() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  const left = link.most - bytes(trimmed(text.value));
  put($("size"), left < 0 ? ["bytesOver", -left] : left < link.most / 5 ? ["bytesLeft", left] : null).classList.toggle("bad", left < 0);
  offer(offersFor(text.value));
}

// A string of a browser's may hold half a character, which no message can.
const wellFormed = (text) => text.toWellFormed?.() ?? text;

function help() {
  showNotice(t("help", Object.entries(commands).map(([word, key]) => `${word}: ${t(key)}`).join("\n")));
}

function send() {
  const text = trimmed(wellFormed($("text").value));
  if (bytes(text) > link.most || link.stopped) return;
  $("text").value = "";
  typed();
  stays = true;
  toEnd();
  if (text === "/help") help();
  else if (text) {
    if (text === "/who") Object.assign(roster, { silent: false, fresh: true });
    queue(text);
  }
}

const keys = {
  ArrowDown: () => choose(chosen + 1),
  ArrowUp: () => choose(chosen - 1),
  Tab: () => complete(chosen),
  Escape: () => offer([]),
};

$("text").oninput = typed;
$("text").onkeydown = (event) => {
  if (event.isComposing || event.keyCode === 229) return; // Enter ends the word of an input method
  if (offered.length && keys[event.key] && !event.shiftKey) {
    event.preventDefault();
    keys[event.key]();
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    const word = $("text").value;
    if (offered.length && offered[chosen][0].trim() !== word.trim()) complete(chosen);
    else send();
  }
};
$("text").onblur = () => offer([]);
$("say").onsubmit = (event) => {
  event.preventDefault();
  send();
  $("text").focus();
};
