// The page of a lab that runs on this machine, live: how each check stands, and what is being said. `labkit book serve`
// tells it; on any other server, and while the lab does not run, the page stays as it is.
"use strict";

(() => {
  const start = document.querySelector(".lab-head code.start");
  const isServed = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname) && location.protocol === "http:";
  if (!start || !isServed || /print\.html$/.test(location.pathname)) return;
  const lab = start.textContent.trim().split(" ").pop();
  const isKorean = document.documentElement.lang === "ko";
  const word = (english, korean) => (isKorean ? korean : english);
  const said = (text) => (text ? (isKorean ? text.ko : text.en) : "");

  const marks = {
    passed: ["✓", word("done", "완료"), "passed"],
    soFar: ["✓", word("so far", "지금까지 유지"), "passed"],
    notYet: ["…", word("not yet", "아직"), ""],
    failed: ["✗", word("not right", "틀림"), "failed"],
    skipped: ["-", word("later", "나중에"), ""],
  };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  let panel, summary, figure, drawing, caption;
  const show = () => {
    if (panel) return;
    panel = element("section", "live");
    panel.setAttribute("aria-live", "polite");
    summary = panel.appendChild(element("p", "summary"));
    figure = panel.appendChild(element("figure", "diagram"));
    drawing = figure.appendChild(element("pre", "mermaid"));
    caption = figure.appendChild(element("figcaption", ""));
    figure.hidden = true;
    document.querySelector(".lab-head").after(panel);
  };

  const hide = () => {
    document.querySelectorAll(".live-mark, .live-why").forEach((mark) => mark.remove());
    document.querySelectorAll(".task.live-current").forEach((task) => task.classList.remove("live-current"));
    panel?.remove();
    panel = undefined;
    delete document.documentElement.dataset.live;
  };

  const why = (check) => {
    const inKorean = isKorean && check.inKorean;
    const [expected, actual] = inKorean ? [check.inKorean.expected, check.inKorean.actual] : [check.expected, check.actual];
    return word(`expected ${expected}; found ${actual}`, `기대: ${expected}; 실제: ${actual}`);
  };

  const showCheck = (section, check, isCurrent) => {
    const ids = [...section.querySelectorAll("ul.checks code.id")];
    const line = ids.find((id) => id.textContent === check.id)?.closest("li");
    if (!line) return;
    line.querySelectorAll(".live-mark, .live-why").forEach((old) => old.remove());
    const [sign, name, style] = marks[check.verdict];
    line.prepend(element("span", `badge live-mark ${style}`, `${sign} ${name}`));
    const isOpen = isCurrent && ["failed", "notYet"].includes(check.verdict) && !check.unanswered;
    if (isOpen) line.querySelector(".title").append(element("span", "live-why", why(check)));
  };

  const checks = ({ paused, checked }) => {
    show();
    const done = checked.currentTask === null;
    const state = done ? word("All done.", "모두 끝났습니다.") : paused ? word("Time is paused.", "시간이 멈춰 있습니다.") : word("This lab is running.", "이 실습이 실행 중입니다.");
    const points = word(`${checked.points} of ${checked.pointsMax} points`, `${checked.pointsMax}점 중 ${checked.points}점`);
    summary.replaceChildren(element("span", "dot"), `${state} `, element("span", `badge ${done ? "passed" : ""}`, points));
    checked.tasks.forEach((task, index) => {
      const section = document.getElementById(`task-${task.id}`);
      if (!section) return;
      section.classList.toggle("live-current", index === checked.currentTask);
      task.checks.forEach((check) => showCheck(section, check, index === checked.currentTask));
    });
    document.documentElement.dataset.live = `${checked.points}`;
  };

  const diagram = ({ mermaid, messages }) => {
    if (!panel || messages === 0) return;
    figure.hidden = false;
    caption.textContent = word(`Said in your lab so far: ${messages} messages`, `지금까지 내 실습에서 오간 메시지 ${messages}개`);
    drawing.dataset.source = mermaid;
    // The newest is at the end: it stays in sight, unless the reader has gone up.
    const isAtEnd = drawing.scrollTop + drawing.clientHeight >= drawing.scrollHeight - 40;
    window.labkit?.draw(drawing).then(() => { if (isAtEnd) drawing.scrollTop = drawing.scrollHeight; });
  };

  const events = new EventSource(`/live/${encodeURIComponent(lab)}?lang=${isKorean ? "ko" : "en"}`);
  events.addEventListener("checks", (event) => checks(JSON.parse(event.data)));
  events.addEventListener("diagram", (event) => diagram(JSON.parse(event.data)));
  events.addEventListener("idle", hide);
  events.addEventListener("error", hide);
})();
