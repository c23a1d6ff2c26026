//! What a page costs when there are many rows: as much as when there are few. Counted in steps of SQLite's machine, not in time.

use std::cell::Cell;

use penstock::name::{Id, TeamName};
use penstock::store::accounts::Account;
use penstock::store::page::{Bound, Field, Listing, Page};
use penstock::store::{
    Store, accounts, addon_attachments, addons, apps, couplings, pipelines, releases, seals,
    team_apps, teams, webhook_deliveries, webhook_events,
};
use penstock::time::Timestamp;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus, ToSql};

use crate::harness::{T0, sealing_key};

fn now() -> Timestamp {
    Timestamp::parse(T0).unwrap()
}

/// An empty database that is written to fast.
fn empty(dir: &tempfile::TempDir) -> Connection {
    let path = dir.path().join("penstock.db");
    drop(Store::open(&path, sealing_key()).unwrap());
    let connection = Connection::open(path).unwrap();
    seals::define(&connection, &sealing_key()).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; BEGIN")
        .unwrap();
    connection
}

/// Runs an insertion from so many rows `made` of ids and a name; its own parameters begin with ?2.
fn rows(connection: &Connection, count: usize, sql: &str, parameters: &[&dyn ToSql]) {
    let count = i64::try_from(count).unwrap();
    let id = |kind: u8| format!("printf('0190000{kind}-0000-7000-8000-%012x', at)");
    let sql = format!(
        "WITH RECURSIVE number (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM number WHERE at < ?1),
         made AS (SELECT at, 'app-' || at AS name, {} AS app, {} AS pipeline, {} AS addon, {} AS other FROM number) {sql}",
        id(1),
        id(2),
        id(3),
        id(4)
    );
    let all: Vec<&dyn ToSql> = std::iter::once(&count as &dyn ToSql)
        .chain(parameters.iter().copied())
        .collect();
    connection.execute(&sql, all.as_slice()).unwrap();
}

/// A database in which one account has so many apps.
fn with_apps(dir: &tempfile::TempDir, count: usize) -> (Connection, Account) {
    let connection = empty(dir);
    let ann = accounts::create(&connection, "ann@example.com", now()).unwrap();
    // Nobody has anything but apps here, so there is nothing that the trigger would find.
    connection
        .execute_batch("DROP TRIGGER collaborator_made")
        .unwrap();
    rows(
        &connection,
        count,
        "INSERT INTO app (id, name, owner_id, created_at, updated_at) SELECT app, name, ?2, ?3, ?3 FROM made",
        &[&ann.id, &now()],
    );
    rows(
        &connection,
        count,
        "INSERT INTO collaborator (id, app_id, account_id, role, granted, permissions, created_at, updated_at, app_name,
             app_created_at, app_updated_at) SELECT other, app, ?2, 'owner', 31, 31, ?3, ?3, name, ?3, ?3 FROM made",
        &[&ann.id, &now()],
    );
    connection.execute_batch("COMMIT").unwrap();
    (connection, ann)
}

/// A database in which the team `crew` has so many apps, each in a pipeline of its own with an add-on of its own, and the first of
/// them as many releases, events and deliveries. Ann runs the team.
fn with_everything(dir: &tempfile::TempDir, count: usize) -> (Connection, Account) {
    let connection = empty(dir);
    let ann = accounts::create(&connection, "ann@example.com", now()).unwrap();
    let crew = teams::create(&connection, &TeamName::parse("crew").unwrap(), &ann, now()).unwrap();
    let (service, plan, set, hook) = (Id::new(), Id::new(), Id::new(), Id::new());
    let time = now();
    let one = |sql: &str, parameters: &[&dyn ToSql]| {
        assert_eq!(connection.execute(sql, parameters).unwrap(), 1, "{sql}");
    };
    let each = |sql: &str, parameters: &[&dyn ToSql]| rows(&connection, count, sql, parameters);
    one(
        "INSERT INTO addon_service VALUES (?1, 'acme', 'Acme', NULL, 'ga', 1, 1, 0, 'ACME', '[]', 'http://x', 'http://x',
             x'', NULL, x'', ?2, ?2)",
        &[&service, &time],
    );
    one(
        "INSERT INTO plan VALUES (?1, ?2, 'acme:basic', 'Basic', '', 1, 1, ?3, ?3)",
        &[&plan, &service, &time],
    );
    one(
        "INSERT INTO config_set (id, vars) VALUES (?1, seal(?1, '{}'))",
        &[&set],
    );
    each(
        "INSERT INTO app (id, name, team_id, created_at, updated_at) SELECT app, name, ?2, ?3, ?3 FROM made",
        &[&crew.id, &time],
    );
    each(
        "INSERT INTO collaborator (id, app_id, account_id, role, granted, permissions, created_at, updated_at, app_name,
             app_team_id, app_created_at, app_updated_at) SELECT other, app, ?2, 'admin', 0, 31, ?3, ?3, name, ?4, ?3, ?3 FROM made",
        &[&ann.id, &time, &crew.id],
    );
    each(
        "INSERT INTO pipeline (id, name, owner_id, created_at, updated_at) SELECT pipeline, name, ?2, ?3, ?3 FROM made",
        &[&ann.id, &time],
    );
    each(
        "INSERT INTO pipeline_coupling (id, app_id, pipeline_id, stage, created_at, updated_at)
         SELECT other, app, pipeline, 'staging', ?2, ?2 FROM made",
        &[&time],
    );
    each(
        "INSERT INTO addon (id, name, app_id, addon_service_id, plan_id, state, config, options, created_at, updated_at)
         SELECT addon, name, app, ?2, ?3, 'provisioned', seal(addon || '/config', '{}'), x'', ?4, ?4 FROM made",
        &[&service, &plan, &time],
    );
    each(
        "INSERT INTO addon_attachment (id, addon_id, app_id, name, created_at, updated_at)
         SELECT other, addon, app, 'ACME', ?2, ?2 FROM made",
        &[&time],
    );
    each(
        "INSERT INTO release (id, app_id, version, description, status, config_set_id, account_id, created_at, updated_at)
         SELECT other, (SELECT min(id) FROM app), at, '', 'succeeded', ?2, ?3, ?4, ?4 FROM made",
        &[&set, &ann.id, &time],
    );
    one(
        "INSERT INTO app_webhook SELECT ?1, min(id), min(id), '[]', 'sync', x'', x'', NULL, ?2, ?2 FROM app",
        &[&hook, &time],
    );
    each(
        "INSERT INTO app_webhook_event SELECT app, (SELECT min(id) FROM app), 'api:app', 'update', ?2, '', '{}', '{}', ?3 FROM made",
        &[&ann.id, &time],
    );
    each(
        "INSERT INTO app_webhook_delivery (id, owner_id, webhook_id, event_id, status, created_at, updated_at)
         SELECT other, (SELECT min(id) FROM app), ?2, app, 'succeeded', ?3, ?3 FROM made",
        &[&hook, &time],
    );
    connection.execute_batch("COMMIT").unwrap();
    (connection, ann)
}

/// How many rows a page has, and where it ends.
type Read = fn(&Connection, &Account, &Page) -> (usize, Option<Bound>);

fn told<T>(listing: penstock::error::Result<Listing<T>>) -> (usize, Option<Bound>) {
    let listing = listing.unwrap();
    (listing.rows.len(), listing.last)
}

/// The steps that reading one page takes. They are counted by the thread that asks for it.
fn steps(connection: &mut Connection, ann: &Account, read: Read, page: &Page) -> i32 {
    thread_local! {
        static STEPS: Cell<i32> = const { Cell::new(0) };
    }
    let count = |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let steps = statement.get_status(StatementStatus::VmStep);
            STEPS.set(STEPS.get() + steps);
        }
    };
    connection
        .trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count))
        .unwrap();
    STEPS.set(0);
    let (rows, _) = read(connection, ann, page);
    assert_eq!(rows, 200);
    STEPS.get()
}

/// From the first row on, from the last one back, and from the middle on.
fn pages(
    connection: &Connection,
    ann: &Account,
    read: Read,
    field: Field,
    count: usize,
) -> [Page; 3] {
    let page = |start: Option<Bound>, descending, max| Page {
        field,
        start,
        exclusive: false,
        end: None,
        max,
        descending,
    };
    let (half, middle) = read(connection, ann, &page(None, false, count / 2));
    assert_eq!(half, count / 2);
    [
        page(None, false, 200),
        page(None, true, 200),
        page(middle, false, 200),
    ]
}

type Databases = [(Connection, Account, usize); 2];

#[track_caller]
fn costs_the_same(databases: &mut Databases, name: &str, fields: &[Field], read: Read) {
    for field in fields {
        let [few, many] = &mut *databases;
        let asked = |(connection, ann, count): &(Connection, Account, usize)| {
            pages(connection, ann, read, *field, *count)
        };
        for (of_few, of_many) in asked(few).iter().zip(&asked(many)) {
            let cost = steps(&mut few.0, &few.1, read, of_few);
            assert!(cost > 200);
            let dear = steps(&mut many.0, &many.1, read, of_many);
            // Not to the step: it matters a little where a sorted page happens to begin.
            assert!(
                dear.abs_diff(cost) <= 10,
                "{name}: {dear} instead of {cost} steps for {of_few:?}"
            );
        }
    }
}

#[test]
fn a_page_of_a_hundred_thousand_apps_costs_what_one_of_a_thousand_does() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut databases = [(&few, 1_000), (&many, 100_000)].map(|(dir, count)| {
        let (connection, ann) = with_apps(dir, count);
        (connection, ann, count)
    });
    let all: Read = |c, ann, page| told(apps::list(c, ann, None, page));
    costs_the_same(&mut databases, "apps", apps::FIELDS, all);
    let own: Read = |c, ann, page| told(apps::list_personal(c, ann, page));
    costs_the_same(&mut databases, "apps that are no team's", apps::FIELDS, own);
}

/// The team, and its first app.
fn crew(connection: &Connection) -> (Id, Id) {
    let sql = "SELECT team_id, id FROM app ORDER BY id LIMIT 1";
    let row = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    row.unwrap()
}

#[test]
fn a_page_of_any_list_that_grows_costs_what_it_does_while_there_is_little() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut databases = [(&few, 500), (&many, 5_000)].map(|(dir, count)| {
        let (connection, ann) = with_everything(dir, count);
        (connection, ann, count)
    });
    let lists: [(&str, &[Field], Read); 13] = [
        ("pipelines", pipelines::FIELDS, |c, ann, page| {
            told(pipelines::list(c, ann, None, page))
        }),
        ("couplings", couplings::FIELDS, |c, ann, page| {
            told(couplings::list(c, ann, None, page))
        }),
        ("couplings of a team", couplings::FIELDS, |c, ann, page| {
            told(couplings::list_of_team(c, ann, crew(c).0, page))
        }),
        ("add-ons", addons::FIELDS, |c, ann, page| {
            told(addons::list(c, ann, page))
        }),
        ("add-ons of a team", addons::FIELDS, |c, ann, page| {
            told(addons::list_of_team(c, ann, crew(c).0, page))
        }),
        ("attachments", addon_attachments::FIELDS, |c, ann, page| {
            told(addon_attachments::list(c, ann, page))
        }),
        ("apps of a team", team_apps::FIELDS, |c, ann, page| {
            told(team_apps::list(c, ann, crew(c).0, None, page))
        }),
        ("apps of a member", team_apps::FIELDS, |c, ann, page| {
            told(team_apps::list(c, ann, crew(c).0, Some(ann.id), page))
        }),
        ("permissions", team_apps::FIELDS, |c, ann, page| {
            told(team_apps::permissions(c, ann, crew(c).0, page))
        }),
        ("releases", releases::FIELDS, |c, _, page| {
            told(releases::list(c, crew(c).1, page))
        }),
        ("webhook events", webhook_events::FIELDS, |c, _, page| {
            told(webhook_events::list(c, crew(c).1, page))
        }),
        ("deliveries", webhook_deliveries::FIELDS, |c, _, page| {
            told(webhook_deliveries::list(c, crew(c).1, None, page))
        }),
        (
            "deliveries that were made",
            webhook_deliveries::FIELDS,
            |c, _, page| {
                let made = Some(webhook_deliveries::Status::Succeeded);
                told(webhook_deliveries::list(c, crew(c).1, made, page))
            },
        ),
    ];
    for (name, fields, read) in lists {
        costs_the_same(&mut databases, name, fields, read);
    }
}
