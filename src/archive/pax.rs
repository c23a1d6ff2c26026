//! PAX extended headers: the few records that matter here, read strictly.
//!
//! Readers that disagree on a header see different archives in the same bytes, so anything odd is refused rather than guessed
//! at. It knows the format of the records and nothing of the entries they describe.

/// The records that change an entry. Others (times, owners, comments, extended attributes) are dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    /// Bytes of the entry's contents.
    pub size: Option<u64>,
}

impl Pax {
    /// The reason for a refusal reads on after the entry's name.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Pax, &'static str> {
        let mut pax = Pax::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes)
                .ok_or("has a malformed PAX header. Make the archive anew, with GNU tar.")?;
            bytes = rest;
            let twice = match key {
                b"path" => pax.path.replace(value.to_vec()).is_some(),
                b"linkpath" => pax.link.replace(value.to_vec()).is_some(),
                b"size" => pax
                    .size
                    .replace(number(value).ok_or(
                        "has a PAX size that is no number. Make the archive anew, with GNU tar.",
                    )?)
                    .is_some(),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err("is a sparse file. Make the archive without `--sparse`.");
                }
                _ => false,
            };
            if twice {
                return Err("has the same PAX record twice. Make the archive anew, with GNU tar.");
            }
        }
        Ok(pax)
    }

    /// Whether nothing of it would change an entry. A header for the whole archive must be so: git's holds the commit.
    pub(super) fn is_silent(&self) -> bool {
        *self == Pax::default()
    }
}

/// One record, `LENGTH KEY=VALUE\n`, and what follows it. The length counts all of the record, itself as well.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(8).position(|&byte| byte == b' ')?;
    let length = usize::try_from(number(&bytes[..blank])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

/// Decimal digits only: Rust's own parsing would let `+5` in.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
