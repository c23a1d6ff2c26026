//! What goes wrong in a soak.

use serde_json::{Value, json};

use super::disk::Disk;
use super::{Soak, clock, processes};
use crate::binary::{Client, Server};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// How far off the clock may be, in seconds.
const OFFSETS: [i64; 7] = [0, HOUR, -HOUR, DAY, -DAY, 400 * DAY, -400 * DAY];
/// Several times what any dyno may have.
const GREEDY: &str = "perl -e '$x = \"x\" x 4_000_000_000; $y = $x . $x; print length $y'";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillServer,
    /// As for an upgrade.
    StopServer,
    KillShim,
    KillDyno,
    /// Everything is gone at once.
    Reboot,
    ClockJump,
    /// A command eats more memory than there is for it.
    OutOfMemory,
    FullDisk,
    /// The kernel gives up on the disk, and the machine is rebooted.
    ReadOnlyDisk,
    /// As a reboot, and what was not synced is lost.
    PowerCut,
}

const ALWAYS: [Fault; 6] = [
    Fault::KillServer,
    Fault::StopServer,
    Fault::KillShim,
    Fault::KillDyno,
    Fault::Reboot,
    Fault::ClockJump,
];
const WITH_A_DISK: [Fault; 10] = [
    Fault::KillServer,
    Fault::StopServer,
    Fault::KillShim,
    Fault::KillDyno,
    Fault::Reboot,
    Fault::ClockJump,
    Fault::OutOfMemory,
    Fault::FullDisk,
    Fault::ReadOnlyDisk,
    Fault::PowerCut,
];

impl Fault {
    /// Those that can be had here.
    pub fn all(disk: Option<&Disk>) -> &'static [Fault] {
        match disk {
            Some(_) => &WITH_A_DISK,
            None => &ALWAYS,
        }
    }

    /// Nothing of an app that nobody touches is to be restarted.
    pub fn spares_dynos(self) -> bool {
        use Fault::{ClockJump, FullDisk, KillServer, OutOfMemory, StopServer};
        [KillServer, StopServer, ClockJump, OutOfMemory, FullDisk].contains(&self)
    }

    /// What was taken on may come to nothing, and say so.
    pub fn hurts_work(self) -> bool {
        matches!(self, Fault::FullDisk | Fault::ReadOnlyDisk)
    }
}

impl Soak {
    /// What is wrong already while somebody is about something.
    pub async fn break_before(&mut self, fault: Fault) {
        match (fault, &self.disk) {
            (Fault::FullDisk, Some(disk)) => disk.fill(),
            (Fault::ReadOnlyDisk, Some(disk)) => disk.give_up(),
            (Fault::ClockJump, _) => {
                self.offset = self.chance.pick(&OFFSETS);
                clock::jump(&self.place, self.offset);
            }
            (Fault::OutOfMemory, _) => be_greedy(&self.client()).await,
            _ => {}
        }
        if fault.spares_dynos() || fault == Fault::ReadOnlyDisk {
            self.bystander_serves().await;
        }
    }

    /// What goes wrong in the middle of it, and what whoever runs the machine does about it.
    pub async fn fail(&mut self, fault: Fault) {
        let data = self.place.data();
        match fault {
            Fault::KillShim => self.kill_one(processes::shims(&data)),
            Fault::KillDyno => self.kill_one(processes::of(&data)),
            Fault::KillServer => self.replace(|server, _| server.kill()),
            Fault::StopServer => self.replace(|server, _| drop(server.stop())),
            Fault::Reboot => self.replace(|server, _| {
                server.kill();
                processes::kill_all(&data);
            }),
            Fault::ClockJump => {}
            Fault::OutOfMemory => self.greed_is_over().await,
            Fault::FullDisk => {
                self.bystander_serves().await;
                self.disk.iter().for_each(Disk::empty);
            }
            Fault::ReadOnlyDisk => {
                self.bystander_serves().await;
                self.replace(|server, disk| reboot(server, disk, Disk::check));
            }
            Fault::PowerCut => {
                self.disk.iter().for_each(Disk::cut);
                self.replace(|server, disk| reboot(server, disk, |_| {}));
            }
        }
    }

    async fn bystander_serves(&self) {
        let page = self.client().visit("bystander", "/").await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    async fn greed_is_over(&self) {
        let over = async |dynos: &Value| {
            let mut dynos = dynos.as_array().unwrap().iter();
            dynos.all(|dyno| dyno["type"] != "run")
        };
        let path = "/apps/production/dynos";
        let watched = self.client().watch("production", path, over).await;
        watched.unwrap();
    }
}

async fn be_greedy(client: &Client) {
    let wanted = json!({"command": GREEDY});
    client
        .post("/apps/production/dynos", wanted)
        .await
        .expect(201);
}

/// All is gone, the disk is mounted again, and the machine says that it was started anew, as it does by its boot id.
fn reboot(server: Server, disk: Option<&Disk>, between: impl Fn(&Disk)) {
    let data = server.data().to_owned();
    server.kill();
    processes::kill_all(&data);
    if let Some(disk) = disk {
        disk.unmount();
        between(disk);
        assert!(disk.mount());
    }
    std::fs::write(data.join("trees/boot"), "an earlier start").unwrap();
}
