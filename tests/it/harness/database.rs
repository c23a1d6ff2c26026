//! The database as a stranger to the code sees it: through a connection of its own.

use std::path::Path;

use penstock::name::Id;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

fn open(dir: &Path) -> Connection {
    Connection::open_with_flags(dir.join("penstock.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Every row of every table, a line each.
pub fn dump(dir: &Path) -> String {
    let connection = open(dir);
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut dump = String::new();
    for table in texts(&connection, tables) {
        for row in texts_of_all(&connection, &format!("SELECT * FROM {table} ORDER BY 1")) {
            dump.push_str(&format!("{table}: {row}\n"));
        }
    }
    dump
}

/// The same without the audit trail, which outlives all that it tells of.
pub fn dump_without_trail(dir: &Path) -> String {
    let dump = dump(dir);
    let lines = dump.lines();
    let kept: Vec<&str> = lines
        .filter(|line| !line.starts_with("audit_trail_event: "))
        .collect();
    kept.join("\n")
}

/// What accounts see, and the tables in which triggers keep it.
const SIGHTS: [(&str, &str); 4] = [
    ("pipeline_seen", "pipeline_viewer"),
    ("pipeline_coupling_seen", "pipeline_coupling_viewer"),
    ("addon_seen", "addon_viewer"),
    ("addon_attachment_seen", "addon_attachment_viewer"),
];

/// What must hold at the end of every test.
pub fn check(dir: &Path, running: &[Id]) {
    let connection = open(dir);
    let broken = texts_of_all(&connection, "PRAGMA foreign_key_check");
    assert!(broken.is_empty(), "references lead nowhere: {broken:?}");
    for (seen, viewer) in SIGHTS {
        for (one, other) in [(seen, viewer), (viewer, seen)] {
            let differs = format!("SELECT * FROM {one} EXCEPT SELECT * FROM {other}");
            let differs = texts_of_all(&connection, &differs);
            assert!(
                differs.is_empty(),
                "in {one} and not in {other}: {differs:?}"
            );
        }
    }
    let claims = "SELECT id FROM build WHERE status = 'pending' AND claimed_by IS NOT NULL";
    let claims = texts(&connection, claims);
    assert!(
        claims.is_empty(),
        "builds were claimed and not ended: {claims:?}"
    );
    let rows = texts(&connection, "SELECT id FROM dyno");
    for dyno in running {
        assert!(
            rows.contains(&dyno.to_string()),
            "the dyno {dyno} runs without a row"
        );
    }
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// Each row with all of its columns.
fn texts_of_all(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hex::encode(bytes),
    };
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|at| row.get_ref(at).map(text));
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
    };
    let rows = statement.query_map([], row).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}
