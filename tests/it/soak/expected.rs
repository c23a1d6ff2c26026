//! What has to be there after a fault: what was acknowledged, or what was asked for when the answer was lost.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::history::History;
use super::{Deed, Fault, answered};
use crate::binary::sample::{PERL, tarball};
use crate::binary::{Answer, Client, HANG, Lost};

/// Things happen to the first two.
pub const APPS: [&str; 3] = ["staging", "production", "bystander"];

/// Of an app whose web dynos never come up.
const BROKEN: &str = "web: exit 3\nworker: tail -f /dev/null\n";

/// What may be so. One thing, unless an answer was lost.
type May<T> = BTreeSet<T>;

struct App {
    name: &'static str,
    text: May<String>,
    /// Its newest release never comes up, and an older one serves.
    broken: May<bool>,
    greeting: May<Option<String>>,
    workers: May<u64>,
    history: History,
}

pub struct Expected {
    apps: Vec<App>,
    count: u64,
}

impl Expected {
    /// Apps that show this text, and that nothing else has happened to.
    pub fn new(text: &str) -> Expected {
        let app = |name| App {
            name,
            text: May::from([text.to_owned()]),
            broken: May::from([false]),
            greeting: May::from([None]),
            workers: May::from([0]),
            history: History::default(),
        };
        Expected {
            apps: APPS.map(app).into(),
            count: 0,
        }
    }

    /// A number that nothing was done with before.
    pub fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Asks for something, and notes what it may lead to before, and what it has led to after.
    pub async fn attempt(&mut self, client: &Client, deed: Deed, fault: Fault, number: u64) {
        // Nothing is known of what was not answered, so its end is no failure of the test.
        let _: Result<(), Lost> = match deed {
            Deed::Deploy => self.deploy(client, number, fault).await,
            Deed::Break => self.break_it(client, fault).await,
            Deed::Promote => self.promote(client, fault).await,
            Deed::Scale => self.scale(client, number, fault).await,
            Deed::Configure => self.configure(client, number, fault).await,
        };
    }

    async fn deploy(&mut self, client: &Client, number: u64, fault: Fault) -> Result<(), Lost> {
        let text = format!("text-{number}");
        let staging = &mut self.apps[0];
        staging.text.insert(text.clone());
        staging.broken.insert(false);
        let build = build(client, PERL.tarball(&text), fault).await?;
        if staging.has_taken(build.as_ref()) && !fault.hurts_work() {
            staging.text = May::from([text]);
            staging.broken = May::from([false]);
        }
        Ok(())
    }

    async fn break_it(&mut self, client: &Client, fault: Fault) -> Result<(), Lost> {
        let staging = &mut self.apps[0];
        staging.broken.insert(true);
        let build = build(client, tarball(&[("Procfile", BROKEN)]), fault).await?;
        if staging.has_taken(build.as_ref()) && !fault.hurts_work() {
            staging.broken = May::from([true]);
        }
        Ok(())
    }

    async fn promote(&mut self, client: &Client, fault: Fault) -> Result<(), Lost> {
        let [staging, production, _] = &mut self.apps[..] else {
            unreachable!("there are three apps")
        };
        let before = production.text.clone();
        production.text.extend(staging.text.iter().cloned());
        production.broken.extend(&staging.broken);
        let wanted = json!({
            "pipeline": "soak", "source": {"app": "staging"}, "targets": [{"app": "production"}],
        });
        let promotion = client
            .try_call("POST", "/pipeline-promotions", wanted)
            .await?;
        if answered(&promotion, fault) && !fault.hurts_work() {
            production.broken.clone_from(&staging.broken);
            if staging.broken == May::from([false]) {
                production.text.clone_from(&staging.text);
            } else if staging.broken == May::from([true]) {
                // What came does not come up, so the page stays.
                production.text = before;
            }
        }
        Ok(())
    }

    async fn scale(&mut self, client: &Client, number: u64, fault: Fault) -> Result<(), Lost> {
        let workers = &mut self.apps[0].workers;
        workers.insert(number % 3);
        let wanted = json!({"updates": [{"type": "worker", "quantity": number % 3}]});
        let formation = client
            .try_call("PATCH", "/apps/staging/formation", wanted)
            .await?;
        if answered(&formation, fault) {
            *workers = May::from([number % 3]);
        }
        Ok(())
    }

    async fn configure(&mut self, client: &Client, number: u64, fault: Fault) -> Result<(), Lost> {
        let app = &mut self.apps[usize::from(number.is_multiple_of(2))];
        let greeting = Some(format!("greeting-{number}"));
        app.greeting.insert(greeting.clone());
        let path = format!("/apps/{}/config-vars", app.name);
        let set = client
            .try_call("PATCH", path, json!({"GREETING": greeting}))
            .await?;
        if answered(&set, fault) {
            app.greeting = May::from([greeting]);
            app.history.release();
        }
        Ok(())
    }

    /// Waits until each app is something that it may be. What is in doubt stays so until something else was acknowledged: what
    /// was not answered may have been taken up all the same, and come a little later.
    pub async fn hold(&mut self, client: &Client) {
        for app in &mut self.apps {
            app.is_as_expected(client).await;
        }
    }
}

/// Uploads a source and asks for a build of it; the answer, if there was one that is no refusal.
async fn build(client: &Client, source: Vec<u8>, fault: Fault) -> Result<Option<Answer>, Lost> {
    let place = client.try_call("POST", "/sources", Value::Null).await?;
    if !answered(&place, fault) {
        return Ok(None);
    }
    let place = place.json();
    let place = &place["source_blob"];
    let put = place["put_url"].as_str().unwrap();
    let uploaded = client.put(put, None, source).await?;
    if uploaded.status >= 300 {
        assert!(fault.hurts_work(), "{}", uploaded.text());
        return Ok(None);
    }
    let wanted = json!({"source_blob": {"url": place["get_url"]}});
    let build = client
        .try_call("POST", "/apps/staging/builds", wanted)
        .await?;
    Ok(answered(&build, fault).then_some(build))
}

impl App {
    /// Notes a build that was acknowledged, if one was.
    fn has_taken(&mut self, build: Option<&Answer>) -> bool {
        if let Some(build) = build {
            self.history.build(&build.json());
        }
        build.is_some()
    }

    async fn is_as_expected(&mut self, client: &Client) {
        let begun = Instant::now();
        loop {
            let why = match self.look(client).await {
                Ok(()) => match self.history.look(client, self.name).await {
                    Ok(()) => return,
                    Err(why) => why,
                },
                Err(why) => why,
            };
            assert!(begun.elapsed() < HANG, "{}: {why}", self.name);
        }
    }

    /// What is there, if nothing is on its way any more and all of it agrees.
    async fn look(&self, client: &Client) -> Result<(), String> {
        let get = async |path: &str| {
            client
                .get(format!("/apps/{}{path}", self.name))
                .await
                .expect(200)
        };
        let config = get("/config-vars").await;
        let greeting = config["GREETING"].as_str().map(str::to_owned);
        let formation = get("/formation").await;
        let quantity = |of: &str| {
            let mut types = formation.as_array().unwrap().iter();
            types.find(|one| one["type"] == of).unwrap()["quantity"]
                .as_u64()
                .unwrap()
        };
        let (workers, text) = (quantity("worker"), self.page(client).await?);
        let dynos = get("/dynos").await;
        let dynos = dynos.as_array().unwrap();
        let may_fail = |dyno: &Value| dyno["type"] == "web" && self.broken.contains(&true);
        let up = |dyno: &Value| dyno["state"] == "up" || may_fail(dyno);
        let up = dynos.iter().all(up);
        let wanted = workers + quantity("web");
        // Beside one that does not come up stands the one that serves in its place, under the same name.
        let names = dynos.iter().map(|dyno| dyno["name"].as_str().unwrap());
        let count = match self.broken.contains(&true) {
            true => names.collect::<std::collections::BTreeSet<_>>().len(),
            false => names.count(),
        };
        if !up || count as u64 != wanted {
            return Err(format!(
                "{wanted} dynos are wanted, and there are {dynos:?}"
            ));
        }
        let known = self.text.contains(&text)
            && self.greeting.contains(&greeting)
            && self.workers.contains(&workers);
        match known {
            true => Ok(()),
            false => Err(format!(
                "it shows {text:?}, has the greeting {greeting:?} and {workers} workers; it may have {:?}, {:?}, {:?}",
                self.text, self.greeting, self.workers
            )),
        }
    }

    /// The text on its page.
    async fn page(&self, client: &Client) -> Result<String, String> {
        let page = match client.try_visit(self.name, "/").await {
            Ok(page) if page.status == 200 => page.text(),
            Ok(page) => return Err(format!("it answered {}", page.status)),
            Err(Lost) => return Err("it did not answer".to_owned()),
        };
        let (text, _) = page.split_once(" says ").ok_or_else(|| page.clone())?;
        Ok(text.to_owned())
    }
}
