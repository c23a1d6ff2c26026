//! Dynos that somebody sits in front of: their streams, their terminal, signals and their end.

use penstock::error::Error;
use penstock::name::Id;
use penstock::runtime::{
    Attached, Event, Expected, Launch, Reception, Runtime, Signal, Size, Streams,
};

use super::local::Place;
use super::soon;

const SIZE: Size = Size {
    rows: 24,
    columns: 80,
};

/// A dyno, and whoever sits in front of it.
struct Sitting {
    place: Place,
    launch: Launch,
    attached: Attached,
    seen: String,
}

impl Sitting {
    async fn start(streams: Streams, command: &str) -> Sitting {
        let place = Place::new();
        let launch = Launch {
            streams,
            ..place.worker(command)
        };
        soon(place.local.start(launch.clone())).await.unwrap();
        let attached = place.local.attach(launch.dyno).unwrap();
        assert!(place.local.attach(launch.dyno).is_none());
        Sitting {
            place,
            launch,
            attached,
            seen: String::new(),
        }
    }

    /// Reads until it has seen this.
    async fn sees(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let Some(chunk) = soon(self.attached.output.recv()).await else {
                panic!("{text:?} was not printed, but {:?}", self.seen);
            };
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    async fn types(&self, text: &str) {
        soon(self.attached.controls.write(text.as_bytes())).await;
    }

    /// Reads to the end; the status.
    async fn ends(&mut self) -> i32 {
        while let Some(chunk) = soon(self.attached.output.recv()).await {
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        let status = soon(self.attached.controls.ended()).await.unwrap();
        let dyno = self.launch.dyno;
        assert_eq!(self.place.event().await, Event::Exited { dyno, status });
        status
    }
}

#[tokio::test]
async fn a_terminal_is_one_for_the_dyno_and_has_the_size_it_is_given() {
    let command = "stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; \
        read x; echo got $x; stty size; tty > /dev/tty && exit 6";
    let mut sitting = Sitting::start(Streams::Terminal(SIZE), command).await;
    sitting.sees("24 80\r\nterminal\r\n").await;
    let (rows, columns) = (50, 132);
    sitting.attached.controls.resize(Size { rows, columns });
    sitting.types("hello\n").await;
    assert_eq!(sitting.ends().await, 6);
    // What is typed is echoed.
    assert!(
        sitting
            .seen
            .contains("hello\r\ngot hello\r\n50 132\r\n/dev/pts/")
    );
    assert!(sitting.place.ground.lines(sitting.launch.app).is_empty());
}

#[tokio::test]
async fn ctrl_c_and_ctrl_d_do_what_they_do_at_any_terminal() {
    let command = "trap 'echo interrupted' INT; echo ready; cat; echo over; exit 4";
    let mut sitting = Sitting::start(Streams::Terminal(SIZE), command).await;
    sitting.sees("ready").await;
    sitting.types("typed\n").await;
    sitting.sees("typed\r\ntyped\r\n").await;
    sitting.types("\u{3}").await;
    sitting.sees("interrupted\r\nover\r\n").await;
    assert_eq!(sitting.ends().await, 4);
    let mut sitting = Sitting::start(Streams::Terminal(SIZE), "echo ready; cat; exit 5").await;
    sitting.sees("ready").await;
    sitting.attached.controls.end_input();
    assert_eq!(sitting.ends().await, 5);
}

#[tokio::test]
async fn a_hangup_and_an_interrupt_reach_every_process() {
    for (signal, status) in [(Signal::Hangup, 129), (Signal::Interrupt, 130)] {
        let command = "setsid sleep 1000 & echo ready; exec sleep 1000";
        let mut sitting = Sitting::start(Streams::Pipes, command).await;
        sitting.sees("ready").await;
        sitting.attached.controls.signal(signal);
        assert_eq!(sitting.ends().await, status);
    }
}

#[tokio::test]
async fn input_goes_in_as_fast_as_it_is_read_and_comes_to_an_end() {
    let mut sitting = Sitting::start(Streams::Pipes, "cat; echo end >&2; exit 2").await;
    let text: String = (0..200_000).map(|at| format!("{at}\n")).collect();
    let controls = sitting.attached.controls.clone();
    let typed = text.clone();
    let typing = tokio::spawn(async move {
        controls.write(typed.as_bytes()).await;
        controls.end_input();
    });
    assert_eq!(sitting.ends().await, 2);
    soon(typing).await.unwrap();
    assert!(sitting.seen == text + "end\n");
}

#[tokio::test]
async fn input_after_its_end_goes_nowhere_and_does_the_dyno_no_harm() {
    let command = "cat; echo over; exec sleep 1000";
    let mut sitting = Sitting::start(Streams::Pipes, command).await;
    sitting.attached.controls.end_input();
    sitting.sees("over").await;
    // More than is on its way at once.
    sitting.types(&"x".repeat(1 << 20)).await;
    sitting.attached.controls.signal(Signal::Terminate);
    assert_eq!(sitting.ends().await, 143);
    assert_eq!(sitting.seen, "over\n");
}

#[tokio::test]
async fn two_do_not_wait_for_one_dyno() {
    let (reception, dyno) = (Reception::default(), Id::new());
    let mut first = reception.wait_for(dyno).unwrap();
    assert!(reception.wait_for(dyno).is_none());
    // The one that was there first still has its place.
    reception.present(dyno, Err(Error::invalid("it was for the first")));
    let mut second = reception.wait_for(dyno).unwrap();
    assert_eq!(why(&mut first).await, "it was for the first");
    drop(first);
    reception.present(dyno, Err(Error::invalid("it was for the second")));
    assert_eq!(why(&mut second).await, "it was for the second");
}

async fn why(expected: &mut Expected) -> String {
    let arrived = soon(expected.arrives()).await;
    arrived.err().unwrap().message.to_string()
}

#[tokio::test]
async fn input_that_nobody_reads_holds_up_whoever_gives_it_until_the_dyno_ends() {
    let mut sitting = Sitting::start(Streams::Pipes, "echo ready; exec sleep 1000").await;
    sitting.sees("ready").await;
    let controls = sitting.attached.controls.clone();
    let mut typing = tokio::spawn(async move { controls.write(&[b'x'; 1 << 20]).await });
    tokio::select! {
        _ = &mut typing => panic!("a megabyte went into a pipe that nobody reads"),
        () = tokio::task::yield_now() => {}
    }
    sitting.attached.controls.signal(Signal::Terminate);
    assert_eq!(sitting.ends().await, 143);
    soon(typing).await.unwrap();
}

#[tokio::test]
async fn a_dyno_waits_for_whoever_reads_what_it_prints_and_nothing_is_lost() {
    let command = "seq 1000000; touch $HOME/../printed; exec sleep 1000";
    let mut sitting = Sitting::start(Streams::Pipes, command).await;
    let dynos = sitting.place.ground.path().join("dynos");
    let printed = dynos.join(sitting.launch.dyno.to_string()).join("printed");
    sitting.sees("100\n").await;
    assert!(!printed.exists(), "it did not wait");
    sitting.sees("1000000\n").await;
    let expected: String = (1..=1_000_000).map(|at| format!("{at}\n")).collect();
    assert!(sitting.seen == expected);
}

#[tokio::test]
async fn a_dyno_that_prints_to_the_log_has_no_streams_for_anybody() {
    let place = Place::new();
    let launch = place.worker("exec sleep 1000");
    soon(place.local.start(launch.clone())).await.unwrap();
    assert!(place.local.attach(launch.dyno).is_none());
}
