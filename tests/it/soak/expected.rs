//! What has to be there after a fault: what was acknowledged, or what was asked for when the answer was lost.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::{Deed, Fault, answered};
use crate::binary::sample::PERL;
use crate::binary::{Client, HANG, Lost};

/// Things happen to the first two.
pub const APPS: [&str; 3] = ["staging", "production", "bystander"];

/// What may be so. One thing, unless an answer was lost.
type May<T> = BTreeSet<T>;

struct App {
    name: &'static str,
    text: May<String>,
    greeting: May<Option<String>>,
    workers: May<u64>,
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
            greeting: May::from([None]),
            workers: May::from([0]),
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
            Deed::Promote => self.promote(client, fault).await,
            Deed::Scale => self.scale(client, number, fault).await,
            Deed::Configure => self.configure(client, number, fault).await,
        };
    }

    async fn deploy(&mut self, client: &Client, number: u64, fault: Fault) -> Result<(), Lost> {
        let text = format!("text-{number}");
        let source = client.try_call("POST", "/sources", Value::Null).await?;
        if !answered(&source, fault) {
            return Ok(());
        }
        let source = source.json();
        let source = &source["source_blob"];
        let put = source["put_url"].as_str().unwrap();
        let uploaded = client.put(put, None, PERL.tarball(&text)).await?;
        if uploaded.status >= 300 {
            assert!(fault.hurts_work(), "{}", uploaded.text());
            return Ok(());
        }
        let staging = &mut self.apps[0].text;
        staging.insert(text.clone());
        let wanted = json!({"source_blob": {"url": source["get_url"]}});
        let build = client
            .try_call("POST", "/apps/staging/builds", wanted)
            .await?;
        if answered(&build, fault) && !fault.hurts_work() {
            *staging = May::from([text]);
        }
        Ok(())
    }

    async fn promote(&mut self, client: &Client, fault: Fault) -> Result<(), Lost> {
        let [staging, production, _] = &mut self.apps[..] else {
            unreachable!("there are three apps")
        };
        production.text.extend(staging.text.iter().cloned());
        let wanted = json!({
            "pipeline": "soak", "source": {"app": "staging"}, "targets": [{"app": "production"}],
        });
        let promotion = client
            .try_call("POST", "/pipeline-promotions", wanted)
            .await?;
        if answered(&promotion, fault) && !fault.hurts_work() {
            production.text.clone_from(&staging.text);
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
        }
        Ok(())
    }

    /// Waits until each app is something that it may be. What is in doubt stays so until something else was acknowledged: what
    /// was not answered may have been taken up all the same, and come a little later.
    pub async fn hold(&self, client: &Client) {
        for app in &self.apps {
            app.is_as_expected(client).await;
        }
    }
}

impl App {
    async fn is_as_expected(&self, client: &Client) {
        let begun = Instant::now();
        loop {
            let why = match self.look(client).await {
                Ok(()) => return,
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
        let up = dynos.iter().all(|dyno| dyno["state"] == "up");
        let wanted = workers + quantity("web");
        if !up || dynos.len() as u64 != wanted {
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
