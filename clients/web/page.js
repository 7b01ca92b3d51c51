// The document: finding, making and wording its elements. Nothing that came over the wire is ever taken for HTML.
const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

// Words that change with the language: `key` is one of the table's. say() is for words that do not.
function tell(element, key, ...values) {
  element.dataset.t = key;
  element.values = values;
  element.textContent = t(key, ...values);
  return element;
}

function say(element, text = "") {
  delete element.dataset.t;
  element.textContent = text;
  return element;
}

// A message is null, a sentence, or a key with its values.
const put = (element, message) => Array.isArray(message) ? tell(element, ...message) : say(element, message ?? "");

function button(className, key, act) {
  const made = tell(make("button", className), key);
  made.type = "button";
  made.onclick = act;
  return made;
}

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  all("[data-t]").forEach((element) => tell(element, element.dataset.t, ...(element.values ?? [])));
  all("[data-label]").forEach((element) => element.setAttribute("aria-label", t(element.dataset.label)));
  all("[data-hint]").forEach((element) => element.placeholder = t(element.dataset.hint));
  all(".show").forEach(wordShow);
  all(".language").forEach((each) => {
    say(each, t("other")).lang = language === "zh" ? "en" : "zh-Hans";
  });
}

function wordShow(each) {
  tell(each, each.previousElementSibling.type === "text" ? "hide" : "show");
}

const bytes = (text) => new TextEncoder().encode(text).length;
