//! Progress while a run is on: a moving line for each component on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rollback_core::ComponentName;
use rollback_core::progress::{Event, Stage};

use super::{Style, Tone, clean, tone_of};
use crate::console::Console;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Moving lines.
    Moving,
    /// A line for each event.
    Plain,
    /// Not at all.
    Silent,
}

/// Shows events on a thread of its own: a terminal that does not take them must not hold up a rollback.
pub(crate) struct Display {
    sender: mpsc::Sender<Event>,
    thread: JoinHandle<()>,
}

impl Display {
    pub(crate) fn start(console: &Console, style: Style, manner: Manner) -> Self {
        let (sender, receiver) = mpsc::channel();
        let console = console.clone();
        let thread = std::thread::spawn(move || match manner {
            Manner::Moving => {
                Moving::new(style).follow(&receiver);
                // The cursor stays behind the last moving line.
                console.print_error("\n");
            }
            Manner::Plain => plain(&console, style, &receiver),
            Manner::Silent => receiver.iter().for_each(drop),
        });
        Self { sender, thread }
    }

    pub(crate) fn show(&self, event: Event) {
        // The thread ends only with the sender; if it panicked there is nobody to tell.
        let _ = self.sender.send(event);
    }

    /// Waits until everything is shown.
    pub(crate) fn finish(self) {
        drop(self.sender);
        let _ = self.thread.join();
    }
}

fn plain(console: &Console, style: Style, events: &mpsc::Receiver<Event>) {
    let mut last = None;
    for event in events {
        let line = line(style, &event);
        // Waiting says the same thing again and again: once is enough for a log.
        if let Some(line) = line.filter(|line| last.as_ref() != Some(line)) {
            console.print_error(&format!("{line}\n"));
            last = Some(line);
        }
    }
}

/// The event as one line; `None` for what only moving lines show.
pub(crate) fn line(style: Style, event: &Event) -> Option<String> {
    let (component, text) = match event {
        Event::RunStarted { run, resumed, .. } => {
            let verb = if *resumed { "taken up again" } else { "started" };
            return Some(format!("run {run} {verb}"));
        }
        Event::RunEnded { run, state } => return Some(format!("run {run} ended: {}", style.state(*state))),
        event => (component(event)?, message(style, event)?),
    };
    Some(format!("{component}: {text}"))
}

fn component(event: &Event) -> Option<&ComponentName> {
    match event {
        Event::Stage { component, .. }
        | Event::StepStarted { component, .. }
        | Event::StepProgress { component, .. }
        | Event::StepEnded { component, .. }
        | Event::Waiting { component, .. }
        | Event::GateSampled { component, .. }
        | Event::Warning { component, .. }
        | Event::ComponentEnded { component, .. } => Some(component),
        _ => None,
    }
}

fn message(style: Style, event: &Event) -> Option<String> {
    Some(match event {
        Event::Stage { stage, detail, .. } => stage_text(*stage, detail),
        Event::StepStarted { title, attempt: 1, .. } => clean(title),
        Event::StepStarted { title, attempt, .. } => format!("{} (attempt {attempt})", clean(title)),
        Event::StepProgress { done, total, note, .. } => format!("{done}/{total} {}", clean(note)),
        Event::StepEnded { step, outcome, .. } => format!("{}: {}", clean(step.as_str()), clean(outcome)),
        Event::Waiting { what, .. } => format!("waiting: {}", clean(what)),
        Event::GateSampled { gate, detail, .. } => format!("gate {}: {}", clean(gate), clean(detail)),
        Event::Warning { message, .. } => {
            format!("{} {}", style.paint(Tone::Careful, "warning:"), clean(message))
        }
        Event::ComponentEnded { state, summary, .. } => {
            format!("{}: {}", style.paint(tone_of(*state), &state.to_string()), clean(summary))
        }
        _ => return None,
    })
}

fn stage_text(stage: Stage, detail: &str) -> String {
    if detail.is_empty() { stage.to_string() } else { format!("{stage}: {}", clean(detail)) }
}

/// A moving line for each component.
struct Moving {
    style: Style,
    lines: MultiProgress,
    bars: BTreeMap<ComponentName, ProgressBar>,
}

impl Moving {
    fn new(style: Style) -> Self {
        Self { style, lines: MultiProgress::new(), bars: BTreeMap::new() }
    }

    fn follow(mut self, events: &mpsc::Receiver<Event>) {
        for event in events {
            self.event(&event);
        }
        for bar in self.bars.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { components, .. } => {
                self.say(event);
                for component in components {
                    self.bar(component);
                }
            }
            Event::Warning { .. } => self.say(event),
            Event::ComponentEnded { component, .. } => {
                let text = message(self.style, event).unwrap_or_default();
                self.bar(component).finish_with_message(text);
            }
            event => {
                if let (Some(component), Some(text)) = (component(event), message(self.style, event)) {
                    self.bar(&component.clone()).set_message(text);
                }
            }
        }
    }

    fn say(&self, event: &Event) {
        if let Some(line) = line(self.style, event) {
            let _ = self.lines.println(line);
        }
    }

    fn bar(&mut self, component: &ComponentName) -> ProgressBar {
        let lines = &self.lines;
        let make = || {
            let bar = lines.add(ProgressBar::new_spinner());
            let template = "{spinner} {prefix}: {wide_msg} {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(component.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        };
        self.bars.entry(component.clone()).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::State;

    use super::*;

    #[test]
    fn events_become_lines_that_cannot_repaint_the_terminal() {
        let web: ComponentName = "web".parse().unwrap();
        let events = [
            (
                Event::Stage { component: web.clone(), stage: Stage::Acting, detail: String::new() },
                "web: acting",
            ),
            (
                Event::StepStarted {
                    component: web.clone(),
                    step: "switch".parse().unwrap(),
                    title: "point current at v1\u{1b}[2J".to_owned(),
                    attempt: 2,
                },
                "web: point current at v1\\u{1b}[2J (attempt 2)",
            ),
            (
                Event::ComponentEnded {
                    component: web,
                    state: State::Restored,
                    summary: "v1 runs".to_owned(),
                },
                "web: restored: v1 runs",
            ),
        ];
        for (event, wanted) in events {
            assert_eq!(line(Style::default(), &event).as_deref(), Some(wanted));
        }
    }
}
