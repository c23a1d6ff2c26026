//! Node.js apps, whose dependencies come along with them.

use super::{NODE, Site, says, source, there};
use crate::archive::raw::Tar;

/// With a dependency, one that is only for the build, and hooks that write down what they find.
fn shop(lockfile: bool) -> Tar {
    let package = r#"{
        "name": "shop", "version": "1.0.0",
        "scripts": {
            "heroku-prebuild": "echo prebuild $GREETING > order",
            "build": "echo build >> order",
            "heroku-postbuild": "ls node_modules >> order; tool >> order",
            "heroku-cleanup": "ls node_modules >> order; echo $NODE_ENV $HOME >> order",
            "start": "node server.js"
        },
        "dependencies": {"lib": "file:lib"},
        "devDependencies": {"tool": "file:tool"}
    }"#;
    let locked = r#"{
        "name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
        "packages": {
            "": {"name": "shop", "version": "1.0.0",
                "dependencies": {"lib": "file:lib"}, "devDependencies": {"tool": "file:tool"}},
            "lib": {"version": "1.0.0"},
            "tool": {"version": "1.0.0", "dev": true, "bin": {"tool": "cli.js"}},
            "node_modules/lib": {"resolved": "lib", "link": true},
            "node_modules/tool": {"resolved": "tool", "link": true}
        }
    }"#;
    let app = source(&[
        ("package.json", package),
        ("server.js", "require('lib')"),
        ("lib/package.json", r#"{"name": "lib", "version": "1.0.0"}"#),
        ("lib/index.js", ""),
        (
            "tool/package.json",
            r#"{"name": "tool", "version": "1.0.0", "bin": {"tool": "cli.js"}}"#,
        ),
        ("tool/cli.js", "#!/usr/bin/env node\nconsole.log('tool')\n"),
    ]);
    match lockfile {
        true => app.file("package-lock.json", locked),
        false => app,
    }
}

#[tokio::test]
async fn dependencies_are_installed_hooks_run_and_what_only_the_build_needs_goes() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    site.set("GREETING", "hello");
    site.set("HOME", "/nowhere");
    for lockfile in [true, false] {
        let (files, output) = site.made(shop(lockfile)).await;
        let install = match lockfile {
            true => "       $ npm ci --include=dev",
            false => "       $ npm install --include=dev",
        };
        says(
            &output,
            &[
                "-----> Node.js app detected",
                "-----> Running heroku-prebuild",
                "-----> Installing dependencies",
                install,
                "-----> Running heroku-postbuild",
                "-----> Pruning devDependencies",
                "-----> Running heroku-cleanup",
                "       Default types for buildpack -> web",
            ],
        );
        assert_eq!(
            files["./app/order"], "prebuild hello\nlib\ntool\ntool\nlib\nproduction /app\n",
            "{output}"
        );
        assert!(files["./app/.profile.d/penstock-node.sh"].contains("WEB_CONCURRENCY"));
        assert_eq!(output.contains("There is no lockfile"), !lockfile);
    }
}

#[tokio::test]
async fn a_package_manager_is_fetched_with_the_settings_of_the_machine_and_of_the_app() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    // Where this npm looks for the settings of its machine, and no registry listens.
    site.set("PREFIX", "/app/machine");
    site.set("NPM_CONFIG_USERCONFIG", "/app/user");
    let settings = |port: u16| format!("registry=http://127.0.0.1:{port}/\nfetch-retries=0\n");
    let app = |file: &str, port: u16| {
        source(&[
            ("package.json", r#"{"scripts": {"start": "node ."}}"#),
            ("yarn.lock", "__metadata:\n  version: 8\n"),
            (file, &settings(port)),
        ])
    };
    for (file, port) in [("machine/etc/npmrc", 9), (".npmrc", 19)] {
        let output = site.failed(app(file, port)).await;
        let asked = format!("http://127.0.0.1:{port}/@yarnpkg%2fcli-dist");
        assert!(output.contains(&asked), "{file}: {output}");
    }
}

#[tokio::test]
async fn a_hook_that_fails_fails_the_build() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    let package = r#"{"scripts": {"build": "echo no such luck; exit 4", "start": "node ."}}"#;
    let output = site.failed(source(&[("package.json", package)])).await;
    says(
        &output,
        &[
            "-----> Running build",
            "       no such luck",
            " !     Push rejected, failed to compile Node.js app.",
        ],
    );
}

#[tokio::test]
async fn an_app_for_another_node_is_told_which_one_there_is() {
    if !there(NODE) {
        return;
    }
    let site = Site::new();
    let package = r#"{"engines": {"node": ">=99"}, "scripts": {"start": "node ."}}"#;
    let output = site.failed(source(&[("package.json", package)])).await;
    assert!(
        output.contains("asks for Node.js >=99 (engines.node), and this server's machine has"),
        "{output}"
    );
}
