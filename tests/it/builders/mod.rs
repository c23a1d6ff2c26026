//! What built-in builders plan, of trees and machines that are only imagined.

mod languages;
mod node;

use std::collections::BTreeMap;

use penstock::archive::RootFile;
use penstock::builders::{Kind, Places, Plan, Probe, Source, Step, Toolchains, detect, foreign};
use penstock::error::ErrorId;

type Tree = BTreeMap<String, RootFile>;

fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |text: &str| RootFile {
        bytes: text.into(),
        size: text.len() as u64,
    };
    files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), file(text)))
        .collect()
}

/// A machine with everything.
const MACHINE: [(&str, &str); 9] = [
    ("node", "v20.11.1"),
    ("npm", "10.2.4"),
    ("python3", "Python 3.11.2"),
    ("python3.12", "Python 3.12.4"),
    ("go", "go version go1.19.8 linux/amd64"),
    ("cargo", "cargo 1.80.0 (376290515 2024-07-16)"),
    ("rustc", "rustc 1.80.0 (051478957 2024-07-21)"),
    ("make", "GNU Make 4.3"),
    ("yarn", ""),
];

fn planned_on(
    kind: Kind,
    files: &[(&str, &str)],
    machine: &[(&str, &str)],
    config: &[(&str, &str)],
) -> Result<Plan, String> {
    let tree = tree(files);
    let config = config
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let source = Source {
        tree: &tree,
        config: &config,
    };
    let mut toolchains = Toolchains::default();
    for (program, said) in machine {
        toolchains.add(&Probe::of(program, &["--version"]), said);
    }
    let places = Places {
        home: "/app".to_owned(),
        cache: "/cache".to_owned(),
        path: "/usr/bin".to_owned(),
    };
    let plan = kind.plan(&source, &toolchains, &places);
    plan.map(Option::unwrap).map_err(|error| {
        assert_eq!(error.id, ErrorId::InvalidParams);
        error.message.into_owned()
    })
}

fn planned(kind: Kind, files: &[(&str, &str)]) -> Plan {
    planned_on(kind, files, &MACHINE, &[]).unwrap()
}

fn refused(kind: Kind, files: &[(&str, &str)]) -> String {
    planned_on(kind, files, &MACHINE, &[]).unwrap_err()
}

/// The commands that are shown.
fn commands(plan: &Plan) -> Vec<String> {
    let shown = plan.steps.iter().filter_map(|step| match step {
        Step::Run(command) if !command.unshown => Some(command.argv.join(" ")),
        _ => None,
    });
    shown.collect()
}

/// All that is said.
fn said(plan: &Plan) -> String {
    let lines = plan.steps.iter().filter_map(|step| match step {
        Step::Topic(text) | Step::Note(text) | Step::Warning(text) => Some(text.as_str()),
        Step::Run(_) => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn web(kind: Kind, files: &[(&str, &str)]) -> Option<String> {
    kind.defaults(&tree(files)).unwrap().remove("web")
}

#[test]
fn languages_are_found_in_the_order_of_heroku_and_the_rest_only_without_one() {
    let found = |names: &[&str]| {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "build:\n")).collect();
        detect(&tree(&files))
    };
    assert_eq!(found(&["README", "Procfile", "Makefile.am"]), []);
    assert_eq!(found(&["index.html", "Makefile"]), [Kind::Site, Kind::Make]);
    assert_eq!(found(&["Makefile", "go.mod", "index.html"]), [Kind::Go]);
    assert_eq!(
        found(&["Cargo.toml", "go.mod", "requirements.txt", "package.json"]),
        [Kind::Node, Kind::Python, Kind::Go, Kind::Rust]
    );
    assert_eq!(
        found(&["bin/detect", "bin/compile", "package.json"]),
        [Kind::Own]
    );
    assert_eq!(found(&["bin/detect", "package.json"]), [Kind::Node]);
    for python in [
        "Pipfile",
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
        "setup.py",
        ".python-version",
    ] {
        assert_eq!(found(&[python]), [Kind::Python], "{python}");
    }
    for site in [
        "static.json",
        "public/index.html",
        "public_html/index.html",
        "dist/index.html",
    ] {
        assert_eq!(found(&[site]), [Kind::Site], "{site}");
    }
}

#[test]
fn what_the_source_says_plainly_comes_before_its_pages() {
    let found = |files: &[(&str, &str)]| detect(&tree(files));
    let page = ("index.html", "");
    let asked = ("Makefile", "heroku-build:\n");
    assert_eq!(found(&[page, asked]), [Kind::Make, Kind::Site]);
    assert_eq!(
        web(Kind::Make, &[page, asked]).as_deref(),
        Some("penstock static")
    );
    let own = ("Procfile", "web: python3 app.py\n");
    assert_eq!(found(&[page, own]), []);
    assert_eq!(found(&[page, own, ("static.json", "{}")]), [Kind::Site]);
    assert_eq!(
        found(&[page, ("Procfile", "worker: ./work\n")]),
        [Kind::Site]
    );
    assert_eq!(
        found(&[page, ("Procfile", "web: exec penstock static\n")]),
        [Kind::Site]
    );
}

#[test]
fn what_only_a_buildpack_builds_is_known_by_its_files() {
    let looks = |names: &[&str]| {
        let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, "build:\n")).collect();
        let tree = tree(&files);
        foreign(&tree, &detect(&tree)).map(|foreign| foreign.language)
    };
    for (file, language) in [
        ("Gemfile", "Ruby"),
        ("pom.xml", "Java"),
        ("build.gradle.kts", "Gradle"),
        ("composer.json", "PHP"),
        ("mix.exs", "Elixir"),
        ("Dockerfile", "container"),
    ] {
        assert_eq!(looks(&[file, "Procfile"]), Some(language));
    }
    assert_eq!(looks(&["Procfile", "app.py"]), None);
    // Heroku would not look at these either, and at the Gemfile it would first.
    assert_eq!(looks(&["package.json", "Dockerfile", "pom.xml"]), None);
    assert_eq!(looks(&["package.json", "Gemfile"]), Some("Ruby"));
    assert_eq!(looks(&["index.html", "Dockerfile"]), None);
    assert_eq!(looks(&["index.html", "composer.json"]), Some("PHP"));
    assert_eq!(looks(&["Makefile", "Gemfile"]), None);
    assert_eq!(looks(&["bin/detect", "bin/compile", "Gemfile"]), None);
}

#[test]
fn a_makefile_is_only_made_by_the_targets_that_are_meant_for_it() {
    let target = |text: &str| {
        let files = [("Makefile", text)];
        let found = detect(&tree(&files));
        found
            .first()
            .map(|kind| commands(&planned(*kind, &files))[0].clone())
    };
    assert_eq!(
        target("build: main.o\n\tcc\n").as_deref(),
        Some("make build")
    );
    let both = "build:\n\tcc\nall heroku-build : build\n";
    assert_eq!(target(both).as_deref(), Some("make heroku-build"));
    for other in [
        "all:\n\tcc\n",
        "build := x\n",
        "# build: x\n",
        "\tbuild: x\n",
        "build-all:\n",
        ".PHONY: build\n",
    ] {
        assert_eq!(target(other), None, "{other}");
    }
}

#[test]
fn a_program_that_is_not_there_is_named_with_the_remedy() {
    let asked = [
        (Kind::Node, ("package.json", "{}"), "nodejs npm", "~/.nvm"),
        (
            Kind::Python,
            ("requirements.txt", ""),
            "python3 python3-venv",
            "~/.pyenv",
        ),
        (Kind::Go, ("go.mod", "module shop"), "golang", "~/sdk"),
        (Kind::Rust, ("Cargo.toml", ""), "cargo", "~/.rustup"),
        (Kind::Make, ("Makefile", "build:"), "make", "its folder"),
    ];
    for (kind, file, package, folder) in asked {
        let said = planned_on(kind, &[file], &[], &[]).unwrap_err();
        let install = format!("apt-get install {package}");
        for words in [&install, "--dyno-readable", "penstock doctor"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(said.matches(folder).count(), 1, "{said}");
        let others = asked.iter().filter(|other| other.3 != folder);
        for (.., other) in others {
            assert!(!said.contains(other), "{other}: {said}");
        }
    }
}

#[test]
fn a_static_site_says_what_is_served_and_what_is_not() {
    let site = planned(Kind::Site, &[("public/index.html", "")]);
    assert_eq!(said(&site), "Serving public with `penstock static`");
    assert_eq!(site.defaults["web"], "penstock static");
    let settings = r#"{"root": "web/", "proxies": {}, "clean_urls": true}"#;
    let site = planned(Kind::Site, &[("static.json", settings), ("index.html", "")]);
    let said = said(&site);
    assert!(said.starts_with("Serving web with"), "{said}");
    assert!(
        said.contains("has proxies, which changes nothing here"),
        "{said}"
    );
    assert!(said.contains("There is no index.html in web."), "{said}");
    assert!(refused(Kind::Site, &[("static.json", "[")]).contains("static.json cannot be read"));
}
