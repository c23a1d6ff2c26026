//! What a server has left on disk and running, looked at without it.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::binary::processes;

/// Checks that the database is sound, that each blob it points at is there with the right bytes, and that every process has a
/// row. Returns the promotion that was written down, if there is one.
pub fn check(data: &Path) -> Option<String> {
    // A copy is opened, since opening the database itself would do the recovery that the next server is to do.
    let copy = tempfile::tempdir().unwrap();
    for file in ["penstock.db", "penstock.db-wal"] {
        if data.join(file).exists() {
            std::fs::copy(data.join(file), copy.path().join(file)).unwrap();
        }
    }
    let database = Connection::open(copy.path().join("penstock.db")).unwrap();
    let sound: String = database
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
    let orphans = texts(&database, "SELECT \"table\" FROM pragma_foreign_key_check");
    assert!(orphans.is_empty(), "rows of {orphans:?} point at nothing");
    blobs_are_there(&database, data);
    versions_are_dense(&database);
    let rows: BTreeSet<String> = texts(&database, "SELECT id FROM dyno")
        .into_iter()
        .collect();
    for process in processes::of(data) {
        assert!(rows.contains(&process.dyno), "{process:?} has no row");
    }
    let promotions = texts(&database, "SELECT id FROM pipeline_promotion");
    assert!(promotions.len() <= 1);
    promotions.into_iter().next()
}

fn texts(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn blobs_are_there(database: &Connection, data: &Path) {
    let named = "SELECT digest FROM source WHERE digest IS NOT NULL
         UNION SELECT digest FROM slug WHERE digest IS NOT NULL
         UNION SELECT source_digest FROM build WHERE source_digest IS NOT NULL";
    for digest in texts(database, named) {
        let path = data.join("blobs").join(&digest[..2]).join(&digest);
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(hex::encode(Sha256::digest(bytes)), digest);
    }
}

fn versions_are_dense(database: &Connection) {
    let gaps = "SELECT app_id FROM release GROUP BY app_id HAVING max(version) <> count(*) OR min(version) <> 1";
    assert!(texts(database, gaps).is_empty());
}
