//! The model: what there is after each call, and what its answer says. It knows the rules and nothing of the server.

use std::collections::BTreeMap;

use super::Op;

pub const USERS: [&str; 2] = ["ann", "bob"];
pub const APPS: [&str; 4] = ["harbour", "lighthouse", "marina", "pier"];
/// Both are Ann's.
pub const PIPELINES: [&str; 2] = ["inland", "coast"];
pub const STAGES: [&str; 3] = ["development", "staging", "production"];
pub const KEYS: [&str; 3] = ["COLOUR", "GREETING", "MODE"];
/// Who owns the pipelines.
const ANN: usize = 0;

type Vars = BTreeMap<&'static str, u8>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub vars: Vars,
    pub slug: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct App {
    pub owner: usize,
    /// Whether the other user may see, deploy to and operate it too.
    pub shared: bool,
    pub releases: Vec<Release>,
    /// Of the web dynos, once there is a slug.
    pub quantity: Option<usize>,
    /// The pipeline and the stage.
    pub coupling: Option<(usize, usize)>,
}

impl App {
    fn visible(&self, user: usize) -> bool {
        self.shared || self.owner == user
    }

    pub fn newest(&self) -> &Release {
        self.releases.last().unwrap()
    }

    fn release(&mut self, change: impl FnOnce(&mut Release)) {
        let mut next = self.newest().clone();
        change(&mut next);
        if next.slug.is_some() {
            self.quantity.get_or_insert(1);
        }
        self.releases.push(next);
    }
}

#[derive(Clone, Debug, Default)]
pub struct State {
    pub apps: BTreeMap<usize, App>,
}

impl State {
    /// Does what a call asks for, if it may, and says with which status it is answered.
    pub fn apply(&mut self, op: &Op) -> u16 {
        match *op {
            Op::Create { user, app } => self.create(user, app),
            Op::Delete { user, app } => self.owned(user, app, |apps| {
                apps.remove(&app);
                200
            }),
            Op::Invite { user, app } => self.owned(user, app, |apps| {
                let app = apps.get_mut(&app).unwrap();
                match std::mem::replace(&mut app.shared, true) {
                    true => 422,
                    false => 201,
                }
            }),
            Op::Dismiss { user, app } => self.dismiss(user, app),
            Op::Set {
                user,
                app,
                key,
                value,
            } => self.seen(user, app, |app| set(app, key, value)),
            Op::Deploy { user, app, slug } => self.seen(user, app, |app| {
                app.release(|release| release.slug = Some(slug));
                201
            }),
            Op::Rollback { user, app, version } => {
                self.seen(user, app, |app| rollback(app, version))
            }
            Op::Scale {
                user,
                app,
                quantity,
            } => self.seen(user, app, |app| {
                if app.quantity.is_none() {
                    return 404;
                }
                app.quantity = Some(quantity);
                200
            }),
            Op::Couple {
                user,
                app,
                pipeline,
                stage,
            } => self.couple(user, app, (pipeline, stage)),
            Op::Uncouple { user, app } => self.uncouple(user, app),
            Op::Promote {
                user,
                pipeline,
                from,
                to,
            } => self.promote(user, pipeline, from, to),
        }
    }

    fn create(&mut self, user: usize, app: usize) -> u16 {
        if self.apps.contains_key(&app) {
            return 422;
        }
        let first = Release {
            vars: Vars::new(),
            slug: None,
        };
        let app_of = App {
            owner: user,
            shared: false,
            releases: vec![first.clone(), first],
            quantity: None,
            coupling: None,
        };
        self.apps.insert(app, app_of);
        201
    }

    /// A pipeline is its owner's, and is shown to whoever may see an app in it.
    fn sees(&self, user: usize, pipeline: usize) -> bool {
        let within = |app: &App| app.coupling.is_some_and(|(its, _)| its == pipeline);
        let mut apps = self.apps.values();
        user == ANN || apps.any(|app| app.visible(user) && within(app))
    }

    /// 404 for a stranger.
    fn seen(&mut self, user: usize, app: usize, f: impl FnOnce(&mut App) -> u16) -> u16 {
        match self.apps.get_mut(&app) {
            Some(app) if app.visible(user) => f(app),
            _ => 404,
        }
    }

    /// And 403 for a collaborator.
    fn owned(
        &mut self,
        user: usize,
        app: usize,
        f: impl FnOnce(&mut BTreeMap<usize, App>) -> u16,
    ) -> u16 {
        match self.apps.get(&app) {
            Some(app) if !app.visible(user) => 404,
            Some(app) if app.owner != user => 403,
            Some(_) => f(&mut self.apps),
            None => 404,
        }
    }

    /// Whoever is not the owner may leave, and the owner may send the other away.
    fn dismiss(&mut self, user: usize, app: usize) -> u16 {
        self.seen(user, app, |app| {
            match std::mem::replace(&mut app.shared, false) {
                true => 200,
                false => 404,
            }
        })
    }

    fn couple(&mut self, user: usize, app: usize, coupling: (usize, usize)) -> u16 {
        let refused = if self.sees(user, coupling.0) {
            403
        } else {
            404
        };
        self.owned(user, app, |apps| {
            let app = apps.get_mut(&app).unwrap();
            if user != ANN {
                return refused;
            }
            if app.coupling.is_some() {
                return 409;
            }
            app.coupling = Some(coupling);
            201
        })
    }

    fn uncouple(&mut self, user: usize, app: usize) -> u16 {
        match self.apps.get_mut(&app) {
            Some(app) if app.visible(user) && app.coupling.is_some() => {
                if user == ANN || app.owner == user {
                    app.coupling = None;
                    return 200;
                }
                403
            }
            _ => 404,
        }
    }

    fn promote(&mut self, user: usize, pipeline: usize, from: usize, to: usize) -> u16 {
        if !self.sees(user, pipeline) {
            return 404;
        }
        // The source first, whole, and then the target.
        for app in [from, to] {
            match self.apps.get(&app) {
                Some(app) if !app.visible(user) => return 404,
                Some(app) if app.coupling.is_some_and(|(its, _)| its == pipeline) => {}
                Some(_) => return 422,
                None => return 404,
            }
        }
        let slug = self.apps[&from].newest().slug;
        if from == to || slug.is_none() {
            return 422;
        }
        let target = self.apps.get_mut(&to).unwrap();
        target.release(|release| release.slug = slug);
        201
    }
}

fn set(app: &mut App, key: usize, value: Option<u8>) -> u16 {
    let mut vars = app.newest().vars.clone();
    match value {
        Some(value) => vars.insert(KEYS[key], value),
        None => vars.remove(KEYS[key]),
    };
    if vars != app.newest().vars {
        app.release(|release| release.vars = vars);
    }
    200
}

fn rollback(app: &mut App, version: usize) -> u16 {
    let Some(to) = version
        .checked_sub(1)
        .and_then(|at| app.releases.get(at))
        .cloned()
    else {
        return 404;
    };
    if to.slug.is_none() {
        return 422;
    }
    app.release(|release| *release = to);
    201
}
