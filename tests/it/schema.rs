//! The database: how it comes to its schema, and that its lists are found by their indexes.

mod answered;
mod lists;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use penstock::error::ErrorId;
use penstock::hostname::Hostname;
use penstock::name::{Id, Identity};
use penstock::store::access::Permission;
use penstock::store::accounts::Account;
use penstock::store::page::Page;
use penstock::store::webhook_events::Entity;
use penstock::store::{
    Store, accounts, addon_attachments, addon_services, addon_tasks, addons, app_transfers, apps,
    audit_trail, builds, couplings, cron_jobs, cron_runs, domains, dynos, features, formation,
    keys, log_drains, oauth_authorizations, oauth_clients, oauth_tokens, pipelines, promotions,
    release_phases, releases, seals, sni_endpoints, team_invitations, team_members, teams,
    telemetry_drains, webhook_deliveries, webhook_events, webhooks,
};
use penstock::time::Timestamp;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::harness::{golden, sealing_key};

/// A new database, as a server makes it.
fn fresh(dir: &Path) -> Connection {
    let path = dir.join("penstock.db");
    drop(Store::open(&path, sealing_key()).unwrap());
    Connection::open(path).unwrap()
}

fn version(connection: &Connection) -> i64 {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    version.unwrap()
}

/// All that a schema consists of, however its text is laid out.
fn shape(connection: &Connection) -> BTreeSet<String> {
    let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    rows.unwrap().map(|row| words(row.unwrap())).collect()
}

#[test]
fn every_older_database_becomes_what_a_new_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let new = fresh(dir.path());
    // A version that is over leaves its schema.sql here, so that the steps from it can be tried.
    for older in 1..version(&new) {
        let name = format!("tests/golden/schema-{older}.sql");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        let schema = std::fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("keep the schema of version {older} as {name}"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("penstock.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&schema).unwrap();
        assert_eq!(version(&connection), older);
        // What its server has marked it with, by the same key.
        let mark: Vec<u8> = new
            .query_row("SELECT sealed FROM sealing_check", [], |row| row.get(0))
            .unwrap();
        connection
            .execute(
                "INSERT INTO sealing_check (id, sealed) VALUES (1, ?1)",
                [mark],
            )
            .unwrap();
        drop(connection);
        let migrated = fresh(dir.path());
        assert_eq!(version(&migrated), version(&new));
        assert_eq!(shape(&migrated), shape(&new), "from version {older}");
    }
}

#[test]
fn a_database_is_opened_again_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let once = shape(&fresh(dir.path()));
    let twice = shape(&fresh(dir.path()));
    assert_eq!(once, twice);
    assert!(once.len() > 10);
}

#[test]
fn a_newer_database_is_refused_and_both_versions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let connection = fresh(dir.path());
    let ours = version(&connection);
    let newer = ours + 41;
    connection
        .pragma_update(None, "user_version", newer)
        .unwrap();
    connection
        .execute_batch("CREATE TABLE unheard_of (id TEXT)")
        .unwrap();
    drop(connection);
    let path = dir.path().join("penstock.db");
    let Err(error) = Store::open(&path, sealing_key()) else {
        panic!("a database of version {newer} was opened");
    };
    assert_eq!(error.id, ErrorId::Conflict);
    for version in [ours, newer] {
        assert!(error.message.contains(&version.to_string()), "{error}");
    }
    let connection = Connection::open(path).unwrap();
    assert_eq!(version(&connection), newer);
    assert!(
        shape(&connection)
            .iter()
            .any(|part| part.contains("unheard_of"))
    );
}

/// What SQLite says of how it would run what `query` runs.
fn plan(path: &Path, query: impl FnOnce(&Connection)) -> Vec<String> {
    let mut connection = Connection::open(path).unwrap();
    seals::define(&connection, &sealing_key()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = seen.clone();
    let trace = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(_, sql) = event {
            note.lock().unwrap().push(sql.to_owned());
        }
    };
    connection
        .trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(trace))
        .unwrap();
    query(&connection);
    let statements = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!statements.is_empty(), "nothing was asked of the database");
    let mut steps = Vec::new();
    for sql in statements {
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("detail").unwrap());
        }
    }
    steps
}

#[test]
fn no_list_reads_a_whole_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("penstock.db");
    drop(fresh(dir.path()));
    let mut plans = String::new();
    for (name, fields, list) in lists::all() {
        for field in fields {
            let page = Page {
                field: *field,
                start: None,
                exclusive: false,
                end: None,
                max: 200,
                descending: false,
            };
            let steps = plan(&path, |connection| list(connection, &page));
            plans.push_str(&format!("{name} by {}\n", field.name));
            for step in &steps {
                plans.push_str(&format!("  {step}\n"));
            }
        }
    }
    golden("query_plans.txt", &plans);
    for step in plans.lines() {
        // What a client has named itself is no table, nor is what was put together from rows that were searched for.
        let reads_all = step.trim().starts_with("SCAN")
            && !step.contains("SCAN json_each")
            && !step.contains("SCAN shown");
        assert!(!reads_all, "{step} in\n{plans}");
    }
}

#[test]
fn no_look_up_reads_a_whole_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("penstock.db");
    drop(fresh(dir.path()));
    let account = Account {
        id: Id::new(),
        email: String::new(),
        name: None,
        admin: false,
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
    };
    let id = Id::new();
    let wildcard = Hostname::parse("*.example.com").unwrap();
    for identity in [Identity::Id(id), Identity::Name("name".to_owned())] {
        let steps = plan(&path, |connection| {
            let _ = apps::find(connection, &account, &identity, Permission::View);
            let _ = domains::is_free(connection, id, &wildcard);
            let _ = pipelines::candidates(connection, &account, &identity);
            let _ = formation::find(connection, id, &identity);
            let _ = dynos::find(connection, id, &identity);
            let _ = releases::find(connection, id, &identity);
            let _ = releases::current(connection, id);
            let _ = addons::find(connection, &account, "name", Permission::View);
            let _ = addons::of_app(connection, id, &identity);
            let _ = addons::resolve(connection, &account, None, "name", None);
            let _ = addon_attachments::of_app(connection, id, &identity);
            let _ = addon_attachments::resolve(connection, &account, None, "app::name");
            let _ = addon_services::plan_on_offer(connection, &identity);
            let _ = addon_services::find(connection, &identity);
            let _ = addon_tasks::due(connection, account.created_at, |_, _| true);
            let _ = addon_tasks::removals_due(connection, account.created_at, |_, _| true);
            let _ = builds::find(connection, id, id);
            let _ = couplings::of_app(connection, id);
            let _ = couplings::find(connection, &account, id);
            let _ = cron_jobs::find(connection, id, id);
            let _ = cron_jobs::any_due(connection, account.created_at);
            let _ = cron_jobs::next_due(connection);
            let _ = cron_runs::find(connection, id, id);
            let _ = cron_runs::latest(connection, id);
            let _ = cron_runs::any_ready(connection);
            let _ = promotions::any_pending(connection);
            let _ = release_phases::turns(connection);
            let _ = release_phases::of_dyno(connection, id);
            let _ = promotions::find(connection, &account, id);
            let _ = log_drains::find(connection, id, "name");
            let _ = log_drains::find_of_addon(connection, id, "name");
            let _ = webhooks::asking(connection, id, Some(id), Entity::Addon);
            let _ = telemetry_drains::find(connection, &account, id, Permission::View);
            let _ = sni_endpoints::find(connection, id, &identity);
            let _ = app_transfers::find(connection, &account, &identity);
            let _ = teams::find(connection, &account, &identity);
            let _ = team_members::find(connection, id, &identity);
            let _ = team_members::only_admin_of(connection, id);
            let _ = team_invitations::find(connection, id, &identity, account.created_at);
            let _ = team_invitations::by_token(connection, "token", account.created_at);
            let _ = oauth_tokens::credential(connection, &[0; 32], Timestamp::from_micros(0));
            let _ = oauth_tokens::find(connection, id, id);
            let _ = oauth_authorizations::find(connection, id, id);
            let _ = oauth_authorizations::api_key(connection, id);
            let _ = oauth_clients::secret_of(connection, id);
            let _ = keys::find(connection, id, &identity);
            let _ = features::switched(connection, features::Owner::App(id));
            let _ = features::switched(connection, features::Owner::Account(id));
            let _ = audit_trail::unarchived(connection);
            let _ = audit_trail::forget_before(connection, account.created_at);
            let _ = accounts::delete(connection, &account, account.created_at);
            let _ = webhooks::find(connection, id, id);
            let _ = webhook_events::find(connection, id, id);
            let _ = webhook_deliveries::find(connection, id, id);
            let _ = webhook_deliveries::due(connection, account.created_at, 1, |_| true);
            let _ = webhook_deliveries::next_due(connection);
        });
        for step in steps {
            // What is pending is few, and has an index of its own.
            let few = step.ends_with("_pending") || step == "SCAN CONSTANT ROW";
            let own = step.starts_with("SCAN json_each");
            assert!(own || few || !step.starts_with("SCAN"), "{step}");
        }
    }
}
