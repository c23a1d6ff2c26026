//! What stands around a page: the list of all pages, that of its own sections, and the ways to the page before and the next.

use std::fmt::Write;

use super::html::{self, escaped};
use super::{INDEX, PAGES, Page};

const TEMPLATE: &str = include_str!("../../assets/docs/page.html");

/// The document of the page at this place of [`PAGES`].
pub(super) fn page(at: usize) -> String {
    let page = &PAGES[at];
    let body = html::body(page.markdown);
    let mut sections = String::new();
    for (anchor, text) in &body.sections {
        line(&mut sections, &format!("#{anchor}"), text, false);
    }
    let aside = match body.sections.len() {
        0 | 1 => String::new(),
        _ => format!(
            "<nav class=\"sections\" aria-label=\"On this page\"><p>On this page</p><ul>{sections}</ul></nav>"
        ),
    };
    let mut ways = String::new();
    if let Some(before) = at.checked_sub(1).and_then(|at| PAGES.get(at)) {
        ways.push_str(&way(before, "before", "Before"));
    }
    if let Some(next) = PAGES.get(at + 1) {
        ways.push_str(&way(next, "next", "Next"));
    }
    filled(
        page.title(),
        &pages(Some(page.name)),
        &format!("{}<nav class=\"ways\">{ways}</nav>", body.html),
        &aside,
    )
}

/// The document that lists all pages. The list in the file is for whoever reads it where it lies.
pub(super) fn contents() -> String {
    let (beginning, _list) = INDEX.split_once("\n## ").unwrap_or((INDEX, ""));
    let mut body = html::body(beginning).html;
    for part in parts() {
        // Writing to a string cannot fail.
        let _ = write!(body, "<h2>{}</h2>\n<div class=\"cards\">\n", escaped(part));
        for page in PAGES.iter().filter(|page| page.part == part) {
            let _ = writeln!(
                body,
                "<a class=\"card\" href=\"/docs/{}\"><strong>{}</strong><span>{}</span></a>",
                page.name,
                html::inline(page.title()),
                html::inline(page.summary()),
            );
        }
        body.push_str("</div>\n");
    }
    filled("Documentation", &pages(None), &body, "")
}

fn parts() -> Vec<&'static str> {
    let mut parts: Vec<&str> = PAGES.iter().map(|page| page.part).collect();
    parts.dedup();
    parts
}

/// The list of all pages, with the one that is shown.
fn pages(shown: Option<&str>) -> String {
    let mut list = String::new();
    for part in parts() {
        let _ = write!(list, "<p>{}</p><ul>", escaped(part));
        for page in PAGES.iter().filter(|page| page.part == part) {
            let address = format!("/docs/{}", page.name);
            line(&mut list, &address, page.title(), shown == Some(page.name));
        }
        list.push_str("</ul>");
    }
    list
}

fn line(list: &mut String, address: &str, text: &str, shown: bool) {
    let current = if shown { " aria-current=\"page\"" } else { "" };
    let text = escaped(text);
    let _ = write!(list, "<li><a href=\"{address}\"{current}>{text}</a></li>");
}

fn way(page: &Page, class: &str, word: &str) -> String {
    format!(
        "<a class=\"{class}\" href=\"/docs/{}\"><span>{word}</span>{}</a>",
        page.name,
        escaped(page.title())
    )
}

fn filled(title: &str, pages: &str, body: &str, sections: &str) -> String {
    TEMPLATE
        .replace("{{title}}", &escaped(title))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{pages}}", pages)
        .replace("{{sections}}", sections)
        .replace("{{body}}", body)
}
