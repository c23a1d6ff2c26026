//! Servers, shims and dynos are killed at random moments of deploys, promotions, scaling and config changes; the machine is
//! rebooted, its clock jumps, memory runs out, and its disk fills up, breaks and loses its power: nothing acknowledged is lost, what
//! should run runs once, an app that nobody touches answers each of its visitors throughout, a release that never comes up leaves the
//! one before it serving, and nothing stray is left.
//!
//! `SOAK_ROUNDS` sets how many rounds there are (`make soak` plays a thousand), and `SOAK_SEED` what happens in them: a failure
//! names both.

mod chance;
mod clock;
mod disk;
mod expected;
mod faults;
mod history;
mod strays;
mod visitor;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::chance::Chance;
use self::disk::Disk;
use self::expected::{APPS, Expected};
use self::faults::Fault;
use self::strays::Traces;
use self::visitor::{Visitor, Way};
use crate::binary::sample::PERL;
use crate::binary::{Answer, Client, HANG, Place, Server, TIED, processes};

const ROUNDS: u64 = 20;
/// The longest that a deed goes on before the fault, in milliseconds: most of them are over by then.
const LONGEST: u64 = 400;

/// It is asked again and again until all is as it should be, however long a busy machine takes for that.
const UNLIMITED: &str = "--rate-limit=false";

/// What somebody is about when it happens.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Deploy,
    /// A release that never comes up.
    Break,
    Promote,
    Scale,
    Configure,
}

const DEEDS: [Deed; 5] = [
    Deed::Deploy,
    Deed::Break,
    Deed::Promote,
    Deed::Scale,
    Deed::Configure,
];

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn what_was_acknowledged_outlives_whatever_is_killed() {
    let rounds = from_environment("SOAK_ROUNDS").unwrap_or(ROUNDS);
    let seed = from_environment("SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut soak = Soak::begin(Chance::new(seed)).await;
    let begun = Instant::now();
    let mut played: BTreeMap<Fault, u64> = BTreeMap::new();
    for round in 1..=rounds {
        let (fault, story) = soak.play().await;
        *played.entry(fault).or_default() += 1;
        eprintln!("round {round} of {rounds}, SOAK_SEED={seed}: {story}");
    }
    let (answered, longest) = soak.end();
    // The last server takes its dynos with it.
    let place = &soak.place;
    let pool = format!("--dyno-network={}", strays::pool());
    let command = place.command(&[TIED, UNLIMITED, &pool]);
    let server = Server::start(command, &place.log());
    soak.expected.hold(&server.client()).await;
    server.stop();
    let [by_router, past_it] = answered;
    let visits = format!(
        "{by_router} visits by way of the router and {past_it} past it were answered, the last of them to come after {longest:?}"
    );
    let data = place.data();
    assert_eq!(strays::cables(), Vec::<String>::new());
    assert_eq!(strays::groups(&data), BTreeSet::new());
    eprintln!(
        "{rounds} rounds in {:?}: {played:?}; {visits}",
        begun.elapsed()
    );
}

struct Soak {
    /// There is always one, but for the moment of a fault.
    server: Option<Server>,
    /// Of the app that nobody touches. It goes before the rest does.
    visitor: Visitor,
    /// The dynos of that app.
    alone: BTreeSet<String>,
    disk: Option<Disk>,
    place: Place,
    /// Lines of packet rules, when all was well.
    rules: usize,
    /// Of the server's clock, in seconds.
    offset: i64,
    chance: Chance,
    expected: Expected,
}

impl Soak {
    /// Two apps in a pipeline, to which things happen, and one that is left alone.
    async fn begin(chance: Chance) -> Soak {
        let place = Place::new();
        std::fs::create_dir(place.path("tmp")).unwrap();
        let disk = Disk::make(&place);
        let server = start(&place, 0);
        let client = server.client();
        for app in APPS {
            client.create_app(app).await;
            client.deploy(app, PERL.tarball("first")).await;
        }
        client.create_pipeline().await;
        let mut soak = Soak {
            server: Some(server),
            visitor: Visitor::new(),
            alone: BTreeSet::new(),
            disk,
            place,
            rules: 0,
            offset: 0,
            chance,
            expected: Expected::new("first"),
        };
        soak.expected.hold(&client).await;
        soak.rules = strays::rules();
        soak
    }

    /// Stops the server, and leaves its dynos. How often the visitor was answered, and how long that took at most.
    fn end(&mut self) -> ([u64; 2], Duration) {
        let visitor = std::mem::replace(&mut self.visitor, Visitor::new());
        let answered = visitor.leave();
        self.server.take().unwrap().stop();
        answered
    }

    /// One deed, one fault, and what is there afterwards. What happened, for whoever reads of a failure.
    async fn play(&mut self) -> (Fault, String) {
        let faults = Fault::all(self.disk.as_ref());
        let (deed, fault) = (self.chance.pick(&DEEDS), self.chance.pick(faults));
        let moment = Duration::from_millis(self.chance.below(LONGEST));
        let client = self.client();
        let alone = self.bystander().await;
        self.alone = alone.keys().cloned().collect();
        self.let_visitors_in().await;
        let number = self.expected.next();
        self.break_before(fault).await;
        let attempt = self.expected.attempt(&client, deed, fault, number);
        let done = tokio::time::timeout(moment, attempt).await;
        let story = format!(
            "{deed:?} {number}, {fault:?} after {moment:?}, done: {}",
            done.is_ok()
        );
        eprintln!("{story}");
        self.fail(fault).await;
        let client = self.client();
        self.expected.hold(&client).await;
        self.nothing_is_stray().await;
        self.visitors_are_content(fault, &story).await;
        if fault.spares_dynos() {
            let now = self.bystander().await;
            assert_eq!(now, alone, "the bystander was restarted: {story}");
        }
        (fault, story)
    }

    /// By every way that is not open.
    async fn let_visitors_in(&self) {
        let port = self.server.as_ref().unwrap().router_port();
        self.visitor.open(Way::Router, visitor::router(port));
        let ids = self.bystander().await;
        let processes = processes::of(&self.place.data());
        let own = processes
            .iter()
            .filter(|process| ids.contains_key(&process.dyno));
        let address = own.filter_map(processes::Process::address).next();
        self.visitor.open(Way::Dyno, address.unwrap());
    }

    /// Each was answered, and what the app said of it is in the log, but where disk or dyno were hit.
    async fn visitors_are_content(&self, fault: Fault, story: &str) {
        self.visitor.is_content(story);
        if fault.spares_dynos() && !fault.hurts_work() {
            self.visitor.all_is_logged(&self.client()).await;
        } else {
            self.visitor.forget_printed();
        }
    }

    fn client(&self) -> Client {
        self.server.as_ref().unwrap().client()
    }

    /// The processes of the app that nobody touches, by its dynos.
    async fn bystander(&self) -> BTreeMap<String, Vec<i32>> {
        let dynos = self.client().get("/apps/bystander/dynos").await.expect(200);
        let ids = ids(&dynos);
        let mut pids = processes::pids(&self.place.data());
        pids.retain(|dyno, _| ids.contains(dyno));
        pids
    }

    fn kill_one(&mut self, mut among: Vec<processes::Process>) {
        if among.is_empty() {
            return;
        }
        let at = self.chance.below(among.len() as u64);
        let one = among.swap_remove(usize::try_from(at).unwrap());
        if self.alone.contains(&one.dyno) {
            self.visitor.close(Way::Router);
            self.visitor.close(Way::Dyno);
        }
        one.kill();
    }

    /// The old server has to be over before the next can have the directory.
    fn replace(&mut self, end: impl FnOnce(Server, Option<&Disk>)) {
        self.visitor.close(Way::Router);
        end(self.server.take().unwrap(), self.disk.as_ref());
        let server = start(&self.place, self.offset);
        // Its very first visitor is answered, if the app is there.
        if self.visitor.has_open(Way::Dyno) {
            let router = visitor::router(server.router_port());
            self.visitor.open(Way::Router, router);
        }
        self.server = Some(server);
    }

    /// Nothing is there that nobody needs, and each dyno that should run does once.
    async fn nothing_is_stray(&self) {
        let disks = usize::from(self.disk.is_some());
        let server = self.server.as_ref().unwrap().pid();
        let begun = Instant::now();
        loop {
            let traces = Traces::of(&self.place, server);
            let wrong = traces.wrong(disks, self.rules);
            if wrong.is_empty() {
                return;
            }
            assert!(begun.elapsed() < HANG, "{wrong:?}: {traces:#?}");
            tokio::task::yield_now().await;
        }
    }
}

fn start(place: &Place, offset: i64) -> Server {
    let mut server = Server::start(clock::command(place, offset), &place.log());
    server.is_survived = true;
    server
}

fn ids(dynos: &Value) -> BTreeSet<String> {
    let dynos = dynos.as_array().unwrap().iter();
    dynos
        .map(|dyno| dyno["id"].as_str().unwrap().to_owned())
        .collect()
}

impl Client {
    async fn create_pipeline(&self) {
        self.post("/pipelines", json!({"name": "soak"}))
            .await
            .expect(201);
        for (app, stage) in [("staging", "staging"), ("production", "production")] {
            let coupling = json!({"pipeline": "soak", "app": app, "stage": stage});
            self.post("/pipeline-couplings", coupling).await.expect(201);
        }
    }
}

/// What is asked for may fail in any way that a client sees, but not with an error of the server's own. On a disk that has broken
/// there is no other answer left.
fn answered(answer: &Answer, fault: Fault) -> bool {
    let (status, body) = (answer.status, answer.json());
    let its_own = status >= 500 && status != 503 && fault != Fault::ReadOnlyDisk;
    assert!(!its_own, "{fault:?}: {status} {body}");
    status < 300
}
