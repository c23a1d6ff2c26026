//! The platform's own lines, word for word as Heroku writes them.
//!
//! Lines of the API stand under `app[api]`, those of a dyno's life under `heroku[web.1]`. Other programs parse these texts, so
//! they are written here and nowhere else, but for what is said of lost lines (`losses`, `session`). It must not know when any of
//! this happens. `user` is an account's e-mail address.

use super::{Logs, Source};
use crate::blob::Mismatch;
use crate::error::Error;
use crate::name::Id;
use crate::shim::memory::Usage;
use crate::store::dynos::Dyno;
use crate::store::releases::Release;

fn api(logs: &Logs, app: Id, messages: &[&str]) {
    logs.append_each(app, Source::App, "api", messages);
}

/// The same for what the thread that writes for everybody says, which does not wait for a disk. A kill may take it where the app's log
/// was not opened since the start.
fn api_soon(logs: &Logs, app: Id, messages: &[&str]) {
    logs.append_soon(app, Source::App, "api", messages);
}

fn dyno(logs: &Logs, app: Id, process: &str, messages: &[&str]) {
    logs.append_each(app, Source::Heroku, process, messages);
}

/// An app's first release, with which it begins.
const FIRST: i64 = 1;

/// Two lines that nothing comes between: `Deploy 385e5950 by user U` and `Release v3 created by user U`; and with an app's first
/// release what its people should know of the server, once.
pub fn released(logs: &Logs, app: Id, description: &str, version: i64, user: &str) {
    let description = format!("{description} by user {user}");
    let release = format!("Release v{version} created by user {user}");
    let note = logs.note().filter(|_| version == FIRST);
    let lines: Vec<&str> = [description.as_str(), &release]
        .into_iter()
        .chain(note)
        .collect();
    api_soon(logs, app, &lines);
}

/// The same of this release.
pub fn release(logs: &Logs, release: &Release) {
    let (description, user) = (&release.description, &release.account_email);
    released(logs, release.app_id, description, release.version, user);
}

/// The same for each of several releases, on whichever apps.
pub fn all_released(logs: &Logs, releases: &[Release]) {
    releases.iter().for_each(|one| release(logs, one));
}

/// A build has been claimed and begins.
pub fn build_started(logs: &Logs, app: Id, user: &str) {
    api(logs, app, &[&format!("Build started by user {user}")]);
}

/// A build has made a slug. Heroku writes this after the lines of the release it led to.
pub fn build_succeeded(logs: &Logs, app: Id) {
    api_soon(logs, app, &["Build succeeded"]);
}

/// `url` is where the build's output can be read.
pub fn build_failed(logs: &Logs, app: Id, url: &str) {
    api(
        logs,
        app,
        &[&format!("Build failed -- check your build output: {url}")],
    );
}

/// The release phase of a version begins.
pub fn release_command(logs: &Logs, app: Id, version: i64, user: &str) {
    api(
        logs,
        app,
        &[&format!(
            "Running release v{version} commands by user {user}"
        )],
    );
}

/// A release command came to nothing, for the reason that is given, and `then` is what the app is left with. `url` is where its
/// output can be read. The words are ours.
pub fn release_failed(logs: &Logs, app: Id, reason: &str, url: &str, then: &str) {
    let reason = format!("{reason} Check its output: {url}");
    api(logs, app, &[&reason, then]);
}

/// `formation` is all of it, types sorted: `web@1:Basic worker@2:Basic`.
pub fn scaled(logs: &Logs, app: Id, formation: &str, user: &str) {
    api_soon(
        logs,
        app,
        &[&format!("Scaled to {formation} by user {user}")],
    );
}

/// The app will be built on another stack.
pub fn stack_changed(logs: &Logs, app: Id, from: &str, to: &str, user: &str) {
    api(
        logs,
        app,
        &[&format!("Stack changed from {from} to {to} by user {user}")],
    );
}

/// The words are ours: no published sample of Heroku's line was found.
pub fn maintenance(logs: &Logs, app: Id, on: bool, user: &str) {
    let state = if on { "enabled" } else { "disabled" };
    api(
        logs,
        app,
        &[&format!("Maintenance mode {state} by user {user}")],
    );
}

/// `command` as it is run, with `$PORT` put in.
pub fn starting(logs: &Logs, app: Id, process: &str, command: &str) {
    dyno(
        logs,
        app,
        process,
        &[&format!("Starting process with command `{command}`")],
    );
}

/// Somebody runs a command in a one-off dyno. `command` as it is run.
pub fn run(logs: &Logs, app: Id, command: &str, user: &str) {
    api(
        logs,
        app,
        &[&format!(
            "Starting process with command `{command}` by user {user}"
        )],
    );
}

/// A run of a cron job begins in this dyno. The words are ours.
pub fn cron_begun(logs: &Logs, app: Id, command: &str, process: &str) {
    api(
        logs,
        app,
        &[&format!("Running cron job `{command}` in {process}")],
    );
}

/// A run of a cron job does not take place, for this reason. The words are ours.
pub fn cron_skipped(logs: &Logs, app: Id, command: &str, reason: &str) {
    api(
        logs,
        app,
        &[&format!("Skipped cron job `{command}`: {reason}")],
    );
}

/// Somebody asks for a run of a cron job. The words are ours.
pub fn cron_asked(logs: &Logs, app: Id, command: &str, user: &str) {
    api(
        logs,
        app,
        &[&format!("Cron job `{command}` asked for by user {user}")],
    );
}

/// A one-off dyno is launched once its client has come.
pub fn awaiting_client(logs: &Logs, app: Id, process: &str) {
    dyno(logs, app, process, &["Awaiting client"]);
}

/// R13: nobody came to sit in front of the dyno, so it is not launched.
pub fn attach_error(logs: &Logs, app: Id, process: &str) {
    let error = "Error R13 (Attach error) -> Failed to attach to process";
    dyno(logs, app, process, &[error]);
}

/// Whoever sat in front of the dyno has gone.
pub fn client_gone(logs: &Logs, app: Id, process: &str) {
    let text = "Client connection closed. Sending SIGHUP to all processes";
    dyno(logs, app, process, &[text]);
}

/// R16: the dyno goes on though its client has gone and it got SIGHUP.
pub fn detached(logs: &Logs, app: Id, process: &str) {
    let error = "Error R16 (Detached) -> An attached process is not responding to SIGHUP after its external connection was closed.";
    dyno(logs, app, process, &[error]);
}

/// A one-off dyno has run for as long as it may. The words are ours: no published sample of Heroku's line was found.
pub fn expired(logs: &Logs, app: Id, process: &str) {
    dyno(logs, app, process, &["Time to live is over"]);
}

/// `starting to up`, `up to crashed`, `up to down`, `up to complete` and so on.
pub fn state_changed(logs: &Logs, app: Id, process: &str, from: &str, to: &str) {
    dyno(
        logs,
        app,
        process,
        &[&format!("State changed from {from} to {to}")],
    );
}

/// Nobody has visited the app for so long that its dyno goes to sleep.
pub fn idling(logs: &Logs, app: Id, process: &str, from: &str) {
    let change = format!("State changed from {from} to down");
    dyno(logs, app, process, &["Idling", &change]);
}

/// Somebody visits it again.
pub fn unidling(logs: &Logs, app: Id, process: &str) {
    let change = "State changed from down to starting";
    dyno(logs, app, process, &["Unidling", change]);
}

/// A person or a release asks for a new start.
pub fn restarting(logs: &Logs, app: Id, process: &str) {
    dyno(logs, app, process, &["Restarting"]);
}

/// The dyno has been asked to end, and has its grace.
pub fn stopping(logs: &Logs, app: Id, process: &str) {
    dyno(logs, app, process, &["Stopping all processes with SIGTERM"]);
}

/// `status` is the shell's: 128 and the signal's number for a killed process, so 143 after SIGTERM and 137 after SIGKILL.
pub fn exited(logs: &Logs, app: Id, process: &str, status: i32) {
    dyno(
        logs,
        app,
        process,
        &[&format!("Process exited with status {status}")],
    );
}

/// R10: a web dyno that does not listen in `seconds` (60 on Heroku) is killed.
pub fn boot_timeout(logs: &Logs, app: Id, process: &str, seconds: u64) {
    let error = format!(
        "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds} seconds of launch"
    );
    dyno(
        logs,
        app,
        process,
        &[&error, "Stopping process with SIGKILL"],
    );
}

/// R12: what did not end within `seconds` of SIGTERM (30 on Heroku) is killed.
pub fn exit_timeout(logs: &Logs, app: Id, process: &str, seconds: u64) {
    let error = format!(
        "Error R12 (Exit timeout) -> At least one process failed to exit within {seconds} seconds of SIGTERM"
    );
    dyno(
        logs,
        app,
        process,
        &[&error, "Stopping remaining processes with SIGKILL"],
    );
}

/// R14: the dyno uses more than its `quota`, and goes on. Both in bytes.
pub fn memory_exceeded(logs: &Logs, app: Id, process: &str, used: u64, quota: u64) {
    dyno(
        logs,
        app,
        process,
        &[&memory(used, quota), "Error R14 (Memory quota exceeded)"],
    );
}

/// Of the last one, five and fifteen minutes: how many processes of a dyno ran or could have.
#[derive(Clone, Copy, Debug)]
pub struct Load(pub [f64; 3]);

/// What a dyno uses, as Heroku's `log-runtime-metrics` tells it. `quota` in bytes.
pub fn runtime_metrics(logs: &Logs, who: &Dyno, load: Load, usage: Usage, quota: u64) {
    let name = who.name();
    let source = format!("source={name} dyno=heroku.{}.{}", who.app_id, who.id);
    let Load([one, five, fifteen]) = load;
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let total = usage.memory + usage.cache + usage.swap;
    let messages = [
        format!(
            "{source} sample#load_avg_1m={one:.2} sample#load_avg_5m={five:.2} sample#load_avg_15m={fifteen:.2}"
        ),
        format!(
            "{source} sample#memory_total={:.2}MB sample#memory_rss={:.2}MB sample#memory_cache={:.2}MB \
             sample#memory_swap={:.2}MB sample#memory_quota={:.2}MB",
            megabytes(total),
            megabytes(usage.memory),
            megabytes(usage.cache),
            megabytes(usage.swap),
            megabytes(quota),
        ),
    ];
    let messages = messages.each_ref().map(String::as_str);
    dyno(logs, who.app_id, &name, &messages);
}

/// R15: the dyno uses several times its `quota`, and is killed. Both in bytes.
pub fn memory_vastly_exceeded(logs: &Logs, app: Id, process: &str, used: u64, quota: u64) {
    let messages = [
        &memory(used, quota),
        "Error R15 (Memory quota vastly exceeded)",
        "Stopping process with SIGKILL",
    ];
    dyno(logs, app, process, &messages);
}

/// A web dyno of a new release did not come up, and the release before it goes on serving. The words are ours, since Heroku
/// lets the old release go first. `why` and `output` are for the app's owner to read.
pub fn held_back(logs: &Logs, app: Id, process: &str, held: &HeldBack<'_>) {
    let HeldBack {
        version,
        serving,
        why,
        output,
    } = held;
    let first =
        format!("Release v{version} does not come up, so v{serving} goes on serving: {why}");
    let last = output.iter().map(|line| format!("Last output: {line}"));
    let messages: Vec<String> = std::iter::once(first).chain(last).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    dyno(logs, app, process, &messages);
}

/// The health checks of an app say something that cannot be. The words are ours.
pub fn checks_ignored(logs: &Logs, app: Id, process: &str, fault: &str) {
    let message = format!("The health checks are not used: {fault}");
    dyno(logs, app, process, &[&message]);
}

/// What there is to say of a release that is held back.
pub struct HeldBack<'a> {
    pub version: i64,
    /// The version that visitors see.
    pub serving: i64,
    pub why: &'a str,
    /// The last lines that its dyno has printed.
    pub output: &'a [String],
}

/// `Process running mem=1028M(103.3%)`.
fn memory(used: u64, quota: u64) -> String {
    let percent = used as f64 / quota.max(1) as f64 * 100.0;
    format!("Process running mem={}M({percent:.1}%)", used >> 20)
}

/// The dyno could not be started: R17 if the server's disk has altered the slug, in Heroku's words, of which one is missing, else R99.
pub fn not_started(logs: &Logs, app: Id, process: &str, error: &Error) {
    let cause = error.cause.as_ref();
    let Some(mismatch) = cause.and_then(|cause| cause.downcast_ref::<Mismatch>()) else {
        return platform_error(logs, app, process, &error.message);
    };
    let (expected, actual) = (mismatch.expected.checksum(), mismatch.actual.checksum());
    let error = format!(
        "Error R17 (Checksum error) -> Checksum does match expected value. Expected: {expected} Actual: {actual}"
    );
    dyno(logs, app, process, &[&error]);
}

/// R99: the platform could not start the dyno. `reason` is for the app's owner to read.
pub fn platform_error(logs: &Logs, app: Id, process: &str, reason: &str) {
    let error = format!("Error R99 (Platform error) -> {reason}");
    dyno(logs, app, process, &[&error]);
}
