//! What `watch` shows: a page that is drawn over itself on a terminal, a line for each change elsewhere, a document
//! a line for programs.

use std::collections::BTreeMap;

use crate::commands::check::{self, Detail};
use crate::control::replies::{Checked, Mark, News};
use crate::screen::{Ink, Screen, columns, say, wrap};

/// Another screen of the terminal, without a cursor; what was on the first one comes back at the end.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[H\u{1b}[J";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// What is shown, and where.
pub(super) enum View<'a> {
    Page { screen: Screen, drawn: String, news: Option<News> },
    Lines { screen: &'a Screen, told: BTreeMap<String, Mark>, task: Option<usize> },
    Json { screen: &'a Screen, printed: Option<Checked> },
}

impl<'a> View<'a> {
    pub fn open(screen: &'a Screen) -> View<'a> {
        if screen.json {
            return View::Json { screen, printed: None };
        }
        if !screen.is_terminal || screen.is_dumb() {
            return View::Lines { screen, told: BTreeMap::new(), task: None };
        }
        screen.print_raw(ENTER);
        View::Page { screen: *screen, drawn: String::new(), news: None }
    }

    pub fn show(&mut self, news: &News) {
        match self {
            View::Page { news: shown, .. } => {
                *shown = Some(news.clone());
                self.draw();
            }
            View::Lines { screen, told, task } => lines(screen, told, task, &news.checked),
            View::Json { screen, printed } => {
                if printed.as_ref().is_none_or(|before| differs(before, &news.checked)) {
                    let line = serde_json::to_string(&news.checked).expect("replies are plain data");
                    screen.print(&line);
                    *printed = Some(news.checked.clone());
                }
            }
        }
    }

    /// The terminal has another size now.
    pub fn redraw(&mut self) {
        if let View::Page { screen, drawn, .. } = self {
            *screen = screen.measured();
            drawn.clear();
            self.draw();
        }
    }

    fn draw(&mut self) {
        let View::Page { screen, drawn, news: Some(news) } = self else { return };
        let rows = fitted(screen, news);
        let page: String = rows.iter().map(|row| format!("{row}\u{1b}[K\n")).collect();
        if *drawn != page {
            // Drawn over the old one, then cleared to the end: nothing flickers.
            screen.print_raw(&format!("\u{1b}[H{page}\u{1b}[J"));
            *drawn = page;
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let View::Page { screen, .. } = self {
            screen.print_raw(LEAVE);
        }
    }
}

/// The page with as much detail as the terminal has rows for.
fn fitted(screen: &Screen, news: &News) -> Vec<String> {
    let room = screen.height.saturating_sub(1).max(4);
    // Code is not wrapped: the terminal does it.
    let taken = |row: &String| columns(row).div_ceil(screen.width).max(1);
    let attempts =
        [(true, Detail::Present), (false, Detail::Present), (false, Detail::First), (false, Detail::Least)];
    let mut rows = Vec::new();
    for (with_text, detail) in attempts {
        rows = page(screen, news, with_text, detail);
        if rows.iter().map(taken).sum::<usize>() <= room {
            return rows;
        }
    }
    let last = rows.pop();
    let mut left = room.saturating_sub(2);
    let fit = rows.iter().take_while(|row| left.checked_sub(taken(row)).map(|rest| left = rest).is_some());
    rows.truncate(fit.count());
    rows.push(screen.paint(Ink::Dim, "…"));
    rows.extend(last);
    rows
}

fn page(screen: &Screen, news: &News, with_text: bool, detail: Detail) -> Vec<String> {
    let (language, checked) = (screen.language, &news.checked);
    let prose =
        |text: &str| wrap(text, screen.prose_width(), "").lines().map(str::to_owned).collect::<Vec<_>>();
    let title = screen.paint(Ink::Bold, checked.title.for_language(language));
    let mut rows = prose(&title);
    rows.push(format!("{} {}", bar(screen, checked), check::points(screen, checked)));
    if news.paused {
        let text = say!(
            language,
            "Time stands: labkit step, labkit resume",
            "시간이 멈춰 있습니다: labkit step, labkit resume"
        );
        rows.extend(prose(&screen.paint(Ink::Cyan, &text)));
    }
    rows.push(String::new());
    rows.extend(check::tasks(screen, checked, detail));
    if let Some(task) = checked.current_task.filter(|_| with_text).map(|index| &checked.tasks[index]) {
        rows.push(String::new());
        rows.extend(prose(task.text.for_language(language)));
    }
    let questions = check::questions(screen, &checked.questions);
    rows.extend((!questions.is_empty()).then(String::new));
    rows.extend(questions);
    rows.extend(check::bugs(screen, checked));
    rows.push(String::new());
    let hint = say!(
        language,
        "Stuck? labkit hint, in another terminal. Ctrl-C leaves.",
        "막혔나요? 다른 터미널에서 labkit hint. 나가기는 Ctrl-C."
    );
    rows.extend(prose(&screen.paint(Ink::Dim, &hint)));
    rows
}

/// `[#####-----]`, as long as fits.
fn bar(screen: &Screen, checked: &Checked) -> String {
    let length = (screen.prose_width() / 3).clamp(8, 30) as u32;
    let done = (checked.points * length).checked_div(checked.points_max).unwrap_or(0);
    let part = |count: u32, text: &str| text.repeat(count as usize);
    let (done, left) = (part(done, "█"), part(length - done, "░"));
    format!("{}{}", screen.paint(Ink::Green, &done), screen.paint(Ink::Dim, &left))
}

/// A line for each check that stands otherwise than it did.
fn lines(screen: &Screen, told: &mut BTreeMap<String, Mark>, task: &mut Option<usize>, checked: &Checked) {
    let language = screen.language;
    for (index, of) in checked.tasks.iter().enumerate().filter(|(_, task)| task.begun) {
        if task.is_none_or(|task| index > task) {
            *task = Some(index);
            let title = of.title.as_ref().map_or(of.id.as_str(), |title| title.for_language(language));
            let count = checked.tasks.len();
            screen.print(&say!(
                language,
                "task {} of {count}: {title}",
                "과제 {}/{count}: {title}",
                index + 1
            ));
        }
        for check in &of.checks {
            let id = format!("{}/{}", of.id, check.id);
            if told.insert(id.clone(), check.verdict) == Some(check.verdict) {
                continue;
            }
            let (_, _, word) = check::verdict(screen, check.verdict);
            let title = check.title.for_language(language);
            let (expected, actual) = check.said_in(screen.language);
            let why = match check.verdict {
                Mark::NotYet | Mark::Failed if check.unanswered.is_none() => say!(
                    language,
                    " (expected {expected}; found {actual})",
                    " (기대: {expected}; 실제: {actual})"
                ),
                _ => String::new(),
            };
            let (points, of) = (checked.points, checked.points_max);
            screen.print(&format!("{points}/{of} {word}: {id}: {title}{why}"));
        }
    }
}

/// Whether a verdict, a point or a question is another one. What was found may differ all the time.
fn differs(one: &Checked, other: &Checked) -> bool {
    let verdicts = |checked: &Checked| {
        let checks = checked.tasks.iter().flat_map(|task| &task.checks);
        checks.map(|check| (check.verdict, check.points)).collect::<Vec<_>>()
    };
    (one.current_task, &one.questions, &one.bugs) != (other.current_task, &other.questions, &other.bugs)
        || verdicts(one) != verdicts(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::replies::{CheckView, TaskView};
    use labkit_lab::{Language, Text};

    fn news(verdict: Mark) -> News {
        let text = |text: &str| Text::new(text, text);
        let check = |id: &str| CheckView {
            id: id.to_owned(),
            title: text("A check with a title that takes some room"),
            points: 0,
            points_max: 5,
            verdict,
            unanswered: None,
            expected: "this and that, and much more of it than fits into one line".to_owned(),
            actual: "nothing".to_owned(),
            in_korean: None,
            error: None,
            hint: None,
        };
        let task = |id: &str, begun| TaskView {
            id: id.to_owned(),
            title: Some(text("A task")),
            text: text("Do this, then do that."),
            begun,
            checks: vec![check("one"), check("two"), check("three")],
        };
        let tasks = vec![task("done", true), task("now", true), task("later", false)];
        let checked = Checked {
            lab: "made".to_owned(),
            title: text("A lab"),
            points: 5,
            points_max: 15,
            tasks,
            questions: Vec::new(),
            current_task: Some(1),
            is_new_task: false,
            bugs: Vec::new(),
        };
        News { news: 1, took_ms: 1, paused: false, checked }
    }

    fn sized(width: usize, height: usize) -> Screen {
        let mut screen = Screen::new(Language::En, false, true);
        (screen.width, screen.height) = (width, height);
        screen
    }

    #[test]
    fn the_page_fits_every_terminal_and_ends_with_the_way_out() {
        for (width, height) in [(80, 50), (80, 24), (40, 24), (40, 12), (24, 6)] {
            let screen = sized(width, height);
            let rows = fitted(&screen, &news(Mark::NotYet));
            assert!(rows.len() < height, "{} rows at {width}x{height}", rows.len());
            assert!(rows.iter().all(|row| row.chars().count() <= width), "{rows:#?}");
            assert!(rows.last().unwrap().contains("Ctrl-C") || width == 24, "{rows:#?}");
        }
    }

    #[test]
    fn what_is_done_takes_one_line_and_what_is_open_says_why() {
        let screen = sized(80, 50);
        let rows = fitted(&screen, &news(Mark::NotYet)).join("\n");
        assert!(rows.contains("✓ Task 1 A task\nTask 2 A task") && rows.contains("Do this"), "{rows}");
        assert_eq!(rows.matches("expected").count(), 3, "{rows}");
    }

    #[test]
    fn only_what_matters_is_a_change() {
        let (mut same, other) = (news(Mark::NotYet).checked, news(Mark::Passed).checked);
        same.tasks[0].checks[0].actual = "something else".to_owned();
        assert!(!differs(&news(Mark::NotYet).checked, &same));
        assert!(differs(&same, &other));
    }
}
