//! What is said of lines that were lost, and of drains that take none: Heroku's L10 and L14 word for word, and words of our own
//! where Heroku does not say which drain it was.
//!
//! L10 is for whoever did not get the lines: all, when an app's output was dropped, or one drain, at the place where they would
//! have been. Others learn of a drain's loss from a line in the app's log that names the drain, by its token or its id. It must not
//! know how lines are lost.

use super::line::{self, Line};
use super::{Filter, Logs, Lost, Source};
use crate::name::Id;
use crate::time::Timestamp;

const LOGPLEX: &str = "logplex";
/// How far back a line of this kind is looked for.
const LINES: usize = 1_500;

fn say(logs: &Logs, app: Id, message: &str) {
    logs.append_each(app, Source::Heroku, LOGPLEX, &[message]);
}

/// L10: nobody was there to take what the app printed, and it was more than could be kept.
pub fn output_dropped(logs: &Logs, app: Id, lost: Lost) {
    say(logs, app, &overflow(lost));
}

/// L10 as a line of a drain's own, said at that moment.
pub fn of_drain(at: Timestamp, lost: Lost) -> String {
    let label = line::label(Source::Heroku, LOGPLEX);
    format!("{} {label}{}\n", at.to_log(), overflow(lost))
}

fn overflow(Lost { lines, since }: Lost) -> String {
    let since = since.to_log();
    format!("Error L10 (output buffer overflow): {lines} messages dropped since {since}.")
}

/// A drain did not take its lines before they went, or refused them.
pub fn drain_missed(logs: &Logs, app: Id, drain: &str, lost: Lost) {
    say(logs, app, &missed(drain, lost));
}

/// Whether the app's log has told of this very loss.
pub fn is_told(logs: &Logs, app: Id, drain: &str, lost: Lost) -> bool {
    let filter = Filter {
        source: Some(Source::Heroku),
        process: Some(LOGPLEX.to_owned()),
        after: None,
    };
    let told = missed(drain, lost);
    let lines = logs.read(app, &filter, LINES).unwrap_or_default();
    let mut lines = lines.iter().filter_map(|line| Line::parse(line));
    lines.any(|line| line.message == told)
}

/// Some lines of an app's log without those that tell others of what this drain has lost, which is told of that by L10.
pub fn without_own(text: &str, drain: &str) -> String {
    let own = format!("Drain {drain} missed ");
    let is_own = |line: &&str| {
        let line = Line::parse(line);
        line.is_some_and(|line| is_of_logplex(&line) && line.message.starts_with(&own))
    };
    match text.contains(&own) {
        true => text
            .split_inclusive('\n')
            .filter(|line| !is_own(line))
            .collect(),
        false => text.to_owned(),
    }
}

/// Whether a line is one of these, or another that tells of a loss.
pub fn is_of_logplex(line: &Line<'_>) -> bool {
    line.source == Source::Heroku && line.process == LOGPLEX
}

fn missed(drain: &str, Lost { lines, since }: Lost) -> String {
    let since = since.to_log();
    format!("Drain {drain} missed {lines} messages since {since}.")
}

/// L14: whoever is at the end of a drain could not prove who he is. `uri` is without its path, in which there may be secrets.
pub fn drain_untrusted(logs: &Logs, app: Id, error: &str, uri: &str) {
    let text = format!("Error L14 (certificate validation): error=\"{error}\" uri=\"{uri}\"");
    say(logs, app, &text);
}

/// A drain takes nothing, for a reason such as `ConnectionRefused`. The words are ours.
pub fn drain_fails(logs: &Logs, app: Id, drain: &str, reason: &str) {
    let text = format!("Drain {drain} takes no lines: {reason}. They wait, and are sent again.");
    say(logs, app, &text);
}
