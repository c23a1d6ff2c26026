//! Buildpacks of other people: those in the folder that `PENSTOCK_BUILDPACKS_DIR` names, each with the sources that are laid beside it.
//!
//! For `DIR/NAME/` with a buildpack there may be `DIR/NAME.apps/APP/` with sources that it can build, and `DIR/NAME.env` with config
//! vars, a `NAME=VALUE` each line. Without the variable there is nothing to try.

use std::path::{Path, PathBuf};

use penstock::archive::{self, Limits};
use penstock::build::Registry;
use penstock::store::buildpacks::Buildpack;
use penstock::store::builds::{NewBuild, Status};

use super::super::{Site, new};
use super::set;

fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

fn beside(pack: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}.{ending}", pack.display()))
}

fn archived(tree: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive::pack(tree, ".", &mut bytes, &Limits::slug()).unwrap();
    bytes
}

async fn build(pack: &Path, app: &Path) {
    let site = Site::new();
    let name = format!("real/{}", pack.file_name().unwrap().to_str().unwrap());
    let registry = Registry::new(site.dir.path().join("buildpacks"));
    registry.import(&name, pack).unwrap();
    let vars = std::fs::read_to_string(beside(pack, "env")).unwrap_or_default();
    let vars: Vec<_> = vars
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    set(&site, &vars);
    let build = site.queue(NewBuild {
        source_digest: Some(site.blob(&archived(app)).to_string()),
        buildpacks: Some(vec![Buildpack::parse(&name).unwrap()]),
        ..new("http://api.example.com/source")
    });
    site.build().await;
    let output = site.output(&build).await;
    println!("{name} on {}:\n{output}", app.display());
    assert_eq!(site.row(&build).status, Status::Succeeded, "{output}");
    site.assert_clean();
}

#[tokio::test]
async fn real_buildpacks_build_real_apps() {
    let Some(dir) = std::env::var_os("PENSTOCK_BUILDPACKS_DIR") else {
        return;
    };
    let packs = folders(Path::new(&dir)).into_iter();
    let packs = packs.filter(|folder| folder.join("bin/compile").is_file());
    for pack in packs {
        for app in folders(&beside(&pack, "apps")) {
            build(&pack, &app).await;
        }
    }
}
