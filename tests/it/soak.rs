//! Servers, shims and dynos are killed at random moments of deploys, promotions, scaling and config changes, and the machine is
//! rebooted in between: nothing acknowledged is lost, what should run runs once, and nothing stray is left.
//!
//! `SOAK_ROUNDS` sets how many rounds there are (`make soak` plays a thousand), and `SOAK_SEED` what happens in them: a failure
//! names both.

mod chance;
mod expected;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::chance::Chance;
use self::expected::{APPS, Expected};
use crate::binary::sample::PERL;
use crate::binary::{Client, HANG, Place, Server, processes};

const ROUNDS: u64 = 20;
/// The longest that a deed goes on before the fault, in milliseconds: most of them are over by then.
const LONGEST: u64 = 400;

/// It is asked again and again until all is as it should be, however long a busy machine takes for that.
const UNLIMITED: &str = "--rate-limit=false";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillServer,
    /// As for an upgrade.
    StopServer,
    KillShim,
    KillDyno,
    /// Everything is gone at once.
    Reboot,
}

const FAULTS: [Fault; 5] = [
    Fault::KillServer,
    Fault::StopServer,
    Fault::KillShim,
    Fault::KillDyno,
    Fault::Reboot,
];

/// What somebody is about when it happens.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Deploy,
    Promote,
    Scale,
    Configure,
}

const DEEDS: [Deed; 4] = [Deed::Deploy, Deed::Promote, Deed::Scale, Deed::Configure];

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn what_was_acknowledged_outlives_whatever_is_killed() {
    let rounds = from_environment("SOAK_ROUNDS").unwrap_or(ROUNDS);
    let seed = from_environment("SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut soak = Soak::begin(Chance::new(seed)).await;
    let begun = Instant::now();
    for round in 1..=rounds {
        let story = soak.play().await;
        eprintln!("round {round} of {rounds}, SOAK_SEED={seed}: {story}");
    }
    let Soak {
        place,
        server,
        expected,
        ..
    } = soak;
    server.unwrap().stop();
    // The last server takes its dynos with it.
    let server = Server::start(
        place.command(&[crate::binary::TIED, UNLIMITED]),
        &place.log(),
    );
    expected.hold(&server.client()).await;
    server.stop();
    eprintln!("{rounds} rounds in {:?}", begun.elapsed());
}

struct Soak {
    place: Place,
    /// There is always one, but for the moment of a fault.
    server: Option<Server>,
    chance: Chance,
    expected: Expected,
}

impl Soak {
    /// Two apps in a pipeline, to which things happen, and one that is left alone.
    async fn begin(chance: Chance) -> Soak {
        let place = Place::new();
        let server = start(&place);
        let client = server.client();
        for app in APPS {
            client.create_app(app).await;
            client.deploy(app, PERL.tarball("first")).await;
        }
        client.create_pipeline().await;
        let soak = Soak {
            place,
            server: Some(server),
            chance,
            expected: Expected::new("first"),
        };
        soak.expected.hold(&client).await;
        soak
    }

    /// One deed, one fault, and what is there afterwards. What happened, for whoever reads of a failure.
    async fn play(&mut self) -> String {
        let (deed, fault) = (self.chance.pick(&DEEDS), self.chance.pick(&FAULTS));
        let moment = Duration::from_millis(self.chance.below(LONGEST));
        let client = self.client();
        let alone = self.bystander().await;
        let number = self.expected.next();
        let done = tokio::time::timeout(moment, self.expected.attempt(&client, deed, number)).await;
        let story = format!(
            "{deed:?} {number}, {fault:?} after {moment:?}, done: {}",
            done.is_ok()
        );
        eprintln!("{story}");
        self.fail(fault).await;
        let client = self.client();
        self.expected.hold(&client).await;
        self.nothing_is_stray().await;
        if matches!(fault, Fault::KillServer | Fault::StopServer) {
            let now = self.bystander().await;
            assert_eq!(now, alone, "the bystander was restarted: {story}");
        }
        story
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

    async fn fail(&mut self, fault: Fault) {
        let data = self.place.data();
        match fault {
            Fault::KillShim => self.kill_one(processes::shims(&data)),
            Fault::KillDyno => self.kill_one(processes::of(&data)),
            Fault::KillServer => self.replace(Server::kill),
            Fault::StopServer => self.replace(|server| drop(server.stop())),
            Fault::Reboot => self.replace(|server| {
                server.kill();
                processes::kill_all(&data);
            }),
        }
    }

    fn kill_one(&mut self, mut among: Vec<processes::Process>) {
        if !among.is_empty() {
            let at = self.chance.below(among.len() as u64);
            among.swap_remove(usize::try_from(at).unwrap()).kill();
        }
    }

    /// The old server has to be over before the next can have the directory.
    fn replace(&mut self, end: impl FnOnce(Server)) {
        end(self.server.take().unwrap());
        self.server = Some(start(&self.place));
    }

    /// Each dyno that the API shows has a shim and processes, and nobody else has.
    async fn nothing_is_stray(&self) {
        let (client, data) = (self.client(), self.place.data());
        let begun = Instant::now();
        loop {
            let mut shown = BTreeSet::new();
            for app in APPS {
                let dynos = client.get(format!("/apps/{app}/dynos")).await.expect(200);
                shown.extend(ids(&dynos));
            }
            let running: BTreeSet<String> = processes::by_dyno(&data).into_keys().collect();
            let held: Vec<String> = processes::shims(&data)
                .into_iter()
                .map(|shim| shim.dyno)
                .collect();
            let once: BTreeSet<String> = held.iter().cloned().collect();
            if shown == running && shown == once && held.len() == once.len() {
                return;
            }
            assert!(
                begun.elapsed() < HANG,
                "shown {shown:?}, running {running:?}, held {held:?}"
            );
        }
    }
}

fn start(place: &Place) -> Server {
    let mut server = Server::start(place.command(&[UNLIMITED]), &place.log());
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

/// What is asked for may fail in any way that a client sees, but not with an error of the server's own.
fn answered(status: u16, body: &Value) -> bool {
    assert!(status < 500 || status == 503, "{status} {body}");
    status < 300
}
