//! What one build keeps for the next.

use super::super::Site;
use super::{failed, inline, succeeded};

/// Says how many builds have added a line, adds one, and fails if the source says so.
const COUNT: &str = "mkdir -p $2/deep; touch $2/deep/lines; echo \"lines: $(wc -l < $2/deep/lines)\"; echo x >> $2/deep/lines\n\
     ln -sf /etc/passwd $2/link; test ! -e $1/fail";

async fn count(site: &Site) -> usize {
    let (_, output) = succeeded(site, inline(COUNT), &[]).await;
    let (_, count) = output.split_once("lines: ").unwrap();
    count.split('\n').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_cache_is_kept_by_a_build_that_succeeds_and_by_no_other() {
    let site = Site::new();
    assert_eq!(count(&site).await, 0);
    assert_eq!(count(&site).await, 1);
    failed(&site, inline(COUNT).file("fail", ""), &[]).await;
    assert_eq!(count(&site).await, 2);
    site.parts.bench.caches.purge(site.app.id).unwrap();
    assert_eq!(count(&site).await, 0);
    assert_eq!(site.parts.bench.caches.stored().unwrap(), [site.app.id]);
}

#[tokio::test]
async fn a_purge_while_a_build_runs_is_not_undone_by_it() {
    let site = Site::new();
    count(&site).await;
    let caches = site.parts.bench.caches.clone();
    let (app, uid) = (site.app.id, None);
    let copy = tempfile::tempdir_in(site.dir.path()).unwrap();
    let generation = caches.copy_to(app, uid, copy.path(), || Ok(())).unwrap();
    let staged = caches.stage(app, generation, copy.path()).unwrap().unwrap();
    caches.purge(app).unwrap();
    staged.commit().unwrap();
    assert!(caches.stored().unwrap().is_empty());
    std::fs::create_dir(copy.path()).unwrap();
}

#[tokio::test]
async fn a_cache_that_was_replaced_by_a_link_is_not_followed() {
    let site = Site::new();
    count(&site).await;
    let compile = "rm -r $2; ln -s /etc $2";
    succeeded(&site, inline(compile), &[]).await;
    assert_eq!(count(&site).await, 1);
}

#[tokio::test]
async fn a_cache_that_is_too_large_is_not_kept_even_if_it_is_nothing_but_holes() {
    let site = Site::new();
    assert_eq!(count(&site).await, 0);
    let holes = format!("{COUNT}\ntruncate -s 3G $2/holes");
    let (_, output) = succeeded(&site, inline(&holes), &[]).await;
    assert!(
        output.contains(" !     The build's cache has more than 2048 MiB or 500000 files"),
        "{output}"
    );
    // What there was before is still there.
    assert_eq!(count(&site).await, 1);
}

#[tokio::test]
async fn a_cache_that_cannot_be_copied_is_done_without() {
    let site = Site::new();
    assert_eq!(count(&site).await, 0);
    let caches = site.dir.path().join("caches");
    let cache = caches.join(site.app.id.to_string());
    let holes = std::fs::File::create(cache.join("holes")).unwrap();
    holes.set_len(3 << 30).unwrap();
    assert_eq!(count(&site).await, 0);
}
