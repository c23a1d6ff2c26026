//! Heroku's `Range` header: which page of a list is asked for, and how the answer says where the next one begins.
//!
//! ```text
//! Range: <field> [ '[' | ']' ] [<start>] '..' [ [<end>] ] [';' max=<n> (','|';') order=<asc|desc> ..] [';']
//! ```
//! `]` leaves the start out. A bound may carry the id of a row after a `~`, where several rows share a value: the header that we
//! gave out as `Next-Range` then begins after that very row.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, ErrorId, Result};
use crate::store::page::{Bound, Field, Kind, Listing, Page};
use crate::time::Timestamp;

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
    // Options follow a semicolon. Without it they would be taken for the end, and the page be empty.
    let unspaced = end.replace(' ', "");
    if unspaced.contains(",max=") || unspaced.contains(",order=") {
        return Err(refused(fields));
    }
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
                    return Err(Error::new(
                        ErrorId::RangeNotSatisfiable,
                        format!(
                            "A range of no rows shows nothing. Ask for at least 1, and for {CEILING} at most."
                        ),
                    ));
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
    let (start, end) = (page.start.as_ref(), page.end.as_ref());
    let start = start
        .map(|bound| Place::of(page.field, bound))
        .transpose()?;
    let end = end.map(|bound| Place::of(page.field, bound)).transpose()?;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        let key = key(page.field, &row)?;
        keyed.push((Place::of(page.field, &key)?, key, row));
    }
    keyed.sort_by(|(one, ..), (other, ..)| on(page, one.cmp(other)));
    keyed.retain(|(place, ..)| {
        let after = start.as_ref().map(|start| on(page, place.beside(start)));
        let before = end.as_ref().map(|end| on(page, place.beside(end)));
        let started = match after {
            Some(Ordering::Less) => false,
            Some(Ordering::Equal) => !page.exclusive,
            _ => true,
        };
        started && before != Some(Ordering::Greater)
    });
    let more = keyed.len() > page.max;
    keyed.truncate(page.max);
    let bound = |(_, key, _): &(Place, Bound, V)| key.clone();
    let (first, last) = (keyed.first().map(bound), keyed.last().map(bound));
    Ok(Listing {
        rows: keyed.into_iter().map(|(_, _, row)| row).collect(),
        first,
        last,
        more,
    })
}

/// The order of two rows on the page.
fn on(page: &Page, ascending: Ordering) -> Ordering {
    match page.descending {
        true => ascending.reverse(),
        false => ascending,
    }
}

/// What the field of a row is, and which row it is where several may share that.
fn key(field: Field, row: &impl Serialize) -> Result<Bound> {
    let shown = serde_json::to_value(row).map_err(Error::internal)?;
    let value = match &shown[field.name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    // A row without an id is known by all that it shows, in a form that a header can carry.
    let id = || match shown["id"].as_str() {
        Some(id) => id.to_owned(),
        None => hex::encode(shown.to_string()),
    };
    let id = field.kind.is_shared().then(id);
    Ok(Bound { value, id })
}

/// Where a value of a field stands among others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    value: String,
    id: Option<String>,
}

impl Place {
    /// 416 for what is no value of the field.
    fn of(field: Field, bound: &Bound) -> Result<Place> {
        let value = match field.kind {
            // Longer than any number, so that they stand in the order of numbers.
            Kind::Integer | Kind::SharedInteger => {
                let number: u64 = bound.value.parse().map_err(|_| refused(&[field]))?;
                format!("{number:020}")
            }
            // As it is compared in the database: of one width, whatever form it came in.
            Kind::Time => {
                let time = Timestamp::parse(&bound.value).ok_or_else(|| refused(&[field]))?;
                time.to_micros()
            }
            _ => bound.value.clone(),
        };
        let id = bound.id.clone();
        Ok(Place { value, id })
    }

    /// How this stands to a bound, which may not say which of the rows with its value it is.
    fn beside(&self, bound: &Place) -> Ordering {
        match bound.id {
            Some(_) => self.cmp(bound),
            None => self.value.cmp(&bound.value),
        }
    }
}
