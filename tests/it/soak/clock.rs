//! A server whose clock jumps: the library itself, in a process of its own, on a clock that is as far off as it is told to be.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use penstock::config::Config;
use penstock::data_dir::DataDir;
use penstock::runtime::Parting;
use penstock::sandbox::Settings;
use penstock::serve::{Options, serve};
use penstock::time::Clock;

use super::strays;
use crate::binary::Place;
use crate::harness;

const DATA_DIR: &str = "SOAK_DATA_DIR";
const SOCKET: &str = "SOAK_CLOCK";
const OFFSET: &str = "SOAK_OFFSET";
const POOL: &str = "SOAK_POOL";

/// This test binary itself, as a server whose clock is so many seconds off.
pub fn command(place: &Place, offset: i64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["soak::clock::server", "--exact", "--ignored", "--nocapture"])
        .env(DATA_DIR, place.data())
        .env(SOCKET, socket(place))
        .env(OFFSET, offset.to_string())
        .env(POOL, strays::pool())
        .env("TMPDIR", place.path("tmp"))
        .stdin(Stdio::null());
    command
}

/// Sets the clock of the server that runs.
pub fn jump(place: &Place, offset: i64) {
    let sender = UnixDatagram::unbound().unwrap();
    let text = offset.to_string();
    sender.send_to(text.as_bytes(), socket(place)).unwrap();
}

fn socket(place: &Place) -> PathBuf {
    place.path("clock.sock")
}

#[test]
#[ignore = "this is the server that the soak starts and kills"]
fn server() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else {
        return;
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let micros = |text: &str| text.parse::<i64>().unwrap() * 1_000_000;
    let offset = Arc::new(AtomicI64::new(micros(&std::env::var(OFFSET).unwrap())));
    let socket = std::env::var_os(SOCKET).unwrap();
    let _ = std::fs::remove_file(&socket);
    let socket = UnixDatagram::bind(socket).unwrap();
    let told = offset.clone();
    std::thread::spawn(move || {
        let mut text = [0; 64];
        while let Ok(length) = socket.recv(&mut text) {
            let text = std::str::from_utf8(&text[..length]).unwrap();
            told.store(micros(text), Ordering::SeqCst);
        }
    });
    let data = DataDir::open(&PathBuf::from(data_dir)).unwrap();
    let config = Config {
        isolation: Settings {
            dyno_forwarding: false,
            dyno_network: std::env::var(POOL).unwrap().parse().unwrap(),
            ..Settings::default()
        },
        dynos_end_with_server: false,
        rate_limit: false,
        ..harness::config(&data)
    };
    let options = Options {
        clock: Clock::Shifted(offset),
        shim: Some(env!("CARGO_BIN_EXE_penstock").into()),
        // A tenth of what it is elsewhere: a soak has no use for waiting.
        policy: penstock::runtime::plan::Policy {
            grace: Duration::from_secs(3),
            ..Default::default()
        },
        ..Options::default()
    };
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).unwrap().recv().await;
        (Parting::Leave, std::future::pending())
    };
    let ready = |ready: &penstock::serve::Ready| println!("\n{}", ready.to_json());
    serve(config, options, ready, terminated).unwrap();
}
