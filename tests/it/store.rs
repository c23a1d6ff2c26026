//! The store's one writer: what it says of a write is what is on disk.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;

use futures_util::future::join4;
use penstock::error::{Error, ErrorId};
use penstock::store::{Store, Table, accounts, once_committed, sources};
use penstock::time::Timestamp;
use rusqlite::Connection;

use crate::harness::T0;

fn now() -> Timestamp {
    Timestamp::parse(T0).unwrap()
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(
        &dir.path().join("penstock.db"),
        crate::harness::sealing_key(),
    )
    .unwrap()
}

#[tokio::test]
async fn what_is_said_of_a_write_is_true_when_another_of_its_group_fills_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let (go, held) = mpsc::channel::<()>();
    let before = store.write(move |connection| {
        // Until the others are waiting, so that all of them are one group.
        held.recv().unwrap();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let sql = format!("PRAGMA max_page_count = {pages}");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        accounts::create(connection, "ann@example.com", now())
    });
    let filling = store.write(move |connection| {
        let sql = "INSERT INTO account (id, email, name, created_at, updated_at) VALUES ('1', '1', hex(zeroblob(1000000)), '', '')";
        Ok(connection.execute(sql, [])?)
    });
    let after = store.write(|connection| accounts::create(connection, "bob@example.com", now()));
    let (before, filled, after, ()) =
        join4(before, filling, after, async { go.send(()).unwrap() }).await;
    assert_eq!(filled.unwrap_err().id, ErrorId::OutOfSpace);
    for (email, answer) in [("ann@example.com", before), ("bob@example.com", after)] {
        let found = store
            .read(|connection| accounts::by_email(connection, email))
            .unwrap();
        assert_eq!(answer.is_ok(), found.is_some(), "{email}: {answer:?}");
    }
}

#[tokio::test]
async fn an_upload_whose_source_expired_meanwhile_is_not_said_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let uploaded = store.write(|connection| {
        let ann = accounts::create(connection, "ann@example.com", now())?;
        let source = sources::create(connection, &ann, now())?;
        sources::delete_expired(connection, source.expires_at)?;
        sources::uploaded(connection, source.id, "digest", 1)
    });
    assert_eq!(uploaded.await.unwrap_err().id, ErrorId::Forbidden);
}

/// What comes of a future without waiting for it.
async fn polled<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn who_finds_all_snapshots_taken_waits_in_line_and_keeps_no_thread_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut kept = Vec::new();
    // This test has one thread: were it kept waiting, nothing below would ever be done.
    let mut next = loop {
        let mut snapshot = Box::pin(store.snapshot());
        match polled(&mut snapshot).await {
            Poll::Ready(snapshot) => kept.push(snapshot.unwrap()),
            Poll::Pending => break snapshot,
        }
    };
    assert!(kept.len() > 1);
    let mut last = Box::pin(store.snapshot());
    assert!(polled(&mut last).await.is_pending());
    let count = |connection: &Connection| {
        Ok(
            connection.query_row("SELECT count(*) FROM account", [], |row| {
                row.get::<_, i64>(0)
            })?,
        )
    };
    let accounts = store.read(count).unwrap();
    kept.pop();
    assert!(polled(&mut last).await.is_pending(), "it came later");
    let snapshot = next.as_mut().await.unwrap();
    assert_eq!(count(&snapshot).unwrap(), accounts);
    drop(snapshot);
    last.await.unwrap();
}

#[tokio::test]
async fn who_waits_for_changes_is_not_woken_by_what_was_undone() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut changes = store.changes(&[Table::Account]);
    changes.mark_unchanged();
    let create = |connection: &rusqlite::Connection| {
        accounts::create(connection, "ann@example.com", now()).map(drop)
    };
    let undone: Result<(), Error> = store
        .write(move |connection| {
            create(connection)?;
            Err(Error::invalid("not after all"))
        })
        .await;
    assert!(undone.is_err());
    assert!(!changes.has_changed().unwrap());
    store.write(create).await.unwrap();
    assert!(changes.has_changed().unwrap());
}

/// Its line in a log stands before those of whoever is woken by the change.
#[tokio::test]
async fn what_a_write_asks_for_is_done_once_it_is_on_disk_and_before_anybody_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut changes = store.changes(&[Table::Account]);
    changes.mark_unchanged();
    let (tell, told) = mpsc::channel();
    let write = |email: &'static str, fails: Option<Error>| {
        let (store, reader) = (store.clone(), store.clone());
        let (tell, changes) = (tell.clone(), changes.clone());
        async move {
            let asked = move |connection: &Connection| {
                accounts::create(connection, email, now())?;
                once_committed(move || {
                    let found = reader.read(|connection| accounts::by_email(connection, email));
                    let is_there = found.unwrap().is_some();
                    tell.send((email, is_there, changes.has_changed().unwrap()))
                        .unwrap();
                });
                once_committed(|| panic!("what else was asked for is done, and writes go on"));
                fails.map_or(Ok(()), Err)
            };
            store.write(asked).await
        }
    };
    let undone = write("ann@example.com", Some(Error::invalid("not after all"))).await;
    assert!(undone.is_err());
    write("bob@example.com", None).await.unwrap();
    assert_eq!(told.recv().unwrap(), ("bob@example.com", true, false));
    write("cy@example.com", None).await.unwrap();
    assert_eq!(told.recv().unwrap().0, "cy@example.com");
    assert!(
        told.try_recv().is_err(),
        "nothing was done of what was undone"
    );
}
