//! Hiding what config vars hold in what a build prints, also when it comes in pieces.
//!
//! It knows no config: names and values are given to it. What cannot be the beginning of anything hidden goes on at once, so
//! nothing is held up but the few bytes that could become a secret.

use std::collections::BTreeMap;

/// Shorter values are in all kinds of words, and are no secrets.
const MIN_VALUE: usize = 8;
/// Of one line of a value with several, such as a key.
const MIN_LINE: usize = 16;

/// What is hidden, and what waits because it may be.
#[derive(Default)]
pub struct Mask {
    /// The longest first, so that nothing is left of one that another begins.
    secrets: Vec<Secret>,
    held: Vec<u8>,
}

struct Secret {
    bytes: Vec<u8>,
    shown: String,
}

impl Mask {
    /// Hides the values of these vars, the passwords in those that are URLs, and each line of those with several.
    pub fn new(vars: &BTreeMap<String, String>) -> Mask {
        let mut secrets = Vec::new();
        for (name, value) in vars.iter().filter(|(name, value)| !is_public(name, value)) {
            let parts = [value.trim()]
                .into_iter()
                .chain(lines(value))
                .chain(password(value));
            secrets.extend(
                parts
                    .filter(|part| part.len() >= MIN_VALUE)
                    .map(|part| Secret {
                        bytes: part.as_bytes().to_vec(),
                        shown: format!("[hidden: {name}]"),
                    }),
            );
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.bytes.len()));
        secrets.dedup_by(|one, other| one.bytes == other.bytes);
        Mask {
            secrets,
            held: Vec::new(),
        }
    }

    /// What may be shown of this and of what was held back before it.
    pub fn take(&mut self, text: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return text.to_vec();
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(text);
        let mut shown = Vec::with_capacity(all.len());
        let mut rest = all.as_slice();
        while let [first, ..] = rest {
            match self.at(rest) {
                Found::Nothing => {
                    shown.push(*first);
                    rest = &rest[1..];
                }
                Found::Secret(secret) => {
                    shown.extend_from_slice(secret.shown.as_bytes());
                    rest = &rest[secret.bytes.len()..];
                }
                Found::Beginning => break,
            }
        }
        self.held = rest.to_vec();
        shown
    }

    /// What was held back, when nothing more comes that could complete it. So much of a secret that it would help is hidden too.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        match held.len() {
            ..MIN_VALUE => held,
            _ => b"[hidden]".to_vec(),
        }
    }

    fn at(&self, rest: &[u8]) -> Found<'_> {
        for secret in &self.secrets {
            // Most bytes are none's first.
            if secret.bytes.first() != rest.first() {
                continue;
            }
            if rest.starts_with(&secret.bytes) {
                return Found::Secret(secret);
            }
            if secret.bytes.starts_with(rest) {
                return Found::Beginning;
            }
        }
        Found::Nothing
    }
}

enum Found<'a> {
    Nothing,
    Secret(&'a Secret),
    /// All that is left may become one.
    Beginning,
}

/// Parts of the names of what is a secret, however it looks.
const SECRETS: [&str; 11] = [
    "AUTH",
    "CERT",
    "CREDENTIAL",
    "DSN",
    "KEY",
    "PASS",
    "PRIVATE",
    "PWD",
    "SALT",
    "SECRET",
    "TOKEN",
];
/// Letters of a word, and of what is no more than a number or a short mixture such as `x64`.
const WORD: usize = 12;
const MIXTURE: usize = 4;

/// What everybody may know, and what half the lines of a build's output say: `production`, `web/Procfile`, an address without
/// anything in it that nobody could guess.
fn is_public(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if SECRETS.iter().any(|secret| name.contains(secret)) || password(value).is_some() {
        return false;
    }
    let mut words = value.split(|c: char| !c.is_ascii_alphanumeric());
    value.is_ascii() && words.all(is_plain)
}

/// Whether it is a word as people write them, capitals at its beginning or throughout.
fn is_plain(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let alike = |is: fn(&u8) -> bool| rest.bytes().all(|byte| is(&byte));
    let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic());
    let one_case =
        alike(u8::is_ascii_lowercase) || word.bytes().all(|byte| byte.is_ascii_uppercase());
    word.len() <= MIXTURE || (letters && one_case && word.len() <= WORD)
}

/// Of a value with several lines, those that say something.
fn lines(value: &str) -> impl Iterator<Item = &str> {
    let several = value.trim().contains('\n');
    value
        .lines()
        .map(str::trim)
        .filter(move |line| several && line.len() >= MIN_LINE && !line.starts_with("-----"))
}

/// Of `scheme://user:password@host`.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.trim().split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}
