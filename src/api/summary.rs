//! What an operation is called, for people: a line made from its method and its path, and what the comment of its handler says.
//! It must not know which operations there are.

use std::borrow::Cow;

use super::routes::Route;

/// The comments of the handlers, by their names. Made when the server is compiled.
const COMMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/handlers.rs"));

/// What the name of a handler begins with, where it says more than the method does.
const VERBS: &[&str] = &[
    "accept", "cancel", "disable", "enable", "filter", "open", "refresh", "replace", "restart",
    "revoke",
];

/// How paths begin that are in GitHub's words, and what they are of in Heroku's.
const BEGINNINGS: &[(&str, &str)] = &[("/repos/not.on.github/", "/pipelines/")];

/// Words that are not written as they stand in a path.
const WORDS: &[(&str, &str)] = &[
    ("acm", "automated certificate management"),
    ("addon", "add-on"),
    ("addons", "add-ons"),
    ("compare", "comparisons"),
    ("oauth", "OAuth"),
    ("sni", "SNI"),
    ("sso", "single sign-on"),
];

/// What the comment of its handler says.
pub fn description(route: &Route) -> Option<&'static str> {
    let found = COMMENTS.iter().find(|(name, _)| *name == route.operation);
    found.map(|(_, comment)| *comment)
}

/// `List the builds of an app`.
pub fn summary(route: &Route, answers_with_list: bool) -> String {
    let path = in_own_words(route.path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (what, action) = match parts.iter().position(|part| *part == "actions") {
        Some(at) if at > 0 => (&parts[..at], parts.get(at + 1)),
        Some(at) => (&parts[at + 1..parts.len() - 1], parts.last()),
        None if parts.first() == Some(&"filters") => (&parts[1..], None),
        None => (&parts[..], None),
    };
    let makes = route.method == "POST" && action.is_none() && !answers_with_list;
    let things = things(what, makes);
    let (thing, within) = things
        .split_last()
        .map_or(("", &[][..]), |(last, within)| (last.as_str(), within));
    let within: String = within
        .iter()
        .rev()
        .map(|outer| format!(" of {outer}"))
        .collect();
    let verb = match action {
        Some(action) if action.contains('-') && !action.ends_with("-all") => {
            format!("{} of", spelled(action))
        }
        Some(action) => spelled(action),
        None => verb(route, answers_with_list),
    };
    let mut line = format!("{verb} {thing}{within}");
    if let Some(first) = line.get(..1) {
        line.replace_range(..1, &first.to_uppercase());
    }
    line
}

fn in_own_words(path: &str) -> Cow<'_, str> {
    let mut known = BEGINNINGS.iter();
    known
        .find_map(|(begin, own)| Some([*own, path.strip_prefix(begin)?].concat().into()))
        .unwrap_or(path.into())
}

fn verb(route: &Route, answers_with_list: bool) -> String {
    let name = route.operation.rsplit("::").next().unwrap_or_default();
    let first = name.split('_').next().unwrap_or_default();
    if VERBS.contains(&first) {
        return first.to_owned();
    }
    match route.method {
        "GET" if answers_with_list => "list",
        "GET" => "show",
        "POST" if name == "answer" => "answer",
        "POST" if route.path.ends_with('}') => "run a command in",
        "POST" => "make",
        "DELETE" => "delete",
        _ => "change",
    }
    .to_owned()
}

/// What a path names, from the outside in: `an app`, `a build`, and `the builds` where it ends without saying which.
fn things(parts: &[&str], makes: bool) -> Vec<String> {
    let mut things = Vec::new();
    let mut word = String::new();
    for part in parts {
        match part.starts_with('{') || *part == "~" {
            false if word.is_empty() => word = spelled(part),
            false => word = format!("{word} {}", spelled(part)),
            true if part.ends_with(".git") => things.push("an app".to_owned()),
            true if word.is_empty() => {}
            true => {
                things.push(one(&word));
                word.clear();
            }
        }
    }
    if !word.is_empty() {
        things.push(match makes {
            true => one(&word),
            false => format!("the {word}"),
        });
    }
    if things.is_empty() {
        things.push("the root".to_owned());
    }
    things
}

/// `pipeline-couplings` as words.
fn spelled(part: &str) -> String {
    let words = part.split(['-', '_', '.']).map(|word| {
        let known = WORDS.iter().find(|(in_path, _)| *in_path == word);
        known.map_or(word, |(_, spelled)| spelled)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `an app`, of `apps`.
fn one(many: &str) -> String {
    let one = match many {
        _ if many.ends_with("statuses") => many.trim_end_matches("es"),
        _ if many.ends_with("ies") => &many.replace("ies", "y"),
        _ if many.ends_with("branches") => many.trim_end_matches("es"),
        _ => many.strip_suffix('s').unwrap_or(many),
    };
    let vowel = one.starts_with(['a', 'e', 'i', 'o', 'S', 'O']);
    format!("{} {one}", if vowel { "an" } else { "a" })
}
