//! `penstock static`, as a visitor sees it.

mod config;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary::{in_time, penstock};

/// A folder of files, served.
struct Site {
    dir: TempDir,
    child: Child,
    url: String,
    /// What it said when it was ready.
    said: String,
    http: reqwest::Client,
}

/// What a visitor got.
struct Page {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// What it says when it does not start.
fn refused(files: &[(&str, &str)]) -> String {
    let dir = folder(files);
    let mut command = penstock(&["static", "--port", "0"]);
    let output = in_time(move || command.current_dir(dir.path()).output().unwrap());
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Site {
        Site::with(files, &[])
    }

    fn with(files: &[(&str, &str)], env: &[(&str, &str)]) -> Site {
        let dir = folder(files);
        let mut command = penstock(&["static"]);
        command.current_dir(dir.path()).env("PORT", "0");
        command.envs(env.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let line = in_time(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            line
        });
        let (_, port) = line
            .trim_end_matches(['/', '\n'])
            .rsplit_once(':')
            .expect(&line);
        // Some other test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Site {
            url: format!("http://127.0.0.1:{port}"),
            said: line.trim_end().to_owned(),
            dir,
            child,
            http,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn get(&self, path: &str) -> Page {
        self.ask("GET", path, &[]).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Page {
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        let response = request.send().await.unwrap();
        Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// The request as it is, with a path that no client would send.
    fn raw(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: site.example.com\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn files_come_with_their_types_and_a_folder_with_its_page() {
    let site = Site::new(&[
        ("index.html", "<h1>home</h1>"),
        ("css/site.css", "h1 {}"),
        ("docs/index.html", "docs"),
        ("a b/ü.txt", "odd"),
    ]);
    let home = site.get("/").await;
    assert_eq!((home.status, home.body.as_str()), (200, "<h1>home</h1>"));
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    let css = site.get("/css/site.css?v=2").await;
    assert_eq!(css.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(site.get("/a%20b/%C3%BC.txt").await.body, "odd");
    assert_eq!(site.get("/docs/").await.body, "docs");
    let folder = site.get("/docs?a=b").await;
    assert_eq!(
        (folder.status, folder.header("location")),
        (301, "/docs/?a=b")
    );
    let nothing = site.get("/css/").await;
    assert_eq!(
        (nothing.status, nothing.body.as_str()),
        (404, "There is nothing here.\n")
    );
    let head = site.ask("HEAD", "/css/site.css", &[]).await;
    assert_eq!(
        (
            head.status,
            head.header("content-length"),
            head.body.as_str()
        ),
        (200, "5", "")
    );
    let post = site.ask("POST", "/", &[]).await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn what_a_visitor_has_is_not_sent_again_and_a_part_is_only_sent_of_the_same_file() {
    let site = Site::new(&[("index.html", "0123456789"), ("same.html", "0123456789")]);
    let first = site.get("/").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    assert_eq!(site.get("/same.html").await.header("etag"), tag);
    let again = site.ask("GET", "/", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let weak = format!("\"other\", W/{tag}");
    assert_eq!(
        site.ask("GET", "/", &[("if-none-match", &weak)])
            .await
            .status,
        304
    );
    let part = site.ask("GET", "/", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.body.as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    let same = [("range", "bytes=2-4"), ("if-range", &tag)];
    assert_eq!(site.ask("GET", "/", &same).await.body, "234");
    let other = [("range", "bytes=2-4"), ("if-range", "\"other\"")];
    let whole = site.ask("GET", "/", &other).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, "0123456789"));
    let beyond = site.ask("GET", "/", &[("range", "bytes=20-")]).await;
    assert_eq!(beyond.status, 416);
    std::fs::write(site.path().join("index.html"), "changed, and longer").unwrap();
    let changed = site.ask("GET", "/", &[("if-none-match", &tag)]).await;
    assert_eq!(
        (changed.status, changed.body.as_str()),
        (200, "changed, and longer")
    );
}

#[tokio::test]
async fn a_text_is_compressed_for_who_takes_it_so() {
    let long = "0123456789".repeat(1_000);
    let site = Site::new(&[("a.js", &long), ("a.png", &long), ("short.txt", "short")]);
    let gzip = ("accept-encoding", "br;q=1.0, gzip;q=0.8");
    let plain = site.get("/a.js").await;
    assert_eq!(
        (plain.body.as_str(), plain.header("vary")),
        (long.as_str(), "accept-encoding")
    );
    let small = site.ask("HEAD", "/a.js", &[gzip]).await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.header("content-length").parse::<usize>().unwrap() < 1_000);
    assert_eq!(small.header("content-type"), plain.header("content-type"));
    let tag = small.header("etag");
    assert_eq!(tag, format!("W/{}", plain.header("etag")));
    let again = site
        .ask("GET", "/a.js", &[gzip, ("if-none-match", tag)])
        .await;
    assert_eq!(again.status, 304);
    let part = site
        .ask("GET", "/a.js", &[gzip, ("range", "bytes=0-4")])
        .await;
    assert_eq!((part.status, part.body.as_str()), (206, "01234"));
    for path in ["/a.png", "/short.txt"] {
        assert_eq!(
            site.ask("GET", path, &[gzip])
                .await
                .header("content-encoding"),
            "",
            "{path}"
        );
    }
    let none = ("accept-encoding", "gzip;q=0, br");
    assert_eq!(
        site.ask("GET", "/a.js", &[none])
            .await
            .header("content-encoding"),
        ""
    );
}

#[tokio::test]
async fn no_visitor_sees_what_is_hidden_or_outside() {
    let site = Site::new(&[
        ("index.html", "home"),
        (".env", "SECRET=1"),
        (".profile.d/x.sh", "secret"),
        ("docs/.git/config", "secret"),
        (".well-known/security.txt", "mail"),
        ("Procfile", "web: penstock static"),
    ]);
    let outside = site.path().with_extension("outside");
    std::fs::write(&outside, "secret").unwrap();
    std::os::unix::fs::symlink(&outside, site.path().join("link.txt")).unwrap();
    let name = outside.file_name().unwrap().to_str().unwrap().to_owned();
    for path in [
        "/.env",
        "/%2eenv",
        "/.profile.d/x.sh",
        "/docs/.git/config",
        "/Procfile",
        "/link.txt",
        "/index.html%00",
        &format!("/../{name}"),
        &format!("/%2e%2e/{name}"),
        &format!("/docs/..%2f..%2f{name}"),
        "//etc/passwd",
    ] {
        let answer = site.raw(path);
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
        assert!(
            !answer.contains("secret") && !answer.contains("root:"),
            "{path}: {answer}"
        );
    }
    std::fs::remove_file(outside).unwrap();
    assert_eq!(site.get("/.well-known/security.txt").await.body, "mail");
    let twice = site.raw("//example.com/docs/..");
    assert!(!twice.contains("location: //"), "{twice}");
}

#[tokio::test]
async fn without_a_configuration_the_folder_with_the_page_is_the_site() {
    let site = Site::new(&[("dist/index.html", "built"), ("package.json", "{}")]);
    assert_eq!(site.get("/").await.body, "built");
    assert_eq!(site.get("/package.json").await.status, 404);
}

#[tokio::test]
async fn but_in_a_dyno_only_this_machine_is_answered() {
    let home = [("index.html", "home")];
    for (env, is_in_dyno) in [(&[][..], false), (&[("DYNO", "web.1")], true)] {
        let site = Site::with(&home, env);
        assert_eq!(site.get("/").await.body, "home");
        let (_, port) = site.url.rsplit_once(':').unwrap();
        // It stands for an address that other machines know. No other test listens there.
        let other = std::net::TcpStream::connect(format!("127.0.0.3:{port}"));
        assert_eq!(other.is_ok(), is_in_dyno, "{}", site.said);
        let host = if is_in_dyno { "0.0.0.0" } else { "localhost" };
        assert_eq!(site.said, format!("Serving . at http://{host}:{port}/"));
    }
}

#[test]
fn a_port_that_somebody_has_is_no_mistake_in_the_arguments() {
    let dir = folder(&[("index.html", "home")]);
    let other = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let mut command = penstock(&["static", "--port", &port]);
    let output = in_time(move || command.current_dir(dir.path()).output().unwrap());
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--port"), "{said}");
}
