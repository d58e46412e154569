// Shows, while somebody edits a rule or policy, what it would do. Without this script the button "Preview" does.
document.addEventListener("DOMContentLoaded", () => {
  const part = document.querySelector(".rule-preview[data-url]");
  const form = part && document.getElementById(part.id.replace("-preview", "_form"));
  if (!form) {
    return;
  }
  let timer;
  let asked = 0;

  async function show() {
    const sent = new FormData(form);
    const fields = new URLSearchParams({ pk: part.dataset.pk });
    for (const [name, value] of sent) {
      if (!name.startsWith("_") && name !== "csrfmiddlewaretoken") {
        fields.append(name, value);
      }
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
