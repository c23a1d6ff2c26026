//! Go: a module, whose programs end up in `bin`.

use super::toolchains::Install;
use super::version::Version;
use super::{Command, Places, Plan, Source, Toolchains, Tree};
use crate::error::{Error, Result};

const INSTALL: Install<'_> = Install {
    by: "apt-get install golang, or from go.dev to /usr/local/go",
    readable: Some("--dyno-readable ~/sdk/go1.25.0"),
};
/// From this one on, go fetches a newer one where a module asks for it, like any other module.
const FETCHES_ITSELF: &str = "1.21";

/// What a `go.mod` says that matters here.
struct Module {
    path: String,
    go: Option<Version>,
    /// `// +heroku install ./cmd/...`.
    install: Option<Vec<String>>,
}

impl Module {
    fn read(tree: &dyn Tree) -> Module {
        let text = tree.beginning("go.mod");
        let after = |word: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(word)?.strip_prefix(' '))
                .map(|rest| rest.split("//").next().unwrap_or(rest).trim().to_owned())
        };
        let directive = |word: &str| {
            text.lines().find_map(|line| {
                let rest = line
                    .trim()
                    .strip_prefix("//")?
                    .trim()
                    .strip_prefix("+heroku")?;
                rest.trim().strip_prefix(word)?.strip_prefix(' ')
            })
        };
        Module {
            path: after("module")
                .unwrap_or_default()
                .trim_matches('"')
                .to_owned(),
            go: after("go").and_then(|version| Version::find(&version)),
            install: directive("install")
                .map(|packages| packages.split_whitespace().map(str::to_owned).collect()),
        }
    }

    /// What go calls the program of the module's own package: the last part of its path that is no version.
    fn program(&self) -> Option<&str> {
        let version = |part: &str| {
            part.strip_prefix('v').is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        self.path
            .rsplit('/')
            .find(|part| !version(part) && !part.is_empty())
    }
}

/// The program at the module's root, else the only one in `cmd`.
pub fn web(tree: &dyn Tree) -> Result<Option<String>> {
    let module = Module::read(tree);
    let program = match has_program(tree, "") {
        true => module.program().map(str::to_owned),
        false => {
            let commands = tree.names("cmd");
            let mut programs = commands
                .into_iter()
                .filter(|name| has_program(tree, &format!("cmd/{name}/")));
            programs.next().filter(|_| programs.next().is_none())
        }
    };
    Ok(program.map(|program| format!("bin/{program}")))
}

fn has_program(tree: &dyn Tree, folder: &str) -> bool {
    let names = tree.names(folder.trim_end_matches('/'));
    let mut sources = names
        .iter()
        .filter(|name| name.ends_with(".go") && !name.ends_with("_test.go"));
    sources.any(|name| {
        let text = tree.beginning(&format!("{folder}{name}"));
        text.lines().any(|line| line.trim_end() == "package main")
    })
}

pub fn plan(source: &Source<'_>, toolchains: &Toolchains, places: &Places) -> Result<Plan> {
    let tree = source.tree;
    let version = toolchains.required("go", "Go", &INSTALL)?;
    let module = Module::read(tree);
    let newer = newer(&module, version)?;
    let mut plan = Plan::default();
    plan.set("PATH", places.path.clone());
    plan.set("GOBIN", places.at("bin"));
    plan.set("GOPATH", places.cached("go"));
    plan.set("GOCACHE", places.cached("go-build"));
    // What it keeps can be removed again.
    plan.set("GOFLAGS", "-modcacherw");
    match newer {
        None => {
            plan.topic(format!("Using Go {version} of this machine"));
            // A toolchain that the go.mod only suggests is not fetched.
            plan.set("GOTOOLCHAIN", "local");
        }
        Some(wanted) => {
            plan.topic(format!(
                "Fetching Go {wanted}, which the go.mod asks for; this machine has {version}"
            ));
            plan.set("GOTOOLCHAIN", "auto");
            plan.run(
                Command::new(["go", "version"])
                    .unshown()
                    .remedy(too_old(&wanted, version)),
            );
        }
    }
    if tree.has("vendor/modules.txt") {
        plan.note("The modules in vendor are used; nothing is fetched.");
    }
    plan.hook(tree, "bin/go-pre-compile");
    let packages = packages(source, module);
    plan.topic(format!("Installing {}", packages.join(" ")));
    let install = ["install", "-v", "-tags", "heroku"].map(str::to_owned);
    plan.run(Command::new(
        std::iter::once("go".to_owned())
            .chain(install)
            .chain(packages),
    ));
    plan.hook(tree, "bin/go-post-compile");
    plan.profile.insert(
        "penstock-go.sh".to_owned(),
        "export PATH=\"$HOME/bin:$PATH\"\n".to_owned(),
    );
    Ok(plan)
}

/// What the config var of Heroku's buildpack names, else what the `go.mod` does, else everything.
fn packages(source: &Source<'_>, module: Module) -> Vec<String> {
    let named = source.var("GO_INSTALL_PACKAGE_SPEC").map(|packages| {
        let packages = packages.split_whitespace().map(str::to_owned);
        packages.collect::<Vec<_>>()
    });
    named
        .or(module.install)
        .filter(|packages| !packages.is_empty())
        .unwrap_or_else(|| vec!["./...".to_owned()])
}

/// The version that go has to fetch. An old go would fail in words that name no remedy.
fn newer(module: &Module, version: &Version) -> Result<Option<Version>> {
    let fetches = Version::find(FETCHES_ITSELF).is_some_and(|first| *version >= first);
    match &module.go {
        Some(wanted) if wanted > version && !fetches => {
            Err(Error::invalid(too_old(wanted, version)))
        }
        wanted => Ok(wanted.clone().filter(|wanted| wanted > version)),
    }
}

fn too_old(wanted: &Version, version: &Version) -> String {
    format!(
        "The go.mod asks for Go {}, and this server's machine has {version}. Whoever runs the server can install a newer one ({}), or \
         the go.mod can ask for less.",
        wanted.minor(),
        INSTALL.by
    )
}
