//! Long work on stderr: a bar or a spinner on a terminal, plain lines elsewhere, nothing for programs.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::screen::Screen;

/// Something that takes a while.
#[derive(Debug)]
pub struct Work {
    bar: Option<ProgressBar>,
    plain: bool,
}

impl Work {
    /// Work of so many steps.
    pub fn of_steps(screen: &Screen, total: u64) -> Work {
        let style = ProgressStyle::with_template("{bar:20.cyan/dim} {pos}/{len} {wide_msg}");
        Work::new(screen, ProgressBar::new(total), style.expect("the template is well formed"))
    }

    /// Work that is measured in time; what is said shows how far it is.
    pub fn of_time(screen: &Screen, total_ms: u64) -> Work {
        let style = ProgressStyle::with_template("{bar:20.cyan/dim} {wide_msg}");
        Work::new(screen, ProgressBar::new(total_ms), style.expect("the template is well formed"))
    }

    /// Work of unknown length.
    pub fn spinning(screen: &Screen) -> Work {
        let style = ProgressStyle::with_template("{spinner:.cyan} {wide_msg}");
        Work::new(screen, ProgressBar::new_spinner(), style.expect("the template is well formed"))
    }

    fn new(screen: &Screen, bar: ProgressBar, style: ProgressStyle) -> Work {
        if screen.json {
            return Work { bar: None, plain: false };
        }
        if !std::io::stderr().is_terminal() {
            return Work { bar: None, plain: true };
        }
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Work { bar: Some(bar), plain: false }
    }

    /// Says what is being done now.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if self.plain => eprintln!("{text}"),
            None => {}
        }
    }

    /// One step is done.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// That much of the whole is done.
    pub fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
