//! Python, Go and Rust: versions, package managers, and which program is the web process.

use penstock::builders::{Kind, Step};

use super::{MACHINE, commands, planned, planned_on, refused, said, web};

#[test]
fn the_python_is_the_one_that_the_app_asks_for() {
    let python = |files: &[(&str, &str)]| {
        let files = [files, &[("requirements.txt", "")]].concat();
        let plan = planned_on(Kind::Python, &files, &MACHINE, &[])?;
        Ok::<_, String>(said(&plan).lines().next().unwrap().to_owned())
    };
    let using = |version: &str| Ok(format!("Using Python {version} of this machine"));
    assert_eq!(python(&[]), using("3.11.2"));
    assert_eq!(python(&[(".python-version", "3.12\n")]), using("3.12.4"));
    assert_eq!(
        python(&[(".python-version", "# ours\n3.11.9\n")]),
        using("3.11.2")
    );
    assert_eq!(python(&[(".python-version", "3")]), using("3.11.2"));
    assert_eq!(python(&[("runtime.txt", "python-3.12.1")]), using("3.12.4"));
    let project =
        |range: &str| format!("[project]\nname = \"shop\"\nrequires-python = {range:?}\n");
    for range in [
        ">=3.10",
        ">=3.10,<4",
        "~=3.11",
        "~=3.11.0",
        "==3.11.*",
        "!=3.10.*, >=3.9",
    ] {
        assert_eq!(
            python(&[("pyproject.toml", &project(range))]),
            using("3.11.2"),
            "{range}"
        );
    }
    assert_eq!(python(&[(".python-version", "3.9")]), using("3.11.2"));
    assert_eq!(
        python(&[("pyproject.toml", &project(">=3.8,<3.10"))]),
        using("3.11.2")
    );
    let poetry = "[tool.poetry.dependencies]\npython = \"^3.10\"\n";
    assert_eq!(python(&[("pyproject.toml", poetry)]), using("3.11.2"));
    for (file, text, words) in [
        (
            ".python-version",
            "3.99",
            "apt-get install python3.99 python3.99-venv",
        ),
        (".python-version", "pypy3.10", "no version of Python"),
        (
            "pyproject.toml",
            project(">=3.13").as_str(),
            "asks for Python >=3.13, and this server's machine has 3.11.2",
        ),
        ("pyproject.toml", "[", "pyproject.toml cannot be read"),
    ] {
        let said = python(&[(file, text)]).unwrap_err();
        assert!(said.contains(words), "{file} {text}: {said}");
    }
}

#[test]
fn python_packages_are_installed_by_whose_file_is_there() {
    let installs = |files: &[(&str, &str)]| commands(&planned(Kind::Python, files)).join("; ");
    let requirements = installs(&[("requirements.txt", ""), ("pyproject.toml", "")]);
    assert_eq!(requirements, "python -m pip install -r requirements.txt");
    let built = "[build-system]\nrequires = []\n";
    assert_eq!(
        installs(&[("pyproject.toml", built)]),
        "python -m pip install ."
    );
    let listed = "[project]\ndependencies = [\"flask>=3\", \"--index-url=x\", \"gunicorn\"]\n";
    assert_eq!(
        installs(&[("pyproject.toml", listed)]),
        "python -m pip install flask>=3 gunicorn"
    );
    let uv = installs(&[("uv.lock", ""), ("pyproject.toml", "")]);
    assert!(
        uv.ends_with("/bin/uv sync --locked --no-default-groups --no-progress"),
        "{uv}"
    );
    let poetry = installs(&[("poetry.lock", ""), ("pyproject.toml", "")]);
    assert!(
        poetry.ends_with("/bin/poetry sync --only main --no-interaction"),
        "{poetry}"
    );
    let pipenv = installs(&[("Pipfile", ""), ("Pipfile.lock", "{}")]);
    assert!(pipenv.ends_with("/bin/pipenv install --deploy"), "{pipenv}");
    assert_eq!(installs(&[(".python-version", "3.11")]), "");
}

#[test]
fn static_files_are_collected_where_django_is_unless_it_is_told_not_to() {
    let files = [("requirements.txt", ""), ("shop/manage.py", "")];
    let last = |config: &[(&str, &str)]| {
        let plan = planned_on(Kind::Python, &files, &MACHINE, config).unwrap();
        commands(&plan).last().unwrap().clone()
    };
    assert_eq!(
        last(&[]),
        "python shop/manage.py collectstatic --noinput --traceback"
    );
    assert_eq!(
        last(&[("DISABLE_COLLECTSTATIC", "0")]),
        "python shop/manage.py collectstatic --noinput --traceback"
    );
    assert!(last(&[("DISABLE_COLLECTSTATIC", "1")]).contains("pip install"));
}

#[test]
fn go_installs_what_is_asked_for_and_runs_the_one_program() {
    let main = "package main\n";
    let root = [
        ("go.mod", "module example.com/shop/v2\n\ngo 1.18\n"),
        ("main.go", main),
    ];
    assert_eq!(
        commands(&planned(Kind::Go, &root)),
        ["go install -v -tags heroku ./..."]
    );
    assert_eq!(web(Kind::Go, &root).unwrap(), "bin/shop");
    let module = (
        "go.mod",
        "// +heroku install ./cmd/web ./cmd/jobs\nmodule shop\n",
    );
    let one = [
        module,
        ("cmd/web/main.go", main),
        ("cmd/web/main_test.go", "package web\n"),
    ];
    assert_eq!(
        commands(&planned(Kind::Go, &one))[0],
        "go install -v -tags heroku ./cmd/web ./cmd/jobs"
    );
    assert_eq!(web(Kind::Go, &one).unwrap(), "bin/web");
    let two = [
        module,
        ("cmd/web/main.go", main),
        ("cmd/jobs/main.go", main),
    ];
    assert_eq!(web(Kind::Go, &two), None);
    let config = [("GO_INSTALL_PACKAGE_SPEC", "./tools")];
    let plan = planned_on(Kind::Go, &one, &MACHINE, &config).unwrap();
    assert_eq!(commands(&plan)[0], "go install -v -tags heroku ./tools");
    let new = [("go.mod", "module shop\n\ngo 1.22\n")];
    let said = refused(Kind::Go, &new);
    assert!(
        said.contains("asks for Go 1.22, and this server's machine has 1.19.8"),
        "{said}"
    );
    // Such a one fetches what it needs itself, and where it cannot the remedy is the same.
    let plan = planned_on(Kind::Go, &new, &[("go", "go version go1.21.0")], &[]).unwrap();
    assert!(
        super::said(&plan)
            .starts_with("Fetching Go 1.22.0, which the go.mod asks for; this machine has 1.21.0")
    );
    assert_eq!(plan.env["GOTOOLCHAIN"], "auto");
    let fetched = plan.steps.iter().find_map(|step| match step {
        Step::Run(command) if command.argv == ["go", "version"] => command.remedy.clone(),
        _ => None,
    });
    assert!(
        fetched
            .unwrap()
            .contains("asks for Go 1.22, and this server's machine has 1.21.0")
    );
    // One that will do is not left for what is only suggested.
    let suggested = [("go.mod", "module shop\n\ngo 1.19\n\ntoolchain go1.99.1\n")];
    assert_eq!(planned(Kind::Go, &suggested).env["GOTOOLCHAIN"], "local");
}

#[test]
fn rust_builds_by_the_lockfile_and_runs_the_one_program() {
    let package = |rest: &str| format!("[package]\nname = \"shop\"\n{rest}");
    let plain = package("rust-version = \"1.70\"\n");
    let files = [
        ("Cargo.toml", plain.as_str()),
        ("Cargo.lock", ""),
        ("src/main.rs", ""),
    ];
    assert_eq!(
        commands(&planned(Kind::Rust, &files)),
        ["cargo build --release --locked"]
    );
    assert_eq!(web(Kind::Rust, &files).unwrap(), "./target/release/shop");
    let named = package("[[bin]]\nname = \"serve\"\npath = \"src/main.rs\"\n");
    let files = [("Cargo.toml", named.as_str()), ("src/main.rs", "")];
    assert_eq!(web(Kind::Rust, &files).unwrap(), "./target/release/serve");
    let files = [
        ("Cargo.toml", plain.as_str()),
        ("src/main.rs", ""),
        ("src/bin/jobs.rs", ""),
    ];
    assert_eq!(web(Kind::Rust, &files), None);
    let chosen = package("default-run = \"jobs\"\n");
    let files = [
        ("Cargo.toml", chosen.as_str()),
        ("src/main.rs", ""),
        ("src/bin/jobs/main.rs", ""),
    ];
    assert_eq!(web(Kind::Rust, &files).unwrap(), "./target/release/jobs");
    let new = package("rust-version = \"1.90\"\n");
    assert!(
        refused(Kind::Rust, &[("Cargo.toml", &new)])
            .contains("asks for Rust 1.90.0, and this server's machine has 1.80.0")
    );
    assert!(refused(Kind::Rust, &[("Cargo.toml", "[")]).contains("Cargo.toml cannot be read"));
}
