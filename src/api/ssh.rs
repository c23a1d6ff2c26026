//! Public SSH keys as OpenSSH writes them: `algorithm base64 comment`, one line. Only what they say of themselves is read; no
//! signature is made or checked.
//!
//! Sources: RFC 4253 section 6.6, RFC 5656, RFC 8709, and OpenSSH's PROTOCOL.u2f.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A key, and the words after it.
pub struct Key<'a> {
    pub algorithm: &'a str,
    pub base64: &'a str,
    /// What `base64` stands for.
    pub blob: Vec<u8>,
    pub comment: Vec<&'a str>,
}

/// The algorithms that OpenSSH still takes, and the fields that follow the name in a key of each.
const ALGORITHMS: &[(&str, usize)] = &[
    ("ssh-ed25519", 1),
    ("ssh-rsa", 2),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];
/// Of an RSA modulus, in bytes: 2048 bits, and a zero may precede them.
const SHORTEST_RSA: usize = 256;

/// `None` for whatever is no such line, or holds a key of another kind than it says.
pub fn parse(line: &str) -> Option<Key<'_>> {
    if line.trim().contains(['\n', '\r'])
        || line.chars().any(|c| c.is_control() && !c.is_whitespace())
    {
        return None;
    }
    let mut words = line.split_whitespace();
    let (algorithm, base64) = (words.next()?, words.next()?);
    let fields = ALGORITHMS.iter().find(|(known, _)| *known == algorithm)?.1;
    let blob = STANDARD.decode(base64).ok()?;
    let (name, mut rest) = field(&blob)?;
    let mut last: &[u8] = &[];
    for _ in 0..fields {
        (last, rest) = field(rest)?;
    }
    let whole = name == algorithm.as_bytes() && rest.is_empty() && !last.is_empty();
    let strong = match algorithm {
        "ssh-rsa" => last.len() >= SHORTEST_RSA,
        "ssh-ed25519" => last.len() == 32,
        _ => true,
    };
    (whole && strong).then(|| Key {
        algorithm,
        base64,
        blob: blob.clone(),
        comment: words.collect(),
    })
}

/// Bytes that are preceded by their length, and what follows them.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
