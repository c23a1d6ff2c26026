//! What a build says of what it found to run.

use crate::output::Writer;
use crate::process_types::Origin;

use super::source::Found;

/// Heroku lets a buildpack leave nothing to run. Whoever has not meant that sees a page which says that it has no web process.
const NOTHING_RUNS: &str =
    "Neither the Procfile nor the buildpack declares a process type, so nothing of this app runs.";

/// In the words that Heroku has for it.
pub(super) fn tell(found: &Found, output: &Writer) {
    let (decision, cron) = (&found.decision, &found.cron);
    let all: Vec<&str> = decision.commands.keys().map(String::as_str).collect();
    match &decision.origin {
        Origin::Procfile => {
            output.step("Discovering process types");
            output.detail(&format!("Procfile declares types -> {}", all.join(", ")));
        }
        Origin::Built { defaults, .. } => {
            output.step("Discovering process types");
            let declared: Vec<&str> = all
                .into_iter()
                .filter(|name| !defaults.iter().any(|own| own == name))
                .collect();
            tell_both(&declared, defaults, output);
        }
    }
    for line in &decision.doubtful {
        output.warning(&line.to_string());
    }
    if decision.commands.is_empty() {
        output.warning(NOTHING_RUNS);
    }
    if !cron.is_empty() {
        output.detail(&format!("app.json declares cron jobs -> {}", cron.len()));
    }
    if let Some(fault) = &found.unread_app_json {
        output.warning(&format!(
            "{fault}. It is passed over here, and no app can be set up from it."
        ));
    }
}

fn tell_both(declared: &[&str], defaults: &[String], output: &Writer) {
    let declared = match declared {
        [] => "(none)".to_owned(),
        some => some.join(", "),
    };
    if defaults.is_empty() {
        return output.detail(&format!("Procfile declares types -> {declared}"));
    }
    output.detail(&format!("Procfile declares types     -> {declared}"));
    output.detail(&format!(
        "Default types for buildpack -> {}",
        defaults.join(", ")
    ));
}
