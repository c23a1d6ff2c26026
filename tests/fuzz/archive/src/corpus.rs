//! Where mutations begin: tar files of all that an archive may have in it, and of much that it may not.

use tar::{EntryType, Header};

/// Tar files, not compressed.
pub fn seeds() -> Vec<Vec<u8>> {
    let file = |name: &str, text: &str| entry(EntryType::Regular, name, "", text.as_bytes());
    let pax = |records: &str| entry(EntryType::XHeader, "pax", "", records.as_bytes());
    let link = |kind, name: &str, to: &str| entry(kind, name, to, b"");
    let long = format!("{}/long\0", "n".repeat(120));
    vec![
        [file("Procfile", "web: ./run\n"), file("app/run", "x")].concat(),
        [entry(EntryType::Directory, "app/", "", b""), file("app/a/b/c", "abc")].concat(),
        [file("app/a", "x"), link(EntryType::Symlink, "app/l", "a")].concat(),
        [file("app/a", "x"), link(EntryType::Link, "app/h", "app/a")].concat(),
        [link(EntryType::Symlink, "app/up", ".."), file("app/up/x", "x")].concat(),
        [pax("14 path=app/x\n"), file("y", "x")].concat(),
        [pax("9 size=1\n"), file("app/y", "x")].concat(),
        [pax("16 linkpath=a/b\n"), link(EntryType::Symlink, "app/y", "x")].concat(),
        [entry(EntryType::GNULongName, "././@LongLink", "", long.as_bytes()), file("x", "x")].concat(),
        [entry(EntryType::GNULongLink, "././@LongLink", "", b"to/there\0"), link(EntryType::Symlink, "l", "x")].concat(),
        [entry(EntryType::XGlobalHeader, "pax_global_header", "", b"19 comment=abcdefg\n"), file("a", "b")].concat(),
        entry(EntryType::GNUSparse, "sparse", "", b""),
        entry(EntryType::Fifo, "pipe", "", b""),
        [file("a", "1"), file("A", "2"), file("a", "3")].concat(),
        [file("../out", "x"), file("/abs", "x"), file("a/../../x", "y")].concat(),
    ]
    .into_iter()
    .map(|tar| [tar, vec![0; 1024]].concat())
    .collect()
}

fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
