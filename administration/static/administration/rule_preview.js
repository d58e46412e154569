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
    const sent = new FormData(form);
    const fields = new URLSearchParams({ pk: part.dataset.pk });
    for (const name of ["subject_kind", "subject", "is_deny", "actions", "name", "tags", "networks", "until"]) {
      sent.getAll(name).forEach((value) => fields.append(name, value));
    }
    const own = ++asked;
    const answer = await fetch(`${part.dataset.url}?${fields}`);
    // An earlier answer may come later; one that was redirected is the login page.
    if (answer.ok && !answer.redirected && own === asked) {
      part.innerHTML = await answer.text();
    }
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 400);
  });
});
