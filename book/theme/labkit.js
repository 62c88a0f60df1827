// What the pages do in the browser: the language switch in the menu bar, diagrams in the colours of the theme,
// the filter of timelines, and mdBook's own labels in Korean. Without it every page can still be read.
"use strict";

(() => {
  const root = document.documentElement;
  const isPrint = /print\.html$/.test(location.pathname);

  const switchLanguage = () => {
    const [first, ...others] = document.querySelectorAll(".language-switch");
    const bar = document.querySelector(".right-buttons");
    others.forEach((other) => other.remove());
    if (!first || !bar) return;
    if (isPrint) return first.remove();
    first.querySelectorAll("a").forEach((link) => link.addEventListener("click", () => {
      link.href = link.href.split("#")[0];
      try { localStorage.setItem("labkit-language", link.lang); } catch (e) { /* the browser keeps nothing */ }
    }));
    bar.prepend(first);
  };

  const isDark = () => ["coal", "navy", "ayu"].some((theme) => root.classList.contains(theme));

  const loadMermaid = () => new Promise((resolve, reject) => {
    if (window.mermaid) return resolve();
    const script = document.createElement("script");
    script.src = path_to_root + "../assets/mermaid.min.js";
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });

  const colours = () => {
    const of = (name) => getComputedStyle(root).getPropertyValue(name).trim();
    return {
      background: of("--bg"), textColor: of("--fg"), fontFamily: getComputedStyle(document.body).fontFamily,
      actorBkg: of("--labkit-panel"), actorBorder: of("--labkit-accent"), actorTextColor: of("--labkit-strong"),
      actorLineColor: of("--labkit-line"), signalColor: of("--labkit-strong"), signalTextColor: of("--labkit-strong"),
      noteBkgColor: of("--labkit-note"), noteBorderColor: of("--labkit-note-line"), noteTextColor: of("--labkit-strong"),
      primaryColor: of("--labkit-panel"), primaryBorderColor: of("--labkit-accent"), primaryTextColor: of("--labkit-strong"),
      lineColor: of("--labkit-strong"), secondaryColor: of("--labkit-note"), tertiaryColor: of("--bg"),
      clusterBkg: of("--bg"), clusterBorder: of("--labkit-line"), edgeLabelBackground: of("--bg"),
      darkMode: isDark(),
    };
  };

  const drawOne = async (drawing, id) => {
    drawing.dataset.source ??= drawing.textContent;
    try {
      const { svg } = await window.mermaid.render(id, drawing.dataset.source);
      drawing.innerHTML = svg;
      drawing.classList.add("drawn");
      // A wide diagram may shrink until its text is as small as a caption; from there on it scrolls.
      const drawn = drawing.querySelector("svg");
      drawn.style.minWidth = `${Math.round(drawn.viewBox.baseVal.width * 0.64)}px`;
    } catch (error) {
      drawing.textContent = drawing.dataset.source;
      console.error(error);
    }
  };

  // One after the other: mermaid keeps the state of what it draws.
  let drawing = Promise.resolve();
  const draw = (only) => drawing = drawing.then(async () => {
    const drawings = [...document.querySelectorAll("pre.mermaid")];
    if (drawings.length === 0) return;
    await loadMermaid();
    window.mermaid.initialize({
      startOnLoad: false, theme: "base", themeVariables: colours(), securityLevel: "strict", fontSize: 14,
      sequence: { mirrorActors: true, messageMargin: 26, boxMargin: 6, noteMargin: 7, diagramMarginX: 8, diagramMarginY: 8, actorMargin: 14, width: 96, height: 38, useMaxWidth: true, wrap: false },
    });
    for (const [index, drawing] of drawings.entries()) {
      if (only === undefined || drawing === only) await drawOne(drawing, `drawing-${index}`);
    }
    root.dataset.drawn = drawings.length;
  });
  // For live.js, whose diagram changes.
  window.labkit = { draw };

  const redrawOnTheme = () => {
    let dark = isDark();
    new MutationObserver(() => {
      if (isDark() === dark) return;
      dark = isDark();
      draw();
    }).observe(root, { attributes: true, attributeFilter: ["class"] });
  };

  const filterTimeline = (timeline) => {
    const text = timeline.querySelector(".filter-text");
    const component = timeline.querySelector(".filter-component");
    const apply = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of timeline.querySelectorAll("tbody tr")) {
        const [, from, to] = [...row.cells].map((cell) => cell.textContent);
        const of = component.value === "" || from === component.value || to === component.value;
        row.hidden = !(of && words.every((word) => row.textContent.toLowerCase().includes(word)));
      }
    };
    text.addEventListener("input", apply);
    component.addEventListener("change", apply);
    // A cause may be filtered away: following it shows everything again.
    timeline.addEventListener("click", (event) => {
      if (!event.target.closest('a[href^="#"]')) return;
      text.value = "";
      component.value = "";
      apply();
    });
    timeline.querySelector(".filters").classList.add("live");
  };

  const korean = {
    "Toggle Table of Contents": "목차 열기/닫기", "Change theme": "테마 바꾸기", "Toggle Searchbar": "검색", "Search (`/`)": "검색 (`/`)",
    "Print this book": "이 책 인쇄", "Previous chapter": "이전 장", "Next chapter": "다음 장", "Copy to clipboard": "복사",
    "Auto": "자동", "Light": "밝게", "Rust": "러스트", "Coal": "석탄", "Navy": "남색", "Ayu": "아유",
    "Search this book ...": "이 책에서 검색 ...", "Keyboard shortcuts": "단축키", "Table of contents": "목차", "Themes": "테마", "Page navigation": "쪽 이동",
  };

  const translate = () => {
    if (root.lang !== "ko") return;
    for (const name of ["title", "aria-label", "placeholder"]) {
      for (const element of document.querySelectorAll(`[${name}]`)) {
        const text = korean[element.getAttribute(name)];
        if (text) element.setAttribute(name, text);
      }
    }
    for (const element of document.querySelectorAll("button.theme, .mdbook-help-title")) {
      element.textContent = korean[element.textContent.trim()] ?? element.textContent;
    }
    const help = ["<kbd>←</kbd> <kbd>→</kbd> 장 이동", "<kbd>S</kbd> <kbd>/</kbd> 책에서 검색", "<kbd>?</kbd> 이 도움말", "<kbd>Esc</kbd> 도움말 닫기"];
    document.querySelectorAll("#mdbook-help-popup p").forEach((line, index) => { line.innerHTML = help[index] ?? line.innerHTML; });
  };

  switchLanguage();
  translate();
  redrawOnTheme();
  document.querySelectorAll(".timeline").forEach(filterTimeline);
  draw();
})();
