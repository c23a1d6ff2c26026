//! Built-in builders at work, in a real sandbox, with the programs of this machine and no network.

mod compiled;
mod node;
mod python;

use std::collections::BTreeMap;
use std::process::Command;

use penstock::store::buildpacks::Buildpack;
use penstock::store::builds::{Build, NewBuild, Status};
use penstock::store::config_vars;

use super::Site;
use crate::archive::raw::Tar;

pub const NODE: &str = "node --version && npm --version";
pub const PYTHON: &str = "python3 -c 'import venv, ensurepip'";

/// Makes a wheel on standard output: a module of this text, and a program that runs its `main`.
const WHEEL: &str = r#"
import io, sys, zipfile
wheel = io.BytesIO()
with zipfile.ZipFile(wheel, "w") as files:
    info = "greet-1.0.dist-info/"
    files.writestr("greet.py", sys.argv[1])
    files.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
    files.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    files.writestr(info + "entry_points.txt", "[console_scripts]\ngreet = greet:main\n")
    files.writestr(info + "RECORD", "")
sys.stdout.buffer.write(wheel.getvalue())
"#;

pub fn wheel(module: &str) -> Vec<u8> {
    let made = Command::new("/usr/bin/env")
        .args(["python3", "-c", WHEEL, module])
        .output()
        .unwrap();
    assert!(made.status.success());
    made.stdout
}

/// Whether a builder's programs are where builds see them. A test that does without says so.
pub fn there(script: &str) -> bool {
    let there = Command::new("/bin/sh")
        .args(["-c", script])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: this machine has not what it takes: {script}");
    }
    there
}

pub fn source(files: &[(&str, &str)]) -> Tar {
    let add = |tar: Tar, (name, text): &(&str, &str)| tar.file(name, text);
    files.iter().fold(Tar::new(), add)
}

impl Site {
    async fn built(&self, source: Tar) -> (Build, String) {
        let build = self.upload(&source.gz());
        self.build().await;
        let output = self.output(&build).await;
        (self.row(&build), output)
    }

    /// The build's slug, file by file, and its output.
    async fn made(&self, source: Tar) -> (BTreeMap<String, String>, String) {
        let (build, output) = self.built(source).await;
        assert_eq!(build.status, Status::Succeeded, "{output}");
        self.assert_clean();
        (super::members(self, &self.slug(&build)), output)
    }

    async fn failed(&self, source: Tar) -> String {
        let (build, output) = self.built(source).await;
        assert_eq!(build.status, Status::Failed, "{output}");
        self.assert_clean();
        output
    }

    fn set(&self, name: &str, value: &str) {
        let change = BTreeMap::from([(name.to_owned(), Some(value.to_owned()))]);
        let (app, ann, now) = (self.app.id, self.ann.clone(), self.parts.clock.now());
        let update = move |connection: &_| config_vars::update(connection, app, change, &ann, now);
        self.parts.store.write_blocking(update).unwrap();
    }
}

/// All of these are said, in this order.
#[track_caller]
fn says(output: &str, lines: &[&str]) {
    let mut rest = output;
    for line in lines {
        match rest.split_once(&format!("{line}\n")) {
            Some((_, after)) => rest = after,
            None => panic!("{line:?} is not in its place in:\n{output}"),
        }
    }
}

#[tokio::test]
async fn a_static_site_needs_nothing_but_its_page() {
    let site = Site::new();
    let files = [("README", ""), ("public/index.html", "hello")];
    let (build, output) = site.built(source(&files)).await;
    assert_eq!(build.status, Status::Succeeded, "{output}");
    says(
        &output,
        &[
            "-----> Static site app detected",
            "-----> Serving public with `penstock static`",
            "-----> Discovering process types",
            "       Default types for buildpack -> web",
        ],
    );
    let slug = site.slug(&build);
    assert_eq!(slug.process_types["web"], "penstock static");
    assert_eq!(
        slug.buildpack_provided_description.as_deref(),
        Some("Static site")
    );
}

#[tokio::test]
async fn a_makefile_is_made_and_its_failure_is_the_builds() {
    if !there("make --version") {
        return;
    }
    let site = Site::new();
    let made = source(&[
        ("Makefile", "heroku-build:\n\t@echo making > made\n\t@pwd\n"),
        ("Procfile", "web: cat made\n"),
    ]);
    let (files, output) = site.made(made).await;
    says(
        &output,
        &[
            "-----> Make app detected",
            "-----> Making heroku-build",
            "       $ make heroku-build",
            "       /app",
        ],
    );
    assert_eq!(files["./app/made"], "making\n");
    let broken = source(&[
        ("Makefile", "build:\n\t@printf 'no newline'; exit 3\n"),
        ("Procfile", "web: x\n"),
    ]);
    let output = site.failed(broken).await;
    assert!(output.contains("       no newline"), "{output}");
    says(
        &output,
        &[" !     Push rejected, failed to compile Make app."],
    );
}

#[tokio::test]
async fn a_machine_without_the_program_says_how_to_get_it() {
    let mut site = Site::new();
    site.settings.path = "/nonexistent".to_owned();
    for (file, words) in [
        (
            "package.json",
            "needs Node.js, and builds on this server find no `node`",
        ),
        (
            "requirements.txt",
            "needs Python, and builds on this server find no `python3`",
        ),
        ("go.mod", "needs Go, and builds on this server find no `go`"),
        (
            "Cargo.toml",
            "needs Rust, and builds on this server find no `cargo`",
        ),
    ] {
        let files = [(file, "{}"), ("Procfile", "web: x\n")];
        let files = if file == "package.json" {
            &files
        } else {
            &[(file, ""), files[1]]
        };
        let output = site.failed(source(files)).await;
        assert!(output.contains(words), "{output}");
        assert!(output.contains("apt-get install"), "{output}");
    }
}

#[tokio::test]
async fn the_first_of_several_builders_builds_and_the_others_are_named() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    let both = source(&[
        ("package.json", r#"{"scripts": {"start": "node ."}}"#),
        ("requirements.txt", ""),
    ]);
    let (_, output) = site.made(both).await;
    says(
        &output,
        &[
            " !     Detected buildpacks: Node.js,Python",
            "-----> Node.js app detected",
        ],
    );
}

#[tokio::test]
async fn a_builder_stands_in_for_an_official_buildpack_that_is_only_a_name() {
    if !there(NODE) || !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let named = |source: Tar| {
        let names = ["heroku/nodejs", "heroku/python"];
        let digest = site.blob(&source.gz());
        site.queue(NewBuild {
            source_digest: Some(digest.to_string()),
            buildpacks: Some(names.map(|name| Buildpack::parse(name).unwrap()).to_vec()),
            ..super::new("http://api.example.com/source")
        })
    };
    let package = (
        "package.json",
        r#"{"scripts": {"build": "echo built > assets"}}"#,
    );
    let requirements = ("requirements.txt", "");
    let procfile = ("Procfile", "web: python app.py\n");
    let both = named(source(&[package, requirements, procfile]));
    let one = named(source(&[package, procfile]));
    site.build().await;
    let output = site.output(&both).await;
    assert_eq!(site.row(&both).status, Status::Succeeded, "{output}");
    says(
        &output,
        &[
            "-----> Node.js app detected",
            "-----> Running build",
            "-----> Python app detected",
            "-----> Making a virtual environment",
            "       Procfile declares types -> web",
        ],
    );
    assert!(
        output.contains("-----> Using buildpack: heroku/nodejs (built in"),
        "{output}"
    );
    let files = super::members(&site, &site.slug(&both));
    assert_eq!(files["./app/assets"], "built\n");
    let output = site.output(&one).await;
    assert_eq!(site.row(&one).status, Status::Failed, "{output}");
    says(
        &output,
        &["-----> App not compatible with buildpack: heroku/python"],
    );
    assert!(
        output.contains("It looks for requirements.txt, Pipfile,"),
        "{output}"
    );
}

#[tokio::test]
async fn what_only_a_buildpack_builds_is_named_and_with_a_procfile_deployed_as_it_is() {
    let site = Site::new();
    let gems = ("Gemfile", "source 'https://rubygems.org'\n");
    let output = site.failed(source(&[gems])).await;
    assert!(output.contains("This looks like a Ruby app"), "{output}");
    assert!(
        output.contains("penstock buildpack import heroku/ruby PATH"),
        "{output}"
    );
    let both = source(&[gems, ("Procfile", "web: bundle exec rackup\n")]);
    let (_, output) = site.made(both).await;
    assert!(
        output.contains(" !     This looks like a Ruby app"),
        "{output}"
    );
    assert!(output.contains("nothing is installed"), "{output}");
    let plain = source(&[("app.py", ""), ("Procfile", "web: python3 app.py\n")]);
    let (_, output) = site.made(plain).await;
    assert!(!output.contains(" !     "), "{output}");
}

#[tokio::test]
async fn builders_have_what_buildpacks_have_in_their_environment() {
    if !there("make --version") {
        return;
    }
    let site = Site::new();
    let print = "heroku-build:\n\t@echo $$STACK $$DYNO $$SOURCE_VERSION $${REQUEST_ID:+asked}\n";
    let digest = site.blob(&source(&[("Makefile", print), ("Procfile", "web: x\n")]).gz());
    let build = site.queue(NewBuild {
        source_digest: Some(digest.to_string()),
        version: Some("v1.2".to_owned()),
        ..super::new("http://api.example.com/source")
    });
    site.build().await;
    let output = site.output(&build).await;
    says(&output, &["       heroku-24 build v1.2 asked"]);
}

#[tokio::test]
async fn the_one_folder_of_an_archive_is_told_of_and_kept_where_the_archive_has_its_root() {
    let site = Site::new();
    let inner = ("repo-1/Procfile", "web: x\n");
    let (files, output) = site.made(source(&[inner])).await;
    assert!(files.contains_key("./app/Procfile"), "{files:?}");
    assert!(
        output.contains("-----> Building what is in repo-1/"),
        "{output}"
    );
    let own = [
        ("./bin/detect", "#!/bin/sh\necho Own\n"),
        ("./bin/compile", "#!/bin/sh\necho built > \"$1/made\"\n"),
        (
            "./bin/release",
            "#!/bin/sh\necho 'default_process_types: {web: cat made}'\n",
        ),
    ];
    let (files, output) = site.made(source(&own)).await;
    assert_eq!(files["./app/made"], "built\n");
    assert!(files.contains_key("./app/bin/compile"), "{files:?}");
    assert!(!output.contains("Building what is in"), "{output}");
}

#[tokio::test]
async fn a_profile_that_is_no_folder_fails_the_build_and_changes_nothing_elsewhere() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    let odd = source(&[
        ("package.json", r#"{"scripts": {"start": "node ."}}"#),
        (".profile.d", "a file"),
    ]);
    let output = site.failed(odd).await;
    assert!(
        output.contains("Is .profile.d something else than a folder?"),
        "{output}"
    );
}
