//! What a page costs when there are many rows: as much as when there are few. Counted in steps of SQLite's machine, not in time.

use std::sync::atomic::{AtomicI32, Ordering};

use penstock::name::{AppName, Id};
use penstock::store::accounts::Account;
use penstock::store::page::{Bound, Field, Kind, Page};
use penstock::store::{Store, accounts, apps, seals};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, Row, StatementStatus};

use crate::harness::{T0, sealing_key};

/// A database in which one account has so many apps.
fn with_apps(dir: &tempfile::TempDir, count: usize) -> (Connection, Account) {
    let path = dir.path().join("penstock.db");
    let now = penstock::time::Timestamp::parse(T0).unwrap();
    drop(Store::open(&path, sealing_key()).unwrap());
    let connection = Connection::open(path).unwrap();
    seals::define(&connection, &sealing_key()).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; BEGIN")
        .unwrap();
    let ann = accounts::create(&connection, "ann@example.com", now).unwrap();
    // One app as it is made, and then its rows again and again under other names.
    let first = apps::create(&connection, &AppName::parse("app").unwrap(), &ann, now).unwrap();
    let copy = "CREATE TEMP TABLE one_app AS SELECT * FROM app WHERE id = ?1";
    connection.execute(copy, [first.id]).unwrap();
    let copy = "CREATE TEMP TABLE its_owner AS SELECT * FROM collaborator WHERE app_id = ?1";
    connection.execute(copy, [first.id]).unwrap();
    let each = |sql| connection.prepare(sql).unwrap();
    let mut named = each("UPDATE one_app SET id = ?1, name = ?2");
    let mut owned = each("UPDATE its_owner SET id = ?1, app_id = ?2, app_name = ?3");
    let mut app = each("INSERT INTO app SELECT * FROM one_app");
    let mut owner = each("INSERT INTO collaborator SELECT * FROM its_owner");
    for at in 1..count {
        let id = Id::new();
        let name = format!("app-{at}");
        named.execute((id, &name)).unwrap();
        owned.execute((Id::new(), id, &name)).unwrap();
        app.execute([]).unwrap();
        owner.execute([]).unwrap();
    }
    drop((named, owned, app, owner));
    connection.execute_batch("COMMIT").unwrap();
    (connection, ann)
}

/// The steps that reading one page takes.
fn steps(connection: &mut Connection, ann: &Account, page: &Page) -> i32 {
    static STEPS: AtomicI32 = AtomicI32::new(0);
    STEPS.store(0, Ordering::Relaxed);
    let count = |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            STEPS.fetch_add(
                statement.get_status(StatementStatus::VmStep),
                Ordering::Relaxed,
            );
        }
    };
    connection
        .trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count))
        .unwrap();
    let listing = apps::list(connection, ann, None, page).unwrap();
    assert_eq!(listing.rows.len(), 200);
    STEPS.load(Ordering::Relaxed)
}

/// From the first row on, from the last one back, and from the middle on.
fn pages(connection: &Connection, field: Field) -> [Page; 3] {
    let from = |start: Option<Bound>, descending| Page {
        field,
        start,
        exclusive: false,
        end: None,
        max: 200,
        descending,
    };
    let column = field.column;
    let sql = format!(
        "SELECT {column}, app_id FROM collaborator ORDER BY {column}, app_id LIMIT 1 OFFSET (SELECT count(*) / 2 FROM collaborator)"
    );
    let bound = |row: &Row<'_>| {
        let shared = field.kind == Kind::Time;
        let id = shared.then(|| row.get(1)).transpose()?;
        let value = row.get(0)?;
        Ok(Bound { value, id })
    };
    let middle = connection.query_row(&sql, [], bound).unwrap();
    [
        from(None, false),
        from(None, true),
        from(Some(middle), false),
    ]
}

#[test]
fn a_page_of_a_hundred_thousand_apps_costs_what_one_of_a_thousand_does() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut few, ann) = with_apps(&few, 1_000);
    let (mut many, bob) = with_apps(&many, 100_000);
    for field in apps::FIELDS {
        let (few_pages, many_pages) = (pages(&few, *field), pages(&many, *field));
        for (of_few, of_many) in few_pages.iter().zip(&many_pages) {
            let cost = steps(&mut few, &ann, of_few);
            assert!(cost > 200);
            assert_eq!(steps(&mut many, &bob, of_many), cost, "{of_few:?}");
        }
    }
}
