//! Heroku's `Range` header: which page of a list is asked for, and how the answer says where the next one begins.
//!
//! ```text
//! Range: <field> [ '[' | ']' ] [<start>] '..' [ [<end>] ] [';' max=<n> (','|';') order=<asc|desc> ..] [';']
//! ```
//! `]` leaves the start out. A bound may carry the id of a row after a `~`, where several rows share a value: the header that we
//! gave out as `Next-Range` then begins after that very row.

use serde::Serialize;

use crate::error::{Error, ErrorId, Result};
use crate::store::page::{Bound, Field, Listing, Page};

const DEFAULT_MAX: usize = 200;
const CEILING: usize = 1000;

/// Reads the header; none, or an empty one, asks for the first page by id. 416 when it cannot be read or names no field of the
/// list. A `max` over the ceiling of 1000 is lowered to it.
pub fn parse(header: Option<&str>, fields: &'static [Field]) -> Result<Page> {
    let header = header.unwrap_or("").trim();
    let mut page = Page {
        field: fields[0],
        start: None,
        exclusive: false,
        end: None,
        max: DEFAULT_MAX,
        descending: false,
    };
    if header.is_empty() {
        return Ok(page);
    }
    let (range, options) = header.split_once(';').unwrap_or((header, ""));
    let (field, bounds) = split_field(range.trim()).ok_or_else(|| refused(fields))?;
    page.field = *fields
        .iter()
        .find(|known| known.name == field)
        .ok_or_else(|| refused(fields))?;
    let (start, end) = bounds.split_once("..").ok_or_else(|| refused(fields))?;
    let start = start.trim();
    page.exclusive = start.starts_with(']');
    page.start = bound(start.trim_start_matches(['[', ']']));
    page.end = bound(end.trim().trim_matches(['[', ']']));
    for option in options
        .split([';', ','])
        .map(str::trim)
        .filter(|option| !option.is_empty())
    {
        match option
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
        {
            Some(("max", max)) => {
                let max: usize = max.parse().map_err(|_| refused(fields))?;
                page.max = if max == 0 {
                    return Err(refused(fields));
                } else {
                    max.min(CEILING)
                };
            }
            Some(("order", "asc")) => page.descending = false,
            Some(("order", "desc")) => page.descending = true,
            _ => return Err(refused(fields)),
        }
    }
    Ok(page)
}

/// `id ]x..` and `id..` alike: the field ends at the first character that no field's name has.
fn split_field(range: &str) -> Option<(&str, &str)> {
    let at = range.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    Some((&range[..at], range[at..].trim_start()))
}

fn bound(text: &str) -> Option<Bound> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(match text.rsplit_once('~') {
        Some((value, id)) => Bound {
            value: value.to_owned(),
            id: Some(id.to_owned()),
        },
        None => Bound {
            value: text.to_owned(),
            id: None,
        },
    })
}

fn refused(fields: &[Field]) -> Error {
    Error::new(
        ErrorId::RangeNotSatisfiable,
        format!(
            "The Range header cannot be used here. Write it like \"{} ..; max=200, order=desc\". This list goes by {}.",
            fields[0].name,
            names(fields)
        ),
    )
}

/// `id, name, updated_at`: the `Accept-Ranges` of a list.
pub fn names(fields: &[Field]) -> String {
    fields
        .iter()
        .map(|field| field.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn show(bound: &Bound) -> String {
    match &bound.id {
        Some(id) => format!("{}~{id}", bound.value),
        None => bound.value.clone(),
    }
}

/// The `Content-Range` of a page; none when it is empty.
pub fn content<T>(page: &Page, listing: &Listing<T>) -> Option<String> {
    let (first, last) = (listing.first.as_ref()?, listing.last.as_ref()?);
    Some(format!(
        "{} {}..{}; max={}",
        page.field.name,
        show(first),
        show(last),
        page.max
    ))
}

/// The `Next-Range` of a page, when more rows follow; a client sends it back as its `Range`.
pub fn next<T>(page: &Page, listing: &Listing<T>) -> Option<String> {
    let last = listing.last.as_ref().filter(|_| listing.more)?;
    let order = if page.descending { ", order=desc" } else { "" };
    let end = page.end.as_ref().map_or_else(String::new, show);
    Some(format!(
        "{} ]{}..{end}; max={}{order}",
        page.field.name,
        show(last),
        page.max
    ))
}

/// The page of rows that are all at hand. The field of the page is an attribute of what is shown.
pub fn select<V: Serialize>(page: &Page, rows: Vec<V>) -> Result<Listing<V>> {
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        let shown = serde_json::to_value(&row).map_err(Error::internal)?;
        let key = shown[page.field.name]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        keyed.push((key, row));
    }
    keyed.sort_by(|(one, _), (other, _)| {
        if page.descending {
            other.cmp(one)
        } else {
            one.cmp(other)
        }
    });
    let before = |one: &str, other: &str| {
        if page.descending {
            one > other
        } else {
            one < other
        }
    };
    keyed.retain(|(key, _)| {
        let started = page.start.as_ref().is_none_or(|start| {
            !(before(key, &start.value) || page.exclusive && *key == start.value)
        });
        started && page.end.as_ref().is_none_or(|end| !before(&end.value, key))
    });
    let more = keyed.len() > page.max;
    keyed.truncate(page.max);
    let bound = |(key, _): &(String, V)| Bound {
        value: key.clone(),
        id: None,
    };
    let (first, last) = (keyed.first().map(bound), keyed.last().map(bound));
    Ok(Listing {
        rows: keyed.into_iter().map(|(_, row)| row).collect(),
        first,
        last,
        more,
    })
}
