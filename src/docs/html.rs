//! From a page's markdown to HTML: headings that can be linked to, and links that lead to pages.
//!
//! The markdown is our own. It must not know what stands around the text of a page.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// What stands in a page.
pub(super) struct Body {
    pub html: String,
    /// The anchor and the text of each section.
    pub sections: Vec<(String, String)>,
}

pub(super) fn body(markdown: &str) -> Body {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let mut events = Parser::new_ext(markdown, options);
    let mut writing = Writing::default();
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => writing.heading(level, &mut events),
            Event::Start(Tag::CodeBlock(kind)) => writing.code(&kind, &mut events),
            Event::Start(Tag::Table(columns)) => {
                writing.html("<div class=\"table\">".into());
                writing.out.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => {
                writing.out.push(Event::End(TagEnd::Table));
                writing.html("</div>".into());
            }
            // What is said to the tests, and to whoever edits the page.
            Event::Html(text) | Event::InlineHtml(text) if text.starts_with("<!--") => {}
            event => writing.out.push(linked(event)),
        }
    }
    let mut html = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, writing.out.into_iter());
    Body {
        html,
        sections: writing.sections,
    }
}

/// The HTML of a line or two, without the paragraph around it.
pub(super) fn inline(markdown: &str) -> String {
    let html = body(markdown).html;
    let inner = html.trim().strip_prefix("<p>");
    let inner = inner.and_then(|inner| inner.strip_suffix("</p>"));
    inner.unwrap_or(&html).to_owned()
}

/// As it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[derive(Default)]
struct Writing<'a> {
    out: Vec<Event<'a>>,
    sections: Vec<(String, String)>,
    /// How often each anchor was taken.
    taken: BTreeMap<String, usize>,
}

impl<'a> Writing<'a> {
    fn html(&mut self, html: CowStr<'a>) {
        self.out.push(Event::Html(html));
    }

    fn heading(&mut self, level: HeadingLevel, events: &mut Parser<'a>) {
        let inner: Vec<Event<'a>> = events
            .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
            .map(linked)
            .collect();
        let text: String = inner
            .iter()
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        let anchor = self.anchor(&text);
        self.html(format!("<{level} id=\"{anchor}\">").into());
        self.out.extend(inner);
        if level != HeadingLevel::H1 {
            let link = format!(
                " <a class=\"anchor\" href=\"#{anchor}\" aria-label=\"Link to this section\">#</a>"
            );
            self.html(link.into());
        }
        self.html(format!("</{level}>\n").into());
        if level == HeadingLevel::H2 {
            self.sections.push((anchor, text));
        }
    }

    /// An anchor that no other heading of the page has.
    fn anchor(&mut self, text: &str) -> String {
        let anchor = anchor(text);
        let times = self.taken.entry(anchor.clone()).or_default();
        *times += 1;
        match *times {
            1 => anchor,
            times => format!("{anchor}-{times}"),
        }
    }

    /// A block of code. What is typed is told from what is shown, and its comments from its commands.
    fn code(&mut self, kind: &CodeBlockKind<'a>, events: &mut Parser<'a>) {
        let mut text = String::new();
        for event in events.take_while(|event| !matches!(event, Event::End(TagEnd::CodeBlock))) {
            if let Event::Text(more) = event {
                text.push_str(&more);
            }
        }
        let language = match kind {
            CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or("text"),
            CodeBlockKind::Indented => "text",
        };
        let mut code = String::with_capacity(text.len() * 2);
        for line in text.lines() {
            let line = escaped(line);
            match matches!(language, "sh" | "yaml") && line.trim_start().starts_with('#') {
                true => code.push_str(&format!("<span class=\"comment\">{line}</span>\n")),
                false => code.push_str(&format!("{line}\n")),
            }
        }
        let block = format!(
            "<pre class=\"{}\"><code>{code}</code></pre>\n",
            escaped(language)
        );
        self.html(block.into());
    }
}

/// `What is built?` as `what-is-built`, as it would be on the sites where markdown is usually read.
pub(super) fn anchor(text: &str) -> String {
    let kept = text.chars().filter_map(|c| match c {
        ' ' | '-' => Some('-'),
        c if c.is_alphanumeric() || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// Pages refer to one another as files, so that they can be read where they lie. Here they have addresses.
fn linked(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: address(&dest_url).map_or(dest_url, CowStr::from),
            title,
            id,
        }),
        event => event,
    }
}

fn address(url: &str) -> Option<String> {
    let (name, section) = url.split_once(".md")?;
    let is_page = !name.is_empty() && !name.contains(['/', ':']);
    is_page.then(|| match name {
        "index" => format!("/docs{section}"),
        _ => format!("/docs/{name}{section}"),
    })
}
