//! What goes wrong in a soak.

use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::disk::Disk;
use super::visitor::Way;
use super::{Soak, clock, processes};
use crate::binary::{Client, Server};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// How far off the clock may be, in seconds.
const OFFSETS: [i64; 7] = [0, HOUR, -HOUR, DAY, -DAY, 400 * DAY, -400 * DAY];
/// Several times what any dyno may have.
const GREEDY: &str = "perl -e '$x = \"x\" x 4_000_000_000; $y = $x . $x; print length $y'";
/// More than twice what it may have, and no more than that where only the server looks at how much it is.
const GREEDY_UNLIMITED: &str =
    "perl -e '$n = 1_200_000_000; $x = \"x\" x $n; 1 while 1 < select undef, undef, undef, 600'";

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

const ALWAYS: [Fault; 7] = [
    Fault::KillServer,
    Fault::StopServer,
    Fault::KillShim,
    Fault::KillDyno,
    Fault::Reboot,
    Fault::ClockJump,
    Fault::OutOfMemory,
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
    }

    /// What goes wrong in the middle of it, and what whoever runs the machine does about it.
    pub async fn fail(&mut self, fault: Fault) {
        let data = self.place.data();
        match fault {
            Fault::KillShim => self.kill_one(processes::shims(&data)),
            Fault::KillDyno => self.kill_one(processes::of(&data)),
            Fault::KillServer => self.replace(|server, _| server.kill()),
            Fault::StopServer => self.replace(|server, _| drop(server.stop())),
            Fault::Reboot => {
                self.visitor.close(Way::Dyno);
                self.replace(|server, _| {
                    server.kill();
                    processes::kill_all(&data);
                });
            }
            Fault::ClockJump => {}
            Fault::OutOfMemory => self.greed_is_over().await,
            Fault::FullDisk => self.disk.iter().for_each(Disk::empty),
            Fault::ReadOnlyDisk => {
                self.visitor.close(Way::Dyno);
                self.replace(|server, disk| reboot(server, disk, Disk::check));
            }
            Fault::PowerCut => {
                self.visitor.close(Way::Dyno);
                self.visitor.close(Way::Router);
                self.disk.iter().for_each(Disk::cut);
                self.replace(|server, disk| reboot(server, disk, |_| {}));
            }
        }
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
    let command = match geteuid().is_root() {
        true => GREEDY,
        false => GREEDY_UNLIMITED,
    };
    let wanted = json!({"command": command});
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
