//! `~/.netrc`, in which curl, git and the official CLI look for credentials: one entry put in, and everything else left as it is.
//!
//! It must not know whose credentials they are.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a host is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub login: String,
    pub password: String,
}

/// Where it is: in the user's own folder.
pub fn path() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute()).ok_or_else(|| {
        Error::invalid("HOME is not set, so there is no ~/.netrc to keep the login in. Set it.")
    })?;
    Ok(home.join(".netrc"))
}

/// What is kept for a host. An absent file has nothing.
pub fn find(path: &Path, host: &str) -> Result<Option<Login>> {
    let text = read(path)?;
    let entry = entries(&text).into_iter().find(|entry| entry.host == host);
    Ok(entry.and_then(|entry| login(&text[entry.span])))
}

/// What an entry says.
fn login(entry: &str) -> Option<Login> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|one| *one == word)?;
        words.get(at + 1).map(|value| (*value).to_owned())
    };
    let (login, password) = after("login").zip(after("password"))?;
    Some(Login { login, password })
}

/// Takes out each entry with this password, whatever its host: it opens nothing any more.
pub fn forget(path: &Path, password: &str) -> Result<()> {
    let mut text = read(path)?;
    for entry in entries(&text).into_iter().rev() {
        let kept = login(&text[entry.span.clone()]);
        if kept.is_some_and(|kept| kept.password == password) {
            text.replace_range(entry.span, "");
        }
    }
    put(path, &text)
}

/// Keeps a login for these hosts, in place of those that they had. The file is this user's alone, and whole at any moment.
pub fn keep(path: &Path, hosts: &[String], login: &Login) -> Result<()> {
    let mut text = read(path)?;
    for host in hosts {
        text = with(&text, host, login);
    }
    put(path, &text)
}

fn put(path: &Path, text: &str) -> Result<()> {
    // Somebody may keep the file elsewhere and have a link here.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let part = place.with_extension("penstock-part");
    let written = write(&part, text).and_then(|()| Ok(fs::rename(&part, &place)?));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        Error::conflict(format!(
            "The login cannot be kept in {}: {error}.",
            path.display()
        ))
    })
}

fn write(part: &Path, text: &str) -> Result<()> {
    match fs::remove_file(part) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause.into()),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|cause| {
            Error::conflict(format!("{} cannot be read: {cause}.", path.display()))
        }),
    }
}

/// The text with this entry. One for any other host (`default`) stays the last, since nobody reads past it.
fn with(text: &str, host: &str, login: &Login) -> String {
    let mut text = text.to_owned();
    for entry in entries(&text).into_iter().rev() {
        if entry.host == host {
            text.replace_range(entry.span, "");
        }
    }
    let new = format!(
        "machine {host}\n  login {}\n  password {}\n",
        login.login, login.password
    );
    let others = entries(&text);
    let default = others.iter().find(|entry| entry.host.is_empty());
    let at = default.map_or(text.len(), |default| default.span.start);
    let new = match text[..at].is_empty() || text[..at].ends_with('\n') {
        true => new,
        false => format!("\n{new}"),
    };
    text.insert_str(at, &new);
    text
}

struct Entry {
    /// Empty for `default`.
    host: String,
    /// From its first word to the next entry.
    span: Range<usize>,
}

/// All entries, in order. A macro goes up to an empty line, and is no entry of a host.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut words = words(text).into_iter().peekable();
    let mut open = false;
    while let Some((at, word)) = words.next() {
        if !matches!(word, "machine" | "default" | "macdef") {
            continue;
        }
        if let Some(last) = entries.last_mut().filter(|_| open) {
            last.span.end = at;
        }
        open = word != "macdef";
        if word == "macdef" {
            let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end);
            while words.next_if(|(at, _)| *at < end).is_some() {}
            continue;
        }
        let host = match word {
            "machine" => words.next().map_or("", |(_, host)| host),
            _ => "",
        };
        entries.push(Entry {
            host: host.to_owned(),
            span: at..text.len(),
        });
    }
    entries
}

/// The words, and where they begin. What follows a `#` at the beginning of a word is a comment.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let mut at = begin;
        begin += line.len();
        for part in line.split_inclusive(char::is_whitespace) {
            let word = part.trim();
            if word.starts_with('#') {
                break;
            }
            if !word.is_empty() {
                words.push((at, word));
            }
            at += part.len();
        }
    }
    words
}
