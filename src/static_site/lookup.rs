//! Which file a visitor's path leads to.

use std::path::{Path, PathBuf};

use super::config::Config;

/// Files at the app's root that are for the platform, where the root is the site.
const NOT_OF_THE_SITE: [&str; 4] = ["Procfile", "app.json", "static.json", "Makefile"];
/// The page of a folder.
const INDEX: &str = "index.html";
/// The one hidden folder that visitors are meant to see (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    File(PathBuf),
    /// The same path, with a slash after it: a folder, whose page has relative links.
    Folder,
    Nothing,
}

/// A site's files.
pub struct Site {
    /// All links followed.
    home: PathBuf,
    root: PathBuf,
    is_home: bool,
}

impl Site {
    /// The site of an app whose files are in `home`; `None` if it is not there.
    pub fn open(home: &Path, config: &Config) -> Option<Site> {
        let home = home.canonicalize().ok()?;
        let root = home.join(&config.root).canonicalize().ok()?;
        (root.is_dir() && root.starts_with(&home)).then(|| Site {
            is_home: root == home,
            home,
            root,
        })
    }

    /// The file of a decoded path, which begins with a slash.
    pub fn look_up(&self, path: &str, config: &Config) -> Found {
        let Some(inner) = self.inner(path) else {
            return Found::Nothing;
        };
        let folder = path.ends_with('/');
        if !folder && let Some(file) = self.file(&inner) {
            return Found::File(file);
        }
        if config.clean_urls
            && !inner.is_empty()
            && let Some(file) = self.file(&format!("{inner}.html"))
        {
            return Found::File(file);
        }
        let index = match inner.is_empty() {
            true => INDEX.to_owned(),
            false => format!("{inner}/{INDEX}"),
        };
        if let Some(file) = self.file(&index) {
            return if folder {
                Found::File(file)
            } else {
                Found::Folder
            };
        }
        let route = config.routes.iter().find(|(route, _)| route.matches(path));
        let file = route.and_then(|(_, file)| self.file(file));
        file.map_or(Found::Nothing, Found::File)
    }

    /// The page for what is not there.
    pub fn error_page(&self, config: &Config) -> Option<PathBuf> {
        self.file(config.error_page.as_deref()?)
    }

    /// A visitor's path as one below the root; `None` for what no visitor may ask for.
    fn inner(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let hidden = |part: &&str| part.starts_with('.') && *part != WELL_KNOWN;
        let ours = self.is_home && parts.len() == 1 && NOT_OF_THE_SITE.contains(&parts[0]);
        (!ours && !parts.iter().any(hidden) && !path.contains('\0')).then(|| parts.join("/"))
    }

    /// A regular file below the root. A link may lead elsewhere in the app, and not out of it.
    fn file(&self, inner: &str) -> Option<PathBuf> {
        let file = self.root.join(inner).canonicalize().ok()?;
        (file.starts_with(&self.home) && file.is_file()).then_some(file)
    }
}
