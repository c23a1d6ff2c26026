//! Python apps, whose packages come along with them as wheels.

use super::{PYTHON, Site, says, source, there, wheel};
use crate::archive::raw::Tar;

const GREET: &str = "def main():\n    print('hello from greet')\n";
/// As much of Django as a build asks for.
const MANAGE: &str = r#"
import sys
print("manage", *sys.argv[1:])
if sys.argv[1:] == ["collectstatic", "--noinput", "--traceback"]:
    open("collected", "w").write("yes")
elif sys.argv[1:] != ["help", "collectstatic"]:
    sys.exit(1)
"#;

fn shop() -> Tar {
    source(&[
        ("requirements.txt", "./greet-1.0-py3-none-any.whl\n"),
        ("Procfile", "web: greet\n"),
        ("manage.py", MANAGE),
        ("django/__init__.py", ""),
        ("bin/pre_compile", "#!/bin/sh\necho before\n"),
        (
            "bin/post_compile",
            "#!/bin/sh\necho after; greet > greeting\n",
        ),
    ])
    .file("greet-1.0-py3-none-any.whl", wheel(GREET))
}

#[tokio::test]
async fn packages_are_installed_static_files_collected_and_hooks_run() {
    if !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let (files, output) = site.made(shop()).await;
    says(
        &output,
        &[
            "-----> Python app detected",
            "-----> Running bin/pre_compile",
            "       before",
            "-----> Making a virtual environment",
            "-----> Installing requirements.txt with pip",
            "       $ python -m pip install -r requirements.txt",
            "       $ python manage.py collectstatic --noinput --traceback",
            "       manage collectstatic --noinput --traceback",
            "-----> Running bin/post_compile",
            "       after",
            "       Procfile declares types -> web",
        ],
    );
    assert_eq!(files["./app/collected"], "yes");
    assert_eq!(files["./app/greeting"], "hello from greet\n");
    // Its programs start the python beside them, wherever that is.
    let program = &files["./app/.heroku/python/bin/greet"];
    assert!(program.starts_with("#!/bin/sh\n'''exec' "), "{program}");
    assert!(files["./app/.profile.d/penstock-python.sh"].contains(".heroku/python/bin"));
}

#[tokio::test]
async fn static_files_are_left_alone_when_a_config_var_says_so() {
    if !there(PYTHON) {
        return;
    }
    let site = Site::new();
    site.set("DISABLE_COLLECTSTATIC", "1");
    let (files, output) = site.made(shop()).await;
    assert!(
        output.contains("since DISABLE_COLLECTSTATIC is set"),
        "{output}"
    );
    assert!(!files.contains_key("./app/collected"));
}

/// Whose settings cannot be imported: Django's help fails as every other command does.
const UNSET: &str = "raise ImportError('No module named decouple')";
/// An app without the command, in Django's words.
const NO_COMMAND: &str = "import sys; sys.exit(\"Unknown command: 'collectstatic'\")";

#[tokio::test]
async fn settings_that_cannot_be_imported_fail_the_build_and_show_why() {
    if !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let django = |manage: &str, there: bool| {
        let files = [
            ("requirements.txt", ""),
            ("Procfile", "web: x\n"),
            ("manage.py", manage),
        ];
        match there {
            true => source(&files).file("django/__init__.py", ""),
            false => source(&files),
        }
    };
    let output = site.failed(django(UNSET, true)).await;
    assert!(output.contains("No module named decouple"), "{output}");
    assert!(output.contains("DISABLE_COLLECTSTATIC=1"), "{output}");
    // Neither has anything to collect.
    for (manage, there) in [(NO_COMMAND, true), (UNSET, false)] {
        let (_, output) = site.made(django(manage, there)).await;
        assert!(
            output.contains("Static files are not collected: there is no Django"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn a_requirement_that_cannot_be_had_fails_the_build_in_pips_words() {
    if !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let files = [
        ("requirements.txt", "./missing.whl\n"),
        ("Procfile", "web: x\n"),
    ];
    let output = site.failed(source(&files)).await;
    assert!(output.contains("missing.whl"), "{output}");
    says(
        &output,
        &[" !     Push rejected, failed to compile Python app."],
    );
}

#[tokio::test]
async fn a_python_that_is_not_there_is_named_with_the_remedy() {
    if !there(PYTHON) {
        return;
    }
    let site = Site::new();
    let files = [(".python-version", "3.99\n"), ("Procfile", "web: x\n")];
    let output = site.failed(source(&files)).await;
    assert!(
        output.contains("asks for Python 3.99, and this server's machine has 3."),
        "{output}"
    );
}
