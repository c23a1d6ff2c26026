//! What an app has behind it: releases and builds, which are never lost nor altered once they were seen or acknowledged.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::binary::Client;

/// So many of the newest are looked at.
const LOOK: usize = 60;

#[derive(Default)]
pub struct History {
    /// Description and id, by version.
    releases: BTreeMap<u64, (String, String)>,
    /// Status, by id. One that was acknowledged and not seen yet is pending.
    builds: BTreeMap<String, String>,
    /// Releases that were acknowledged since the last look, at least.
    owed: u64,
}

impl History {
    /// A build was acknowledged.
    pub fn build(&mut self, build: &Value) {
        let id = build["id"].as_str().unwrap().to_owned();
        self.builds.insert(id, "pending".to_owned());
    }

    /// A change was acknowledged that makes a release at once.
    pub fn release(&mut self) {
        self.owed += 1;
    }

    /// Whether all is there that was, unaltered, and nothing is under way any more.
    pub async fn look(&mut self, client: &Client, app: &str) -> Result<(), String> {
        let list = async |noun: &str, by: &str| {
            let range = format!("{by} ..; order=desc, max={LOOK}");
            let answer = client.range(format!("/apps/{app}/{noun}"), &range).await;
            assert!([200, 206].contains(&answer.status), "{}", answer.text());
            answer.json().as_array().unwrap().clone()
        };
        self.look_at_releases(&list("releases", "version").await)?;
        self.look_at_builds(&list("builds", "id").await)
    }

    fn look_at_releases(&mut self, releases: &[Value]) -> Result<(), String> {
        let version = |release: &Value| release["version"].as_u64().unwrap();
        let newest = version(&releases[0]);
        for (at, release) in releases.iter().enumerate() {
            let expected = newest - at as u64;
            assert_eq!(
                version(release),
                expected,
                "a version is missing: {releases:#?}"
            );
            let seen = (text(release, "description"), text(release, "id"));
            if let Some(before) = self.releases.get(&expected) {
                assert_eq!(*before, seen, "v{expected} was altered");
            }
        }
        let least = self.releases.keys().last().copied().unwrap_or(1) + self.owed;
        assert!(
            newest >= least,
            "v{newest} is the newest, and there was v{least}"
        );
        if releases
            .iter()
            .any(|release| release["status"] == "pending")
        {
            return Err("a release is pending".to_owned());
        }
        let is_good = |release: &&Value| release["status"] == "succeeded";
        let current = releases.iter().filter(|release| release["current"] == true);
        let current: Vec<u64> = current.map(version).collect();
        let good = releases.iter().find(is_good).map(version);
        assert_eq!(current, good.into_iter().collect::<Vec<_>>());
        self.owed = 0;
        let seen = releases.iter().map(|release| {
            let what = (text(release, "description"), text(release, "id"));
            (version(release), what)
        });
        self.releases.extend(seen);
        while self.releases.len() > LOOK {
            self.releases.pop_first();
        }
        Ok(())
    }

    fn look_at_builds(&mut self, builds: &[Value]) -> Result<(), String> {
        let found: BTreeMap<String, String> = builds
            .iter()
            .map(|build| (text(build, "id"), text(build, "status")))
            .collect();
        for (id, before) in &self.builds {
            let Some(now) = found.get(id) else {
                panic!("the build {id} is gone: {found:?}");
            };
            assert!(
                before == "pending" || before == now,
                "{id}: {before}, {now}"
            );
        }
        if found.values().any(|status| status == "pending") {
            return Err("a build is pending".to_owned());
        }
        self.builds = found;
        // Those that the next may push out of sight.
        while self.builds.len() > LOOK / 2 {
            self.builds.pop_first();
        }
        Ok(())
    }
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}
