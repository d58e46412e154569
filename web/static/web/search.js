// Shows the results of a search as one types: the page that the form would open, without its frame.
for (const form of document.querySelectorAll("form[data-live]")) {
  let timer, latest = 0;
  form.elements.q.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++latest;
      const query = new URLSearchParams(new FormData(form));
      try {
        const answer = await fetch(`/?${query}`, { headers: { Accept: "text/html" } });
        if (!answer.ok) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("results");
        if (mine !== latest || !fresh) return;
        document.getElementById("results").replaceWith(fresh);
        history.replaceState(null, "", `/?${query}`);
      } catch { /* The button still works. */ }
    }, 250);
  });
}
