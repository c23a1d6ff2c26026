//! One page of a list: a range over one column, with the id to tell equal values apart.
//!
//! A page starts after a row that the client has seen, not at a count of rows, so rows that come and go meanwhile are neither
//! repeated nor lost. How a page is asked for over HTTP is the API's affair.

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// A column that a list can be ordered by, under its public name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub column: &'static str,
    pub kind: Kind,
}

/// What the values of a [`Field`] look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    /// Unique text within the list.
    Text,
    /// Text that several rows may share, so a cursor carries the id as well.
    SharedText,
    /// A unique number within the list.
    Integer,
    /// A number that several rows may share, likewise.
    SharedInteger,
    /// Not unique either.
    Time,
}

impl Kind {
    /// Whether several rows may have the same value.
    pub fn is_shared(self) -> bool {
        matches!(self, Kind::SharedText | Kind::SharedInteger | Kind::Time)
    }
}

impl Field {
    pub const fn new(name: &'static str, column: &'static str, kind: Kind) -> Field {
        Field { name, column, kind }
    }

    fn value(&self, text: &str) -> Result<Value> {
        let value = match self.kind {
            Kind::Id => Id::parse(text).map(|id| Value::Text(id.to_string())),
            Kind::Text | Kind::SharedText => Some(Value::Text(text.to_owned())),
            Kind::Integer | Kind::SharedInteger => text.parse().ok().map(Value::Integer),
            Kind::Time => Timestamp::parse(text).map(|time| Value::Text(time.to_micros())),
        };
        value.ok_or_else(|| {
            Error::new(
                ErrorId::RangeNotSatisfiable,
                format!("A value of the range does not fit the field {}.", self.name),
            )
        })
    }
}

/// One end of a range: a value of the field and, where a value is not unique, the id of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub value: String,
    pub id: Option<String>,
}

/// Which rows of a list are asked for.
#[derive(Clone, Debug)]
pub struct Page {
    pub field: Field,
    pub start: Option<Bound>,
    /// The start itself is left out.
    pub exclusive: bool,
    /// Left in.
    pub end: Option<Bound>,
    pub max: usize,
    pub descending: bool,
}

/// A page of rows, where it begins and ends, and whether more follow.
#[derive(Debug)]
pub struct Listing<T> {
    pub rows: Vec<T>,
    pub first: Option<Bound>,
    pub last: Option<Bound>,
    pub more: bool,
}

impl<T> Listing<T> {
    /// The same page of something else, made of each row.
    pub fn try_map<U>(self, make: impl FnMut(T) -> Result<U>) -> Result<Listing<U>> {
        Ok(Listing {
            rows: self.rows.into_iter().map(make).collect::<Result<_>>()?,
            first: self.first,
            last: self.last,
            more: self.more,
        })
    }
}

/// What to select. All text here is ours; what a client sends is bound.
pub struct Query<'a> {
    pub columns: &'a str,
    /// Tables, joins, and the WHERE clause that limits the list to what the caller may see, with `?1` and so on.
    pub from: &'a str,
    pub id: &'a str,
    pub parameters: &'a [&'a dyn ToSql],
}

/// Selects one page.
pub fn select<T>(
    connection: &Connection,
    query: &Query<'_>,
    page: &Page,
    row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Listing<T>> {
    let mut values = Vec::new();
    let sql = sql(query, page, &mut values)?;
    let parameters: Vec<&dyn ToSql> = query
        .parameters
        .iter()
        .copied()
        .chain(values.iter().map(|value| value as &dyn ToSql))
        .collect();
    let mut statement = connection.prepare_cached(&sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(parameters.as_slice())?;
    let mut listing = Listing {
        rows: Vec::new(),
        first: None,
        last: None,
        more: false,
    };
    while let Some(current) = found.next()? {
        if listing.rows.len() == page.max {
            listing.more = true;
            break;
        }
        let id = page
            .field
            .kind
            .is_shared()
            .then(|| current.get(columns - 1))
            .transpose()?;
        let bound = Bound {
            value: current.get(columns - 2)?,
            id,
        };
        listing.rows.push(row(current)?);
        listing.first.get_or_insert_with(|| bound.clone());
        listing.last = Some(bound);
    }
    Ok(listing)
}

fn sql(query: &Query<'_>, page: &Page, values: &mut Vec<Value>) -> Result<String> {
    let (column, id) = (page.field.column, query.id);
    let (direction, after, before) = if page.descending {
        ("DESC", "<", ">")
    } else {
        ("ASC", ">", "<")
    };
    let mut sql = format!(
        "SELECT {}, CAST({column} AS TEXT), {id} FROM {}",
        query.columns, query.from
    );
    let mut bound = |operator: &str, bound: &Bound| -> Result<()> {
        let at = query.parameters.len() + values.len() + 1;
        values.push(page.field.value(&bound.value)?);
        match &bound.id {
            Some(row) => {
                values.push(Value::Text(row.clone()));
                sql.push_str(&format!(
                    " AND ({column}, {id}) {operator} (?{at}, ?{})",
                    at + 1
                ));
            }
            None => sql.push_str(&format!(" AND {column} {operator} ?{at}")),
        }
        Ok(())
    };
    if let Some(start) = &page.start {
        bound(
            &format!("{after}{}", if page.exclusive { "" } else { "=" }),
            start,
        )?;
    }
    if let Some(end) = &page.end {
        bound(&format!("{before}="), end)?;
    }
    sql.push_str(&format!(" ORDER BY {column} {direction}"));
    if column != id {
        sql.push_str(&format!(", {id} {direction}"));
    }
    sql.push_str(&format!(" LIMIT {}", page.max + 1));
    Ok(sql)
}
