//! Builds at the levels below the best: with a tree of their own, and without.

use penstock::sandbox::{Isolation, Level, Settings};

use super::super::Site;
use super::{failed, inline, set, succeeded};

const SECRET: &str = "correct-horse-battery";

/// A site whose builds run at this level.
fn at(level: Level) -> Site {
    let mut site = Site::new();
    let data = site.dir.path().to_owned();
    site.parts.bench.isolation = Isolation::new(level, Settings::default(), &data);
    set(&site, &[("API_KEY", SECRET), ("EMPTY", "")]);
    site
}

/// Whether a secret stands in any file below.
fn is_in(folder: &std::path::Path, secret: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_in(&path, secret),
            false => std::fs::read(&path)
                .unwrap()
                .windows(secret.len())
                .any(|window| window == secret),
        }
    })
}

/// What any buildpack counts on, and what it must not have.
const LOOK: &str = "test -w $1 -a ! -e $2/../../../../other; mkdir -p $2; echo kept >> $2/kept; echo \"kept $(wc -l < $2/kept)\"
test -d $HOME; echo x > $HOME/x; echo x > ${TMPDIR:-/tmp}/x; test ! -v API_KEY
echo \"length $(cat $3/API_KEY | wc -c), $(stat -c %a $3/API_KEY)\"; test -e $3/EMPTY; test $(cat $1/Procfile | wc -l) = 1";

#[tokio::test]
async fn a_buildpack_has_its_folders_at_every_level_and_its_config_goes_with_the_build() {
    for level in [Level::Userns, Level::Landlock, Level::None] {
        let site = at(level);
        for kept in ["kept 1\n", "kept 2\n"] {
            let (_, output) = succeeded(&site, inline(LOOK), &[]).await;
            let length = SECRET.len();
            // In memory of the build's own, or on the disk.
            let mode = if level.has_own_tree() { "644" } else { "600" };
            let told = format!("length {length}, {mode}\n");
            assert!(output.contains(&told), "{level}: {output}");
            assert!(output.contains(kept), "{level}: {output}");
            let warned = format!("isolates builds at level {level}, where there is no /app");
            assert_eq!(output.contains(&warned), !level.has_own_tree(), "{output}");
            site.assert_clean();
        }
        failed(&site, inline("cat $3/API_KEY; false"), &[]).await;
        assert!(!is_in(site.dir.path(), SECRET.as_bytes()), "{level}");
    }
}

#[tokio::test]
async fn a_build_reads_nothing_of_the_servers_at_the_levels_that_isolate() {
    for level in [Level::Userns, Level::Landlock] {
        let site = at(level);
        let data = site.dir.path().display();
        let look = format!(
            "! cat {data}/penstock.db 2>/dev/null | head -c 1 | grep -q .; ! touch {data}/mine 2>/dev/null; ! touch /usr/mine 2>/dev/null"
        );
        let (_, output) = succeeded(&site, inline(&look), &[]).await;
        assert!(output.contains("Released"), "{level}: {output}");
        assert!(!site.dir.path().join("mine").exists());
    }
}
