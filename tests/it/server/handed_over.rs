//! Sockets that somebody else holds: visitors who come while one server ends and the next one starts are not refused.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use penstock::runtime::Parting;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::attached::client::{Attached, parts};
use crate::binary::sample::PYTHON;
use crate::binary::{Client, HANG, Place, Server, in_time};
use crate::here::Here;
use crate::https::visitor;

/// Bytes of a download that takes its time.
const BULK: usize = 32 << 20;

/// What systemd does: holds the sockets, and starts servers that take them.
struct Holder {
    place: Place,
    sockets: Vec<(&'static str, TcpListener)>,
}

impl Holder {
    fn new(names: &[&'static str]) -> Holder {
        let open = |name: &&'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // The servers inherit it.
            fcntl_setfd(&listener, FdFlags::empty()).unwrap();
            (*name, listener)
        };
        Holder {
            place: Place::new(),
            sockets: names.iter().map(open).collect(),
        }
    }

    fn address(&self, name: &str) -> SocketAddr {
        let mut sockets = self.sockets.iter();
        let (_, listener) = sockets.find(|(of, _)| *of == name).unwrap();
        listener.local_addr().unwrap()
    }

    fn command(&self) -> Command {
        let usual = self.place.command(&[]);
        let names: Vec<&str> = self.sockets.iter().map(|(name, _)| *name).collect();
        let mut script = String::new();
        for (at, (_, listener)) in self.sockets.iter().enumerate() {
            // First out of the way of the numbers that they get.
            script += &format!("exec {}<&{};", at + 50, listener.as_raw_fd());
        }
        for at in 0..self.sockets.len() {
            script += &format!("exec {}<&{};", at + 3, at + 50);
        }
        script += "export LISTEN_PID=$$; exec \"$@\"";
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).arg("bash");
        command.arg(usual.get_program()).args(usual.get_args());
        command
            .env("PENSTOCK_DYNO_FORWARDING", "false")
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"));
        command
    }

    fn start(&self) -> Server {
        let mut server = Server::start(self.command(), &self.place.log());
        server.is_survived = true;
        server
    }
}

/// Visits the app again and again, each time on a connection of its own, and counts.
fn visit(
    client: &Client,
    over: &Arc<AtomicBool>,
    count: &Arc<AtomicUsize>,
) -> std::thread::JoinHandle<()> {
    let (client, over, count) = (client.clone(), over.clone(), count.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async {
            while !over.load(Ordering::SeqCst) {
                // A new client has no connection yet.
                let fresh = Client::new(&client.api, client.router_address().1, &client.token);
                let page = fresh.visit("app", "/").await;
                assert_eq!(page.status, 200, "{}", page.text());
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
    })
}

#[tokio::test]
async fn no_visitor_is_refused_while_servers_follow_one_another_on_the_same_sockets() {
    let holder = Holder::new(&["router", "api"]);
    let mut server = holder.start();
    assert_eq!(
        server.ready.api_url,
        format!("http://{}", holder.address("api"))
    );
    assert_eq!(server.router_port(), holder.address("router").port());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let (over, count) = (Arc::default(), Arc::<AtomicUsize>::default());
    let visitors: Vec<_> = (0..3).map(|_| visit(&client, &over, &count)).collect();
    for _ in 0..3 {
        let before = count.load(Ordering::SeqCst);
        let (status, _) = server.stop();
        assert_eq!(status.code(), Some(0));
        server = holder.start();
        let count = count.clone();
        in_time(move || {
            while count.load(Ordering::SeqCst) < before + 10 {
                std::thread::yield_now();
            }
        });
    }
    over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        in_time(move || visitor.join().unwrap());
    }
    server.kill();
}

/// Else the slow request would be cut off, and the other one wait for the next server.
#[tokio::test]
async fn a_slow_request_outlasts_the_end_of_its_server_and_keeps_nobody_waiting() {
    let holder = Holder::new(&["router", "api"]);
    let server = holder.start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let slow = {
        let client = client.clone();
        tokio::spawn(async move { client.visit("app", "/wait").await })
    };
    assert_eq!(client.visit("app", "/arrived").await.status, 200);
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::TERM).unwrap();
    let fresh = Client::new(&client.api, client.router_address().1, &client.token);
    assert_eq!(fresh.visit("app", "/go").await.status, 200);
    let page = slow.await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(server.ended().code(), Some(0));
    let next = holder.start();
    assert_eq!(next.client().visit("app", "/").await.status, 200);
    next.kill();
}

/// A clone or a slug on its way is not cut off, and the server serves others until it has arrived.
#[tokio::test]
async fn a_download_outlasts_the_end_of_its_server_and_keeps_nobody_waiting() {
    let holder = Holder::new(&["router", "api"]);
    let server = holder.start();
    let client = server.client();
    let source = client.post("/sources", Value::Null).await.expect(201);
    let url = |of: &str| source["source_blob"][of].as_str().unwrap().to_owned();
    // More than the buffers of two sockets hold.
    let sent: Vec<u8> = (0..BULK).map(|at| (at % 251) as u8).collect();
    let uploaded = client.put(&url("put_url"), None, sent.clone()).await;
    assert_eq!(uploaded.unwrap().status, 200);
    let mut download = client.open(&url("get_url")).await;
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::TERM).unwrap();
    let mut read = Vec::new();
    // By the first of these the signal may not have been noticed.
    for turn in 0..200 {
        let fresh = Client::new(&client.api, client.router_address().1, &client.token);
        fresh.get("/account").await.expect(200);
        // Slow, but not asleep.
        if turn % 10 == 0 {
            read.extend(download.chunk().await.unwrap().unwrap());
        }
    }
    assert!(read.len() < BULK / 2, "it was too fast");
    read.extend(download.bytes().await.unwrap());
    assert!(read == sent);
    assert_eq!(server.ended().code(), Some(0));
}

/// Whoever has gone to sleep over a download would keep a server for as long as anything is waited for.
#[tokio::test]
async fn a_download_of_which_nothing_is_taken_is_not_waited_for() {
    let here = Here::start(|config, options| {
        config.dynos_end_with_server = false;
        options.patience.room = 2 * HANG;
    });
    let here = here.await;
    let client = here.client();
    let source = client.post("/sources", Value::Null).await.expect(201);
    let url = |of: &str| source["source_blob"][of].as_str().unwrap().to_owned();
    let uploaded = client.put(&url("put_url"), None, vec![7; BULK]).await;
    assert_eq!(uploaded.unwrap().status, 200);
    let download = client.open(&url("get_url")).await;
    let stopping = here.server.stop(Parting::Leave);
    timeout(HANG, stopping).await.expect("it is waited for");
    assert!(download.bytes().await.is_err(), "it was whole after all");
}

/// Visitors within TLS and whoever runs a command meet the server where systemd listens for it, and the next server, too.
#[tokio::test]
async fn visitors_within_tls_and_clients_of_one_off_dynos_come_by_the_sockets_that_were_handed_over()
 {
    let holder = Holder::new(&["router-tls", "rendezvous", "router", "api"]);
    let [tls, rendezvous] = ["router-tls", "rendezvous"].map(|name| holder.address(name));
    let server = holder.start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let url = format!("https://app.localhost:{}/", tls.port());
    let app = client.get("/apps/app").await.expect(200);
    assert_eq!(app["web_url"], url);
    let is_met = async |server: &Server| {
        let client = server.client();
        let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
        let visitor = visitor(&authority, &["app.localhost"], tls.port());
        let page = visitor.get(&url).send().await.unwrap();
        assert_eq!(page.status().as_u16(), 200);
        assert!(page.text().await.unwrap().contains("still here"));
        let run = json!({"command": "echo for me", "attach": true, "force_no_tty": true});
        let dyno = client.post("/apps/app/dynos", run).await.expect(201);
        let attach_url = dyno["attach_url"].as_str().unwrap();
        assert_eq!(parts(attach_url).0, rendezvous.to_string());
        let mut run = Attached::connect(&server.ready.ca_file, attach_url).await;
        run.greeting().await;
        assert_eq!(run.text().await, "for me\n");
    };
    is_met(&server).await;
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    // Whoever comes now waits in a socket that nobody has closed.
    let waiting = [tls, rendezvous].map(|address| std::net::TcpStream::connect(address).unwrap());
    let server = holder.start();
    is_met(&server).await;
    drop(waiting);
    server.kill();
}

#[test]
fn a_socket_under_another_name_is_refused_with_those_that_are_known() {
    let holder = Holder::new(&["web"]);
    let status = Server::try_start(holder.command(), &holder.place.log());
    assert!(status.is_err_and(|status| status.code() == Some(4)));
    let said = std::fs::read_to_string(holder.place.log()).unwrap();
    assert!(
        said.contains("none of api, router, router-tls and rendezvous"),
        "{said}"
    );
}
