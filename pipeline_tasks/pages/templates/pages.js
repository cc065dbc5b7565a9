"use strict";
// Airflow keeps the chosen theme under this name. Without a choice, the system decides.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;

document.addEventListener("DOMContentLoaded", () => {
  suggestQueries();
  document.querySelector("textarea")?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit();
  });
  document.querySelectorAll("a[data-outside]").forEach((link) => link.addEventListener("click", openOutside));
});

// Offers the queries of the shop while a person types one.
function suggestQueries() {
  const form = document.querySelector("form.search");
  if (!form) return;
  let waiting;
  form.text.addEventListener("input", () => {
    clearTimeout(waiting);
    if (form.kind.value !== "query") return;
    waiting = setTimeout(async () => {
      const asked = new URLSearchParams({ source: form.source.value, ds: form.ds.value, text: form.text.value });
      const answer = await fetch(`suggest?${asked}`);
      if (!answer.ok) return;
      const options = (await answer.json()).map((query) => Object.assign(document.createElement("option"), { value: query }));
      document.getElementById("suggested").replaceChildren(...options);
    }, 150);
  });
}

// Within Airflow the page lies in a frame that may open no other page. A link of Airflow's own document may.
function openOutside(event) {
  if (window.parent === window) return;
  event.preventDefault();
  const link = window.parent.document.createElement("a");
  link.href = event.currentTarget.href;
  link.target = "_blank";
  link.rel = "noopener";
  link.click();
}
