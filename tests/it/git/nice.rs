//! A server that makes way for others on its machine, and the git that it starts.

use std::process::Command;

use super::{PROCFILE, Scene};
use crate::binary::{Place, Server, TIED, program};

/// `nice` as the server itself, nicer than its git would be made, and with a `git` that notes how nice it is once it has read a push.
fn start(place: &Place) -> Server {
    let path = std::env::var_os("PATH").unwrap();
    let mut real = std::env::split_paths(&path).map(|folder| folder.join("git"));
    let real = real.find(|git| git.is_file()).unwrap();
    let (git, noted) = (place.path("programs/git"), place.path("noted"));
    let programs = git.parent().unwrap().to_owned();
    std::fs::create_dir(&programs).unwrap();
    let script = format!(
        "#!/bin/sh\n'{git}' \"$@\"\nstatus=$?\nnice >> '{noted}'\nexit $status\n",
        git = real.display(),
        noted = noted.display(),
    );
    program::script(&git, &script);
    let folders = [programs].into_iter().chain(std::env::split_paths(&path));
    let plain = place.command(&[TIED]);
    let mut command = Command::new("nice");
    let set = plain
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command
        .args(["-n", "15"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .envs(set)
        .env("PATH", std::env::join_paths(folders).unwrap());
    Server::start(command, &place.log())
}

/// Who is no root may not take that back, and who is must not.
#[tokio::test]
async fn a_push_to_a_server_that_is_nice_is_as_nice_and_succeeds() {
    let place = Place::new();
    let Scene {
        work, url, place, ..
    } = &Scene::on(start(&place), place).await;
    work.commit(&[("Procfile", PROCFILE)]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let noted = std::fs::read_to_string(place.path("noted")).unwrap();
    let noted: Vec<i32> = noted.lines().map(|nice| nice.parse().unwrap()).collect();
    assert!(!noted.is_empty());
    assert!(noted.iter().all(|nice| *nice >= 15), "{noted:?}");
}
