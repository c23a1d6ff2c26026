//! Buildpacks at work, in a real sandbox: what they are given, what they leave, and how they fail.

use penstock::store::builds::{Build, Status};

use super::Site;
use crate::archive::raw::Tar;

/// A source that is its own buildpack, with this bin/compile.
fn inline(compile: &str) -> Tar {
    Tar::new()
        .file("bin/detect", "#!/bin/sh\necho Shop\n")
        .file("bin/compile", format!("#!/bin/bash\nset -eu\n{compile}\n"))
        .file("Procfile", "web: ./run\n")
}

async fn built(site: &Site, source: Tar) -> (Build, String) {
    let build = site.upload(&source.gz());
    site.build().await;
    let output = site.output(&build).await;
    (site.row(&build), output)
}

async fn succeeded(site: &Site, source: Tar) -> (Build, String) {
    let (build, output) = built(site, source).await;
    assert_eq!(build.status, Status::Succeeded, "{output}");
    (build, output)
}

async fn failed(site: &Site, source: Tar) -> String {
    let (build, output) = built(site, source).await;
    assert_eq!(build.status, Status::Failed, "{output}");
    site.assert_clean();
    output
}

#[tokio::test]
async fn a_source_that_is_its_own_buildpack_is_compiled_apart_from_app() {
    let site = Site::new();
    let compile = "echo \"-----> In $(pwd)\"\necho $HOME > $1/home\necho made > $1/made; echo gone > /app/gone\n\
         test \"$1\" != /app\ntest ! -e bin/../../../../../../../etc/shadow";
    let (build, output) = succeeded(&site, inline(compile)).await;
    assert!(
        output.contains("-----> Shop app detected\n-----> In /tmp/codon/tmp/buildpacks/"),
        "{output}"
    );
    assert!(
        output.contains("Procfile declares types -> web\n"),
        "{output}"
    );
    let slug = site.slug(&build);
    assert_eq!(slug.buildpack_provided_description.as_deref(), Some("Shop"));
    let files = super::members(&site, &slug);
    assert_eq!(files["./app/home"], "/app\n");
    assert_eq!(files["./app/made"], "made\n");
    assert!(!files.contains_key("./app/gone"));
    site.assert_clean();
}

#[tokio::test]
async fn a_compile_that_fails_fails_the_build_in_herokus_words() {
    let site = Site::new();
    let output = failed(&site, inline("echo half-way\nfalse")).await;
    assert!(output.contains("half-way\n"), "{output}");
    assert!(
        output.contains(" !     Push rejected, failed to compile Shop app.\n"),
        "{output}"
    );
}
