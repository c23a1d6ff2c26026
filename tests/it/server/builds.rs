//! What becomes of a running build when its server goes away.

use std::os::fd::OwnedFd;

use penstock::name::Id;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use crate::archive::raw::Tar;
use crate::binary::{Place, Server, in_time};

/// Hangs under a name that nobody else has.
fn forever(mark: &str) -> Vec<u8> {
    let compile = format!(
        "#!/bin/bash\nset -m\ntrap '' TERM HUP\n(exec -a {mark} tail -f /dev/null) &\nwait\n"
    );
    Tar::new()
        .file("Procfile", "web: x\n")
        .file("bin/detect", "#!/bin/sh\necho Slow\n")
        .file("bin/compile", compile)
        .gz()
}

/// All processes that have the mark, or are shims of builds, each held so that its end can be awaited.
fn held(mark: &str, data: &std::path::Path) -> Vec<OwnedFd> {
    let builds = data.canonicalize().unwrap().join("builds");
    let builds = format!("penstock dyno-shim {}", builds.display());
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = line.starts_with(mark) || line.starts_with(&builds);
        let pid = Pid::from_raw(pid).filter(|_| ours)?;
        pidfd_open(pid, PidfdFlags::empty()).ok()
    })
    .collect()
}

/// Begins such a build, and waits until it hangs.
async fn begin(server: &Server, mark: &str) -> (Value, Vec<OwnedFd>) {
    let client = server.client();
    client.create_app("app").await;
    let source = client.post("/sources", Value::Null).await.expect(201);
    let source = &source["source_blob"];
    let put_url = source["put_url"].as_str().unwrap();
    client.put(put_url, None, forever(mark)).await.unwrap();
    let wanted = json!({"source_blob": {"url": source["get_url"]}});
    let build = client.post("/apps/app/builds", wanted).await.expect(201);
    (build, hangs(mark, server))
}

/// Both the shim and the process that hangs.
fn hangs(mark: &str, server: &Server) -> Vec<OwnedFd> {
    let (mark, data) = (mark.to_owned(), server.data().to_owned());
    in_time(move || {
        loop {
            let held = held(&mark, &data);
            if held.len() >= 2 {
                return held;
            }
            std::thread::yield_now();
        }
    })
}

fn gone(held: Vec<OwnedFd>) {
    for process in held {
        let limit = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ended, 1, "something of a build goes on");
    }
}

#[tokio::test]
async fn nothing_of_a_build_outlives_its_server_and_the_next_one_begins_it_again() {
    let mark = format!("build-{}", Id::new());
    let place = Place::new();
    let server = place.start();
    let (build, held) = begin(&server, &mark).await;
    let data = server.data().to_owned();
    server.kill();
    gone(held);
    let server = place.start();
    let held = hangs(&mark, &server);
    let folders = std::fs::read_dir(data.join("builds")).unwrap().count();
    assert_eq!(folders, 1);
    // A server that is told to stop takes its time for it.
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    gone(held);
    assert_eq!(std::fs::read_dir(data.join("builds")).unwrap().count(), 0);
    let server = place.start();
    let held = hangs(&mark, &server);
    let client = server.client();
    let path = format!("/apps/app/builds/{}", build["id"].as_str().unwrap());
    let cancelled = client.call("DELETE", &path, Value::Null).await;
    assert_eq!(cancelled.expect(200)["status"], "failed");
    gone(held);
}
