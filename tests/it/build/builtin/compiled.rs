//! Apps that are compiled, with nothing but their language's own library.

use super::{Site, says, source, there};

#[tokio::test]
async fn a_go_program_is_compiled_and_is_what_the_app_runs() {
    if !there("go version") {
        return;
    }
    let site = Site::new();
    let (files, output) = site
        .made(source(&[
            ("go.mod", "module example.com/shop\n\ngo 1.18\n"),
            (
                "main.go",
                "package main\n\nfunc main() { println(\"open\") }\n",
            ),
        ]))
        .await;
    says(
        &output,
        &[
            "-----> Go app detected",
            "       $ go install -v -tags heroku ./...",
            "       Default types for buildpack -> web",
        ],
    );
    assert!(files.contains_key("./app/bin/shop"), "{output}");
    let broken = [
        ("go.mod", "module example.com/shop\n"),
        ("main.go", "package main\n\nfunc main() { open() }\n"),
    ];
    let output = site.failed(source(&broken)).await;
    says(
        &output,
        &[" !     Push rejected, failed to compile Go app."],
    );
    assert!(output.contains("undefined: open"), "{output}");
}

#[tokio::test]
async fn a_rust_program_is_compiled_and_is_what_the_app_runs() {
    if !there("cargo --version && rustc --version && cc --version") {
        return;
    }
    let site = Site::new();
    let package = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let (files, output) = site
        .made(source(&[
            ("Cargo.toml", package),
            ("src/main.rs", "fn main() { println!(\"open\") }\n"),
        ]))
        .await;
    says(
        &output,
        &[
            "-----> Rust app detected",
            "       $ cargo build --release",
            "       Default types for buildpack -> web",
        ],
    );
    assert!(files.contains_key("./app/target/release/shop"), "{output}");
    let broken = [
        ("Cargo.toml", package),
        ("src/main.rs", "fn main() { open() }\n"),
    ];
    let output = site.failed(source(&broken)).await;
    says(
        &output,
        &[" !     Push rejected, failed to compile Rust app."],
    );
    assert!(output.contains("cannot find function `open`"), "{output}");
}
