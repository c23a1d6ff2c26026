//! Which builds are begun, how many at a time, and what becomes of them when the server or the app goes away.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use penstock::name::Id;
use penstock::store::builds::{self, Build, Status};
use penstock::store::{Table, accounts, addons, apps};
use tokio::sync::Semaphore;

use super::server::{Server, ok};
use super::{Site, app, archive, new, text};

/// Claims what waits as an earlier boot that was then killed.
fn claim_and_die(site: &Site) {
    let (boot, now) = (Id::new(), site.parts.clock.now());
    let claimed = site
        .parts
        .store
        .write_blocking(move |connection| builds::claim(connection, boot, 9, now))
        .unwrap();
    assert_eq!(claimed.len(), 1);
}

/// Resolves when the build has ended, as the API knows it.
fn ended(site: &Site, build: &Build) -> impl Future<Output = ()> + Send + use<> {
    let (store, id) = (site.parts.store.clone(), build.id);
    async move {
        let mut changes = store.changes(&[Table::Build]);
        loop {
            let row = store
                .read(|connection| builds::by_id(connection, id))
                .unwrap();
            if row.is_none_or(|row| row.status != Status::Pending) {
                return;
            }
            changes.changed().await.unwrap();
        }
    }
}

/// A server that gives the archive to each request that a permit is added for.
async fn held() -> (Server, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let server = Server::held(|_| ok(&archive()), permits.clone()).await;
    (server, permits)
}

#[tokio::test]
async fn a_build_that_a_restart_cut_off_begins_again_and_says_so() {
    let site = Site::new();
    let build = site.upload(&archive());
    claim_and_die(&site);
    site.parts
        .outputs
        .writer(build.id)
        .unwrap()
        .step("Fetching source");
    let left = site.settings.dir.join(build.id.to_string());
    std::fs::create_dir_all(left.join("tree/half")).unwrap();
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Succeeded);
    let output = site.output(&build).await;
    assert!(
        output.starts_with(
            "-----> Fetching source\n !     The server was stopped in the middle of this build, which now begins again.\n-----> Fetching"
        ),
        "{output}"
    );
    site.assert_clean();
}

#[tokio::test]
async fn a_build_that_three_boots_did_not_survive_is_given_up() {
    let site = Site::new();
    let build = site.upload(&archive());
    for _ in 0..3 {
        claim_and_die(&site);
    }
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Failed);
    let output = site.output(&build).await;
    assert!(
        output.contains(" !     The server was stopped in the middle of this build 3 times"),
        "{output}"
    );
}

#[tokio::test]
async fn a_build_that_was_begun_is_not_begun_twice() {
    let site = Site::new();
    let (server, permits) = held().await;
    let build = site.queue(new(&server.url("/")));
    let builder = site.builder();
    assert_eq!(builder.tick().await.unwrap(), 1);
    assert_eq!(builder.tick().await.unwrap(), 0);
    permits.add_permits(1);
    builder.idle().await;
    assert_eq!(builder.tick().await.unwrap(), 0);
    assert_eq!(site.row(&build).attempts, 1);
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn an_app_has_one_build_at_a_time_and_the_server_two() {
    let site = Site::new();
    let (server, permits) = held().await;
    let (first, second) = (
        site.queue(new(&server.url("/1"))),
        site.queue(new(&server.url("/2"))),
    );
    let other = site.queue_for(site.app("other").id, new(&server.url("/3")));
    let third = site.queue_for(site.app("third").id, new(&server.url("/4")));
    let builder = site.builder();
    assert_eq!(builder.tick().await.unwrap(), 2);
    let begun = |build: &Build| site.row(build).attempts == 1;
    assert_eq!(
        [&first, &second, &other, &third].map(begun),
        [true, false, true, false]
    );
    permits.add_permits(4);
    builder.idle().await;
    assert_eq!(builder.tick().await.unwrap(), 2);
    builder.idle().await;
    for build in [&first, &second, &other, &third] {
        assert_eq!(site.row(build).status, Status::Succeeded);
    }
}

/// The apps that are built, in order, when so many builds at once have room and each of them ends before the next are begun.
fn order(site: &Site, room: usize) -> Vec<Id> {
    let boot = Id::new();
    let mut built = Vec::new();
    loop {
        let now = site.parts.clock.now();
        let claim = move |connection: &_| builds::claim(connection, boot, room, now);
        let claimed = site.parts.store.write_blocking(claim).unwrap();
        if claimed.is_empty() {
            return built;
        }
        site.parts.clock.advance(Duration::from_secs(1));
        let now = site.parts.clock.now();
        for build in claimed {
            let end = move |connection: &_| builds::fail(connection, build.id, now);
            assert!(site.parts.store.write_blocking(end).unwrap());
            built.push(build.app_id);
        }
        site.parts.clock.advance(Duration::from_secs(1));
    }
}

#[test]
fn nobody_waits_behind_all_the_apps_of_somebody_else() {
    let site = Site::new();
    let now = site.parts.clock.now();
    let make = move |connection: &_| accounts::create(connection, "bob@example.com", now);
    let bob = site.parts.store.write_blocking(make).unwrap();
    for room in [1, 2] {
        let own: Vec<Id> = (0..4)
            .map(|number| site.app(&format!("own-{room}-{number}")).id)
            .collect();
        for app in &own {
            site.queue_for(*app, new("http://api.example.com/source"));
        }
        let late: Vec<Id> = (0..2)
            .map(|number| {
                app(
                    &site.parts.store,
                    &bob,
                    &format!("late-{room}-{number}"),
                    now,
                )
                .id
            })
            .collect();
        for app in &late {
            let (app, bob, new) = (*app, bob.clone(), new("http://api.example.com/source"));
            let create = move |connection: &_| builds::create(connection, app, &bob, &new, now);
            site.parts.store.write_blocking(create).unwrap();
        }
        let built = order(&site, room);
        // In turn, for as long as both wait; each one's own in the order in which they were asked for.
        let whose: Vec<bool> = built[..4].iter().map(|app| own.contains(app)).collect();
        let in_turn = whose.chunks(2).all(|both| both[0] != both[1]);
        assert!(in_turn, "{room} at once: {whose:?}");
        let of = |apps: &[Id]| -> Vec<Id> {
            built
                .iter()
                .copied()
                .filter(|app| apps.contains(app))
                .collect()
        };
        assert_eq!((of(&own), of(&late)), (own.clone(), late.clone()));
    }
}

/// The highest niceness that a thread of this process has under this name.
fn niceness(name: &str) -> Option<i64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |thread: std::path::PathBuf| {
        let called = std::fs::read_to_string(thread.join("comm")).ok()?;
        let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        (called.trim() == name).then(|| fields.split(' ').nth(16)?.parse().ok())?
    };
    threads.filter_map(|thread| of(thread.ok()?.path())).max()
}

#[tokio::test]
async fn what_a_build_does_within_the_server_makes_way_for_who_is_served() {
    let site = Site::new();
    let noise = |seed: u32| {
        let bytes = (0..200_000_u32).map(move |at| at.wrapping_mul(seed).to_le_bytes()[2]);
        bytes.collect::<Vec<u8>>()
    };
    let source = (1..100_u32).fold(crate::archive::raw::Tar::new(), |tar, seed| {
        tar.file(
            format!("noise/{seed}"),
            noise(seed.wrapping_mul(2_654_435_761) | 1),
        )
    });
    let build = site.upload(&source.file("Procfile", "web: ./run\n").gz());
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let until = over.clone();
    let watching = std::thread::spawn(move || {
        let mut highest = [None; 2];
        while !until.load(std::sync::atomic::Ordering::Relaxed) {
            for (at, name) in ["build", "gzip"].into_iter().enumerate() {
                highest[at] = highest[at].max(niceness(name));
            }
            std::thread::yield_now();
        }
        highest
    });
    site.build().await;
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(site.row(&build).status, Status::Succeeded);
    let expected = (super::classic::own_niceness() + 10).min(19);
    assert_eq!(watching.join().unwrap(), [Some(expected); 2]);
}

#[tokio::test]
async fn the_loop_builds_what_is_queued_while_it_runs_and_stops_when_told() {
    let site = Site::new();
    let builder = Arc::new(site.builder());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = builder.clone();
    let run = tokio::spawn(async move { running.run(async { stopped.await.unwrap() }).await });
    let queued: Vec<Build> = (0..5).map(|_| site.upload(&archive())).collect();
    for build in &queued {
        ended(&site, build).await;
        assert_eq!(site.row(build).status, Status::Succeeded);
    }
    stop.send(()).unwrap();
    run.await.unwrap();
    let late = site.upload(&archive());
    assert_eq!(site.row(&late).status, Status::Pending);
}

#[tokio::test]
async fn a_stopped_builder_leaves_its_build_to_the_next_boot() {
    let site = Site::new();
    let (server, permits) = held().await;
    let build = site.queue(new(&server.url("/")));
    let builder = site.builder();
    builder.tick().await.unwrap();
    builder.run(std::future::ready(())).await;
    assert_eq!(site.row(&build).status, Status::Pending);
    drop(builder);
    permits.add_permits(2);
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Succeeded);
    assert_eq!(site.row(&build).attempts, 2);
}

#[tokio::test]
async fn an_output_is_followed_while_the_build_runs_and_ends_with_it() {
    let site = Site::new();
    let (server, permits) = held().await;
    let build = site.queue(new(&server.url("/")));
    let reader = site.parts.outputs.read(build.id, ended(&site, &build));
    let whole = tokio::spawn({
        let (outputs, build, ended) = (
            site.parts.outputs.clone(),
            build.clone(),
            ended(&site, &build),
        );
        async move { text(&outputs, &build, ended).await }
    });
    let builder = site.builder();
    builder.tick().await.unwrap();
    pin_mut!(reader);
    let first = reader.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"-----> Fetching source\n"));
    assert_eq!(site.row(&build).status, Status::Pending);
    permits.add_permits(1);
    let rest: Vec<_> = reader.map(Result::unwrap).collect().await;
    assert!(
        rest.concat()
            .ends_with(b"http://shop.example.com/ deployed\n")
    );
    builder.idle().await;
    assert_eq!(whole.await.unwrap(), site.output(&build).await);
}

#[tokio::test]
async fn a_build_whose_app_is_deleted_is_left_without_a_trace() {
    let site = Site::new();
    let (server, _permits) = held().await;
    let build = site.queue(new(&server.url("/")));
    let builder = site.builder();
    builder.tick().await.unwrap();
    let reader = site.parts.outputs.read(build.id, ended(&site, &build));
    pin_mut!(reader);
    reader.next().await.unwrap().unwrap();
    let app = site.app.clone();
    site.parts
        .store
        .write(move |connection| {
            let owner = addons::owner(connection, app.id)?;
            apps::delete(connection, &app, &owner, app.created_at)
        })
        .await
        .unwrap();
    builder.idle().await;
    while reader.next().await.is_some() {}
    assert_eq!(site.output(&build).await, "");
    assert_eq!(
        site.log(),
        ["app[api]: Build started by user ann@example.com"]
    );
    site.assert_clean();
}

#[tokio::test]
async fn a_build_that_somebody_else_ended_stops_and_keeps_its_output() {
    let site = Site::new();
    let (server, _permits) = held().await;
    let build = site.queue(new(&server.url("/")));
    let builder = site.builder();
    builder.tick().await.unwrap();
    let (id, now) = (build.id, site.parts.clock.now());
    site.parts
        .store
        .write(move |connection| builds::fail(connection, id, now))
        .await
        .unwrap();
    builder.idle().await;
    let output = site.output(&build).await;
    assert!(
        output.ends_with(" !     The build was cancelled.\n"),
        "{output}"
    );
    assert_eq!(
        site.log(),
        ["app[api]: Build started by user ann@example.com"]
    );
}
