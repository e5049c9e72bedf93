// What happens when someone points at a token. Runs in the browser, as a part of the page.

const passes = JSON.parse(document.getElementById("passes").textContent);
const tokens = [...document.querySelectorAll("[data-token]")]; // of the prompt, then of the answer
const prompt = document.getElementById("prompt");
const detail = document.getElementById("detail");
const promptLength = prompt.querySelectorAll("[data-token]").length;
const hint = [...detail.childNodes];

/** The pass that stays selected while the pointer moves on, or null. */
let pinned = null;

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Some tokens' text in quotation marks, cut in the middle. */
function quote(from, length) {
  const text = tokens.slice(from, from + length).map((token) => token.textContent).join("");
  return `“${text.length > 60 ? `${text.slice(0, 28)} … ${text.slice(-28)}` : text}”`;
}

function place(index) {
  return index < promptLength
    ? `token ${index + 1} of the prompt`
    : `token ${index - promptLength + 1} of the answer`;
}

/** What a pass did, as two sentences. */
function describe(pass) {
  const { first, length, drafted, source, ngram, copied } = passes[pass];
  const head = `Pass ${pass + 1} of ${passes.length} added ${count(length, "token")}: ` +
    `${quote(first, length)}.`;
  if (drafted === 0) {
    const why = detail.dataset.lookup === "true"
      ? "nothing earlier was worth copying"
      : "lookup was off";
    return [head, `It had no draft: ${why}.`];
  }
  const end = ngram === 1 ? "The token before it" : `The ${ngram} tokens before it`;
  const draft = ngram === 0
    ? `It guessed that the text goes on as it did at ${place(source)}, though another token ` +
      "stood before that: "
    : `${end}, ${quote(source - ngram, ngram)}, stood before ${place(source)} too, so the ` +
      "draft came from there: ";
  if (copied === 0) return [head, `${draft}none of its ${count(drafted, "token")} was right.`];
  return [head, `${draft}${quote(source, copied)} was right, ${copied} of ${drafted} drafted.`];
}

function mark(name, from, length) {
  for (const token of tokens.slice(from, from + length)) token.classList.add(name);
}

function clear() {
  for (const name of ["selected", "match", "found", "tried"]) {
    for (const element of document.querySelectorAll(`.${name}`)) element.classList.remove(name);
  }
  detail.replaceChildren(...hint);
}

function show(pass) {
  clear();
  const { drafted, source, ngram, copied } = passes[pass];
  for (const element of document.querySelectorAll(`[data-pass="${pass}"]`)) {
    element.classList.add("selected");
  }
  if (drafted > 0) {
    mark("match", source - ngram, ngram);
    if (copied > 0) mark("found", source, copied);
    else mark("tried", source, 1);
    if (source < promptLength) reveal(tokens[source]);
  }
  detail.replaceChildren(
    ...describe(pass).map((sentence) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = sentence;
      return paragraph;
    }),
  );
}

/** Scrolls the prompt, and only the prompt, to a token. */
function reveal(token) {
  const [inner, outer] = [token.getBoundingClientRect(), prompt.getBoundingClientRect()];
  if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
  prompt.scrollTop += inner.top - outer.top - prompt.clientHeight / 3;
}

function passAt(event) {
  const element = event.target.closest("[data-pass]");
  return element ? Number(element.dataset.pass) : null;
}

document.addEventListener("pointerover", (event) => {
  if (pinned !== null) return;
  const pass = passAt(event);
  if (pass === null) clear();
  else show(pass);
});

document.addEventListener("click", (event) => {
  const pass = passAt(event);
  pinned = pass === pinned ? null : pass;
  if (pass === null) clear();
  else show(pass);
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (event.key === "Escape") {
    pinned = null;
    clear();
  } else if (step && passes.length > 0) {
    event.preventDefault();
    pinned = pinned === null
      ? (step > 0 ? 0 : passes.length - 1)
      : Math.min(Math.max(pinned + step, 0), passes.length - 1);
    show(pinned);
    document.querySelector(`#answer [data-pass="${pinned}"]`)?.scrollIntoView({ block: "nearest" });
  }
});
