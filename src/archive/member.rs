//! One entry of a tar file, made out of its header and the extension headers before it.
//!
//! It decides what an entry claims to be, and refuses claims that two readers could understand in two ways. Whether the entry
//! fits in with the rest of the archive is for the [walk](super::walk).

use tar::{EntryType, Header};

use super::Limits;
use super::path::{parse, refuse};
use super::pax::Pax;
use crate::error::Result;

/// An entry that may be let in.
pub(super) struct Member {
    /// As [`parse`] keeps it.
    pub path: Vec<u8>,
    /// Whether its name says where the root is: `./Procfile`, or `.` itself.
    pub rooted: bool,
    pub kind: Kind,
}

pub(super) enum Kind {
    Folder,
    File {
        size: u64,
        executable: bool,
        /// Setuid or setgid.
        privileged: bool,
    },
    /// The target's bytes, as they came.
    Symlink {
        target: Vec<u8>,
    },
    /// The target is the name of an entry, as [`parse`] keeps it.
    HardLink {
        target: Vec<u8>,
    },
}

/// What extension headers have said of the entry that follows them.
#[derive(Default)]
pub(super) struct Announced {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

/// Whether an entry of this kind only describes the next one, or the whole archive.
pub(super) fn is_extension(kind: EntryType) -> bool {
    kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
        || kind.is_gnu_longname()
        || kind.is_gnu_longlink()
}

impl Announced {
    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }

    /// Takes in the contents of an extension header. `name` is that header's own, for messages.
    pub(super) fn take_in(
        &mut self,
        kind: EntryType,
        name: &[u8],
        mut body: Vec<u8>,
    ) -> Result<()> {
        if kind.is_pax_global_extensions() {
            let pax = Pax::parse(&body).map_err(|why| refuse(name, why))?;
            return if pax.is_silent() {
                Ok(())
            } else {
                Err(refuse(
                    name,
                    "is a PAX header that gives all entries one name or size. Make the archive anew, with GNU tar.",
                ))
            };
        }
        let twice = if kind.is_pax_local_extensions() {
            let pax = Pax::parse(&body).map_err(|why| refuse(name, why))?;
            self.pax.replace(pax).is_some()
        } else {
            // The NUL at the end counts in the size. Where it does not stand there, readers differ on the name.
            if body.pop() != Some(0) {
                return Err(refuse(
                    name,
                    "is a long name without an end. Make the archive anew, with GNU tar.",
                ));
            }
            let place = if kind.is_gnu_longname() {
                &mut self.long_name
            } else {
                &mut self.long_link
            };
            place.replace(body).is_some()
        };
        if twice || (self.pax.is_some() && (self.long_name.is_some() || self.long_link.is_some())) {
            return Err(refuse(
                name,
                "describes the next entry a second time. Make the archive anew, with GNU tar.",
            ));
        }
        Ok(())
    }

    /// The entry that the header and what came before it describe together.
    pub(super) fn member(self, header: &Header, size: u64, limits: &Limits) -> Result<Member> {
        let pax = self.pax.unwrap_or_default();
        let name = self
            .long_name
            .or(pax.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = header.entry_type();
        let rooted = name == b"." || name.starts_with(b"./");
        let path = parse(&name, kind.is_dir(), limits)?;
        if pax.size.is_some_and(|told| told != size) {
            return Err(refuse(
                &name,
                "has mismatched sizes in its two headers. Make the archive anew, with GNU tar.",
            ));
        }
        let link = self
            .long_link
            .or(pax.link)
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let kind = match kind {
            EntryType::Directory | EntryType::Symlink | EntryType::Link if size != 0 => {
                return Err(refuse(
                    &name,
                    "is no file and yet has contents. Make the archive anew, with GNU tar.",
                ));
            }
            EntryType::Directory => Kind::Folder,
            EntryType::Regular => file(&name, size, header, limits)?,
            EntryType::Symlink => Kind::Symlink {
                target: target(link, &name, limits)?,
            },
            EntryType::Link => Kind::HardLink {
                target: parse(&target(link, &name, limits)?, false, limits)?,
            },
            other => {
                return Err(refuse(
                    &name,
                    format_args!(
                        "is {}. Leave it out: only files, folders and links are taken.",
                        spoken(other)
                    ),
                ));
            }
        };
        Ok(Member { path, rooted, kind })
    }
}

fn file(name: &[u8], size: u64, header: &Header, limits: &Limits) -> Result<Kind> {
    if size > limits.file {
        return Err(refuse(
            name,
            format_args!(
                "is {size} bytes long; at most {} are taken. Leave it out, and fetch it in the build.",
                limits.file
            ),
        ));
    }
    // A mode that cannot be read gives no rights.
    let mode = header.mode().unwrap_or(0);
    Ok(Kind::File {
        size,
        executable: mode & 0o100 != 0,
        privileged: mode & 0o6000 != 0,
    })
}

fn target(link: Option<Vec<u8>>, name: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    match link {
        Some(link) if link.is_empty() || link.contains(&0) => Err(refuse(
            name,
            "is a link with no readable target. Leave it out.",
        )),
        Some(link) if link.len() > limits.path => Err(refuse(
            name,
            format_args!(
                "is a link to a name of {} bytes; at most {} are taken. Shorten it.",
                link.len(),
                limits.path
            ),
        )),
        Some(link) => Ok(link),
        None => Err(refuse(name, "is a link with no target. Leave it out.")),
    }
}

/// A kind of entry in words.
fn spoken(kind: EntryType) -> String {
    match kind {
        EntryType::Char => "a character device".to_owned(),
        EntryType::Block => "a block device".to_owned(),
        EntryType::Fifo => "a named pipe".to_owned(),
        EntryType::Continuous => "a contiguous file".to_owned(),
        other if other.as_byte() == b'V' => "a volume label, as `tar --label` makes it".to_owned(),
        EntryType::GNUSparse => "a sparse file".to_owned(),
        other => format!(
            "of the unknown type `{}`",
            char::from(other.as_byte()).escape_default()
        ),
    }
}
