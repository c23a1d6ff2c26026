//! What makes git believe a server's authority at its hosts, by variables of the environment alone. It must not know which hosts.

use std::path::Path;

use super::{CA_FILE, Variable};

/// Overrides all of git's settings of that kind, those for single hosts too.
const GIT_CERTIFICATES: &str = "GIT_SSL_CAINFO";
const COUNT: &str = "GIT_CONFIG_COUNT";
/// Nobody has more settings for git in the environment.
const MANY_SETTINGS: usize = 1_000;

/// What makes git believe our authority at these hosts, and at no others. What the shell tells git besides is kept, but for what it
/// was told of the server that it was pointed at before.
pub fn believing(hosts: &[String], ca_file: &str) -> Vec<Variable> {
    let ours: Vec<String> = hosts.iter().map(|host| setting(host)).collect();
    let before = std::env::var(CA_FILE).unwrap_or_default();
    let told = told().into_iter().map(|(_, setting)| setting);
    let told = told.filter(|setting| !ours.contains(&setting.0) && !is_of(&before, setting));
    let mut settings: Vec<(String, String)> = told.collect();
    let everywhere = std::env::var(GIT_CERTIFICATES).ok();
    let is_set = everywhere.is_some();
    settings.extend(everywhere.map(|file| ("http.sslCAInfo".to_owned(), file)));
    settings.extend(ours.into_iter().map(|key| (key, ca_file.to_owned())));
    let mut variables = all(settings);
    if is_set {
        variables.push((GIT_CERTIFICATES.to_owned(), None));
    }
    variables
}

/// The settings of this shell without those that name this file of an authority.
pub fn without(ca_file: &str) -> Vec<Variable> {
    let told = told();
    let gone = told
        .iter()
        .map(|(at, _)| *at)
        .flat_map(|at| ["KEY", "VALUE"].map(|part| (format!("GIT_CONFIG_{part}_{at}"), None)));
    let gone: Vec<Variable> = gone.collect();
    let kept = told.into_iter().map(|(_, setting)| setting);
    let kept: Vec<_> = kept.filter(|setting| !is_of(ca_file, setting)).collect();
    match kept.is_empty() {
        true => gone.into_iter().chain([(COUNT.to_owned(), None)]).collect(),
        false => gone.into_iter().chain(all(kept)).collect(),
    }
}

/// Whether a setting names this file for a host, or one beside it: of a server elsewhere, git and the CLI have a file each.
fn is_of(ca_file: &str, (key, value): &(String, String)) -> bool {
    let is_of_a_host = key.starts_with("http.https://") && key.ends_with("/.sslCAInfo");
    let is_beside = Path::new(value).parent() == Path::new(ca_file).parent();
    is_of_a_host && is_beside && !ca_file.is_empty()
}

fn setting(host: &str) -> String {
    format!("http.https://{host}/.sslCAInfo")
}

/// What the shell tells git now, by its numbers.
fn told() -> Vec<(usize, (String, String))> {
    let here = |name: &str| std::env::var(name).ok();
    let count = here(COUNT).and_then(|count| count.parse::<usize>().ok());
    let told = (0..count.unwrap_or_default().min(MANY_SETTINGS)).filter_map(|at| {
        let key = here(&format!("GIT_CONFIG_KEY_{at}"));
        let setting = key.zip(here(&format!("GIT_CONFIG_VALUE_{at}")));
        setting.map(|setting| (at, setting))
    });
    told.collect()
}

fn all(settings: Vec<(String, String)>) -> Vec<Variable> {
    let mut variables = vec![(COUNT.to_owned(), Some(settings.len().to_string()))];
    for (at, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{at}"), Some(key)));
        variables.push((format!("GIT_CONFIG_VALUE_{at}"), Some(value)));
    }
    variables
}
