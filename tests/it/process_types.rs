//! What an app runs, and whether a source says so.

mod procfile;
mod told;

use std::collections::BTreeMap;

use penstock::archive::RootFile;
use penstock::error::ErrorId;
use penstock::preflight::check_source;
use penstock::process_types::{Built, Origin, decide, merge};

use crate::archive::raw::{Tar, gzip};

fn root(files: &[(&str, &str)]) -> BTreeMap<String, RootFile> {
    let file = |text: &str| RootFile {
        bytes: text.into(),
        size: text.len() as u64,
    };
    files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), file(text)))
        .collect()
}

fn refusal(files: &[(&str, &str)]) -> String {
    let error = decide(&root(files)).unwrap_err();
    assert_eq!(error.id, ErrorId::InvalidParams);
    error.message.into_owned()
}

#[test]
fn a_procfile_comes_before_everything_else() {
    let decision = decide(&root(&[
        (
            "Procfile",
            "web: ./run\nworker: ./work\nweb:./forgotten-blank\n",
        ),
        ("package.json", r#"{"scripts":{"start":"node ."}}"#),
    ]))
    .unwrap();
    assert_eq!(decision.origin, Origin::Procfile);
    assert_eq!(decision.commands["web"], "./run");
    assert_eq!(decision.commands["worker"], "./work");
    let doubtful: Vec<usize> = decision.doubtful.iter().map(|line| line.number).collect();
    assert_eq!(doubtful, [3]);
}

#[test]
fn what_the_builder_provides_comes_beside_what_the_procfile_declares() {
    let built = |defaults: &[(&str, &str)]| Built {
        name: "Node.js".to_owned(),
        defaults: defaults
            .iter()
            .map(|(name, command)| ((*name).to_owned(), (*command).to_owned()))
            .collect(),
        must_run: true,
    };
    let procfile = root(&[("Procfile", "worker: ./work\nweb: ./own\n")]);
    let both = merge(&procfile, built(&[("web", "npm start"), ("clock", "tick")])).unwrap();
    assert_eq!(both.commands["web"], "./own");
    assert_eq!(both.commands["clock"], "tick");
    assert_eq!(both.commands["worker"], "./work");
    let origin = Origin::Built {
        name: "Node.js".to_owned(),
        defaults: vec!["clock".to_owned()],
    };
    assert_eq!(both.origin, origin);
    let alone = merge(&root(&[]), built(&[("web", "npm start")])).unwrap();
    assert_eq!(alone.commands["web"], "npm start");
    let nothing = merge(&root(&[]), built(&[])).unwrap_err();
    assert!(nothing.message.contains("no start script"), "{nothing}");
}

#[test]
fn what_runs_nowhere_is_refused_with_a_remedy() {
    assert!(
        refusal(&[])
            .contains("Add a file named Procfile with a line such as \"web: python3 app.py\"")
    );
    assert!(refusal(&[("server.js", "")]).starts_with("There is no Procfile"));
    let said = refusal(&[("Procfile", "# mine\nweb:./run\n")]);
    assert!(said.contains("declares no process type"), "{said}");
    assert!(
        said.contains("Line 2 ") && said.contains("Write \"web: ./run\"."),
        "{said}"
    );
}

#[test]
fn files_that_cannot_be_read_are_refused_by_name() {
    let long = RootFile {
        bytes: b"web: a".to_vec(),
        size: 100_000,
    };
    let error = decide(&BTreeMap::from([("Procfile".to_owned(), long)])).unwrap_err();
    assert!(error.message.contains("100000 bytes long"));
    let binary = RootFile {
        bytes: vec![0xff],
        size: 1,
    };
    let error = decide(&BTreeMap::from([("Procfile".to_owned(), binary)])).unwrap_err();
    assert!(error.message.contains("not UTF-8"));
}

#[test]
fn a_source_is_checked_before_a_build_is_accepted() {
    let check = |bytes: &[u8]| check_source(bytes).map_err(|error| (error.id, error.message));
    let refused = |bytes: &[u8]| {
        let (id, message) = check(bytes).unwrap_err();
        assert_eq!(id, ErrorId::InvalidParams);
        message.into_owned()
    };
    let good = Tar::new().file("app/Procfile", "web: ./run\n").gz();
    assert_eq!(check(&good), Ok(()));
    assert!(refused(b"<html>not found</html>").contains("gzip"));
    assert!(!refused(&good[..good.len() - 9]).is_empty());
    assert!(!refused(&gzip(b"no tar file")).is_empty());
    let hostile = Tar::new().file("../Procfile", "web: ./run\n").gz();
    assert!(refused(&hostile).contains("../Procfile"));
    let nothing = Tar::new().file("README", "hello").gz();
    assert!(refused(&nothing).contains("There is no Procfile"));
    let package = |text: &str| Tar::new().file("shop/package.json", text).gz();
    assert!(refused(&package("{}")).contains("no start script"));
    assert!(refused(&package(r#"{"scripts":{"start":7}}"#)).contains("no start script"));
    assert!(refused(&package("{\n oops")).contains("package.json is not valid JSON (line 2"));
    assert_eq!(check(&package(r#"{"scripts":{"start":"node ."}}"#)), Ok(()));
    let python = Tar::new().file("requirements.txt", "").gz();
    assert!(refused(&python).contains("nothing in a Python app says what it runs"));
    let site = Tar::new().file("shop/public/index.html", "x").gz();
    assert_eq!(check(&site), Ok(()));
    let kept = Tar::new().file("./shop/Procfile", "web: ./run\n").gz();
    assert!(refused(&kept).contains("There is no Procfile"));
    let gems = Tar::new().file("Gemfile", "");
    assert!(refused(&gems.clone().gz()).contains("This looks like a Ruby app"));
    let both = gems.file("Procfile", "web: bundle exec rackup\n").gz();
    assert_eq!(check(&both), Ok(()));
    let long = format!(
        r#"{{"scripts":{{"start":"node ."}},"notes":"{}"}}"#,
        "x".repeat(100_000)
    );
    assert_eq!(check(&package(&long)), Ok(()));
    let own = Tar::new()
        .file("shop/bin/detect", "")
        .file("shop/bin/compile", "")
        .gz();
    assert_eq!(check(&own), Ok(()));
    let linked = Tar::new()
        .file("real", "web: ./run\n")
        .symlink("Procfile", "real")
        .gz();
    assert!(refused(&linked).contains("There is no Procfile"));
}
