//! Small real apps, in languages that need no packages.
//!
//! Each shows its text and its own config var GREETING on its page, prints a line a request, and ends at `/crash`.

use flate2::Compression;
use flate2::write::GzEncoder;

/// An app in some language.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    procfile: &'static str,
    file: &'static str,
    code: &'static str,
}

/// Answers on many kept-alive connections at once, echoes what is posted, and speaks WebSocket at `/socket`.
pub const PYTHON: Sample = Sample {
    procfile: "web: python3 app.py\nworker: tail -f /dev/null\n",
    file: "app.py",
    code: include_str!("apps/app.py"),
};

/// Answers one request after another, each on its own connection. The quickest to start.
pub const PERL: Sample = Sample {
    procfile: "web: perl app.pl\nworker: tail -f /dev/null\n",
    file: "app.pl",
    code: include_str!("apps/app.pl"),
};

pub const NODE: Sample = Sample {
    procfile: "web: node app.js\nworker: tail -f /dev/null\n",
    file: "app.js",
    code: include_str!("apps/app.js"),
};

/// As [`PERL`], with a release command that says so.
pub const PERL_WITH_RELEASE: Sample = Sample {
    procfile: "web: perl app.pl\nworker: tail -f /dev/null\nrelease: echo ready to run\n",
    ..PERL
};

impl Sample {
    /// Its source, with this text on its page.
    pub fn tarball(&self, text: &str) -> Vec<u8> {
        let code = self.code.replace("{{text}}", text);
        tarball(&[("Procfile", self.procfile), (self.file, &code)])
    }
}

/// An app of which nothing runs by itself.
pub fn idle_app() -> Vec<u8> {
    tarball(&[("Procfile", "worker: tail -f /dev/null\nhello: echo hello\n")])
}

/// A tar.gz of these files.
pub fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
