//! Builds that come to nothing, and how their owners hear of it.

use penstock::store::builds::{NewBuild, Status};

use super::{Site, archive, new};
use crate::archive::raw::Tar;

/// Builds an upload that must fail, and gives its output.
async fn failed(site: &Site, archive: &[u8]) -> String {
    let build = site.upload(archive);
    site.build().await;
    let row = site.row(&build);
    assert_eq!(row.status, Status::Failed);
    assert_eq!((row.slug_id, row.release_id), (None, None));
    site.assert_clean();
    site.output(&build).await
}

#[tokio::test]
async fn a_source_with_nothing_to_run_fails_with_the_remedy() {
    let site = Site::new();
    let build = site.upload(&Tar::new().file("README", "hello").gz());
    site.build().await;
    let output = site.output(&build).await;
    assert!(
        output.ends_with(
            " !     There is no Procfile at the root of the source, and nothing else that says what to run. Add a file named \
             Procfile with a line such as \"web: python3 app.py\".\n"
        ),
        "{output}"
    );
    assert_eq!(
        site.log(),
        [
            "app[api]: Build started by user ann@example.com".to_owned(),
            format!(
                "app[api]: Build failed -- check your build output: http://api.example.com/{}",
                build.id
            )
        ]
    );
}

#[tokio::test]
async fn a_source_that_is_no_archive_fails() {
    let output = failed(&Site::new(), b"<html>Sign in</html>").await;
    assert!(
        output.contains(" !     ") && output.contains("gzip"),
        "{output}"
    );
}

#[tokio::test]
async fn a_truncated_source_fails() {
    let archive = archive();
    let output = failed(&Site::new(), &archive[..archive.len() / 2]).await;
    assert!(output.contains(" !     "), "{output}");
    assert!(!output.contains("Launching"), "{output}");
}

#[tokio::test]
async fn a_hostile_entry_fails_the_build_by_its_name() {
    let hostile = Tar::new()
        .file("Procfile", "web: a")
        .file("../../escape", "x")
        .gz();
    let output = failed(&Site::new(), &hostile).await;
    assert!(output.contains("../../escape"), "{output}");
}

#[tokio::test]
async fn a_checksum_that_does_not_match_fails_before_anything_is_unpacked() {
    let site = Site::new();
    let digest = site.blob(&archive());
    let build = site.queue(NewBuild {
        source_digest: Some(digest.to_string()),
        checksum: Some(format!("SHA256:{}", "ab".repeat(32))),
        ..new("http://api.example.com/source")
    });
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Failed);
    let output = site.output(&build).await;
    assert!(
        output.contains(&digest.to_string()) && output.contains(&"ab".repeat(32)),
        "{output}"
    );
    assert!(!output.contains("Procfile"), "{output}");
}

#[tokio::test]
async fn a_checksum_in_capitals_is_the_same_checksum() {
    let site = Site::new();
    let digest = site.blob(&archive());
    let build = site.queue(NewBuild {
        source_digest: Some(digest.to_string()),
        checksum: Some(format!("sha256:{}", digest.to_string().to_uppercase())),
        ..new("http://api.example.com/source")
    });
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Succeeded);
}

#[tokio::test]
async fn an_upload_that_is_gone_fails_and_says_so() {
    let site = Site::new();
    let build = site.queue(NewBuild {
        source_digest: Some("ab".repeat(32)),
        ..new("http://api.example.com/source")
    });
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Failed);
    assert!(site.output(&build).await.contains("Upload it again"));
}

#[tokio::test]
async fn a_slug_over_the_limit_fails() {
    let mut site = Site::new();
    site.settings.max_slug = 100;
    let output = failed(&site, &archive()).await;
    assert!(
        output.contains("The slug is too large (max is 100B)"),
        "{output}"
    );
}

#[tokio::test]
async fn a_build_past_its_time_fails() {
    let mut site = Site::new();
    site.settings.limits.minutes = 0;
    let output = failed(&site, &archive()).await;
    assert!(
        output.contains("The build took longer than 0 minutes"),
        "{output}"
    );
}

#[tokio::test]
async fn a_failed_deploy_leaves_the_app_as_it_was() {
    let site = Site::new();
    let good = site.upload(&archive());
    site.build().await;
    failed(&site, b"rubbish").await;
    let app = site.app.id;
    let current = site
        .parts
        .store
        .read(|connection| penstock::store::releases::newest(connection, app))
        .unwrap()
        .unwrap();
    assert_eq!(current.slug_id, site.row(&good).slug_id);
    assert_eq!(current.version, 3);
}
