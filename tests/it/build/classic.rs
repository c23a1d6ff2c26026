//! Buildpacks at work, in a real sandbox: what they are given, what they leave, and how they fail.

mod broken_off;
mod cache;
mod from;
mod inside;
mod levels;
mod limits;
mod mixed;
mod names;
mod real;

use std::collections::BTreeMap;
use std::path::Path;

use penstock::build::Registry;
use penstock::sandbox::{Isolation, Level, Settings};
use penstock::store::buildpacks::Buildpack;
use penstock::store::builds::{Build, NewBuild, Status};
use penstock::store::config_vars;
use serde_json::Value;

use super::{Site, members, new};
use crate::archive::raw::Tar;

/// A source that is its own buildpack, with this bin/compile.
fn inline(compile: &str) -> Tar {
    Tar::new()
        .file("bin/detect", "#!/bin/sh\necho Shop\n")
        .file("bin/compile", format!("#!/bin/bash\nset -eu\n{compile}\n"))
        .file("Procfile", "web: ./run\n")
}

/// A buildpack in the registry, of these scripts in its bin.
fn keep(site: &Site, name: &str, scripts: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    write_pack(dir.path(), scripts);
    let registry = Registry::new(site.dir.path().join("buildpacks"));
    registry.import(name, dir.path()).unwrap();
}

fn write_pack(dir: &Path, scripts: &[(&str, &str)]) {
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    for (script, text) in scripts {
        let text = format!("#!/bin/bash\nset -eu\n{text}\n");
        std::fs::write(dir.join("bin").join(script), text).unwrap();
    }
}

fn set(site: &Site, vars: &[(&str, &str)]) {
    let vars = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
    let vars: BTreeMap<_, _> = vars.collect();
    let (app, ann, now) = (site.app.id, site.ann.clone(), site.parts.clock.now());
    let update =
        move |connection: &_| config_vars::update(connection, app, vars, &ann, now).map(drop);
    site.parts.store.write_blocking(update).unwrap();
}

/// A build of a source with these buildpacks, waiting.
fn queue(site: &Site, source: Tar, buildpacks: &[&str]) -> Build {
    let digest = site.blob(&source.gz());
    let named = buildpacks
        .iter()
        .map(|name| Buildpack::parse(name).unwrap());
    site.queue(NewBuild {
        source_digest: Some(digest.to_string()),
        buildpacks: Some(named.collect()),
        ..new("http://api.example.com/source")
    })
}

async fn built(site: &Site, source: Tar, buildpacks: &[&str]) -> (Build, String) {
    let build = queue(site, source, buildpacks);
    site.build().await;
    let output = site.output(&build).await;
    (site.row(&build), output)
}

async fn succeeded(site: &Site, source: Tar, buildpacks: &[&str]) -> (Build, String) {
    let (build, output) = built(site, source, buildpacks).await;
    assert_eq!(build.status, Status::Succeeded, "{output}");
    (build, output)
}

async fn failed(site: &Site, source: Tar, buildpacks: &[&str]) -> String {
    let (build, output) = built(site, source, buildpacks).await;
    assert_eq!(build.status, Status::Failed, "{output}");
    site.assert_clean();
    output
}

const DETECT: (&str, &str) = ("detect", "echo Shop");

#[tokio::test]
async fn a_source_that_is_its_own_buildpack_is_compiled_apart_from_app() {
    let site = Site::new();
    let compile = "echo \"-----> In $(pwd)\"\necho $HOME > $1/home\necho made > $1/made; echo gone > /app/gone\ntest \"$1\" != /app";
    let (build, output) = succeeded(&site, inline(compile), &[]).await;
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
    let files = members(&site, &slug);
    assert_eq!(files["./app/home"], "/app\n");
    assert_eq!(files["./app/made"], "made\n");
    assert!(!files.contains_key("./app/gone"));
    site.assert_clean();
}

#[tokio::test]
async fn a_compile_that_fails_fails_the_build_in_herokus_words() {
    let site = Site::new();
    let output = failed(&site, inline("echo half-way\nfalse"), &[]).await;
    assert!(output.contains("half-way\n"), "{output}");
    assert!(
        output.contains(" !     Push rejected, failed to compile Shop app.\n"),
        "{output}"
    );
}

/// Prints as JSON what a buildpack is given.
const LOOK: &str = r#"
exec python3 - "$@" > "$1/seen.json" <<'END'
import json, os, sys
build, cache, env = sys.argv[1:]
def tries(path):
    try:
        open(path, 'w').close()
        return True
    except OSError:
        return False
print(json.dumps({
    'build': build, 'cache': cache, 'cwd': os.getcwd(), 'names': sorted(os.environ),
    'env': dict(os.environ), 'vars': {name: open(os.path.join(env, name)).read() for name in os.listdir(env)},
    'root': os.getuid() == 0, 'app': os.listdir('/app'), 'writes': [tries('/app/x'), tries(build + '/x'), tries(cache + '/x'),
    tries(env + '/x'), tries('/usr/x'), tries('/x')], 'home': os.path.expanduser('~'),
    'memory': open('/sys/fs/cgroup/memory/memory.limit_in_bytes').read(), 'stdin': sys.stdin.read(),
    'processes': [name for name in os.listdir('/proc') if name.isdigit()], 'tmp': sorted(os.listdir('/tmp')),
    'nice': os.nice(0), 'sees': os.path.exists(os.environ.get('DATA', '/nowhere')),
}))
END
"#;

#[tokio::test]
async fn a_buildpack_is_given_what_heroku_gives_it_and_no_more() {
    let mut site = Site::new();
    site.settings.limits.memory = 1_024;
    keep(&site, "shop/look", &[DETECT, ("compile", LOOK)]);
    set(
        &site,
        &[("KEY", "a\nb\n"), ("PATH", "/nowhere"), ("EMPTY", "")],
    );
    let source = || Tar::new().file("Procfile", "web: ./run\n");
    let (build, _) = succeeded(&site, source(), &["shop/look"]).await;
    let seen = &members(&site, &site.slug(&build))["./app/seen.json"];
    let seen: Value = serde_json::from_str(seen).unwrap();
    let names = [
        "BUILDPACK_LOG_FILE",
        "DYNO",
        "HOME",
        "LC_CTYPE",
        "PATH",
        "PWD",
        "REQUEST_ID",
    ];
    let names = [names.as_slice(), &["SHLVL", "SOURCE_VERSION", "STACK", "_"]].concat();
    // Python sets LC_CTYPE, and bash _.
    let found = seen["names"].as_array().unwrap().iter();
    for name in found.map(|name| name.as_str().unwrap()) {
        assert!(names.contains(&name), "{name} is too much");
    }
    let env = &seen["env"];
    assert_eq!(env["STACK"], "heroku-24");
    assert_eq!(env["HOME"], "/app");
    assert_eq!(env["SOURCE_VERSION"], "385e5950c0ffee");
    assert_eq!(
        env["PATH"],
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    assert_eq!(seen["vars"]["KEY"], "a\nb\n");
    assert_eq!(seen["vars"]["EMPTY"], "");
    assert_eq!(seen["cache"], "/tmp/codon/tmp/cache");
    assert!(seen["build"].as_str().unwrap().starts_with("/tmp/build_"));
    assert!(
        seen["cwd"]
            .as_str()
            .unwrap()
            .starts_with("/tmp/codon/tmp/buildpacks/")
    );
    assert_eq!(
        seen["writes"],
        serde_json::json!([true, true, true, true, false, false])
    );
    assert_eq!(seen["root"], false);
    assert_eq!(seen["app"], serde_json::json!([]));
    assert_eq!(seen["memory"], format!("{}\n", 1_u64 << 30));
    assert_eq!(seen["stdin"], "");
    assert!(seen["processes"].as_array().unwrap().len() < 6, "{seen}");
    // Those that run this may be nice themselves.
    assert_eq!(seen["nice"], (own_niceness() + 10).min(19));
}

pub fn own_niceness() -> i64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(16).unwrap().parse().unwrap()
}

#[tokio::test]
async fn buildpacks_run_in_their_order_with_what_those_before_export_and_the_last_ones_release() {
    let site = Site::new();
    let first = [
        ("detect", "echo First"),
        (
            "compile",
            "echo 'export GREETING=hello PATH=\"/first:$PATH\"; set --' > export; echo \"$1\" > $HOME/shared",
        ),
        (
            "release",
            "echo 'default_process_types: {web: first, clock: first}'",
        ),
        ("report", "exit 7"),
    ];
    let second = [
        ("detect", "test ! -v GREETING; echo Second; echo noise >&2"),
        (
            "compile",
            "echo \"$GREETING ${PATH%%:*}\"; test \"$(cat $HOME/shared)\" = \"$1\"; test $# = 3",
        ),
        (
            "release",
            "test ! -v GREETING\ncat <<END\n---\naddons:\n  - heroku-postgresql\nconfig_vars: {A: b}\ndefault_process_types:\n  web: second\n  worker: \"./work  'now'\"\nEND",
        ),
    ];
    keep(&site, "shop/first", &first);
    keep(&site, "shop/second", &second);
    let source = Tar::new().file("Procfile", "web: own\n");
    let (build, output) = succeeded(&site, source, &["shop/first", "shop/second"]).await;
    let told = "-----> Building on the Heroku-24 stack\n-----> Using buildpacks:\n       1. shop/first\n       2. shop/second\n\
         -----> First app detected\n-----> Second app detected\nhello /first\n-----> Discovering process types\n       \
         Procfile declares types     -> web\n       Default types for buildpack -> worker\n";
    assert!(output.contains(told), "{output}");
    let slug = site.slug(&build);
    assert_eq!(slug.process_types["web"], "own");
    assert_eq!(slug.process_types["worker"], "./work  'now'");
    assert_eq!(slug.process_types.len(), 2);
    assert_eq!(
        slug.buildpack_provided_description.as_deref(),
        Some("Second")
    );
}

#[tokio::test]
async fn a_report_is_made_however_the_compile_ended_and_shown_to_nobody() {
    for (compile, ended) in [("true", Status::Succeeded), ("exit 1", Status::Failed)] {
        let mut site = Site::new();
        // Where nothing isolates it, it can leave something behind.
        let data = site.dir.path().to_owned();
        site.parts.bench.isolation = Isolation::new(Level::None, Settings::default(), &data);
        set(&site, &[("WORD", "hello")]);
        let left = site.dir.path().join("left");
        let report = format!(
            "echo noise; test -d $1; echo \"$# $(cat $3/WORD)\" > {}",
            left.display()
        );
        let scripts = [DETECT, ("compile", compile), ("report", &report)];
        keep(&site, "shop/pack", &scripts);
        let source = Tar::new().file("Procfile", "web: own\n");
        let build = queue(&site, source, &["shop/pack"]);
        site.build().await;
        let output = site.output(&build).await;
        assert_eq!(site.row(&build).status, ended, "{output}");
        assert_eq!(std::fs::read_to_string(&left).unwrap(), "3 hello\n");
        assert!(!output.contains("noise"), "{output}");
    }
}

#[tokio::test]
async fn a_buildpack_that_does_not_apply_says_why() {
    let site = Site::new();
    let detect = "echo 'no package.json' >&2; exit 1";
    keep(
        &site,
        "shop/node",
        &[("detect", detect), ("compile", "true")],
    );
    let source = Tar::new().file("Procfile", "web: own\n");
    let output = failed(&site, source, &["shop/node"]).await;
    let told = "-----> App not compatible with buildpack: shop/node\n       no package.json\n       More info: ";
    assert!(output.contains(told), "{output}");
}

#[tokio::test]
async fn what_bin_release_says_wrong_fails_the_build_and_what_it_leaves_out_does_not() {
    for (release, words) in [
        ("echo 'a: [' ", "no YAML"),
        ("echo 'a: &x [1]\nb: *x'", "alias"),
        ("exit 3", "status 3"),
    ] {
        let site = Site::new();
        keep(
            &site,
            "shop/bad",
            &[DETECT, ("compile", "true"), ("release", release)],
        );
        let source = Tar::new().file("Procfile", "web: own\n");
        let output = failed(&site, source, &["shop/bad"]).await;
        assert!(output.contains(words), "{output}");
    }
    for release in ["true", "echo ---", "echo '--- {}'", "echo 'addons: []'"] {
        let site = Site::new();
        keep(
            &site,
            "shop/odd",
            &[DETECT, ("compile", "true"), ("release", release)],
        );
        let source = Tar::new().file("README", "");
        let (build, output) = succeeded(&site, source, &["shop/odd"]).await;
        assert!(output.contains("declares types -> (none)\n"), "{output}");
        assert!(output.contains("so nothing of this app runs."), "{output}");
        assert!(site.slug(&build).process_types.is_empty());
    }
}

#[tokio::test]
async fn config_never_shows_in_the_output_however_it_is_printed() {
    let site = Site::new();
    let secret = "s3cret/with+signs";
    let url = format!("postgres://me:{secret}@db.example.com/shop");
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ\n-----END KEY-----";
    set(
        &site,
        &[
            ("DATABASE_URL", &url),
            ("KEY", key),
            ("NODE_ENV", "production"),
        ],
    );
    // Byte by byte, each a write of its own.
    let compile = "cd $3; cat DATABASE_URL; echo; sed 's/^/    | /' KEY; echo; cat NODE_ENV; echo\nfor at in $(seq 0 $((${#URL}))); do printf '%s' \"${URL:$at:1}\"; sleep 0.002; done; echo\nprintf 'postgres://me:s3'";
    let compile = format!("URL=$(cat $3/DATABASE_URL)\n{compile}");
    let (_, output) = succeeded(&site, inline(&compile), &[]).await;
    assert!(!output.contains(secret), "{output}");
    assert!(
        !output.contains("MIIEvQ") && !output.contains("EFAASC"),
        "{output}"
    );
    assert_eq!(
        output.matches("[hidden: DATABASE_URL]").count(),
        2,
        "{output}"
    );
    assert!(output.contains("\nproduction\n"), "{output}");
}

#[tokio::test]
async fn what_slugignore_names_is_gone_before_anything_looks() {
    let site = Site::new();
    let ignore = "# docs\n*.psd\n/docs\nspec/**/big?.bin\n\nlog/\n";
    let source = inline(
        "test ! -e $1/art/a.psd; test ! -e $1/docs; test -e $1/sub/docs/x; test ! -e $1/log",
    )
    .file(".slugignore", ignore)
    .file("art/a.psd", "")
    .file("docs/x", "")
    .file("sub/docs/x", "")
    .file("spec/a/b/big1.bin", "")
    .file("spec/a/b/big10.bin", "")
    .file("log/x", "")
    .file("sub/log", "a file");
    let (build, output) = succeeded(&site, source, &[]).await;
    assert!(
        output.contains("-----> Deleting 4 files matching .slugignore patterns.\n"),
        "{output}"
    );
    let files = members(&site, &site.slug(&build));
    assert!(files.contains_key("./app/spec/a/b/big10.bin"));
    assert!(files.contains_key("./app/sub/log"));
    assert!(!files.contains_key("./app/spec/a/b/big1.bin"));
}
