//! What Heroku would build, and nothing here does: to be named, so that no app is deployed in silence with nothing built.

use super::{Kind, Tree};

/// A kind of app that needs a buildpack.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What a person calls it.
    pub language: &'static str,
    files: &'static [&'static str],
    /// The name of what builds it, and where that is.
    buildpack: Option<(&'static str, &'static str)>,
}

/// In the order in which Heroku detects them.
const ALL: [Foreign; 9] = [
    Foreign {
        language: "Ruby",
        files: &["Gemfile"],
        buildpack: Some((
            "heroku/ruby",
            "https://github.com/heroku/heroku-buildpack-ruby",
        )),
    },
    Foreign {
        language: "Clojure",
        files: &["project.clj"],
        buildpack: Some((
            "heroku/clojure",
            "https://github.com/heroku/heroku-buildpack-clojure",
        )),
    },
    Foreign {
        language: "Java",
        files: &["pom.xml"],
        buildpack: Some((
            "heroku/java",
            "https://github.com/heroku/heroku-buildpack-java",
        )),
    },
    Foreign {
        language: "Gradle",
        files: &[
            "build.gradle",
            "build.gradle.kts",
            "settings.gradle",
            "gradlew",
        ],
        buildpack: Some((
            "heroku/gradle",
            "https://github.com/heroku/heroku-buildpack-gradle",
        )),
    },
    Foreign {
        language: "Scala",
        files: &["build.sbt"],
        buildpack: Some((
            "heroku/scala",
            "https://github.com/heroku/heroku-buildpack-scala",
        )),
    },
    Foreign {
        language: "PHP",
        files: &["composer.json", "index.php"],
        buildpack: Some((
            "heroku/php",
            "https://github.com/heroku/heroku-buildpack-php",
        )),
    },
    Foreign {
        language: "Elixir",
        files: &["mix.exs"],
        buildpack: Some((
            "hashnuke/elixir",
            "https://github.com/HashNuke/heroku-buildpack-elixir",
        )),
    },
    Foreign {
        language: "container",
        files: &["heroku.yml"],
        buildpack: None,
    },
    Foreign {
        language: "container",
        files: &["Dockerfile"],
        buildpack: None,
    },
];

/// The files by which they are known.
pub const MARKS: &[&str] = &[
    "Gemfile",
    "project.clj",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "gradlew",
    "build.sbt",
    "composer.json",
    "index.php",
    "mix.exs",
    "heroku.yml",
    "Dockerfile",
];

/// What a source looks like that the builders which were found do not build. A language that Heroku looks for before theirs counts
/// as that, too; a Makefile that is meant for builds is its author's own way.
pub fn foreign(tree: &dyn Tree, found: &[Kind]) -> Option<&'static Foreign> {
    let first = ALL
        .iter()
        .find(|foreign| tree.first(foreign.files).is_some())?;
    let counts = match found.first() {
        None => true,
        Some(Kind::Site) => first.buildpack.is_some(),
        Some(Kind::Node | Kind::Python | Kind::Go | Kind::Rust) => first.language == "Ruby",
        Some(Kind::Own | Kind::Make) => false,
    };
    counts.then_some(first)
}

impl Foreign {
    /// What it is, and what can be done.
    pub fn advice(&self) -> String {
        let (language, files) = (self.language, self.files.join(" or "));
        let article = match language.starts_with(['A', 'E', 'I', 'O', 'U']) {
            true => "an",
            false => "a",
        };
        let looks = format!("This looks like {article} {language} app (it has a {files})");
        match self.buildpack {
            Some((name, url)) => format!(
                "{looks}, and nothing here builds that without a buildpack. Name it by its URL: heroku buildpacks:set {url} - or have whoever \
                 runs the server import it (penstock buildpack import {name} PATH), then: heroku buildpacks:set {name}."
            ),
            None => format!(
                "{looks}, and no container images are built here. Built without a buildpack are Node.js, Python, Go, Rust, static sites and \
                 Makefiles; name a buildpack for anything else: heroku buildpacks:set URL."
            ),
        }
    }
}
