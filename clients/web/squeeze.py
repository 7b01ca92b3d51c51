"""Takes out of a script and a style what only its readers need: comments, layout, and the length of names.

Nothing of JavaScript is understood here beyond its tokens, and the sources keep to what that allows: every statement ends
with a semicolon or a brace, and no template string goes over several lines. A name is shortened when the script declares it
(const, let, function NAME, or a parameter) and it is nowhere a key or a shorthand; then all that are called so are shortened
alike, which changes no meaning. Names that the browser gives are never declared, so they stay.
"""
import collections
import re

TOKEN = re.compile(r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<space>\s+)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<template>`(?:\\.|[^`\\])*`)
  | (?P<word>[A-Za-z_$][\w$]*)
  | (?P<number>\.?\d[\w.]*)
  | (?P<mark>=>|\.\.\.|\?\.|\?\?|\*\*|&&|\|\||[=!]==?|[<>]=|\+\+|--|[-+*/%]=|.)
""", re.VERBOSE | re.DOTALL)
REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*")
# A slash behind one of these divides nothing: it begins a regular expression.
BEFORE_REGEX = set("( , = : [ ! & | ? { } ; => && || ?? return".split())
KEYWORDS = set("""async await break case catch class const continue default delete do else false finally for function if in
    instanceof let new null of return static super switch this throw true try typeof undefined var void while yield""".split())
HOLE = re.compile(r"\$\{([^{}]*)\}")


def tokens_of(text):
    at, last, tokens = 0, "", []
    while at < len(text):
        found = REGEX.match(text, at) if text[at] == "/" and text[at + 1] not in "/*" and last in BEFORE_REGEX else None
        kind = "regex" if found else None
        found = found or TOKEN.match(text, at)
        kind = kind or found.lastgroup
        at = found.end()
        if kind not in ("comment", "space"):
            last = found[0]
            tokens.append((kind, last))
    return tokens


def is_property(before):
    return before in (".", "?.")


def is_parameter(tokens, i):
    """Whether the word is one of (a, b) => or function f(a, b)."""
    left, right = i - 1, i + 1
    while tokens[left][0] == "word" or tokens[left][1] in (",", "..."):
        left -= 1
    while right < len(tokens) and (tokens[right][0] == "word" or tokens[right][1] in (",", "...")):
        right += 1
    if tokens[left][1] != "(" or right + 1 >= len(tokens) or tokens[right][1] != ")":
        return False
    return tokens[right + 1][1] == "=>" or tokens[left - 2][1] == "function"


def names_to_shorten(tokens):
    """The declared names that may be shortened, those first that save most."""
    declared, fixed, count, brackets = set(), set(KEYWORDS), collections.Counter(), []
    for i, (kind, text) in enumerate(tokens):
        before = tokens[i - 1][1] if i else ""
        after = tokens[i + 1][1] if i + 1 < len(tokens) else ""
        if text in ("(", "[", "{"):
            brackets.append(text)
        elif text in (")", "]", "}"):
            brackets.pop()
        if kind == "template":
            for hole in HOLE.findall(text):
                for inner_kind, inner in tokens_of(hole):
                    count[inner] += inner_kind == "word"
        if kind != "word":
            continue
        count[text] += 1
        if before in ("const", "let", "function") or is_parameter(tokens, i):
            declared.add(text)
        if is_property(before):
            continue
        if brackets and brackets[-1] == "{" and before in ("{", ",") and after in (",", "}", "(", "=", ":"):
            fixed.add(text)
    names = [name for name in declared - fixed if len(name) > 2]
    return sorted(names, key=lambda name: (-count[name] * (len(name) - 1), name)), set(count) | KEYWORDS


def short_names(taken):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for first in [""] + list(letters):
        for second in letters:
            if first + second not in taken:
                yield first + second


def squeezed_script(text):
    tokens = tokens_of(text)
    names, taken = names_to_shorten(tokens)
    shorter = dict(zip(names, short_names(taken)))
    return joined(spared(tokens), shorter)


def spared(tokens):
    """Without the parentheses around a single parameter, and without the comma behind the last of a list."""
    kept = []
    for token in tokens:
        kind, text = token
        if text in ("}", "]") and kept and kept[-1][1] == ",":
            kept.pop()
        if text == "=>" and len(kept) > 3 and kept[-1][1] == ")" and kept[-2][0] == "word" and kept[-3][1] == "(":
            kept[-3:] = [kept[-2]]
        kept.append((kind, {"const": "let"}.get(text, text)))
    return kept


def joined(tokens, shorter):
    out, last = [], ""
    for i, (kind, text) in enumerate(tokens):
        before = tokens[i - 1][1] if i else ""
        if kind == "word" and not is_property(before):
            text = shorter.get(text, text)
        if kind == "template":
            text = HOLE.sub(lambda hole: "${" + joined(tokens_of(hole[1]), shorter) + "}", text)
        if text == "}" and last == ";":
            out.pop()
        sticks = re.match(r"[\w$]", text) and re.search(r"[\w$]$", last)
        if sticks or (text in "+-" and last.endswith(text)):
            out.append(" ")
        out.append(text)
        last = text
    return "".join(out)


def squeezed_style(text):
    text = re.sub(r"/\*.*?\*/|\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*([{};,])\s*", r"\1", text)
    return re.sub(r":\s+", ":", text).replace(";}", "}")
