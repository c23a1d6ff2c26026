//! The documentation: pages in markdown under `assets/docs`, kept in the binary, so that every server has the ones of its version.
//!
//! A page is its title, which its first line is, and its text. It must not know who asks, nor how it is sent.

mod html;
mod layout;

use std::sync::LazyLock;

/// What pages refer to for their looks.
pub const STYLE: &str = include_str!("../../assets/docs/style.css");

/// The file from which all pages are found: it lists them, as their first lines and paragraphs say.
pub const INDEX: &str = include_str!("../../assets/docs/index.md");

/// A page as it was written.
pub struct Page {
    /// In its address, `/docs/NAME`, and of its file, `assets/docs/NAME.md`.
    pub name: &'static str,
    /// The part of the documentation that it stands in.
    pub part: &'static str,
    pub markdown: &'static str,
}

macro_rules! pages {
    ($($part:literal: $($name:literal)+;)+) => {
        /// Every page, in the order in which they are to be read.
        pub static PAGES: &[Page] = &[$($(Page {
            name: $name,
            part: $part,
            markdown: include_str!(concat!("../../assets/docs/", $name, ".md")),
        }),+),+];
    };
}

pages! {
    "Start": "first-app" "apps" "pipelines" "moving";
    "Run a server": "installing" "teams" "operating" "security";
    "Build on it": "api" "testing";
    "Look it up": "compatibility" "limits";
}

/// The pages as documents, made when the first one is asked for.
static DOCUMENTS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
    PAGES
        .iter()
        .enumerate()
        .map(|(at, page)| (page.name, layout::page(at)))
        .collect()
});

static CONTENTS: LazyLock<String> = LazyLock::new(layout::contents);

/// The file's links lead to its neighbours; from the address above them they lead down.
static INDEX_ABOVE: LazyLock<String> = LazyLock::new(|| {
    let down = |text: String, page: &Page| {
        let (beside, below) = (
            format!("]({}.md", page.name),
            format!("](docs/{}.md", page.name),
        );
        text.replace(&beside, &below)
    };
    PAGES.iter().fold(INDEX.to_owned(), down)
});

impl Page {
    /// Its first line, which is a heading.
    pub fn title(&self) -> &'static str {
        let first = self.markdown.lines().next().unwrap_or(self.name);
        first.trim_start_matches("# ")
    }

    /// Its first paragraph: what one finds in it.
    pub fn summary(&self) -> &'static str {
        let mut paragraphs = self.markdown.split("\n\n");
        paragraphs.nth(1).unwrap_or_default()
    }
}

/// The HTML document of a page.
pub fn document(name: &str) -> Option<&'static str> {
    if name == "index" {
        return Some(contents());
    }
    let mut documents = DOCUMENTS.iter();
    let (_, document) = documents.find(|(known, _)| *known == name)?;
    Some(document)
}

/// The text of a page, as it was written.
pub fn markdown(name: &str) -> Option<&'static str> {
    if name == "index" {
        return Some(INDEX);
    }
    let page = PAGES.iter().find(|page| page.name == name)?;
    Some(page.markdown)
}

/// The HTML document that lists the pages.
pub fn contents() -> &'static str {
    &CONTENTS
}

/// The same as text, for the address `/docs.md`.
pub fn contents_as_text() -> &'static str {
    &INDEX_ABOVE
}
