//! Buildpacks that are kept here and names that built-in builders stand in for, on one app.

use super::super::builtin::{NODE, PYTHON, there};
use super::{DETECT, Site, Tar, keep, members, succeeded};

#[tokio::test]
async fn names_that_builders_stand_in_for_and_buildpacks_build_one_app_in_their_order() {
    if !there(NODE) || !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let first = ("compile", "echo 'export GREETING=hello' > export");
    let last = "python -c 'import sys; print(sys.prefix)' > $1/prefix";
    keep(&site, "shop/first", &[DETECT, first]);
    keep(&site, "shop/last", &[DETECT, ("compile", last)]);
    let package = r#"{"scripts": {"build": "echo $GREETING $PWD > order"}}"#;
    let source = Tar::new()
        .file("package.json", package)
        .file("requirements.txt", "")
        .file("Procfile", "web: x\n");
    let names = ["shop/first", "heroku/nodejs", "heroku/python", "shop/last"];
    let (build, output) = succeeded(&site, source, &names).await;
    let files = members(&site, &site.slug(&build));
    let order = &files["./app/order"];
    assert!(order.starts_with("hello /tmp/build_"), "{order} {output}");
    let prefix = files["./app/prefix"].trim();
    assert!(prefix.ends_with("/.heroku/python"), "{prefix} {output}");
}
