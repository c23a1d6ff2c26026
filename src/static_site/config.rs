//! `static.json`: how a site is served. The keys are those of Heroku's static buildpack.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::pattern::{self, Pattern};
use crate::error::{Error, Result};

/// The file's name.
pub const FILE: &str = "static.json";
/// Bytes of it at most.
pub const CONFIG_BYTES: usize = 64 * 1024;
/// Entries of a list in it at most.
const MAX_ENTRIES: usize = 1_000;
/// Where the buildpack looks for the site if nothing is said.
const ROOT: &str = "public_html";
/// Keys that mean something to the buildpack, and nothing here.
const UNSERVED: [&str; 3] = ["proxies", "encoding", "logging"];

/// How a site is served.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the site, below the app's.
    pub root: String,
    /// `/about` is `about.html`.
    pub clean_urls: bool,
    /// Which file answers where there is none, the longest pattern first.
    pub routes: Vec<(Pattern, String)>,
    pub redirects: Vec<(Pattern, Redirect)>,
    /// The page of what is not there.
    pub error_page: Option<String>,
    pub https_only: bool,
    /// The one host that it is to be visited at.
    pub canonical_host: Option<String>,
    /// Visitors need the name and password of the config vars BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD.
    pub basic_auth: bool,
    pub headers: Vec<(Pattern, Vec<(HeaderName, HeaderValue)>)>,
    /// Keys of the file that change nothing here.
    pub unserved: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Redirect {
    pub url: String,
    pub status: StatusCode,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    root: Option<String>,
    clean_urls: bool,
    routes: BTreeMap<String, String>,
    redirects: BTreeMap<String, WrittenRedirect>,
    error_page: Option<String>,
    https_only: bool,
    canonical_host: Option<String>,
    basic_auth: bool,
    basic_auth_file: Option<String>,
    headers: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct WrittenRedirect {
    url: String,
    status: Option<u16>,
}

impl Config {
    /// For a site without a `static.json`.
    pub fn of_root(root: &str) -> Config {
        Config {
            root: root.to_owned(),
            clean_urls: false,
            routes: Vec::new(),
            redirects: Vec::new(),
            error_page: None,
            https_only: false,
            canonical_host: None,
            basic_auth: false,
            headers: Vec::new(),
            unserved: Vec::new(),
        }
    }

    /// Reads the file. 422 for what it cannot mean.
    pub fn parse(text: &str) -> Result<Config> {
        let whole: Map<String, Value> = serde_json::from_str(text).map_err(invalid)?;
        let written: Written =
            serde_path_to_error::deserialize(Value::Object(whole.clone())).map_err(invalid)?;
        if written.basic_auth_file.is_some() {
            return Err(invalid(
                "basic_auth_file is not served here. Set basic_auth to true, and the config vars BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD",
            ));
        }
        let lists = [
            written.routes.len(),
            written.redirects.len(),
            written.headers.len(),
        ];
        if lists.iter().any(|count| *count > MAX_ENTRIES) {
            return Err(invalid(format!(
                "a list in it has more than {MAX_ENTRIES} entries. Shorten it"
            )));
        }
        let unserved = UNSERVED.iter().filter(|key| whole.contains_key(**key));
        Ok(Config {
            root: inner(written.root.as_deref().unwrap_or(ROOT), "root")?,
            clean_urls: written.clean_urls,
            routes: sorted(written.routes, |file| inner(&file, "a route"))?,
            redirects: sorted(written.redirects, redirect)?,
            error_page: written
                .error_page
                .map(|page| inner(&page, "error_page"))
                .transpose()?,
            https_only: written.https_only,
            canonical_host: written.canonical_host,
            basic_auth: written.basic_auth,
            headers: sorted(written.headers, headers)?,
            unserved: unserved.map(|key| (*key).to_owned()).collect(),
        })
    }
}

/// By pattern, the longest first: what says more comes before what says less.
fn sorted<T, U>(
    written: BTreeMap<String, T>,
    read: impl Fn(T) -> Result<U>,
) -> Result<Vec<(Pattern, U)>> {
    let mut entries = Vec::new();
    for (text, value) in written {
        if text.len() > pattern::MAX_BYTES || !text.starts_with('/') {
            return Err(invalid(format!(
                "{text:?} is no path to match. It begins with a slash and has {} bytes at most",
                pattern::MAX_BYTES
            )));
        }
        entries.push((Pattern::new(&text), read(value)?));
    }
    entries.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.as_str().len()));
    Ok(entries)
}

/// A path within the app's folder, as `a/b`; the folder itself is the empty one.
fn inner(path: &str, what: &str) -> Result<String> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") || path.contains('\0') {
        return Err(invalid(format!(
            "{what} is {path:?}, which leads out of the app"
        )));
    }
    Ok(parts.join("/"))
}

fn redirect(written: WrittenRedirect) -> Result<Redirect> {
    let status = written.status.unwrap_or(301);
    let known = [301, 302, 303, 307, 308].contains(&status);
    match StatusCode::from_u16(status) {
        Ok(status) if known && HeaderValue::from_str(&written.url).is_ok() => Ok(Redirect {
            url: written.url,
            status,
        }),
        _ => Err(invalid(format!(
            "the redirect to {:?} has the status {status}; it can be 301, 302, 303, 307 or 308",
            written.url
        ))),
    }
}

fn headers(written: BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    for (name, value) in written {
        let pair = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(&value),
        );
        let (Ok(name), Ok(value)) = pair else {
            return Err(invalid(format!("{name:?} is no header that could be sent")));
        };
        headers.push((name, value));
    }
    Ok(headers)
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!(
        "The {FILE} cannot be read: {why}. Mend it, then build again."
    ))
}
