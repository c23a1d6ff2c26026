//! `app.json`: what an app says that it takes to be set up, read from the root of its source.
//!
//! A pure function from bytes to a [`Manifest`], with a sentence for each thing in it that cannot be. It must not know who sets
//! up what, nor where the file comes from. Keys that say nothing of the setup (`description`, `logo` and the like) are let be.
//! The facts are those of Heroku's app.json schema.

mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::archive::RootFile;
use crate::catalog;
use crate::cron;
use crate::name::ProcessType;
use crate::store::buildpacks::Buildpack;
use crate::store::config_vars::{self, ConfigVars};

pub use file::{read, read_for};

/// The file's name.
pub const NAME: &str = "app.json";
/// Dynos of one type.
const MAX_QUANTITY: i64 = crate::store::formation::MAX_QUANTITY;

/// What an `app.json` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Is not kept: its values go into config vars, which are sealed.
    #[serde(skip)]
    pub env: BTreeMap<String, Var>,
    pub buildpacks: Vec<String>,
    /// Made before the first build.
    pub addons: Vec<AddOn>,
    /// By process type.
    pub formation: BTreeMap<String, Scale>,
    /// Run once, after the first release.
    pub postdeploy: Option<String>,
    /// Where whoever set the app up is led to: a URL, or a path of the app.
    pub success_url: Option<String>,
}

/// A config var that the app asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Var {
    pub value: Option<String>,
    pub required: bool,
    /// A secret is made up for it where nobody gives a value.
    pub generated: bool,
}

/// An add-on that the app asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOn {
    /// `acme:basic`, or `acme` for the default one.
    pub plan: String,
    /// The name of the attachment.
    pub r#as: Option<String>,
    /// For its provider.
    pub options: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    pub quantity: Option<i64>,
    pub size: Option<String>,
}

impl Manifest {
    /// Reads the file, with what it says of `environment` (`review`, `test`) in place of the rest. All faults, if there are any.
    pub fn parse(file: &RootFile, environment: Option<&str>) -> Result<Manifest, Vec<String>> {
        let mut root = read(file).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        if let Some(environment) = environment {
            overlay(&mut root, environment, &mut faults);
        }
        let manifest = Reader {
            root: &root,
            faults: &mut faults,
        }
        .read();
        cron::read(&root, &mut faults);
        if faults.is_empty() {
            Ok(manifest)
        } else {
            Err(faults)
        }
    }

    /// The config vars to be set: what is given, else the value, else a secret that is made up. What is required and has none
    /// of these is named.
    pub fn config_vars(
        &self,
        given: &ConfigVars,
        secret: impl Fn() -> crate::error::Result<String>,
    ) -> crate::error::Result<Result<ConfigVars, Vec<String>>> {
        let (mut vars, mut missing) = (ConfigVars::new(), Vec::new());
        for (name, var) in &self.env {
            match (&var.value, var.generated) {
                _ if given.contains_key(name) => {}
                (Some(value), _) => drop(vars.insert(name.clone(), value.clone())),
                (None, true) => drop(vars.insert(name.clone(), secret()?)),
                (None, false) if var.required => {
                    missing.push(format!(
                        "env.{name} is required, and nobody gave a value for it"
                    ));
                }
                (None, false) => {}
            }
        }
        vars.extend(given.clone());
        Ok(if missing.is_empty() {
            Ok(vars)
        } else {
            Err(missing)
        })
    }
}

/// Puts what is said of one environment over the rest: `env` var by var, everything else as a whole.
fn overlay(root: &mut Map<String, Value>, environment: &str, faults: &mut Vec<String>) {
    let own = match root.get_mut("environments").map(Value::take) {
        None | Some(Value::Null) => return,
        Some(Value::Object(mut all)) => all.remove(environment),
        Some(_) => {
            faults.push("environments must be an object".to_owned());
            None
        }
    };
    match own {
        None | Some(Value::Null) => {}
        Some(Value::Object(own)) => {
            for (key, value) in own {
                match (root.get_mut(&key), value) {
                    (Some(Value::Object(before)), Value::Object(more))
                        if matches!(key.as_str(), "env" | "scripts") =>
                    {
                        before.extend(more);
                    }
                    (_, value) => drop(root.insert(key, value)),
                }
            }
        }
        Some(_) => faults.push(format!("environments.{environment} must be an object")),
    }
}

struct Reader<'a> {
    root: &'a Map<String, Value>,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self) -> Manifest {
        self.check_stack();
        Manifest {
            env: self.env(),
            buildpacks: self.buildpacks(),
            addons: self.addons(),
            formation: self.formation(),
            postdeploy: self.postdeploy(),
            success_url: self.success_url(),
        }
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    /// The object under a key; nothing if it is missing, null or something else.
    fn object(&mut self, key: &str) -> Map<String, Value> {
        match self.root.get(key) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                self.fault(format!("{key} must be an object"));
                Map::new()
            }
        }
    }

    fn list(&mut self, key: &str) -> Vec<Value> {
        match self.root.get(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list.clone(),
            Some(_) => {
                self.fault(format!("{key} must be a list"));
                Vec::new()
            }
        }
    }

    /// The text of an attribute; a number or a boolean is taken as it is written.
    fn text(&mut self, value: Option<&Value>, path: &str) -> Option<String> {
        match value {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.contains('\0') => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Bool(value)) => Some(value.to_string()),
            Some(_) => {
                self.fault(format!("{path} must be a string"));
                None
            }
        }
    }

    fn env(&mut self) -> BTreeMap<String, Var> {
        let mut env = BTreeMap::new();
        for (name, value) in self.object("env") {
            let path = format!("env.{name}");
            let var = match &value {
                Value::Object(about) => self.var(about, &path),
                value => Var {
                    value: self.text(Some(value), &path),
                    required: false,
                    generated: false,
                },
            };
            let value = var.value.clone().unwrap_or_default();
            if let Err(error) = config_vars::check_all(&[(name.clone(), value)].into()) {
                self.fault(format!("{path}: {}", error.message));
            }
            env.insert(name, var);
        }
        env
    }

    fn var(&mut self, about: &Map<String, Value>, path: &str) -> Var {
        let generator = self.text(about.get("generator"), &format!("{path}.generator"));
        if generator.as_deref().is_some_and(|kind| kind != "secret") {
            self.fault(format!("{path}.generator can only be secret"));
        }
        let required = match about.get("required") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(required)) => *required,
            Some(_) => {
                self.fault(format!("{path}.required must be true or false"));
                false
            }
        };
        Var {
            value: self.text(about.get("value"), &format!("{path}.value")),
            required,
            generated: generator.is_some(),
        }
    }

    fn buildpacks(&mut self) -> Vec<String> {
        let mut buildpacks = Vec::new();
        for (at, value) in self.list("buildpacks").iter().enumerate() {
            let path = format!("buildpacks[{at}]");
            let named = match value {
                Value::Object(about) => self.text(about.get("url"), &format!("{path}.url")),
                value => self.text(Some(value), &path),
            };
            match named.as_deref().map(Buildpack::parse) {
                Some(Ok(buildpack)) => buildpacks.push(buildpack.name),
                Some(Err(error)) => self.fault(format!("{path}: {}", error.message)),
                None => self.fault(format!("{path} has no url")),
            }
        }
        buildpacks
    }

    fn formation(&mut self) -> BTreeMap<String, Scale> {
        let mut formation = BTreeMap::new();
        for (kind, value) in self.object("formation") {
            let path = format!("formation.{kind}");
            let Value::Object(about) = value else {
                self.fault(format!("{path} must be an object"));
                continue;
            };
            if ProcessType::parse(&kind).is_err() {
                self.fault(format!("{path} is no process type"));
            }
            let quantity = match about.get("quantity") {
                None | Some(Value::Null) => None,
                Some(value) => match value.as_i64() {
                    Some(quantity) if (0..=MAX_QUANTITY).contains(&quantity) => Some(quantity),
                    _ => {
                        self.fault(format!("{path}.quantity must be from 0 to {MAX_QUANTITY}"));
                        None
                    }
                },
            };
            let size = self.text(about.get("size"), &format!("{path}.size"));
            let known = size.as_deref().map(catalog::dyno_size);
            if matches!(known, Some(None)) {
                self.fault(format!("{path}.size is no size of a dyno"));
            }
            let size = known.flatten().map(|size| size.entry.name.to_owned());
            formation.insert(kind, Scale { quantity, size });
        }
        formation
    }

    /// A command, or an object with one.
    fn postdeploy(&mut self) -> Option<String> {
        let scripts = self.object("scripts");
        let path = "scripts.postdeploy";
        let command = match scripts.get("postdeploy") {
            Some(Value::Object(about)) => self.text(about.get("command"), path),
            value => self.text(value, path),
        };
        command.filter(|command| !command.trim().is_empty())
    }

    fn success_url(&mut self) -> Option<String> {
        self.text(self.root.get("success_url"), "success_url")
            .filter(|url| !url.is_empty())
    }

    fn check_stack(&mut self) {
        let stack = self.text(self.root.get("stack"), "stack");
        if stack.is_some_and(|stack| stack != catalog::STACK.name) {
            self.fault(format!(
                "stack: the only stack of this server is {}",
                catalog::STACK.name
            ));
        }
    }

    /// Each is the name of a plan, or an object with one.
    fn addons(&mut self) -> Vec<AddOn> {
        let mut addons = Vec::new();
        for (at, value) in self.list("addons").iter().enumerate() {
            let path = format!("addons[{at}]");
            let nothing = Map::new();
            let (plan, about) = match value {
                Value::Object(about) => (about.get("plan"), about),
                plan => (Some(plan), &nothing),
            };
            let Some(plan) = self.text(plan, &format!("{path}.plan")) else {
                if plan.is_none() {
                    self.fault(format!("{path} has no plan"));
                }
                continue;
            };
            let options = match about.get("options") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(options)) => options.clone(),
                Some(_) => {
                    self.fault(format!("{path}.options must be an object"));
                    continue;
                }
            };
            addons.push(AddOn {
                plan,
                r#as: self.text(about.get("as"), &format!("{path}.as")),
                options,
            });
        }
        addons
    }
}
