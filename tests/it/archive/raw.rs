//! Tar files made byte by byte, since `tar::Builder` refuses to make the ones that matter here.

use std::io::Write;

use flate2::write::GzEncoder;

/// A tar file that grows.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn new() -> Tar {
        Tar::default()
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Tar {
        let content = content.as_ref();
        self.entry(b'0', name, "", content.len() as u64, content)
    }

    pub fn folder(self, name: impl AsRef<[u8]>) -> Tar {
        self.entry(b'5', name, "", 0, b"")
    }

    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Tar {
        self.entry(b'2', name, target, 0, b"")
    }

    pub fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Tar {
        self.entry(b'1', name, target, 0, b"")
    }

    pub fn long_name(self, name: impl AsRef<[u8]>) -> Tar {
        self.described(b'L', name.as_ref())
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        self.described(b'x', &records_of(records))
    }

    pub fn global(self, records: &[(&str, &[u8])]) -> Tar {
        self.described(b'g', &records_of(records))
    }

    pub fn described(self, kind: u8, body: &[u8]) -> Tar {
        self.entry(kind, "header-of-next", "", body.len() as u64, body)
    }

    /// An entry that may claim any size.
    pub fn entry(
        self,
        kind: u8,
        name: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        size: u64,
        content: &[u8],
    ) -> Tar {
        let header = header(kind, name.as_ref(), link.as_ref(), size);
        self.headed(header, content)
    }

    /// An entry under a header that the test has had its way with.
    pub fn headed(mut self, header: [u8; 512], content: &[u8]) -> Tar {
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The gzip file, with the blocks that end a tar file.
    pub fn gz(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        gzip(&self.0)
    }
}

pub fn header(kind: u8, name: &[u8], link: &[u8], size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    let put = |header: &mut [u8; 512], at: usize, bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(&mut header, 0, &name[..name.len().min(100)]);
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, 124, format!("{size:011o}\0").as_bytes());
    put(&mut header, 136, b"00000000000\0");
    header[156] = kind;
    put(&mut header, 157, &link[..link.len().min(100)]);
    put(&mut header, 257, b"ustar\x0000");
    with_checksum(header)
}

/// Sets bytes of a header, and mends its checksum.
pub fn with(mut header: [u8; 512], at: usize, bytes: &[u8]) -> [u8; 512] {
    header[at..at + bytes.len()].copy_from_slice(bytes);
    with_checksum(header)
}

fn with_checksum(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

fn records_of(records: &[(&str, &[u8])]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|(key, value)| record(key, value))
        .collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
