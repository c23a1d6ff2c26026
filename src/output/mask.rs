//! Hiding what config vars hold in what a build prints, also when it comes in pieces.
//!
//! It knows no config: names and values are given to it. What cannot be the beginning of anything hidden goes on at once, so
//! nothing is held up but the few bytes that could become a secret.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What no URL has to escape stays as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Shorter values are in all kinds of words, and are no secrets unless their name says so.
const MIN_VALUE: usize = 8;
/// Of a value whose name says that it is a secret, and of a password within a URL.
const MIN_SECRET: usize = 4;
/// Of one line of a value with several, such as a key.
const MIN_LINE: usize = 16;
/// Of a secret's encoding as base64 within something larger.
const MIN_ENCODED: usize = 10;

/// What is hidden, and what waits because it may be.
#[derive(Default)]
pub struct Mask {
    /// The longest first, so that nothing is left of one that another begins.
    secrets: Vec<Secret>,
    /// Which of them begin with each byte.
    firsts: Vec<Vec<usize>>,
    held: Vec<u8>,
}

struct Secret {
    bytes: Vec<u8>,
    shown: String,
}

impl Mask {
    /// Hides the values of these vars, the passwords in those that are URLs, and each line of those with several; all of them also
    /// as URLs and base64 write them.
    pub fn new(vars: &BTreeMap<String, String>) -> Mask {
        let mut secrets = Vec::new();
        for (name, value) in vars {
            let mut forms: Vec<Vec<u8>> = Vec::new();
            for part in hidden(name, value) {
                forms.extend(encoded(part));
                // A program that connects has it as it is.
                let plain: Vec<u8> = percent_decode_str(part).collect();
                if plain != part.as_bytes() {
                    forms.push(plain);
                }
            }
            secrets.extend(forms.into_iter().map(|bytes| Secret {
                bytes,
                shown: format!("[hidden: {name}]"),
            }));
        }
        secrets.sort_by(|one, other| {
            let longest = other.bytes.len().cmp(&one.bytes.len());
            longest.then_with(|| one.bytes.cmp(&other.bytes))
        });
        secrets.dedup_by(|one, other| one.bytes == other.bytes);
        let mut firsts = vec![Vec::new(); 256];
        for (at, secret) in secrets.iter().enumerate() {
            if let Some(first) = secret.bytes.first() {
                firsts[usize::from(*first)].push(at);
            }
        }
        Mask {
            secrets,
            firsts,
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
        let (shown, held) = self.pass(&all, false);
        self.held = held.to_vec();
        shown
    }

    /// What was held back, when nothing more comes that could complete it. So much of a secret that it would help is hidden too.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, true).0
    }

    /// What is shown of a text, and what of it has to wait for more.
    fn pass<'a>(&self, text: &'a [u8], ends: bool) -> (Vec<u8>, &'a [u8]) {
        let mut shown = Vec::with_capacity(text.len());
        let mut rest = text;
        while let [first, ..] = rest {
            match self.at(*first, rest, ends) {
                Found::Nothing => {
                    shown.push(*first);
                    rest = &rest[1..];
                }
                Found::Secret(secret) => {
                    shown.extend_from_slice(secret.shown.as_bytes());
                    rest = &rest[secret.bytes.len()..];
                }
                Found::Beginning if ends => {
                    shown.extend_from_slice(b"[hidden]");
                    rest = &[];
                }
                Found::Beginning => break,
            }
        }
        (shown, rest)
    }

    fn at(&self, first: u8, rest: &[u8], ends: bool) -> Found<'_> {
        // Most bytes are none's first.
        for &at in &self.firsts[usize::from(first)] {
            let secret = &self.secrets[at];
            if rest.starts_with(&secret.bytes) {
                return Found::Secret(secret);
            }
            // At the end, a few bytes may as well be something else.
            if secret.bytes.starts_with(rest) && (!ends || rest.len() >= MIN_VALUE) {
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

/// The parts of a value that nobody may see.
fn hidden<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    let (named, value) = (is_named_secret(name), value.trim());
    let mut parts: Vec<&str> = lines(value).collect();
    let is_long_enough = match named {
        true => can_be_secret(value),
        false => value.len() >= MIN_VALUE,
    };
    if is_long_enough && !is_public(named, name, value) {
        parts.push(value);
    }
    parts.extend(password(value).filter(|password| can_be_secret(password)));
    parts
}

fn is_named_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

/// Whether a value that should be a secret can be one, though it has few letters: no number as half of all lines have one, and no word that is a setting.
fn can_be_secret(value: &str) -> bool {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let letters = value.bytes().all(|byte| byte.is_ascii_lowercase());
    let least = match digits || letters {
        true => MIN_SECRET + 1,
        false => MIN_SECRET,
    };
    value.len() >= least && !SETTINGS.contains(&value.to_ascii_lowercase().as_str())
}

/// A secret as it is, as a URL has it, and as base64 writes it, alone and within something longer.
fn encoded(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms = vec![bytes.to_vec()];
    let url = utf8_percent_encode(secret, UNRESERVED).to_string();
    if url != secret {
        forms.push(url.replace("%20", "+").into_bytes());
        forms.push(lower_escapes(&url).into_bytes());
        forms.push(url.into_bytes());
    }
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        if bytes.len() >= MIN_VALUE {
            forms.push(engine.encode(bytes).into_bytes());
        }
        // Where it begins at another byte of three, other letters stand for it; those at its ends are partly its neighbours'.
        for before in 0..3 {
            let whole = engine.encode([&[0u8; 2][..before], bytes].concat());
            let from = (before * 8).div_ceil(6);
            let to = (before + bytes.len()) * 8 / 6;
            let core = whole.get(from..to).unwrap_or_default();
            if core.len() >= MIN_ENCODED {
                forms.push(core.as_bytes().to_vec());
            }
        }
    }
    forms
}

/// `%2f` for `%2F`.
fn lower_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let (code, rest) = part.split_at(part.len().min(2));
        all + "%" + &code.to_ascii_lowercase() + rest
    })
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

/// Values that say how something is done, though the name has a word such as AUTH in it.
const SETTINGS: [&str; 24] = [
    "always",
    "auto",
    "basic",
    "bearer",
    "cookie",
    "default",
    "development",
    "disabled",
    "enabled",
    "external",
    "false",
    "github",
    "google",
    "local",
    "never",
    "none",
    "null",
    "oauth",
    "optional",
    "production",
    "required",
    "session",
    "staging",
    "true",
];

/// What everybody may know, and what half the lines of a build's output say: `production`, `web/Procfile`, an address without
/// anything in it that nobody could guess, the file that certificates are in.
fn is_public(named: bool, name: &str, value: &str) -> bool {
    if password(value).is_some() {
        return false;
    }
    if named {
        let certificates = name.to_ascii_uppercase().contains("CERT");
        let plain = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
        return certificates && value.starts_with('/') && value.chars().all(plain);
    }
    let is_known = match value.split_once("://") {
        Some(_) => is_part_of_address,
        None => is_plain,
    };
    // A host is no secret.
    let said = value
        .split_once("://")
        .filter(|(_, rest)| !rest.contains('@'))
        .map_or(value, |(_, rest)| {
            rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
        });
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
    value.is_ascii() && words.all(is_known)
}

/// Whether it is such a word, or one with a version behind it: `node22`, `glibc217`.
fn is_part_of_address(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() - letters.len() <= MIXTURE && is_plain(letters)
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
    let (name, password) = user.split_once(':')?;
    (name != password).then_some(password)
}
