// Shows, while somebody edits a rule, what it would do. Without this script the button "Preview" does.
document.addEventListener("DOMContentLoaded", () => {
  const part = document.getElementById("rule-preview");
  const form = document.getElementById("rule_form");
  if (!part || !form || !form.elements.subject) {
    return;
  }
  let timer;
  let asked = 0;

  async function show() {
    const fields = new URLSearchParams(new FormData(form));
    fields.delete("csrfmiddlewaretoken");
    fields.append("pk", part.dataset.pk);
    const own = ++asked;
    const answer = await fetch(`${part.dataset.url}?${fields}`);
    // An earlier answer may come later.
    if (answer.ok && own === asked) {
      part.innerHTML = await answer.text();
    }
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 400);
  });
});
