//! What a build may use, and that nothing of it is left, however it ends.

use penstock::sandbox::cgroup::{Cgroups, Sources};
use penstock::store::{Table, apps, builds};

use super::super::Site;
use super::{failed, inline, queue, succeeded};

/// Whether this machine lets this user limit memory.
fn counts_memory() -> bool {
    use penstock::sandbox::cgroup::Controller;
    let groups = Cgroups::find("penstock-test-builds", &Sources::read());
    groups.controllers().contains(&Controller::Memory)
}

#[tokio::test]
async fn a_build_that_takes_too_much_memory_is_ended() {
    let mut site = Site::new();
    site.settings.limits.memory = 96;
    let hog = "python3 -c 'import select\nhog = []\nwhile True:\n  hog.append(bytearray(8 << 20))\n  select.select([], [], [], 0.01)'";
    let output = failed(&site, inline(hog), &[]).await;
    assert!(
        output.contains("The build used more than 96 MiB of memory")
            || (counts_memory() && output.contains("Killed")),
        "{output}"
    );
}

#[tokio::test]
async fn a_build_that_takes_too_much_disk_is_ended() {
    let mut site = Site::new();
    site.settings.limits.disk = 64;
    // In files of which none is too large, in all the places that there are.
    let hog = "for at in $(seq 1000); do for in in $1 $2 /app /tmp; do head -c 4000000 /dev/zero > $in/$at; done; sleep 0.05; done";
    let output = failed(&site, inline(hog), &[]).await;
    assert!(
        output.contains("The build used more than 64 MiB of disk"),
        "{output}"
    );
}

#[tokio::test]
async fn one_file_is_no_larger_than_the_disk_that_a_build_may_use() {
    let mut site = Site::new();
    site.settings.limits.disk = 64;
    let output = failed(&site, inline("head -c 100000000 /dev/zero > $1/x"), &[]).await;
    assert!(
        output.contains("File") || output.contains("disk"),
        "{output}"
    );
}

#[tokio::test]
async fn folders_without_end_go_with_their_build() {
    let site = Site::new();
    let nest = "cd $HOME; python3 -c 'import os\nfor at in range(3000):\n  os.mkdir(\"d\"); os.chdir(\"d\")'";
    let build = queue(&site, inline(nest), &[]);
    site.build().await;
    let output = site.output(&build).await;
    assert!(output.contains("Shop app detected"), "{output}");
    site.assert_clean();
}

#[tokio::test]
async fn what_a_script_leaves_running_ends_with_it_and_changes_nothing() {
    let site = Site::new();
    let compile =
        "(setsid nohup sh -c 'while :; do echo x >> $0/later; done' $1 >/dev/null 2>&1 &) ; true";
    let (_, output) = succeeded(&site, inline(compile), &[]).await;
    assert!(output.contains("Released"), "{output}");
    site.assert_clean();
}

#[tokio::test]
async fn a_tree_that_a_buildpack_takes_away_is_no_slug() {
    let site = Site::new();
    let output = failed(&site, inline("rm -rf $1; ln -s /etc $1"), &[]).await;
    assert!(output.contains("has removed its own folder"), "{output}");
    let (_, output) = succeeded(
        &site,
        inline("mv $1 /tmp/aside; mkdir $1; echo 'web: x' > $1/Procfile"),
        &[],
    )
    .await;
    assert!(output.contains("Released"), "{output}");
}

/// Resolves when the build's output has these words.
pub async fn says(site: &Site, build: &builds::Build, words: &str) {
    use futures_util::StreamExt;
    let stream = site.parts.outputs.read(build.id, std::future::pending());
    let mut stream = std::pin::pin!(stream);
    let mut text = String::new();
    while !text.contains(words) {
        let chunk = stream.next().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test]
async fn a_build_that_is_cancelled_or_whose_app_goes_is_ended_whole() {
    let site = Site::new();
    let forever = || inline("echo begun; trap '' TERM; sleep 100000 & wait; sleep 100000");
    let (app, ann, now) = (site.app.clone(), site.ann.clone(), site.parts.clock.now());
    let cancelled = queue(&site, forever(), &[]);
    let id = cancelled.id;
    let builder = site.builder();
    builder.tick().await.unwrap();
    says(&site, &cancelled, "begun\n").await;
    let cancel = move |connection: &_| builds::fail(connection, id, now);
    assert!(site.parts.store.write(cancel).await.unwrap());
    builder.idle().await;
    assert!(
        site.output(&cancelled)
            .await
            .ends_with(" !     The build was cancelled.\n")
    );
    site.assert_clean();
    let deleted = queue(&site, forever(), &[]);
    let builder = site.builder();
    builder.tick().await.unwrap();
    says(&site, &deleted, "begun\n").await;
    let mut changes = site.parts.store.changes(&[Table::App]);
    let delete = move |connection: &_| apps::delete(connection, &app, &ann, now);
    site.parts.store.write(delete).await.unwrap();
    changes.changed().await.unwrap();
    builder.idle().await;
    site.assert_clean();
}

#[tokio::test]
async fn a_fork_bomb_is_a_failed_build() {
    let mut site = Site::new();
    site.settings.limits.minutes = 1;
    let bomb = inline("ulimit -u 64; f() { f | f & }; f; exec false");
    let output = failed(&site, bomb, &[]).await;
    assert!(output.contains("failed to compile"), "{output}");
}
