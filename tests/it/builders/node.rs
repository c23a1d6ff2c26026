//! Node.js: package managers, hooks and versions.

use penstock::builders::{Kind, Plan};

use super::{MACHINE, commands, planned, planned_on, refused, said, web};

const APP: &str = r#"{
    "scripts": {"heroku-prebuild": "a", "build": "b", "heroku-cleanup": "d", "start": "node ."},
    "devDependencies": {"tool": "1"}
}"#;

fn with(lockfile: (&str, &str)) -> Plan {
    planned(Kind::Node, &[("package.json", APP), lockfile])
}

#[test]
fn the_hooks_run_in_the_order_of_heroku() {
    let plan = with(("package-lock.json", "{}"));
    assert_eq!(
        commands(&plan),
        [
            "npm run heroku-prebuild",
            "npm ci --include=dev",
            "npm run build",
            "npm prune --omit=dev",
            "npm run heroku-cleanup"
        ]
    );
    assert!(said(&plan).starts_with("Using Node.js 20.11.1 and npm 10.2.4 of this machine\n"));
    let both = r#"{"scripts": {"build": "b", "heroku-postbuild": "c"}}"#;
    let plan = planned(Kind::Node, &[("package.json", both)]);
    assert_eq!(
        commands(&plan),
        ["npm install --include=dev", "npm run heroku-postbuild"]
    );
    assert!(!said(&plan).contains("There is no lockfile"));
    let plan = planned(Kind::Node, &[("package.json", APP)]);
    assert!(said(&plan).contains("There is no lockfile"));
    let plan = with(("bun.lock", "{}"));
    assert!(said(&plan).contains("The bun.lock is bun's"));
    assert!(!said(&plan).contains("There is no lockfile"));
}

#[test]
fn each_lockfile_has_its_manager_and_npm_brings_one_that_is_not_there() {
    let classic = with(("yarn.lock", "# yarn lockfile v1\n"));
    assert!(said(&classic).contains("Fetching yarn@1.22.22 with npm"));
    assert_eq!(classic.env["YARN_CACHE_FOLDER"], "/cache/yarn");
    let all = commands(&classic);
    assert_eq!(all[0], "yarn run heroku-prebuild");
    assert!(
        all[1].starts_with("yarn install --frozen-lockfile"),
        "{all:?}"
    );
    assert!(all[3].contains("--production=true"), "{all:?}");

    let berry = with(("yarn.lock", "__metadata:\n  version: 8\n"));
    assert!(said(&berry).contains("Fetching @yarnpkg/cli-dist@4 with npm"));
    assert_eq!(commands(&berry)[1], "yarn install --immutable");
    // What is fetched is what runs, and has to stay with the app.
    assert!(!berry.env.contains_key("YARN_CACHE_FOLDER"));

    let pnpm = with(("pnpm-lock.yaml", "lockfileVersion: '6.0'\n"));
    assert!(said(&pnpm).contains("Fetching pnpm@8 with npm"));
    assert_eq!(
        commands(&pnpm)[1],
        "pnpm install --frozen-lockfile --prod=false"
    );
    assert_eq!(commands(&pnpm)[3], "pnpm prune --prod --ignore-scripts");

    let exact = r#"{"packageManager": "pnpm@9.1.0+sha512.abc"}"#;
    let lockfile = ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
    let files = [("package.json", exact), lockfile];
    assert!(said(&planned(Kind::Node, &files)).contains("Fetching pnpm@9.1.0 with npm"));
    let own = [MACHINE.as_slice(), &[("pnpm", "9.5.0")]].concat();
    let plan = planned_on(Kind::Node, &files, &own, &[]).unwrap();
    assert!(!said(&plan).contains("Fetching"));
}

#[test]
fn npm_brings_another_npm_where_the_package_asks_for_it() {
    let plan = |range: &str| {
        let package = format!(r#"{{"engines": {{"npm": {range:?}}}}}"#);
        planned(Kind::Node, &[("package.json", &package)])
    };
    assert!(said(&plan("9.x")).contains("Fetching npm@9.x with npm"));
    for there in ["10.x", ">=8", "whatever"] {
        assert!(!said(&plan(there)).contains("Fetching"), "{there}");
    }
}

#[test]
fn two_lockfiles_are_one_too_many() {
    let files = [
        ("package.json", APP),
        ("yarn.lock", ""),
        ("package-lock.json", ""),
    ];
    let said = refused(Kind::Node, &files);
    assert!(
        said.contains("two lockfiles, package-lock.json and yarn.lock"),
        "{said}"
    );
}

#[test]
fn config_vars_can_keep_what_only_the_build_needs() {
    let files = [("package.json", APP), ("package-lock.json", "")];
    for (name, value) in [
        ("NPM_CONFIG_PRODUCTION", "false"),
        ("YARN_PRODUCTION", "false"),
        ("NODE_ENV", "development"),
    ] {
        let plan = planned_on(Kind::Node, &files, &MACHINE, &[(name, value)]).unwrap();
        assert!(
            !commands(&plan).iter().any(|line| line.contains("prune")),
            "{name}"
        );
        assert!(said(&plan).contains("devDependencies are kept"), "{name}");
    }
}

#[test]
fn engines_are_ranges_as_npm_reads_them() {
    let plan = |range: &str| {
        let package = format!(r#"{{"engines": {{"node": {range:?}}}}}"#);
        planned_on(Kind::Node, &[("package.json", &package)], &MACHINE, &[])
    };
    for good in [
        "20.x",
        "20",
        "20.11.1",
        "=20.11.1",
        "^20.9.0",
        "~20.11",
        ">=18",
        ">= 18.0.0 < 21",
        ">=18 <21",
        "18 || 20",
        "18 - 20",
        "18.0.0 - 20.11.1",
        "*",
        "x",
        "v20.11.1",
        ">=18.0.0 <19 || >=20.5.0",
        "20.*",
    ] {
        let plan = plan(good).unwrap_or_else(|said| panic!("{good}: {said}"));
        assert!(
            said(&plan).contains(&format!("engines.node in package.json is {good}.")),
            "{good}"
        );
    }
    for old in ["20.11.0", "<20", "^18.0.0", "~20.10", "16 - 18", "4.0.0"] {
        let said = said(&plan(old).unwrap());
        assert!(
            said.contains("Node.js 20.11.1 is newer. It is tried"),
            "{old}: {said}"
        );
    }
    for bad in [
        "22.x",
        ">20",
        ">=20.11.2",
        "~20.12",
        "18 || 22",
        "20.12.x",
        "21 - 23",
    ] {
        let said = plan(bad).expect_err(bad);
        assert!(
            said.contains(&format!("Node.js {bad} (engines.node)")),
            "{said}"
        );
        assert!(
            said.contains("has 20.11.1") && said.contains("apt-get install nodejs"),
            "{said}"
        );
    }
    for odd in ["lts/*", "latest"] {
        assert!(
            said(&plan(odd).unwrap()).contains("is no range of versions"),
            "{odd}"
        );
    }
}

#[test]
fn what_a_node_app_runs_is_its_start_script_or_its_server_or_its_site() {
    let start = ("package.json", r#"{"scripts": {"start": "node ."}}"#);
    let empty = ("package.json", "{}");
    assert_eq!(
        web(Kind::Node, &[start, ("server.js", "")]).unwrap(),
        "npm start"
    );
    assert_eq!(
        web(Kind::Node, &[empty, ("server.js", "")]).unwrap(),
        "node server.js"
    );
    assert_eq!(
        web(Kind::Node, &[empty, ("static.json", "{}")]).unwrap(),
        "penstock static"
    );
    assert_eq!(web(Kind::Node, &[empty]), None);
}
