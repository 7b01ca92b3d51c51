// Register, log in, reset: what is typed is held to the server's own bounds, in its own sentences.
const CODE_PAUSE = 60; // seconds until a code may be asked for again; the server's word wins
const space = " \xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff";
const blank = new RegExp(`^[${space}]|[${space}]$`);
const special = new RegExp(`[${space}<>()[\\]",;:\\\\]`);
const control = /[\0-\x1f\x7f-\x9f]/;

const checks = {
  "login-user": (v) => v ? null : "missingLogin",
  "login-password": (v) => v ? null : "missingPassword",
  code: (v) => v ? null : "missingCode",
  again: (v) => v === $("password").value ? null : "mismatch",
  password: (v) => !v ? "missingPassword" : bytes(v) < 6 || bytes(v) > 64 ? "passwordLength" : null,
  user(v) {
    if (!v) return "missingUser";
    if (bytes(v) > 32) return "nameLength";
    if (control.test(v)) return "nameControl";
    if (blank.test(v)) return "nameBlank";
    if (v.includes("@")) return "nameAt";
    if (/^guest-/i.test(v)) return "nameGuest";
    return /^system$/i.test(v) ? "nameSystem" : null;
  },
  email(v) {
    if (!v) return "missingEmail";
    if (bytes(v) > 254) return "emailLength";
    if (control.test(v)) return "emailControl";
    if (!/^[^@]+@[^@]+$/.test(v)) return "emailSides";
    return special.test(v) ? "emailSpecial" : null;
  },
};

/// Sentences beside fields ///

function complain(input, message) {
  put($(`${input.id}-error`), message);
  input.setAttribute("aria-invalid", message !== null);
}

function check(id) {
  const wrong = checks[id]($(id).value);
  complain($(id), wrong && [wrong]);
  return !wrong;
}

// All of them are told; the first wrong one gets the focus.
function checkAll(...ids) {
  const wrong = ids.filter((id) => !check(id));
  $(wrong[0])?.focus();
  return wrong.length === 0;
}

// Tells at once what can't become right by typing on, the rest when the field is left.
function watch(id) {
  const input = $(id);
  const place = make("p", "error");
  place.id = `${id}-error`;
  input.closest(".field").append(place);
  input.setAttribute("aria-describedby", `${id}-error${$(`${id}-hint`) ? ` ${id}-hint` : ""}`);
  input.addEventListener("input", () => {
    const wrong = checks[id](input.value);
    const late = id === "again" && input.value.length >= $("password").value.length;
    if (!wrong || input.left || late || !/^m|Blank|Sides|System|passwordL/.test(wrong)) check(id);
    if (id === "password" && $("again").value) check("again");
  });
  // Later: a sentence that comes or goes would move the button away from under a click.
  input.addEventListener("blur", () => setTimeout(() => {
    input.left = input.value !== "";
    if (input.left && checks[id](input.value)) check(id);
  }, 250));
}

const fieldOfError = { 1002: "email", 1004: "code", 1005: "code", 1006: "user", 1007: "user", 1008: "login-password" };

// 1003 names its field in the sentence; the page's own check words it in the reader's language.
function fieldOf(form, { error, message = "" }) {
  if (error !== 1003) return $(fieldOfError[error]);
  const name = ["user", "email", "password", "code"].find((each) => message.includes(each));
  return form.elements[name];
}

function refuse(form, reply) {
  const input = fieldOf(form, reply);
  if (!input || !form.contains(input) || input.closest("[hidden]")) {
    put(form.querySelector(".whole"), explain(reply));
    return;
  }
  const own = checks[input.id](input.value);
  complain(input, own ? [own] : explain(reply));
  input.focus();
}

// While a call is under way its button says so; a second press does nothing.
async function busy(pressed, work) {
  if (pressed.getAttribute("aria-disabled") === "true") return;
  const [key, values] = [pressed.dataset.t, pressed.values ?? []];
  pressed.setAttribute("aria-disabled", true);
  tell(pressed, "working");
  try {
    await work();
  } finally {
    pressed.setAttribute("aria-disabled", false);
    if (pressed.dataset.t === "working") tell(pressed, key, ...values);
  }
}

/// Views ///

let view = "login";

function showView(name, word = null) {
  view = name;
  const account = name !== "login";
  $("login").hidden = account;
  $("account").hidden = !account;
  all(".tabs button").forEach((each) => each.setAttribute("aria-current", each.dataset.view === name));
  tell($("account-title"), name === "reset" ? "resetTitle" : "registerTitle");
  tell($("finish"), name === "reset" ? "setPassword" : "makeAccount");
  put($("word"), word);
  all("input").forEach((input) => $(`${input.id}-error`) && complain(input, null));
  all(".whole").forEach((each) => say(each));
}

/// The code ///

let pause = 0;

function countDown(seconds) {
  clearInterval(pause);
  const end = Date.now() + seconds * 1000;
  const step = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    $("send").disabled = left > 0;
    if (left > 0) {
      tell($("send"), "sendIn", left);
      return;
    }
    clearInterval(pause);
    tell($("send"), "sendAgain");
    if ($("email-error").dataset.t === "e1011") complain($("email"), null);
  };
  pause = setInterval(step, 250);
  step();
}

function codeAsked(email, code) {
  $("rest").hidden = false;
  $("email-hint").hidden = true;
  $("code").value = code ?? "";
  complain($("code"), null);
  tell($("code-hint"), code ? "codeShown" : "codeSent", email);
  (code ? $("user").value ? $("password") : $("user") : $("code")).focus();
}

async function sendCode() {
  const email = $("email").value;
  if ($("send").disabled || !checkAll("email")) return;
  await busy($("send"), async () => {
    const reply = await call("/get_varifycode", { email });
    if (!reply.error) codeAsked(email, reply.code);
    else {
      complain($("email"), explain(reply));
      $("email").focus();
    }
    if (reply.error === 1011) $("rest").hidden = $("rest").hidden && reply.retry_after < 5; // a code may be there already
    if (!reply.error || reply.error === 1011) countDown(reply.retry_after ?? CODE_PAUSE);
  });
}

/// The two forms ///

async function logIn(user, password, stay) {
  const reply = await call("/login", { user, password });
  if (!reply.error) enter({ user: reply.user, token: reply.token }, stay);
  return reply;
}

$("login").onsubmit = (event) => {
  event.preventDefault();
  say($("login").querySelector(".whole"));
  if (!checkAll("login-user", "login-password")) return;
  busy($("login").querySelector(".main"), async () => {
    const reply = await logIn($("login-user").value, $("login-password").value, $("stay").checked);
    if (reply.error) refuse($("login"), reply);
  });
};

$("account").onsubmit = (event) => {
  event.preventDefault();
  say($("account").querySelector(".whole"));
  if ($("rest").hidden) {
    sendCode();
    return;
  }
  if (!checkAll("email", "code", "user", "password", "again")) return;
  busy($("finish"), async () => {
    const [user, email, password, code] = ["user", "email", "password", "code"].map((id) => $(id).value);
    const reply = await call(view === "reset" ? "/reset_pwd" : "/register", { user, email, password, code });
    if (reply.error) {
      refuse($("account"), reply);
      return;
    }
    if ((await logIn(user, password, false)).error) showView("login", ["done"]);
    forgetForms();
  });
};

// Passwords and codes do not stay in the page.
function forgetForms() {
  all("form input").forEach((input) => {
    if (input.type !== "checkbox" && input.id !== "login-user") input.value = "";
    input.left = false;
  });
  $("rest").hidden = true;
  $("email-hint").hidden = false;
}

$("send").onclick = sendCode;
all("[data-view]").forEach((each) => each.onclick = () => {
  showView(each.dataset.view);
  $(view === "login" ? "login-user" : "email").focus();
});
all(".show").forEach((each) => each.onclick = () => {
  const input = each.previousElementSibling;
  input.type = input.type === "password" ? "text" : "password";
  wordShow(each);
});
Object.keys(checks).forEach(watch);
